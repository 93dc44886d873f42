"""Whether a transfer's images fit its sizes: the deepest layer, the smallest level, masks, blocks, the measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.config.levels import AUTO_SIDE_PX, auto_pyramid
from harness.config.sentences import problems
from harness.config.transfer import Transfer
from harness.config.transfer_parts import PyramidLevel, Quilting, WeightsNetwork
from harness.config.values import MAXIMUM_SIZE_PX, ORIGINAL_PX
from harness.errors import HarnessError, PluginError, UsageError
from harness.features.networks import plugin_network
from harness.features.vgg import deepest_of, minimum_size_px
from harness.images.resize import fit_area, fit_longer_side
from harness.measures.reference import MINIMUM_SIDE_PX
from harness.objective.guidance import Guidance, counted_parts
from harness.quilting import check
from harness.quilting.levels import Iteration, overlap_px, synthesis_level, transfer_levels
from harness.runs.prepare import Row, prepare_images, row_objective_of
from harness.runs.store import Manifest

WINDOW_PX = 3
"""Side of the windows of the matting Laplacian."""


@dataclass(frozen=True)
class Reach:
    """What the layers that are compared need of an image: a map of 2 × 2 positions or more.

    Attributes:
        layers: that are compared; none where the method has no network.
        network: a plugin's name; empty for a VGG.
    """

    layers: tuple[str, ...] = ()
    network: str = ""

    @property
    def least_px(self) -> int:
        """The shorter side that a VGG's deepest layer needs; of a plugin's network, sizes are tried."""
        return minimum_size_px(deepest_of(self.layers)) if self.layers and not self.network else 1

    def fault(self, height: int, width: int) -> str:
        """Which layer has no such map of an image of that size, in words; empty where all have one."""
        if not self.network:
            needed = (
                f"{deepest_of(self.layers)} needs at least {self.least_px} px on the shorter side"
                if self.layers
                else ""
            )
            return needed if min(height, width) < self.least_px else ""
        try:
            shapes = plugin_network(self.network).shapes(self.layers, height, width)
        except PluginError as error:
            return f"the network {self.network!r} fails there ({error})"
        small = [f"{layer}'s map is then {w}×{h}" for layer, (_, h, w) in shapes.items() if min(h, w) < 2]
        return f"{small[0]} and needs at least 2×2 positions" if small else ""


def reach_of(transfer: Transfer) -> Reach:
    """The layers that a transfer names, also those of weight 0."""
    network = transfer.weights.network if isinstance(transfer.weights, WeightsNetwork) else ""
    return Reach((*transfer.content_layers, *transfer.style_layers), network)


def block_levels(numbers: Quilting, height: int, width: int) -> list[Iteration]:
    """The iterations of a quilted picture of a size, from its transfer's ``quilting``."""
    overlap = overlap_px(numbers.block, numbers.overlap)
    if numbers.task == "synthesis":
        return [synthesis_level(height, width, numbers.block, overlap)]
    return transfer_levels(height, width, numbers.block, overlap, numbers.iterations)


def needs_windows(transfer: Transfer) -> bool:
    """Whether a transfer compares windows of the photograph: the photorealism regulariser, and smoothing."""
    return transfer.photorealism.weight > 0 or transfer.smoothing > 0


def _check_windows(what: str, height: int, width: int) -> None:
    if min(height, width) < WINDOW_PX:
        raise UsageError(
            f"{what} makes this photograph {width}×{height} px, but photorealism and smoothing compare windows of "
            f"{WINDOW_PX}×{WINDOW_PX} px; ask for a larger size, or drop photorealism.weight and smoothing"
        )


def resolve_size(transfer: Transfer, shape: tuple[int, int]) -> Transfer:
    """A transfer with the number that ``size: original`` stands for with this photograph; any other as it is.

    Args:
        transfer: the transfer.
        shape: height and width of the photograph's file.
    """
    if transfer.size != ORIGINAL_PX:
        return transfer
    size_px = min(max(shape), MAXIMUM_SIZE_PX)
    try:
        return Transfer.model_validate({**transfer.model_dump(), "size": size_px})
    except ValidationError as error:
        first = next(problems(error, Transfer))
        raise UsageError(f"original is {size_px} px with this photograph: {first.message}") from error


