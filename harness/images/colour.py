"""Colours kept: the painting's strokes in the photograph's colours.

Gatys, Bethge, Hertzmann & Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer" (arXiv:1606.05897), has
two ways, and both are here:

    luminance only       transfer the luminance Y of YIQ alone; I and Q stay the content's
                         :func:`grey` content, :func:`matched_luminance` style, then :func:`with_colours_of`
    histogram matching   recolour the style image linearly before the transfer: :func:`recoloured`

Legend: S style, C content; x_S a pixel (3); μ mean (3), Σ covariance (3, 3) over an image's pixels, divided by their
number; L luminance, σ its standard deviation. Images are (3, H, W), sRGB in [0, 1], taken as they are (not linear
light), as the paper does. Computed in float64, returned in the dtype that was given.
"""

from __future__ import annotations

import torch
from torch import Tensor

# NTSC 1953, as in Rec. ITU-R BT.601: the first row of the matrix from RGB to YIQ.
Y_OF_RGB = (0.299, 0.587, 0.114)

# A style that varies by less than one 8-bit level holds nothing but rounding noise there: it is not stretched.
FLAT_VARIANCE = (1 / 255) ** 2


def luminance(image: Tensor) -> Tensor:
    """The Y of YIQ, 0.299 R + 0.587 G + 0.114 B; differentiable.

    Args:
        image: (…, 3, H, W).

    Returns:
        (…, 1, H, W), in [0, 1] for an image in [0, 1].
    """
    R, G, B = image.double().unbind(-3)
    red, green, blue = Y_OF_RGB
    return (red * R + green * G + blue * B).unsqueeze(-3).to(image.dtype)


def grey(image: Tensor) -> Tensor:
    """The luminance as three equal channels, as a network takes it: (…, 3, H, W)."""
    L = luminance(image)
    return L.expand(*L.shape[:-3], 3, *L.shape[-2:]).contiguous()


def with_colours_of(picture: Tensor, content: Tensor) -> Tensor:
    """The picture's luminance with the content's I and Q (luminance-only transfer).

    Y's column in the matrix from YIQ to RGB is (1, 1, 1): another Y with the same I and Q is the same amount added to
    R, G and B, so I and Q need not be computed.

    Args:
        picture: (3, H, W).
        content: (3, H, W).

    Returns:
        (3, H, W), clamped to [0, 1]: where that clips, luminance and colour give way.

    Raises:
        ValueError: the two differ in size.
    """
    if picture.shape != content.shape:
        raise ValueError(
            f"The picture has the shape {tuple(picture.shape)} and the content image {tuple(content.shape)}; both "
            "need the same size: resize one."
        )
    difference = luminance(picture.double()) - luminance(content.double())
    return (content.double() + difference).clamp(0, 1).to(picture.dtype)


def matched_luminance(style: Tensor, content: Tensor) -> Tensor:
    """The style's luminance with the content's mean and standard deviation (luminance-only transfer).

    L_S' = σ_C / σ_S · (L_S − μ_S) + μ_C. A style of one luminance has no σ_S to divide by: it becomes μ_C everywhere.

    Args:
        style: (3, H_s, W_s).
        content: (3, H, W).

    Returns:
        (3, H_s, W_s), three equal channels; not clamped, so it may leave [0, 1].
    """
    L_S, L_C = luminance(style.double()), luminance(content.double())
    centred = L_S - L_S.mean()
    variance = centred.square().mean()
    # Deviates from Gatys et al. 2016 (color), luminance-only transfer: a style that hardly varies (below
    # FLAT_VARIANCE) is not stretched, since it would be rounding noise that is.
    scale = (L_C.var(correction=0) / variance).sqrt() if variance > FLAT_VARIANCE else torch.zeros_like(variance)
    matched = scale * centred + L_C.mean()
    return matched.repeat(3, 1, 1).to(style.dtype)


def recoloured(style: Tensor, content: Tensor) -> Tensor:
    """The style image in the content's colours: same mean and covariance over RGB (colour histogram matching).

    Args:
        style: (3, H_s, W_s).
        content: (3, H, W).

    Returns:
        (3, H_s, W_s) in [0, 1].
    """
    # Deviates from Gatys et al. 2016 (color), histogram matching: clamped to what an image can show, which moves mean
    # and covariance a little where the matched colours leave the cube.
    return _matched(style, content).clamp(0, 1).to(style.dtype)


def _matched(style: Tensor, content: Tensor) -> Tensor:
    """x_S' = A x_S + b, with A Σ_S Aᵀ = Σ_C and b = μ_C − A μ_S; float64, not clamped.

    Many A do. The paper offers Cholesky factors, A = L_C L_S⁻¹, and the symmetric roots of Image Analogies (Hertzmann
    et al. 2001), A = Σ_C^½ Σ_S^−½. Taken are the roots: Cholesky's result depends on the order of the channels.

    In directions of colour space in which the style is flat (below ``FLAT_VARIANCE``), Σ_S^−½ is its pseudo-inverse:
    nothing is stretched there, and the covariance is matched in the others alone. A style of one colour becomes the
    content's mean colour.
    """
    x_S, x_C = style.double().flatten(1), content.double().flatten(1)
    mean_S, mean_C = x_S.mean(1, keepdim=True), x_C.mean(1, keepdim=True)
    variances_S, U_S = torch.linalg.eigh(_covariance(x_S - mean_S))
    variances_C, U_C = torch.linalg.eigh(_covariance(x_C - mean_C))
    inverse_roots = torch.where(variances_S > FLAT_VARIANCE, variances_S.clamp(min=FLAT_VARIANCE) ** -0.5, 0.0)
    roots = variances_C.clamp(min=0).sqrt()  # rounding may leave −1e-18
    # Deviates from Gatys et al. 2016 (color), histogram matching: of its two factorisations the symmetric square roots
    # alone, and a pseudo-inverse, so that directions in which the style hardly varies are not stretched to match.
    A: Tensor = (U_C * roots) @ U_C.T @ (U_S * inverse_roots) @ U_S.T
    return (A @ (x_S - mean_S) + mean_C).reshape(style.shape)


def _covariance(centred: Tensor) -> Tensor:
    return centred @ centred.T / centred.shape[1]
