"""What a claim can measure: a number of one run, or of a set of runs, each with its formula, its range and its source.

The numbers of a manifest (the comparable ones of ``harness.metrics`` and the losses at the finished picture) stand here
under their own names. The others are measured from the pictures as their 8-bit files hold them, so that anybody who has
the run folders gets the same numbers. Luminance is Rec. ITU-R BT.709 luma, Y' = 0.2126 R' + 0.7152 G' + 0.0722 B', of
the sRGB values as they are: the network sees those too, and on linear light the shadows' structure would hardly count.

Letters: Y luminance (H, W) in [0, 1]; x a picture, c the photograph, s the painting as it was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.results import Results, Run
from harness.runs.store import Status

if TYPE_CHECKING:
    from torch import Tensor

    from harness.features.vgg import VGG19

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

LUMA = (0.2126, 0.7152, 0.0722)
SIGMA_PX = 2.0
"""Of the blur that separates fine structure: it halves periods of about 11 px, and leaves less than 1% of 4 px."""
BLUR_RADIUS_PX = 8  # 4 σ: what is cut off is 6e-5 of the kernel
LAGS_PX = (8, 32)
"""Lags over which larger structures are compared: below lies what neighbouring pixels share in every image, above the
quick size of 256 px has too few independent pairs."""


class CannotMeasureError(HarnessError):
    """A number that is not there or has no meaning for these runs; the message says why."""


class Measuring:
    """Measures an experiment's runs; pictures, spectra and Gram matrices are computed once.

    Args:
        results: the experiment; its runs tell the twins and the paintings.
    """

    def __init__(self, results: Results) -> None:
        self._twins = {run.id: run for run in results.all_runs if run.part == "again"}
        self._paintings = {run.transfer["style"]: run for run in reversed(results.all_runs)}
        self._numbers: dict[tuple[str, Path], float] = {}
        self._autocorrelations: dict[Path, Floats] = {}
        self._grams: dict[Path, dict[str, Tensor]] = {}
        self._network: VGG19 | None = None

    def of_run(self, name: str, run: Run) -> float:
        """The measure of one run.

        Raises:
            CannotMeasureError: the run is not done, the number is not there, or it is not finite.
            ImageError: a picture was deleted.
        """
        _check_done(run)
        key = (name, run.folder.path)
        if key not in self._numbers:
            measure = PICTURE_MEASURES.get(name)
            value = measure(self, run) if measure else _number_of_manifest(name, run)
            if not math.isfinite(value):
                raise CannotMeasureError(f"{name} of {run.name} is {value}, which decides nothing.")
            self._numbers[key] = value
        return self._numbers[key]

    def of_set(self, name: str, runs: Sequence[Run]) -> float:
        """The measure of a set of runs.

        Raises:
            CannotMeasureError: a run is not done, or the set has no such number.
            ImageError: a picture was deleted.
        """
        for run in runs:
            _check_done(run)
        return SET_MEASURES[name](runs)

    def applies(self, name: str, run: Run) -> bool:
        """Whether a run is one of those the measure is about: ``repeat_distance`` needs one computed twice."""
        return run.part != "again" and (name != REPEAT_DISTANCE or run.id in self._twins)

    def twin(self, run: Run) -> Run:
        """The same transfer, computed a second time."""
        if run.id not in self._twins:
            raise CannotMeasureError(f"{run.name} was not computed a second time.")
        return self._twins[run.id]

    def paintings(self) -> Mapping[str, Run]:
        """The experiment's different paintings, each by the first run that used it."""
        return self._paintings

    def autocorrelation(self, path: Path, image: Pixels) -> Floats:
        """``autocorrelation`` of a file's luminance."""
        if path not in self._autocorrelations:
            self._autocorrelations[path] = autocorrelation(luminance(image), LAGS_PX[1])
        return self._autocorrelations[path]

    def grams(self, path: Path, image: Pixels) -> Mapping[str, Tensor]:
        """G/M of a file's image on the embedded network's five style layers, eq. 3."""
        if path not in self._grams:
            import torch

            from harness.metrics import MINIMUM_SIDE_PX, STYLE_WEIGHTS
            from harness.objective.equations import gram_per_position
            from harness.runs.prepare import embedded_network

            if min(image.shape[:2]) < MINIMUM_SIDE_PX:
                raise CannotMeasureError(f"{path.name} has a side below {MINIMUM_SIDE_PX} px: the network needs more.")
            self._network = self._network or embedded_network()
            with torch.inference_mode():
                pixels = torch.from_numpy(image.transpose(2, 0, 1) / 255).to(self._network.bias("input"))
                maps = self._network(pixels[None], list(STYLE_WEIGHTS))
                self._grams[path] = {layer: gram_per_position(F) for layer, F in maps.items()}
        return self._grams[path]