def check_content(shape: tuple[int, int], size_px: int, reach: Reach, has_windows: bool = False) -> tuple[int, int]:
    """Height and width of the picture, checked against its layers, what can be measured, and the windows."""
    height, width = fit_longer_side(*shape, size_px)
    if has_windows:
        _check_windows(f"size {size_px}", height, width)
    fault = reach.fault(height, width)
    if min(height, width) < MINIMUM_SIDE_PX and reach.least_px < MINIMUM_SIDE_PX:
        fault = f"a picture whose numbers are measured needs at least {MINIMUM_SIDE_PX} px on the shorter side"
    if fault:
        raise UsageError(
            f"size {size_px} makes this photograph {width}×{height} px, but {fault}; ask for a larger size, or for "
            "layers less deep"
        )
    return height, width


def check_style(shape: tuple[int, int], area_px: int, scale: float, reach: Reach) -> None:
    """Check a painting's size at the photograph's area against its layers and what can be measured."""
    height, width = fit_area(*shape, area_px, scale)
    if fault := reach.fault(height, width):
        raise UsageError(
            f"style_scale {scale:g} makes this painting {width}×{height} px, but {fault}; ask for a larger size or "
            "style_scale"
        )
    height, width = fit_area(*shape, area_px, 1.0)
    if min(height, width) < MINIMUM_SIDE_PX:
        raise UsageError(
            f"at the photograph's area this painting is {width}×{height} px, too narrow to be measured: at least "
            f"{MINIMUM_SIDE_PX} px are needed on the shorter side; ask for a larger size, or crop the painting"
        )


def check_level(
    shape: tuple[int, int],
    size_px: int,
    paintings: Sequence[tuple[tuple[int, int], float]],
    reach: Reach,
    has_windows: bool = False,
) -> None:
    """Check photograph and paintings at the smallest level of a pyramid against their layers and the windows."""
    content = fit_longer_side(*shape, size_px)
    if has_windows:
        _check_windows(f"a level of {size_px} px", *content)
    styles = [fit_area(*painting, content[0] * content[1], scale) for painting, scale in paintings]
    for what, (height, width) in (("photograph", content), *(("painting", style) for style in styles)):
        if fault := reach.fault(height, width):
            raise UsageError(
                f"a level of {size_px} px makes this {what} {width}×{height} px, but {fault}; begin with a larger level"
            )


def resolve_pyramid(
    transfer: Transfer,
    shape: tuple[int, int],
    paintings: Sequence[tuple[tuple[int, int], float]],
    reach: Reach,
    masked: Mapping[str, str],
    seen: frozenset[str] = frozenset(),
) -> tuple[PyramidLevel, ...]:
    """What ``pyramid: auto`` stands for with these images: no size at which something would be refused.

    Args:
        transfer: the transfer.
        shape: height and width of the photograph's file.
        paintings: those of each painting's file, with its scale.
        reach: the layers that are compared.
        masked: the files of a transfer with masks or regions, or whose photograph has alpha; empty for others.
        seen: see ``harness.runs.seen``.
    """

    def fits(size_px: int) -> bool:
        try:
            check_level(shape, size_px, paintings, reach, needs_windows(transfer))
            if masked:
                check_masks(transfer, masked, size_px, seen)
        except HarnessError:
            return False
        return min(fit_longer_side(*shape, size_px)) >= AUTO_SIDE_PX

    return auto_pyramid(transfer, fits)


def check_masks(transfer: Transfer, files: Mapping[str, str], size_px: int, seen: frozenset[str]) -> None:
    """Check that masks, regions and alpha leave something of the picture and of the paintings, at the smallest size."""
    prepared = prepare_images([Row("", Path(), transfer, files, Manifest("", ""), seen)], size_px)
    objective = row_objective_of(transfer, 0, prepared.parts_of[0])
    try:
        counted_parts(objective, Guidance(prepared.masks), Guidance(prepared.style_masks))
    except ValueError as error:
        has_masks = any(slot.startswith("segmentation.") or slot.endswith("mask") for slot in files)
        what = "a mask or region" if has_masks else "the photograph's opaque part"
        raise UsageError(
            f"at {size_px} px {what} leaves less than one position of each style layer "
            f"({', '.join(objective.weighed_style())}); enlarge it, ask for a larger size, or weigh a layer nearer to "
            "conv1_1"
        ) from error


def check_blocks(shape: tuple[int, int], picture: tuple[int, int], transfer: Transfer) -> None:
    """Check a quilted picture's blocks against the painting at its size."""
    numbers = transfer.quilting
    height, width = fit_area(*shape, picture[0] * picture[1], transfer.style_scale)
    num_iterations = len(block_levels(numbers, *picture))
    try:
        check(height, width, numbers.block, overlap_px(numbers.block, numbers.overlap), num_iterations)
    except ValueError as error:
        raise UsageError(str(error)) from error
