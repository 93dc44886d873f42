"""Measures of the pictures themselves, pixel by pixel.

Each is measured from the 8-bit files, so that anybody who has the run folders gets the same number.

Letters: Y luminance (H, W) in [0, 1]; x a picture, c the photograph, s the painting at the picture's area.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.config.transfer import Transfer
from harness.errors import CannotMeasureError
from harness.measures import arrays
from harness.measures.arrays import LAGS_PX, Floats, luminance, root_mean_square
from harness.registries import measure

if TYPE_CHECKING:
    from torch import Tensor

FINEST = 0.35
"""Cycles per pixel above which structure is finest: periods below 3 px, at which pooling halves the amplitude."""


@measure("ssim")
def ssim(picture: Floats, *, content: Floats) -> float:
    """Structural similarity to the photograph (Wang et al. 2004: 11 × 11 Gaussian, σ 1.5), mean of R, G, B; −1 to 1."""
    from harness.measures import of_pixels

    return of_pixels.ssim(tensor_of(picture), tensor_of(content))


@measure("pixel_distance")
def pixel_distance(picture: Floats, *, content: Floats) -> float:
    """Root of the mean squared difference from the photograph, over pixels and channels; 0 to 1."""
    from harness.measures import of_pixels

    return of_pixels.pixel_distance(tensor_of(picture), tensor_of(content))


@measure("colour_distance")
def colour_distance(picture: Floats, *, styles: Sequence[Floats], transfer: Transfer) -> float:
    """Total variation distance of the colour histograms of picture and painting; 0 to 1."""
    from harness.measures import of_pixels

    colours = of_pixels.colour_histogram(tensor_of(picture))
    distances = [of_pixels.histogram_distance(colours, of_pixels.colour_histogram(tensor_of(s))) for s in styles]
    return mean_over_paintings(distances, transfer)


@measure("total_variation")
def total_variation(picture: Floats) -> float:
    """Σ|x(i+1, j) − x(i, j)| + Σ|x(i, j+1) − x(i, j)| over all channels, by the number of values; 0 to below 2."""
    from harness.measures import of_pixels

    return of_pixels.total_variation(tensor_of(picture))


@measure("high_frequency_correlation")
def high_frequency_correlation(picture: Floats, *, content: Floats) -> float:
    """Pearson correlation of high-passed luminances: r(Y(x) − g∗Y(x), Y(c) − g∗Y(c)), g a Gaussian with σ = 2 px.

    How much of the photograph's fine structure is at its place; −1 to 1, 1 for the photograph itself. A high-pass by
    Gaussian difference is Marr & Hildreth 1980's; brightness and contrast of either image do not count.
    """
    return arrays.correlation(*(Y - arrays.blurred(Y) for Y in (luminance(picture), luminance(content))))


@measure("edge_correlation")
def edge_correlation(picture: Floats, *, content: Floats) -> float:
    """Pearson correlation of the Sobel gradients' magnitudes: r(|S Y(x)|, |S Y(c)|).

    Is there an edge where the photograph has one, and as strong beside the others? −1 to 1, 1 for the photograph
    itself, also lighter, weaker in contrast or as a negative; textures of the style that it has not lower it. The edge
    map is Sobel & Feldman's 3 × 3 operator (1968).
    """
    return arrays.correlation(*(arrays.edge_strength(luminance(image)) for image in (picture, content)))


@measure("straight_edges")
def straight_edges(picture: Floats, *, content: Floats) -> float:
    """The share of the photograph's straight-edge pixels at which the picture has an edge like it; 0 to 1.

    Like it: of the same direction within 15°, at most 1 px away, and the strongest within 3 px. 1 for the photograph
    itself and for what is recoloured affinely; an edge bent or covered by texture counts 0, about 5% of them by chance.
    The lines are those of a Hough transform: see ``harness.measures.straight_lines``.
    """
    from harness.measures.straight_lines import LEAST_PIXELS, straight_share

    share = straight_share(picture, content)
    if share is None:
        raise CannotMeasureError(f"The photograph has no straight edges ({LEAST_PIXELS} px are needed).")
    return share


@measure("chroma_distance")
def chroma_distance(picture: Floats, *, content: Floats) -> float:
    """√mean ((I(x) − I(c))² + (Q(x) − Q(c))²) over pixels, I and Q of NTSC's YIQ; 0 to 1.3.

    How far are the colours from the photograph's, place by place, whatever the luminance? 0 but for rounding and
    clipping where luminance alone was transferred: the colour space of Gatys, Bethge, Hertzmann & Shechtman 2016.
    """
    difference = arrays.chroma(picture) - arrays.chroma(content)
    return root_mean_square(np.hypot(difference[..., 0], difference[..., 1]))


@measure("finest_share")
def finest_share(picture: Floats) -> float:
    """Σ |FFT₂ x|² over √(f_x² + f_y²) > 0.35 cycles/px, divided by Σ over all f; each channel less its mean; 0 to 1.

    How much of the picture is at frequencies that the network hardly sees: 0.615, the area of those frequencies
    1 − 0.35² π, for white noise, 0.005 to 0.05 for photographs and paintings.
    """
    energy = np.abs(np.fft.fft2(picture - picture.mean((0, 1)), axes=(0, 1))) ** 2
    f = np.hypot(np.fft.fftfreq(picture.shape[0])[:, None], np.fft.fftfreq(picture.shape[1]))
    if energy.sum() < 1e-18 * picture.size**2:  # rounding of a flat image is 1e-32 a value, one 8-bit step 1e-5
        raise CannotMeasureError("The picture is flat: it has no energy to be shared out.")
    return float(energy[f > FINEST + 1e-9].sum() / energy.sum())


@measure("style_distance")
def style_distance(picture: Floats, *, styles: Sequence[Floats]) -> float:
    """√mean (x − s′)² over pixels and channels, s′ the painting resized to the picture's size; 0 to 1.

    How near a picture lies to the painting itself, pixel by pixel: s′ is where a run with ``start: style`` begins.
    """
    from harness.images.resize import resize, to_array, to_tensor

    return root_mean_square(picture - to_array(resize(to_tensor(the_painting(styles)), *picture.shape[:2])))


@measure("autocorrelation_distance")
def autocorrelation_distance(picture: Floats, *, styles: Sequence[Floats]) -> float:
    """√mean (ρ_x(d) − ρ_s(d))² over the lags d with 8 ≤ |d| ≤ 32 px, ρ the normalised autocorrelation of luminance.

    Do structures larger than a brush stroke have the painting's size and direction? 0 (the painting itself) to about 2;
    blind to where they lie, to brightness and to contrast. After the texture statistics of Portilla & Simoncelli 2000,
    section 2.2, which use the autocorrelation for periodicity and larger oriented structure.
    """
    images = picture, the_painting(styles)
    if min(side for image in images for side in image.shape[:2]) <= LAGS_PX[1]:
        raise CannotMeasureError(f"The picture or its painting has a side of {LAGS_PX[1]} px or less.")
    ρ_x, ρ_s = (arrays.autocorrelation(luminance(image), LAGS_PX[1]) for image in images)
    return root_mean_square((ρ_x - ρ_s)[arrays.compared_lags()])


@measure("copied_patches")
def copied_patches(picture: Floats, *, used_styles: Sequence[Floats]) -> float:
    """The share of the picture's 5 × 5 patches that are, value for value, one of the painting's as it was used; 0 to 1.

    A quilt is the painting's pixels but at its seams (Efros & Freeman 2001): 1 less the share of patches that a seam
    crosses. Anything that computes its pixels has about 0.
    """
    from harness.quilting import copies

    return _of_copies(copies.copied_share, picture, used_styles)


@measure("longest_copy")
def longest_copy(picture: Floats, *, used_styles: Sequence[Floats]) -> float:
    """The length of the longest rectangle, lying or standing, 5 px thick, copied whole from the painting as used; px.

    Many blocks long, a quilt is a collage of the painting rather than more of its texture.
    """
    from harness.quilting import copies

    return _of_copies(copies.longest_copy, picture, used_styles)


@measure("repeat_distance")
def repeat_distance(picture: Floats, *, again: Floats) -> float:
    """Max |x − x′| over pixels and channels in 8-bit steps, x′ the same transfer computed a second time; 0 to 255."""
    return float(np.rint(np.abs(picture - again).max() * 255))


@measure("pair_distance")
def pair_distance(pictures: Sequence[Floats]) -> float:
    """Min over the pairs of runs of √mean (x − x′)²; 0 to 1. Above 0 no two pictures of the set are the same."""
    if len(pictures) < 2:
        raise CannotMeasureError("A distance between pictures needs at least two runs; here is one.")
    return min(root_mean_square(first - second) for k, first in enumerate(pictures) for second in pictures[:k])


def tensor_of(image: Floats) -> Tensor:
    """(H, W, 3) as (3, H, W), float64."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def the_painting(styles: Sequence[Floats]) -> Floats:
    """The run's one painting.

    Raises:
        CannotMeasureError: it has several, and none is its own.
    """
    if len(styles) > 1:
        raise CannotMeasureError(
            "It has several paintings and none is its own; gram_distance measures it against one of them."
        )
    return styles[0]


def mean_over_paintings(distances: Sequence[float], transfer: Transfer) -> float:
    """The mean of the distances to each painting, weighted by ω, whatever their masks."""
    if isinstance(transfer.style, str):
        return distances[0]
    weights = [painting.weight for painting in transfer.style.values()]
    return sum(w * d for w, d in zip(weights, distances, strict=True)) / sum(weights) if sum(weights) else distances[0]


def _of_copies(share: Callable[[Any, Any], float], picture: Floats, used_styles: Sequence[Floats]) -> float:
    as_bytes = [np.rint(image * 255).astype(np.uint8) for image in (picture, the_painting(used_styles))]
    try:
        return float(share(*as_bytes))
    except ValueError as error:  # an image that is smaller than a patch
        raise CannotMeasureError(str(error)) from error