def high_frequency_correlation(measuring: Measuring, run: Run) -> float:
    """Pearson correlation of high-passed luminances: r(Y(x) − g∗Y(x), Y(c) − g∗Y(c)), g a Gaussian with σ = 2 px.

    How much of the photograph's fine structure is at its place; −1 to 1, 1 for the photograph itself. A high-pass by
    Gaussian difference is Marr & Hildreth 1980's; brightness and contrast of either image do not count.
    """
    picture, photograph = run.image(), run.source("content")
    _check_same_size(run, picture, photograph, "the photograph")
    fine = [(Y - blurred(Y)).ravel() for Y in (luminance(picture), luminance(photograph))]
    fine = [values - values.mean() for values in fine]
    norms = [math.sqrt(float(values @ values)) for values in fine]
    if min(norms) < 1e-9 * math.sqrt(fine[0].size):  # rounding of a flat image is 1e-16 a pixel, one 8-bit step 4e-3
        raise CannotMeasureError(f"{run.name} or its photograph is flat: a correlation has no meaning.")
    return float(fine[0] @ fine[1]) / (norms[0] * norms[1])


def style_distance(measuring: Measuring, run: Run) -> float:
    """√mean (x − s′)² over pixels and channels, s′ the painting resized to the picture's size; 0 to 1.

    How near a picture lies to the painting itself, pixel by pixel: s′ is where a run with ``start: style`` begins.
    """
    from harness.images.resize import resize, to_array, to_tensor

    picture = run.image()
    painting = to_array(resize(to_tensor(run.source("style") / np.float32(255)), *picture.shape[:2]))
    return root_mean_square(picture / 255 - painting)


def repeat_distance(measuring: Measuring, run: Run) -> float:
    """Max |x − x′| over pixels and channels in 8-bit steps, x′ the same transfer computed a second time; 0 to 255."""
    twin = measuring.twin(run)
    _check_done(twin)
    ways = [
        [r.manifest.provenance.get(key) for key in ("device", "threads")] if r.manifest else [] for r in (run, twin)
    ]
    if ways[0] != ways[1]:
        raise CannotMeasureError(
            f"{run.name} and its repetition were computed on different devices or threads ({ways[0]}, {ways[1]}), "
            "which round differently; compute both again with --fresh."
        )
    picture, again = run.image(), twin.image()
    _check_same_size(run, picture, again, "its second computation")
    return float(np.abs(picture.astype(np.int16) - again.astype(np.int16)).max())


def autocorrelation_distance(measuring: Measuring, run: Run) -> float:
    """√mean (ρ_x(d) − ρ_s(d))² over the lags d with 8 ≤ |d| ≤ 32 px, ρ the normalised autocorrelation of luminance.

    Do structures larger than a brush stroke have the painting's size and direction? 0 (the painting itself) to about 2;
    blind to where they lie, to brightness and to contrast. After the texture statistics of Portilla & Simoncelli 2000,
    section 2.2, which use the autocorrelation for periodicity and larger oriented structure.
    """
    picture, painting = run.image(), run.source("style")
    if min(*picture.shape[:2], *painting.shape[:2]) <= LAGS_PX[1]:
        raise CannotMeasureError(f"{run.name} or its painting has a side of {LAGS_PX[1]} px or less.")
    ρ_x = measuring.autocorrelation(run.folder.image_path, picture)
    ρ_s = measuring.autocorrelation(run.sources["style"], painting)
    return root_mean_square((ρ_x - ρ_s)[_is_compared()])


def own_style_margin(measuring: Measuring, run: Run) -> float:
    """Min over the experiment's other paintings s′ of D(x, s′)/D(x, s), D as ``reference_style``; > 0.

    How many times nearer a picture is to its own painting than to any other: above 1 its own is the nearest. D is the
    Gram distance of eqs 4 and 5 on the embedded network; another painting is taken at the size its own run used.
    """
    from harness.metrics import STYLE_WEIGHTS
    from harness.objective.equations import style_layer_loss, style_loss

    others = [other for name, other in measuring.paintings().items() if name != run.transfer["style"]]
    if not others:
        raise CannotMeasureError("The experiment has only one painting; a margin needs another to compare with.")
    grams = measuring.grams(run.folder.image_path, run.image())

    def distance(painted: Run) -> float:
        image = painted.source("style")
        targets = measuring.grams(painted.sources["style"], image)
        losses = {layer: style_layer_loss(G, targets[layer]) for layer, G in grams.items()}
        return float(style_loss(losses, STYLE_WEIGHTS))

    own = distance(run)
    return min(map(distance, others)) / own if own > 0 else math.inf


