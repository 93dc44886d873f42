"""Measures of the pictures themselves, pixel by pixel.

Each is measured from the 8-bit files, so that anybody who has the run folders gets the same number.

Letters: Y luminance (H, W) in [0, 1]; x a picture, c the photograph, s the painting at the picture's area.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.claims import pixels
from harness.claims.checks import (
    CannotMeasureError,
    ImageFile,
    Pixels,
    check_done,
    check_same_size,
    painting_of,
    source_of,
)
from harness.claims.pixels import LAGS_PX, luminance, root_mean_square
from harness.claims.straight_lines import LEAST_PIXELS, straight_share
from harness.results import Run

if TYPE_CHECKING:
    from harness.claims.measures import Measuring


def high_frequency_correlation(measuring: Measuring, run: Run) -> float:
    """Pearson correlation of high-passed luminances: r(Y(x) − g∗Y(x), Y(c) − g∗Y(c)), g a Gaussian with σ = 2 px.

    How much of the photograph's fine structure is at its place; −1 to 1, 1 for the photograph itself. A high-pass by
    Gaussian difference is Marr & Hildreth 1980's; brightness and contrast of either image do not count.
    """
    picture, photograph = _both(run)
    fine = [Y - pixels.blurred(Y) for Y in (luminance(picture), luminance(photograph))]
    return _correlation(run, fine[0], fine[1])


def edge_correlation(measuring: Measuring, run: Run) -> float:
    """Pearson correlation of the Sobel gradients' magnitudes: r(|S Y(x)|, |S Y(c)|).

    Is there an edge where the photograph has one, and as strong beside the others? −1 to 1, 1 for the photograph
    itself, also lighter, weaker in contrast or as a negative; textures of the style that it has not lower it. The edge
    map is Sobel & Feldman's 3 × 3 operator (1968).
    """
    picture, photograph = _both(run)
    return _correlation(run, pixels.edge_strength(luminance(picture)), pixels.edge_strength(luminance(photograph)))


def straight_edges(measuring: Measuring, run: Run) -> float:
    """The share of the photograph's straight-edge pixels at which the picture has an edge like it; 0 to 1.

    Like it: of the same direction within 15°, at most 1 px away, and the strongest within 3 px. 1 for the photograph
    itself and for what is recoloured affinely; an edge bent or covered by texture counts 0, about 5% of them by chance.
    The lines are those of a Hough transform: see ``harness.claims.straight_lines``.
    """
    share = straight_share(*_both(run))
    if share is None:
        raise CannotMeasureError(f"The photograph of {run.name} has no straight edges ({LEAST_PIXELS} px are needed).")
    return share


def chroma_distance(measuring: Measuring, run: Run) -> float:
    """√mean ((I(x) − I(c))² + (Q(x) − Q(c))²) over pixels, I and Q of NTSC's YIQ; 0 to 1.3.

    How far are the colours from the photograph's, place by place, whatever the luminance? 0 but for rounding and
    clipping where luminance alone was transferred: the colour space of Gatys, Bethge, Hertzmann & Shechtman 2016.
    """
    picture, photograph = _both(run)
    difference = pixels.chroma(picture) - pixels.chroma(photograph)
    return root_mean_square(np.hypot(difference[..., 0], difference[..., 1]))


def finest_share(measuring: Measuring, run: Run) -> float:
    """Σ |FFT₂ x|² over √(f_x² + f_y²) > 0.35 cycles/px, divided by Σ over all f; each channel less its mean; 0 to 1.

    How much of the picture is at frequencies that the network hardly sees: 0.615 for white noise, 0.005 to 0.05 for
    photographs and paintings.
    """
    try:
        return pixels.finest_share(run.image())
    except CannotMeasureError as error:
        raise CannotMeasureError(f"{run.name} is flat: it has no energy to be shared out.") from error


def style_distance(measuring: Measuring, run: Run) -> float:
    """√mean (x − s′)² over pixels and channels, s′ the painting resized to the picture's size; 0 to 1.

    How near a picture lies to the painting itself, pixel by pixel: s′ is where a run with ``start: style`` begins.
    """
    from harness.images.resize import resize, to_array, to_tensor

    picture = run.image()
    painting = to_array(resize(to_tensor(painting_of(run).pixels / np.float32(255)), *picture.shape[:2]))
    return root_mean_square(picture / 255 - painting)


def autocorrelation_distance(measuring: Measuring, run: Run) -> float:
    """√mean (ρ_x(d) − ρ_s(d))² over the lags d with 8 ≤ |d| ≤ 32 px, ρ the normalised autocorrelation of luminance.

    Do structures larger than a brush stroke have the painting's size and direction? 0 (the painting itself) to about 2;
    blind to where they lie, to brightness and to contrast. After the texture statistics of Portilla & Simoncelli 2000,
    section 2.2, which use the autocorrelation for periodicity and larger oriented structure.
    """
    picture, painting = run.image(), painting_of(run)
    if min(*picture.shape[:2], *painting.pixels.shape[:2]) <= LAGS_PX[1]:
        raise CannotMeasureError(f"{run.name} or its painting has a side of {LAGS_PX[1]} px or less.")
    ρ_x = measuring.autocorrelation(run.folder.image_path, picture)
    ρ_s = measuring.autocorrelation(*painting)
    return root_mean_square((ρ_x - ρ_s)[pixels.compared_lags()])


def copied_patches(measuring: Measuring, run: Run) -> float:
    """The share of the picture's 5 × 5 patches that are, value for value, one of the painting's as it was used; 0 to 1.

    A quilt is the painting's pixels but at its seams (Efros & Freeman 2001): 1 less the share of patches that a seam
    crosses. Anything that computes its pixels has about 0.
    """
    from harness.quilting.copies import copied_share

    return _of_copies(copied_share, run)


def longest_copy(measuring: Measuring, run: Run) -> float:
    """The length of the longest rectangle, lying or standing, 5 px thick, copied whole from the painting as used; px.

    Many blocks long, a quilt is a collage of the painting rather than more of its texture.
    """
    from harness.quilting.copies import longest_copy as longest

    return _of_copies(longest, run)


def repeat_distance(measuring: Measuring, run: Run) -> float:
    """Max |x − x′| over pixels and channels in 8-bit steps, x′ the same transfer computed a second time; 0 to 255."""
    twin = measuring.twin(run)
    check_done(twin)
    ways = [
        [r.manifest.provenance.get(key) for key in ("device", "threads")] if r.manifest else [] for r in (run, twin)
    ]
    if ways[0] != ways[1]:
        raise CannotMeasureError(
            f"{run.name} and its repetition were computed on different devices or threads ({ways[0]}, {ways[1]}), "
            "which round differently; compute both again with --fresh."
        )
    picture, again = run.image(), twin.image()
    check_same_size(run, picture, again, "its second computation")
    return float(np.abs(picture.astype(np.int16) - again.astype(np.int16)).max())


def pair_distance(runs: Sequence[Run]) -> float:
    """Min over the pairs of runs of √mean (x − x′)²; 0 to 1. Above 0 no two pictures of the set are the same."""
    if len(runs) < 2:
        raise CannotMeasureError("A distance between pictures needs at least two runs; here is one.")
    pictures = [run.image() for run in runs]
    for run, picture in zip(runs, pictures, strict=True):
        check_same_size(run, picture, pictures[0], f"the picture of {runs[0].name}")
    return min(
        root_mean_square((first.astype(np.float64) - second) / 255)
        for k, first in enumerate(pictures)
        for second in pictures[:k]
    )


def _both(run: Run) -> tuple[Pixels, Pixels]:
    """The picture and the photograph."""
    picture, photograph = run.image(), run.source("content")
    check_same_size(run, picture, photograph, "the photograph")
    return picture, photograph


def _of_copies(measure: Callable[[Pixels, Pixels], float], run: Run) -> float:
    try:
        return float(measure(run.image(), _as_used(run).pixels))
    except ValueError as error:  # an image that is smaller than a patch
        raise CannotMeasureError(f"{run.name}: {error}") from error


def _as_used(run: Run) -> ImageFile:
    """The painting at the scale and in the colours in which it was used."""
    return source_of(run, "style_as_used") if "style_as_used" in run.sources else painting_of(run)


def _correlation(run: Run, first: np.ndarray, second: np.ndarray) -> float:
    try:
        return pixels.correlation(first, second)
    except CannotMeasureError as error:
        raise CannotMeasureError(f"{run.name} or its photograph is flat: a correlation has no meaning.") from error
