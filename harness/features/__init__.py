"""Features: VGG-19, its weights, and their normalisation."""
