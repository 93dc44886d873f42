"""What a batch needs before it can start: its images at their sizes, its network, its starts and bounds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from harness.config.identity import ALPHA, FLAT, GREY
from harness.config.methods import has_network
from harness.config.styles import Painting, paintings_of
from harness.config.transfer import Transfer
from harness.config.transfer_parts import Precision, WeightsNetwork, WeightsUrl
from harness.features.networks import PluginNetwork, plugin_network, require_named_layers
from harness.features.normalise import normalised_state
from harness.features.sources import (
    LocalWeights,
    NamedNetwork,
    NetworkSource,
    WeightsFile,
    WeightsSource,
    WeightsURL,
    describe,
    fetch,
)
from harness.features.vgg import VGG, Padding, Pooling
from harness.features.weights import load_local, require_layers
from harness.images.colour import grey, matched_luminance, recoloured
from harness.images.files import read_image
from harness.images.masks import Region, read_mask, read_regions, resize_mask
from harness.images.noise import noise
from harness.images.resize import alpha_at, painting_of, photograph_of, resize, to_tensor
from harness.measures.comparable import Target
from harness.measures.reference import CONTENT_LAYER, STYLE_WEIGHTS
from harness.objective.memory import choose_tile
from harness.objective.rows import RowObjective, StylePart
from harness.objective.style_statistics import is_additive
from harness.runs.store import Manifest

PRECISIONS: dict[Precision, torch.dtype] = {
    "float32": torch.float32, "float64": torch.float64, "bf16": torch.float32, "tf32": torch.float32
}  # fmt: skip
"""Of pictures, targets, losses and optimiser."""

ROUNDED = "bf16"
"""In which the network's maps are rounded further."""


@dataclass(frozen=True)
class Row:
    """One run of a batch.

    Attributes:
        id: the run id.
        folder: its run folder.
        transfer: the resolved transfer: its ``pyramid`` is not ``auto``.
        files: every image's path, by its slot (``harness.config.styles.image_slots``): ``content``, ``style``, …
        manifest: what a new folder's manifest says.
        seen: of its images, what makes another picture of them: see ``harness.runs.seen``.
    """

    id: str
    folder: Path
    transfer: Transfer
    files: Mapping[str, str]
    manifest: Manifest
    seen: frozenset[str] = frozenset()

    @property
    def is_grey(self) -> bool:
        """Whether its picture has one channel."""
        return GREY in self.seen

    @property
    def keeps_alpha(self) -> bool:
        """Whether its picture is transparent where its photograph is."""
        return ALPHA in self.seen and self.transfer.transparency == "keep"


