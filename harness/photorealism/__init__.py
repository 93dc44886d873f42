"""Photorealism: pictures kept locally affine in the photograph's colours, as a loss and as a smoothing step."""
