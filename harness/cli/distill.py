"""``harness distill``: make the embedded network again."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.table import Table

from harness.cli.bars import downloading, stages
from harness.cli.console import make_console
from harness.distillation.card import recipe_in
from harness.distillation.distil import NAME, Distillation
from harness.distillation.image_sets import find_image_sets
from harness.distillation.quality import LayerQuality
from harness.distillation.recipe import Recipe, wider_of, widths_for
from harness.distillation.store import store_bytes
from harness.distillation.teacher import load_teacher
from harness.engines.devices import parse_device
from harness.errors import StorageError
from harness.features.single_precision import forbid_tf32
from harness.features.sources import NAMES, WeightsFile, WeightsSource, fetch
from harness.features.weights import load_state
from harness.system import Lock


@dataclass(frozen=True)
class Distilling:
    """The command line of ``harness distill``."""

    images: tuple[Path, ...]
    paintings: tuple[Path, ...]
    work: Path
    teacher: str
    recipe: Recipe
    device: str
    begin: str = ""


def run_distillation(request: Distilling) -> None:
    """Make a network in a work folder, going on where the last call was cut off.

    Raises:
        UsageError: there are too few images, or the folder holds another recipe's work.
        WeightsError: the teacher cannot be used.
        StorageError: the folder is in use, or the disk is full.
    """
    console = make_console()
    device = use_device(request.device)
    sets = find_image_sets(request.images, request.paintings)
    with downloading(console) as advance:
        teacher = load_teacher(source_of(request.teacher), partial(advance, request.teacher))
    begin = load_state(source_of(request.begin)) if request.begin else None
    before = recipe_beside(fetch(source_of(request.begin)).path) if request.begin else ""
    widths = widths_for(teacher, request.recipe.wider)
    recipe = replace(request.recipe, wider=wider_of(widths), begun_with=begin.network_hash if begin else "")
    size = f"{store_bytes(recipe.num_crops + recipe.num_pictures, recipe.side_px, widths) / 1e9:.1f} GB"
    with _alone_in(request.work), stages(console) as told:
        distillation = Distillation(request.work, recipe, teacher, sets, device, told, begin, before)
        console.print(
            f"{len(sets.photographs)} photographs and {len(sets.paintings)} paintings for training, "
            f"{len(sets.held_out)} held out; {request.work} will take {size}.",
            soft_wrap=True,
        )
        try:
            quality = distillation.run()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StorageError(
                f"{request.work} needs {size} and the disk is full; free some space and run the same command again, or "
                "ask for fewer --crops in another folder."
            ) from error
    console.print(quality_table(quality))
    path = request.work / f"{NAME}.safetensors"
    console.print(f"Wrote {path} and its card. To embed it, copy both into harness/features/.", soft_wrap=True)
    console.print(f"Next: harness distill --evaluate --weights {path} --work {request.work}", soft_wrap=True)


def recipe_beside(weights: Path) -> str:
    """How a network was made, by the card beside its file; empty where there is none."""
    card = weights.with_suffix(".md")
    return recipe_in(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else ""


def use_device(given: str) -> torch.device:
    """The device that ``--device`` names, with its threads, where float32 is float32.

    Raises:
        DeviceError: there is no such device.
    """
    spec = parse_device(given)
    torch.set_num_threads(spec.threads)
    forbid_tf32()
    return torch.device(spec.device)


def source_of(given: str) -> WeightsSource:
    """A network's name, or a file."""
    return given if given in NAMES else WeightsFile(Path(given))


def quality_table(quality: Mapping[str, LayerQuality]) -> Table:
    """What a network leaves unexplained on held-out images, layer by layer."""
    table = Table(box=None, pad_edge=False)
    for header in ("layer", "K of N", "energy in K directions", "unexplained"):
        table.add_column(header, justify="left" if header == "layer" else "right")
    for layer, of in quality.items():
        table.add_row(layer, f"{of.num} of {of.num_teachers}", f"{of.share:.3f}", f"{of.unexplained:.3f}")
    mean = sum(of.unexplained for of in quality.values()) / len(quality)
    table.add_row("mean", "", "", f"{mean:.3f}")
    return table


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with Lock(work / "lock") as lock:
        if not lock.acquire():
            told = f"{lock.advice}, or choose another --work"
            raise StorageError(f"{work} is in use by another `harness distill`; {told}.")
        yield