@dataclass
class Prepared:
    """The images of a batch at one level, read, resized and shared where rows share them.

    Attributes:
        photographs: (3, H, W), as they are.
        contents: (3, H, W), what the content targets are measured on: the photographs, or their luminance.
        styles: (3, H_s, W_s), the paintings at their scales, recoloured where a row asks for it.
        masks: (H, W), over the pictures.
        style_masks: (H_s, W_s), over the paintings.
        alphas: (H, W), where photographs whose transparency is kept are opaque.
        photograph_of: each row's photograph.
        content_of: each row's content.
        alpha_of: each row's alpha; None where its picture is opaque.
        parts_of: each row's share of the paintings.
    """

    photographs: list[Tensor] = field(default_factory=list)
    contents: list[Tensor] = field(default_factory=list)
    styles: list[Tensor] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)
    style_masks: list[Tensor] = field(default_factory=list)
    alphas: list[Tensor] = field(default_factory=list)
    photograph_of: list[int] = field(default_factory=list)
    content_of: list[int] = field(default_factory=list)
    alpha_of: list[int | None] = field(default_factory=list)
    parts_of: list[tuple[StylePart, ...]] = field(default_factory=list)
    _indices: dict[tuple[str, Hashable], int] = field(default_factory=dict)

    def share(self, kind: str, key: Hashable, make: Callable[[], Tensor]) -> int:
        """The index of an image in one of the lists, made where no row has asked for it before."""
        if (kind, key) not in self._indices:
            images: list[Tensor] = getattr(self, kind)
            self._indices[kind, key] = len(images)
            images.append(make())
        return self._indices[kind, key]

    def add(self, row: Row, size: int | tuple[int, int] | None) -> None:
        """Read and resize what one more row needs; its picture's height and width are its own, or a level's."""
        path, colours = row.files["content"], row.transfer.colours
        photograph = self.share("photographs", path, lambda: photograph_of(path, size or row.transfer.size))
        content = self.photographs[photograph]
        is_grey = colours == "luminance"
        self.photograph_of.append(photograph)
        self.content_of.append(self.share("contents", (path, is_grey), lambda: grey(content) if is_grey else content))
        own_size = (content.shape[1], content.shape[2])
        alpha = self.share("alphas", (path, own_size), lambda: alpha_at(path, own_size)) if row.keeps_alpha else None
        self.alpha_of.append(alpha)
        parts: list[StylePart] = []
        for painting in paintings_of(row.transfer):
            parts += self._parts(row, painting, content, (colours, path if colours != "style" else ""))
        if alpha is not None and is_guided_by_alpha(row.transfer):
            parts = [replace(part, mask=self._opaque(part.mask, alpha)) for part in parts]
        self.parts_of.append(tuple(parts))

    def _opaque(self, mask: int | None, alpha: int) -> int:
        """Which mask is a mask's opaque part, or everywhere's."""
        return self.share("masks", ("opaque", mask, alpha), lambda: self._product(mask, alpha))

    def _product(self, mask: int | None, alpha: int) -> Tensor:
        return self.alphas[alpha] if mask is None else self.masks[mask] * self.alphas[alpha]

    def _parts(self, row: Row, painting: Painting, content: Tensor, recolouring: tuple[str, str]) -> list[StylePart]:
        """One painting's share of a row's style: one part, or one per region of a segmentation."""
        file, size = row.files[painting.slot], (content.shape[1], content.shape[2])
        key = (file, painting.scale, size, *recolouring)
        image = self.share(
            "styles", key, lambda: _recoloured(painting_of(file, size, painting.scale), content, recolouring[0])
        )
        own_size = (self.styles[image].shape[1], self.styles[image].shape[2])
        segmentations = [row.files.get(f"segmentation.{side}") for side in ("content", "style")]
        if segmentations[0] and segmentations[1]:
            regions = read_regions(segmentations[0], segmentations[1], size, own_size)
            return [self._region(image, region, (*segmentations, key)) for region in regions]
        mask, own_mask = (row.files[slot] if slot else None for slot in (painting.mask, painting.own_mask))
        return [
            StylePart(
                image,
                painting.weight,
                None if mask is None else self.share("masks", (mask, size), lambda: _mask(mask, size)),
                None
                if own_mask is None
                else self.share("style_masks", (own_mask, own_size), lambda: _mask(own_mask, own_size)),
            )
        ]

    def _region(self, image: int, region: Region, key: Hashable) -> StylePart:
        """A region counts as much as its share of the picture.

        # Deviates from Luan et al. 2017, eq. 3: the sum over regions is weighted by their areas, since each guided Gram
        # matrix is divided by its own; theirs are not, and weigh by the area that way.
        """
        own = region.own_mask
        return StylePart(
            image,
            region.share,
            self.share("masks", (key, region.name), lambda: region.mask),
            None if own is None else self.share("style_masks", (key, region.name), lambda: own),
        )


def prepare_images(rows: Sequence[Row], size: int | tuple[int, int] | None = None) -> Prepared:
    """Read every distinct image once, at the sizes the transfers ask for, or at a level's.

    Args:
        rows: of one batch.
        size: of the pictures at a level, height and width, or the longer side; left out: the transfers' own.
    """
    prepared = Prepared()
    for row in rows:
        prepared.add(row, size)
    return prepared


