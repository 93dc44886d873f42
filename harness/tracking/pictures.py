"""A finished run's photograph, paintings and kept picture as one list of W&B images, side by side in one panel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.styles import paintings_of
from harness.config.transfer import Transfer
from harness.runs.store import RunFolder
from harness.tracking.mode import import_wandb

if TYPE_CHECKING:
    import wandb


def pictures_of(
    folder: RunFolder, transfer: Transfer, cell: Mapping[str, Any], experiment: Path, kept: str
) -> list[wandb.Image]:
    """The images with captions, the kept one last; empty where the run has no picture.

    W&B shows a list of images at the size of the first, so that the paintings are padded to the picture's. The kept
    picture's file is copied as it is.

    Args:
        folder: the run's.
        transfer: its.
        cell: what cells.json has of it; of an image whose file that does not name there is none.
        experiment: the folder of cells.json.
        kept: the kept picture's caption.
    """
    if not folder.image_path.exists():
        return []
    from PIL import Image, ImageOps

    show = import_wandb().Image
    with Image.open(folder.image_path) as picture:
        size = picture.size
    sources = cell.get("sources", {})
    given = {"content": transfer.content, **{painting.slot: painting.image for painting in paintings_of(transfer)}}
    told: list[wandb.Image] = []
    for slot, name in given.items():
        if slot in sources and (path := experiment / sources[slot]).exists():
            with Image.open(path) as image:
                padded = ImageOps.pad(image.convert("RGB"), size, color="white")
            told.append(show(padded, caption=f"{slot}: {Path(name).name}"))
    return [*told, show(str(folder.image_path), caption=kept)]
