"""What published networks take, in numbers: see ``harness.features.state.input_convolution``."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1], as torchvision's networks take them."""

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of blue, green and red in [0, 255]; the Caffe networks divide by nothing."""