def is_guided_by_alpha(transfer: Transfer) -> bool:
    """Whether the painting is matched in the opaque part alone: where a transfer may have masks.

    Elsewhere it is matched everywhere, and what is transparent is cut out of the finished picture.
    """
    can_have_masks = transfer.style_statistic == "gram" and not isinstance(transfer.weights, WeightsNetwork)
    return transfer.transparency == "keep" and has_network(transfer.method) and can_have_masks


def target_of(row: Row, photograph: Tensor) -> Target:
    """What a row's pictures are measured against, from its photograph (3, H, W) at their size."""
    is_of_vgg = has_network(row.transfer.method) and not isinstance(row.transfer.weights, WeightsNetwork)
    optimised = row_objective_of(row.transfer).weighed_style() if is_of_vgg else ()
    return Target(row.transfer, photograph, row.files, optimised)


def _mask(path: str, size: tuple[int, int]) -> Tensor:
    return resize_mask(read_mask(path), *size)


def _recoloured(style: Tensor, content: Tensor, colours: str) -> Tensor:
    """The painting with the colours that a transfer asks for."""
    if colours == "luminance":
        return matched_luminance(style, content)
    return recoloured(style, content) if colours == "recoloured" else style


def start_image(row: Row, prepared: Prepared, index: int) -> Tensor:
    """Where a row starts, (3, H, W): photograph, painting, noise from the row's own CPU generator, or a file.

    With several paintings ``start: style`` is the one with the largest weight, the first of equals.
    """
    content = prepared.photographs[prepared.photograph_of[index]]
    start, (height, width) = row.transfer.start, content.shape[1:]
    if start == "content":
        return content.clone()
    if start == "style":
        heaviest = max(prepared.parts_of[index], key=lambda part: part.weight)
        return resize(prepared.styles[heaviest.image], height, width)
    if start == "noise":
        generator = torch.Generator().manual_seed(row.transfer.seed)
        return noise(height, width, row.transfer.noise_sigma, row.transfer.noise_spectrum, generator)
    return resize(to_tensor(read_image(row.files["start"])), height, width)


