"""The images that runs were made from, as PNG files beside the runs: for figures, claims and notebooks.

content             the photograph at the picture's size
style               the painting at the picture's area; of several the first, and each by its slot: style.0, style.1, …
style_as_used       the painting as the method was given it, where style_scale or colours make that another image;
                    of several style.0_as_used, style.1_as_used, …
style.0.mask        a mask over the picture, at the picture's size
style.0.own_mask    a mask over the painting, at the size of style.0
segmentation.content, segmentation.style   label images, at the sizes of content and style
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from harness.config.styles import paintings_of
from harness.driver.jobs import Job
from harness.images.files import read_image, write_png
from harness.images.masks import read_mask, resize_mask
from harness.images.resize import fit_area, painting_of, photograph_of, resize, to_array, to_tensor
from harness.runs.prepare import Row, prepare_images

AS_USED = "_as_used"


class SourceImages:
    """Writes them, each once, whichever runs share it.

    Args:
        folder: the experiment's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[Hashable, dict[str, str]] = {}

    def write(self, job: Job) -> Mapping[str, str]:
        """Every image of a run, by its key: the path of its file, relative to the experiment's folder."""
        transfer, files = job.transfer, frozenset(job.row.files.items())
        key = (job.height, job.width, files, paintings_of(transfer), transfer.colours)
        if key not in self._written:
            self._written[key] = self._write(job)
        return self._written[key]

    def _write(self, job: Job) -> dict[str, str]:
        size, transfer, files = (job.height, job.width), job.transfer, job.row.files
        found = {"content": self._file(job, "content", size, lambda: photograph_of(files["content"], max(size)))}
        paintings = paintings_of(transfer)
        for k, painting in enumerate(paintings):
            path = files[painting.slot]
            own_size = _size_at(path, size, 1.0)
            found[painting.slot] = self._file(job, painting.slot, own_size, partial(painting_of, path, size, 1.0))
            if painting.scale != 1 or transfer.colours != "style":
                found[f"{painting.slot}{AS_USED}"] = self._as_used(job, k)
            if painting.mask:
                found[painting.mask] = self._mask(job, painting.mask, size)
            if painting.own_mask:
                found[painting.own_mask] = self._mask(job, painting.own_mask, own_size)
        for key in ("style", f"style{AS_USED}"):
            if (first := key.replace("style", "style.0")) in found:
                found[key] = found[first]
        for side in ("content", "style"):
            if (slot := f"segmentation.{side}") in files:
                own_size = size if side == "content" else _size_at(files["style"], size, 1.0)
                found[slot] = self._file(job, slot, own_size, partial(_labels, files[slot], own_size))
        return found

    def _as_used(self, job: Job, index: int) -> str:
        """A painting as the method was given it: at its scale, recoloured where the transfer says so."""
        painting, colours = paintings_of(job.transfer)[index], job.transfer.colours
        size = _size_at(job.row.files[painting.slot], (job.height, job.width), painting.scale)
        told = "" if colours == "style" else f"-{colours}-{_digest(job, 'content')}"
        return self._file(job, painting.slot, size, lambda: used_paintings(job.row)[index], told)

    def _mask(self, job: Job, slot: str, size: tuple[int, int]) -> str:
        def make() -> Tensor:
            return resize_mask(read_mask(job.row.files[slot]), *size).expand(3, *size)

        return self._file(job, slot, size, make, "-mask")

    def _file(self, job: Job, slot: str, size: tuple[int, int], make: Callable[[], Tensor], told: str = "") -> str:
        """The relative path of a file, named by content, size and what was made of it; made where it is not there."""
        name = f"sources/{_digest(job, slot)}-{size[1]}x{size[0]}{told}.png"
        if not (self.folder / name).exists():
            (self.folder / "sources").mkdir(exist_ok=True)
            write_png(self.folder / name, to_array(make()))
        return name


def used_paintings(row: Row) -> list[Tensor]:
    """A run's paintings as its method is given them, (3, H_s, W_s) each, in the transfer's order."""
    # A painting is one, however many regions of it are matched by themselves.
    files = {slot: path for slot, path in row.files.items() if not slot.startswith("segmentation.")}
    prepared = prepare_images([replace(row, files=files)])
    return [prepared.styles[part.image] for part in prepared.parts_of[0]]


def _digest(job: Job, slot: str) -> str:
    return str(job.row.manifest.provenance["files"][slot]["sha256"])[:8]


def _size_at(path: str, picture: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width of a painting at a picture's area."""
    height, width = read_image(path).shape[:2]
    return fit_area(height, width, picture[0] * picture[1], scale)


def _labels(path: str, size: tuple[int, int]) -> Tensor:
    return resize(to_tensor(read_image(path)), *size)
