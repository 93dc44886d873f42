"""A cell's images and weights found, hashed and checked against its sizes, and its pyramid resolved with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from harness.config.cells import Cell
from harness.config.identity import FLAT, hashed_fields, run_id
from harness.config.levels import sizes_of
from harness.config.loaded import LoadedExperiment, LoadedSweep
from harness.config.methods import QUILTING, has_network
from harness.config.places import FieldPath
from harness.config.styles import image_slots, paintings_of, path_of_slot
from harness.config.transfer import Transfer
from harness.config.transfer_parts import PyramidLevel
from harness.config.values import ORIGINAL_PX
from harness.downloads import OnBytes
from harness.driver.sizes import (
    Reach,
    check_blocks,
    check_content,
    check_level,
    check_masks,
    check_style,
    needs_windows,
    reach_of,
    resolve_pyramid,
    resolve_size,
)
from harness.errors import ConfigError, Fault, HarnessError, ImageError
from harness.features.identify import Identified, identify
from harness.features.networks import require_named_layers
from harness.features.sources import NamedNetwork, describe
from harness.features.weights import require_layers
from harness.images.files import image_hash, read_picture
from harness.images.library import find_image
from harness.images.masks import check_mask, check_regions
from harness.odd_names import escaped
from harness.runs.prepare import is_guided_by_alpha, weights_source
from harness.runs.seen import Range, seen_of

SIDES = ("content", "style")

Given = TypeVarTuple("Given")
Found = TypeVar("Found")
Memory = dict[tuple[Callable[..., Any], str], Any]
"""What was read and checked for some cells of a file, by function and arguments: what came of it, or its error."""


@dataclass(frozen=True)
class FoundImage:
    """An image file.

    Attributes:
        path: of the file.
        sha256: of what it holds.
        shape: height and width, in pixels.
        is_grey: whether red, green and blue are equal everywhere.
        has_alpha: whether it is transparent in places.
        range: the lowest and the highest value of red, green and blue.
        reading: why it is read otherwise than earlier versions of the harness read it; see ``Picture``.
        note: a sentence about what was ignored of it, or is missing; empty where nothing is.
    """

    path: str
    sha256: str
    shape: tuple[int, int]
    is_grey: bool = False
    has_alpha: bool = False
    range: Range = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    reading: str = ""
    note: str = ""


class Inspection:
    """Looks at one cell.

    Args:
        loaded: the experiment or sweep.
        cell: the cell.
        memory: shared by the cells of a file, so that 20 cells read a photograph once.
        on_bytes: told how far a download of weights is.

    Attributes:
        transfer: the cell's, resolved.
        names: its images by their slots, as they were given.
        images: their files.
        weights: its network; None where the method has none.
        size: height and width of the picture, in pixels.

    Raises:
        ConfigError: with everything that is wrong with the cell, each at its line.
    """

    def __init__(
        self, loaded: LoadedExperiment | LoadedSweep, cell: Cell, memory: Memory, on_bytes: OnBytes | None = None
    ) -> None:
        self.transfer = cell.transfer
        self.names = dict(image_slots(cell.transfer))
        self.images: dict[str, FoundImage] = {}
        self._loaded = loaded
        self._cell = cell
        self._memory = memory
        self._faults: list[Fault] = []
        self._has_network = has_network(cell.transfer.method)
        self._reach = reach_of(cell.transfer) if self._has_network else Reach()
        self._find_images()
        self._resolve_size()
        self._check_shapes_of_masks()
        self._check_segmentations()
        self.weights = self._identify_weights(on_bytes) if self._has_network else None
        self.size = self._check_sizes()
        self._check_levels()
        self._raise_faults()
        self.transfer = self.transfer.model_copy(update={"pyramid": self._resolve_pyramid()})
        self._raise_faults()
        self._check_masks()
        self._raise_faults()

    @property
    def files(self) -> dict[str, str]:
        """The path of every image, by its slot."""
        return {slot: image.path for slot, image in self.images.items()}

    @property
    def run_id(self) -> str:
        """The id of the run that the cell is."""
        hashes = {slot: image.sha256 + image.reading for slot, image in self.images.items()}
        if self.weights is not None:
            hashes["weights"] = self.weights.network
        return run_id(self.transfer, {name: hashes[name] for name in hashed_fields(self.transfer)}, self.seen)

    @property
    def seen(self) -> frozenset[str]:
        """What is seen of the images that makes another picture of them."""
        grey = {slot for slot, image in self.images.items() if image.is_grey}
        ranges = {slot: image.range for slot, image in self.images.items()}
        return seen_of(self.transfer, grey, self._has_alpha, ranges)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the images, a sentence for each."""
        told = [image.note for image in self.images.values()]
        if self._has_alpha:
            kept = self.transfer.transparency == "keep"
            what = "and so is the picture there" if kept else "and painted there as if it were white"
            other = "white paints there too" if kept else "keep leaves that part empty"
            path = escaped(self.images["content"].path)
            told.append(f"{path} is transparent in places, {what} (transfer.transparency: {other}).")
        if FLAT in self.seen:
            names = " and ".join(escaped(self.images[each.slot].path) for each in paintings_of(self.transfer))
            told.append(f"{names} has one colour everywhere: there are no strokes to take from it, only that colour.")
        for painting in paintings_of(self.transfer):
            if painting.slot in self.images and (image := self.images[painting.slot]).has_alpha:
                told.append(f"{escaped(image.path)} is transparent in places; as a painting it is white there.")
        return tuple(dict.fromkeys(self._as_written(note) for note in told if note))

    @property
    def _has_alpha(self) -> bool:
        return "content" in self.images and self.images["content"].has_alpha

    @property
    def provenance(self) -> dict[str, dict[str, str]]:
        """Names and hashes for the manifest; no folders, which would tell W&B who and where the user is."""
        found = {
            slot: {"name": Path(self.names[slot]).name, "sha256": image.sha256} for slot, image in self.images.items()
        }
        if self.weights is not None:
            found["weights"] = {"name": "weights", "sha256": self.weights.sha256, "network": self.weights.network}
        return found

    def _attempt(self, field: str | FieldPath, read: Callable[[*Given], Found], *given: *Given) -> Found | None:
        """What ``read`` gives, or None and a fault at the field."""
        key = (read, repr(given))
        if key not in self._memory:
            try:
                self._memory[key] = read(*given)
            except HarnessError as error:
                self._memory[key] = error
        found: Found | HarnessError = self._memory[key]
        if isinstance(found, HarnessError):
            self._faults.append(self._loaded.fault(self._cell, field, self._as_written(str(found))))
            return None
        return found

    def _raise_faults(self) -> None:
        if self._faults:
            raise ConfigError(self._faults)

    def _as_written(self, message: str) -> str:
        """A sentence in which a bundled image has the name that the user gave, not the path of its file."""
        for slot, image in self.images.items():
            if Path(image.path).is_absolute() and not Path(self.names[slot]).is_absolute():
                message = message.replace(image.path, self.names[slot])
        return message

    def _find_images(self) -> None:
        for slot, given in self.names.items():
            if found := self._attempt(path_of_slot(self.transfer, slot), _read_image, given):
                self.images[slot] = found

    def _resolve_size(self) -> None:
        """``size: original`` is the photograph's."""
        if photograph := self.images.get("content"):
            self.transfer = self._attempt("size", resolve_size, self.transfer, photograph.shape) or self.transfer

    def _check_shapes_of_masks(self) -> None:
        for owner, mask in _masks(self.transfer):
            if owner in self.images and mask in self.images:
                place = path_of_slot(self.transfer, mask)
                self._attempt(place, check_mask, self.images[mask].path, self.images[owner].shape)

    def _check_segmentations(self) -> None:
        """The regions of photograph and painting: each label image by itself, then both together."""
        slots = [f"segmentation.{side}" for side in SIDES]
        if not {*slots, *SIDES} <= self.images.keys():
            return
        (one, other), (shape, style_shape) = (
            [self.images[slot].path for slot in slots], [self.images[side].shape for side in SIDES]
        )  # fmt: skip
        num_before = len(self._faults)
        self._attempt(slots[0], check_regions, one, one, shape, shape)
        self._attempt(slots[1], check_regions, other, other, style_shape, style_shape)
        if len(self._faults) == num_before:
            self._attempt("segmentation", check_regions, one, other, shape, style_shape)

    def _identify_weights(self, on_bytes: OnBytes | None) -> Identified | None:
        """The network, which must have every layer that is compared."""
        source = weights_source(self.transfer)
        weights = self._attempt("weights", identify, source, on_bytes)
        if weights is None:
            return None
        require = require_named_layers if isinstance(source, NamedNetwork) else require_layers
        of_side = {"content_layers": self.transfer.content_layers, "style_layers": self.transfer.style_layers}
        for side, layers in of_side.items():
            for layer in layers:
                self._attempt(side, require, weights.layers, [layer], describe(source))
        return weights

    def _check_sizes(self) -> tuple[int, int]:
        """Height and width of the picture; photograph and paintings must be large enough for its layers or blocks.

        What is there is checked, also where other images or the weights are not; with a plugin's network, only where
        that can be had.
        """
        if not self._can_be_sized():
            return 0, 0
        photograph, has_windows = self.images["content"].shape, needs_windows(self.transfer)
        size = self._attempt("size", check_content, photograph, self.transfer.size, self._reach, has_windows)
        if size is None:
            return 0, 0
        if self.transfer.method == QUILTING and "style" in self.images:
            num_before = len(self._faults)
            self._attempt("quilting.block", check_blocks, self.images["style"].shape, size, self.transfer)
            if len(self._faults) > num_before:
                return size
        for painting in paintings_of(self.transfer):
            if painting.slot not in self.images:
                continue
            place = ("style_scale",) if painting.slot == "style" else path_of_slot(self.transfer, painting.slot)
            shape = self.images[painting.slot].shape
            self._attempt(place, check_style, shape, size[0] * size[1], painting.scale, self._reach)
        return size

    def _resolve_pyramid(self) -> tuple[PyramidLevel, ...]:
        """The smaller sizes: those that were given, or those that ``auto`` is."""
        given, photograph = self.transfer.pyramid, self.images["content"].shape
        if not self._has_network:
            return () if isinstance(given, str) else given
        if not isinstance(given, str):
            return given
        masked = self.files if self._is_masked() else {}
        found = self._attempt(
            "pyramid", resolve_pyramid, self.transfer, photograph, self._paintings(), self._reach, masked, self.seen
        )
        return found or ()

    def _can_be_sized(self) -> bool:
        """Whether the picture's size is known, and a plugin's network, without which nothing is, can be had."""
        is_known = "content" in self.images and self.transfer.size != ORIGINAL_PX
        return is_known and not (self._reach.network and self._faults)

    def _check_levels(self) -> None:
        """The smallest of the sizes that were given must be large enough."""
        given = self.transfer.pyramid
        if self._has_network and given and not isinstance(given, str) and self._can_be_sized():
            photograph, has_windows = self.images["content"].shape, needs_windows(self.transfer)
            paintings = self._paintings()
            self._attempt("pyramid", check_level, photograph, given[0].size, paintings, self._reach, has_windows)

    def _paintings(self) -> tuple[tuple[tuple[int, int], float], ...]:
        """Shape and scale of every painting that was found."""
        found = [each for each in paintings_of(self.transfer) if each.slot in self.images]
        return tuple((self.images[each.slot].shape, each.scale) for each in found)

    def _check_masks(self) -> None:
        """Masks and regions must leave something at the smallest size."""
        if self._is_masked() and self._has_network:
            place = "segmentation" if self.transfer.segmentation else "style"
            self._attempt(place, check_masks, self.transfer, self.files, sizes_of(self.transfer)[0].size, self.seen)

    def _is_masked(self) -> bool:
        """Whether there are masks or regions."""
        whole = {"content", "start", *(painting.slot for painting in paintings_of(self.transfer))}
        return not self.images.keys() <= whole or (self._has_alpha and is_guided_by_alpha(self.transfer))


def _read_image(name_or_path: str) -> FoundImage:
    """An image, read whole: a truncated one is found now, not in an hour."""
    path = find_image(name_or_path)
    picture, shown = read_picture(path), escaped(str(path))
    height, width = picture.colours.shape[:2]
    if picture.alpha is not None and picture.alpha.max() < 1 / 255:
        raise ImageError(f"{shown} is transparent everywhere, so that there is nothing to see. Give another image.")
    note = f"{shown}: {'; '.join(picture.notes)}." if picture.notes else ""
    has_alpha = picture.alpha is not None
    return FoundImage(
        str(path), image_hash(path), (height, width), picture.is_grey, has_alpha, picture.range, picture.reading, note
    )


def _masks(transfer: Transfer) -> Iterator[tuple[str, str]]:
    """The slot of every mask, behind that of the image it lies over."""
    for painting in paintings_of(transfer):
        if painting.mask:
            yield "content", painting.mask
        if painting.own_mask:
            yield painting.slot, painting.own_mask