def box_bounds(rows: Sequence[Row], prepared: Prepared, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """Box bounds of every row, (B, 1, 1, 1) or (B, 3, 1, 1): none, [0, 1], or the paintings' range per channel.

    Grey rows have one channel. Where a row of the batch keeps its photograph's alpha a, every pixel has its own,
    (B, C, H, W): those of the colour f of which a f + 1 − a is seen over white; what is transparent stays white.

    ``source`` is the authors' own choice: the range of the source image's pixels (their DeepTextures code); of
    paintings of one colour, [0, 1].
    """
    kind = rows[0].transfer.optimiser.bounds
    if kind == "none":
        return None
    if kind == "unit":
        low, high = torch.zeros(len(rows), 1, 1, 1, dtype=dtype), torch.ones(len(rows), 1, 1, 1, dtype=dtype)
    else:
        images = [[prepared.styles[part.image].to(dtype) for part in parts] for parts in prepared.parts_of]
        low = torch.stack([torch.stack([s.amin((1, 2), keepdim=True) for s in of_row]).amin(0) for of_row in images])
        high = torch.stack([torch.stack([s.amax((1, 2), keepdim=True) for s in of_row]).amax(0) for of_row in images])
        is_flat = torch.tensor([FLAT in row.seen for row in rows])[:, None, None, None]
        low, high = torch.where(is_flat, 0.0, low), torch.where(is_flat, 1.0, high)
    if rows[0].is_grey:
        low, high = low.amin(1, keepdim=True), high.amax(1, keepdim=True)
    if not prepared.alphas:
        return low, high
    opaque = torch.ones_like(prepared.alphas[0])
    alphas = [opaque if k is None else prepared.alphas[k] for k in prepared.alpha_of]
    a = torch.stack(alphas)[:, None].to(dtype)
    return low * a + (1 - a), high * a + (1 - a)


def row_objective_of(
    transfer: Transfer,
    content: int = 0,
    styles: Sequence[StylePart] = (StylePart(),),
    is_regularised: bool = True,
) -> RowObjective:
    """The numbers of a transfer's objective, and which of the batch's distinct images are its targets.

    Args:
        transfer: resolved.
        content: which of the batch's contents.
        styles: its share of the paintings.
        is_regularised: whether the photorealism regulariser counts (in a first stage it does not).
    """
    terms = transfer.every_term()
    if not is_regularised:
        del terms["photorealism"]
    return RowObjective(
        transfer.alpha,
        transfer.beta,
        dict(transfer.content_layers.items()),  # to any names: a mapping's keys are invariant
        dict(transfer.style_layers.items()),
        transfer.convention,
        content,
        tuple(styles),
        terms,
        luminance=transfer.colours == "luminance",
        statistic=transfer.style_statistic,
    )


def weights_source(transfer: Transfer) -> NetworkSource:
    """Where a transfer's network weights come from."""
    weights = transfer.weights
    if isinstance(weights, str):
        return weights
    if isinstance(weights, WeightsUrl):
        return WeightsURL(weights.url, weights.sha256, weights.input)
    if isinstance(weights, WeightsNetwork):
        return NamedNetwork(weights.network)
    return WeightsFile(Path(weights.file), weights.input)


def load_network(transfer: Transfer, layers: Iterable[str]) -> VGG | PluginNetwork:
    """The frozen network of a transfer, in its precision, normalised where it says so: every layer of its weights.

    Args:
        transfer: resolved.
        layers: those needed.

    Raises:
        WeightsError: the weights cannot be read, or do not reach a layer.
        DownloadError: they are not here and cannot be downloaded.
        PluginError: a plugin's network cannot be made.
    """
    source = weights_source(transfer)
    if isinstance(source, NamedNetwork):
        made = plugin_network(source.name).in_precision(
            PRECISIONS[transfer.precision], rounds=transfer.precision == ROUNDED
        )
        require_named_layers(made.layers, layers, describe(source))
        return made
    local, told = fetch(source), (transfer.normalised, transfer.pooling, transfer.padding, transfer.precision)
    network = _network_of(source, local, *told)
    require_layers(network.layers, layers, describe(source))
    return network


@lru_cache(maxsize=1)
def _network_of(
    source: WeightsSource,
    local: LocalWeights,
    is_normalised: bool,
    pooling: Pooling,
    padding: Padding,
    precision: Precision,
) -> VGG:
    """The last network is kept, with the weights that it has laid out; each precision has one of its own."""
    state = _state_of(source, local, is_normalised)
    if precision == ROUNDED:
        return VGG(state, pooling=pooling, padding=padding, convolved=torch.bfloat16)
    return VGG(state, pooling=pooling, padding=padding).to(PRECISIONS[precision])


@lru_cache(maxsize=1)
def _state_of(source: WeightsSource, local: LocalWeights, is_normalised: bool) -> Mapping[str, Tensor]:
    """The last state is kept, 80 MB at most: a full-width network takes 1 to 2 s to read and normalise."""
    loaded = load_local(source, local)
    return normalised_state(loaded) if is_normalised else loaded.state


def tile_px_of(
    network: VGG | PluginNetwork, transfer: Transfer, height: int, width: int, bound_bytes: float | None = None
) -> int | None:
    """The tiles of a picture: by its size, network, precision and whether its style statistic is additive.

    These are alike in a batch, so that no row's bits depend on its neighbours. Reckoned with the comparable numbers'
    layers, whichever layers the rows weigh; each mask of a row that has several takes memory beyond the bound.

    Args:
        network: whole, from ``load_network``.
        transfer: resolved; one whose style statistic is not additive, or whose network a plugin's, goes as a whole.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        bound_bytes: what a pass may take on the device; left out: on the CPU.
    """
    if not is_additive(transfer.style_statistic) or isinstance(network, PluginNetwork):
        return None
    itemsize = torch.finfo(PRECISIONS[transfer.precision]).bits // 8
    weighed = [layer for layer in (CONTENT_LAYER, *STYLE_WEIGHTS) if layer in network.layers]
    return choose_tile(network, weighed, height, width, itemsize, bound_bytes)
