"""The style images that this project draws itself; ``draw`` draws them, their PNGs lie beside it."""
