"""What a batch needs before it can start: its images at their sizes, its network, its starts and bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.features.normalise import normalised_state
from harness.features.sources import WeightsFile, WeightsSource, WeightsURL
from harness.features.vgg import VGG19, deepest_of
from harness.features.weights import load_state, require_layers
from harness.images.files import read_image
from harness.images.resize import fit_area, fit_longer_side, resize, to_tensor
from harness.objective.rows import RowObjective
from harness.runs.store import Manifest


@dataclass(frozen=True)
class Row:
    """One run of a batch, as plain data.

    Attributes:
        id: the run id.
        folder: its run folder.
        transfer: the resolved transfer.
        files: ``content``, ``style`` and, where the start is a file, ``start``, to their paths.
        manifest: what a new folder's manifest says.
    """

    id: str
    folder: Path
    transfer: Mapping[str, Any]
    files: Mapping[str, str]
    manifest: Manifest


@dataclass(frozen=True)
class Prepared:
    """The images of a batch, read, resized and shared where rows share them."""

    contents: list[Tensor] = field(default_factory=list)
    styles: list[Tensor] = field(default_factory=list)
    content_of: list[int] = field(default_factory=list)
    style_of: list[int] = field(default_factory=list)


def prepare_images(rows: Sequence[Row]) -> Prepared:
    """Read every distinct photograph and painting once, at the sizes the transfers ask for."""
    prepared = Prepared()
    contents: dict[str, int] = {}
    styles: dict[tuple[str, float, int], int] = {}
    for row in rows:
        path = row.files["content"]
        if path not in contents:
            contents[path] = len(prepared.contents)
            image = to_tensor(read_image(path))
            prepared.contents.append(
                resize(image, *fit_longer_side(image.shape[1], image.shape[2], row.transfer["size"]))
            )
        content = prepared.contents[contents[path]]
        area_px = content.shape[1] * content.shape[2]
        key = (row.files["style"], row.transfer["style_scale"], area_px)
        if key not in styles:
            styles[key] = len(prepared.styles)
            image = to_tensor(read_image(row.files["style"]))
            prepared.styles.append(
                resize(image, *fit_area(image.shape[1], image.shape[2], area_px, row.transfer["style_scale"]))
            )
        prepared.content_of.append(contents[path])
        prepared.style_of.append(styles[key])
    return prepared


def start_image(row: Row, prepared: Prepared, index: int) -> Tensor:
    """Where a row starts, (3, H, W): photograph, painting, noise from the row's own CPU generator, or a file."""
    content = prepared.contents[prepared.content_of[index]]
    start, (height, width) = row.transfer["start"], content.shape[1:]
    if start == "content":
        return content.clone()
    if start == "style":
        return resize(prepared.styles[prepared.style_of[index]], height, width)
    if start == "noise":
        generator = torch.Generator().manual_seed(row.transfer["seed"])
        return 0.5 + row.transfer["noise_sigma"] * torch.randn(3, height, width, generator=generator)
    return resize(to_tensor(read_image(row.files["start"])), height, width)


def box_bounds(rows: Sequence[Row], prepared: Prepared, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """Box bounds of every row, (B, 1, 1, 1) or (B, 3, 1, 1): none, [0, 1], or the painting's range per channel.

    ``source`` is the authors' own choice: the range of the source image's pixels (their DeepTextures code).
    """
    kind = rows[0].transfer["optimiser"]["bounds"]
    if kind == "none":
        return None
    if kind == "unit":
        return torch.zeros(len(rows), 1, 1, 1, dtype=dtype), torch.ones(len(rows), 1, 1, 1, dtype=dtype)
    sources = [prepared.styles[k].to(dtype) for k in prepared.style_of]
    return (
        torch.stack([s.amin((1, 2), keepdim=True) for s in sources]),
        torch.stack([s.amax((1, 2), keepdim=True) for s in sources]),
    )


def row_objective_of(transfer: Mapping[str, Any], content: int = 0, style: int = 0) -> RowObjective:
    """The numbers of a transfer's objective, and which of the batch's distinct images are its targets."""
    t = transfer
    return RowObjective(
        t["alpha"], t["beta"], t["content_layers"], t["style_layers"], t["convention"], content, style
    )  # fmt: skip


def weights_source(transfer: Mapping[str, Any]) -> WeightsSource:
    """Where a transfer's network weights come from."""
    weights = transfer["weights"]
    if isinstance(weights, str):
        return weights  # type: ignore[return-value]
    if "url" in weights:
        return WeightsURL(weights["url"], weights["sha256"], weights.get("input"))
    return WeightsFile(Path(weights["file"]), weights.get("input"))


def load_network(transfer: Mapping[str, Any], layers: Iterable[str]) -> VGG19:
    """The frozen network of a transfer, up to the deepest of ``layers``, normalised where the transfer says so.

    Raises:
        WeightsError: the weights cannot be read, or do not reach a layer.
        DownloadError: they are not here and cannot be downloaded.
    """
    loaded = load_state(weights_source(transfer))
    require_layers(loaded.layers, layers, loaded.description)
    state = loaded.state
    if transfer["normalised"]:
        state = normalised_state(loaded, transfer["pooling"], transfer["padding"])
    return VGG19(state, deepest_of(layers), transfer["pooling"], transfer["padding"])


def embedded_network() -> VGG19:
    """The network on which the comparable numbers are measured, whatever was optimised."""
    return VGG19(normalised_state(load_state("embedded"), "average", "zeros"))