def pair_distance(runs: Sequence[Run]) -> float:
    """Min over the pairs of runs of √mean (x − x′)²; 0 to 1. Above 0 no two pictures of the set are the same."""
    if len(runs) < 2:
        raise CannotMeasureError("A distance between pictures needs at least two runs; here is one.")
    pictures = [run.image() for run in runs]
    for run, picture in zip(runs, pictures, strict=True):
        _check_same_size(run, picture, pictures[0], f"the picture of {runs[0].name}")
    return min(
        root_mean_square((first.astype(np.float64) - second) / 255)
        for k, first in enumerate(pictures)
        for second in pictures[:k]
    )


REPEAT_DISTANCE = "repeat_distance"

PICTURE_MEASURES: Mapping[str, Callable[[Measuring, Run], float]] = {
    "high_frequency_correlation": high_frequency_correlation,
    "style_distance": style_distance,
    REPEAT_DISTANCE: repeat_distance,
    "autocorrelation_distance": autocorrelation_distance,
    "own_style_margin": own_style_margin,
}
"""Measures of one run's picture; ``harness.config.claims`` lists their names for whoever writes a claim."""

SET_MEASURES: Mapping[str, Callable[[Sequence[Run]], float]] = {"pair_distance": pair_distance}
"""Measures of a set of runs."""


def luminance(image: Pixels) -> Floats:
    """Rec. 709 luma of an (H, W, 3) uint8 image, (H, W) in [0, 1]."""
    Y: Floats = image.astype(np.float64) @ np.array(LUMA) / 255
    return Y


def blurred(Y: Floats) -> Floats:
    """Gaussian blur with σ = 2 px, cut off at 4 σ, the image mirrored at its borders; agrees with scipy.ndimage."""
    offsets = np.arange(-BLUR_RADIUS_PX, BLUR_RADIUS_PX + 1)
    kernel = np.exp(-(offsets**2) / (2 * SIGMA_PX**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        width = [(BLUR_RADIUS_PX, BLUR_RADIUS_PX) if k == axis else (0, 0) for k in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(Y, width, mode="symmetric"), kernel.size, axis)
        Y = windows @ kernel
    return Y


def autocorrelation(Y: Floats, radius_px: int) -> Floats:
    """ρ(d) = mean_p Z(p) Z(p + d) / mean_p Z(p)², Z = Y − mean Y, over the positions at which both lie in the image.

    Dividing by their number makes images of different sizes comparable. By a zero-padded FFT.

    Args:
        Y: (H, W), sides > ``radius_px``.
        radius_px: the largest lag down or across.

    Returns:
        (2 r + 1, 2 r + 1), lag (0, 0), where ρ = 1, in the middle.

    Raises:
        CannotMeasureError: a flat image has no autocorrelation.
    """
    Z = Y - Y.mean()
    if float((Z * Z).mean()) < 1e-18:
        raise CannotMeasureError("A flat image has no autocorrelation.")
    height, width = Y.shape
    shape = (height + radius_px, width + radius_px)  # no lag up to the radius wraps around
    power = np.abs(np.fft.rfft2(Z, shape)) ** 2
    sums = np.fft.irfft2(power, shape)
    lags = np.arange(-radius_px, radius_px + 1)
    counts = np.outer(height - np.abs(lags), width - np.abs(lags))
    ρ: Floats = sums[np.ix_(lags, lags)] / counts / float((Z * Z).mean())
    return ρ


def root_mean_square(difference: NDArray[Any]) -> float:
    """√mean of the squares, in float64."""
    return math.sqrt(float(np.mean(np.square(difference, dtype=np.float64))))


def _is_compared() -> NDArray[np.bool_]:
    lags = np.arange(-LAGS_PX[1], LAGS_PX[1] + 1)
    squares = lags[:, None] ** 2 + lags**2
    return (squares >= LAGS_PX[0] ** 2) & (squares <= LAGS_PX[1] ** 2)


def _number_of_manifest(name: str, run: Run) -> float:
    value = run.metrics.get(name)
    if value is None:
        raise CannotMeasureError(f"{name} of {run.name} was not measured.")
    return float(value)


def _check_done(run: Run) -> None:
    if run.status is not Status.DONE:
        reason = f" ({run.reason})" if run.reason else ""
        raise CannotMeasureError(f"{run.name} {run.status.value}{reason}.")


def _check_same_size(run: Run, picture: Pixels, other: Pixels, what: str) -> None:
    if picture.shape != other.shape:
        sizes = [f"{image.shape[1]} × {image.shape[0]} px" for image in (picture, other)]
        raise CannotMeasureError(f"{run.name} is {sizes[0]} and {what} {sizes[1]}; one size is needed.")
