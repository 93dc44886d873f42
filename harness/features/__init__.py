"""Features: VGG-19 and VGG-16, their weights, and their normalisation."""
