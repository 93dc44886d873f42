"""What may stand behind ``style``: one painting, or several with weights, scales and masks; and segmentations.

style: strokes
style: {strokes: 0.75, mosaic: 0.25}
style: {strokes: {mask: coffee_cup}, mosaic: {mask: coffee_table, scale: 0.5}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from harness.config.methods import QUILTING
from harness.config.values import Image, Scale, Strict, Weight

if TYPE_CHECKING:
    from harness.config.transfer import Transfer


class StyleImage(Strict):
    """One painting among several.

    Attributes:
        weight: ω: its style loss counts ω times; 0 leaves it out.
        scale: multiplies ``style_scale`` for this painting.
        mask: where in the picture it is matched, white is inside; everywhere if left out.
        own_mask: which part of the painting is taken; all of it if left out.
    """

    weight: Weight = 1.0
    scale: Scale = 1.0
    mask: Image | None = None
    own_mask: Image | None = None


class Segmentation(Strict):
    """Which regions of the picture take their style from which regions of the painting: equal colours belong together.

    Luan, Paris, Shechtman & Bala 2017, section 3.2; spatial guidance of Gatys et al. 2017 with a channel per colour.

    Attributes:
        content: a label image of the photograph, one colour per region.
        style: a label image of the painting.
    """

    content: Image
    style: Image


def _expand(given: Any) -> Any:
    """``{strokes: 0.75}`` is short for ``{strokes: {weight: 0.75}}``."""
    if not isinstance(given, dict):
        return given
    return {
        image: {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else value
        for image, value in given.items()
    }


def _simplest(given: Any) -> Any:
    """One spelling for one meaning: no paintings of weight 0, the others by name; a single plain one by that alone.

    The order they were typed in shows nowhere: a study keeps choices as JSON with sorted keys, and sums depend on it.
    """
    if not isinstance(given, dict):
        return given
    used = {image: given[image] for image in sorted(given) if given[image].weight > 0} or given
    [(image, part), *others] = used.items()
    return image if not others and part == StyleImage() else used


def shortest(style: Any) -> Any:
    """A style as plain data, as one would write it: ``{strokes: 0.75, mosaic: {mask: coffee_cup}}``."""
    if not isinstance(style, Mapping):
        return style
    defaults = StyleImage().model_dump()
    short: dict[str, Any] = {}
    for image, part in style.items():
        if isinstance(part, Mapping):
            own = {key: value for key, value in part.items() if key not in defaults or value != defaults[key]}
            short[image] = own if set(own) - {"weight"} else own.get("weight", 1.0)
        else:
            short[image] = part
    return short


def _tag(data: Any) -> str | None:
    return "<name>" if isinstance(data, str) else "<images>" if isinstance(data, dict) else None


Style = Annotated[
    Annotated[Image, Tag("<name>")] | Annotated[dict[Image, StyleImage], Field(min_length=1), Tag("<images>")],
    Discriminator(_tag),
    BeforeValidator(_expand),
    AfterValidator(_simplest),
    Field(description="an image, or several with weights such as {strokes: 0.75, mosaic: 0.25}"),
]


@dataclass(frozen=True)
class Painting:
    """One painting of a transfer.

    Attributes:
        slot: the key of its file in a row's ``files``: ``style``; where there are several ``style.0``, ``style.1``, …
        image: its name or path.
        weight: ω.
        scale: times ``style_scale``.
        mask: the key of its mask over the picture; None for everywhere.
        own_mask: the key of its mask over the painting; None for all of it.
    """

    slot: str
    image: str
    weight: float
    scale: float
    mask: str | None = None
    own_mask: str | None = None


def paintings_of(transfer: Transfer) -> tuple[Painting, ...]:
    """The paintings of a transfer, by name where there are several."""
    if isinstance(transfer.style, str):
        return (Painting("style", transfer.style, 1.0, transfer.style_scale),)
    found = []
    for k, (image, part) in enumerate(transfer.style.items()):
        slot = f"style.{k}"
        mask, own_mask = (f"{slot}.{name}" if getattr(part, name) else None for name in ("mask", "own_mask"))
        found.append(Painting(slot, image, part.weight, transfer.style_scale * part.scale, mask, own_mask))
    return tuple(found)


def path_of_slot(transfer: Transfer, slot: str) -> tuple[str, ...]:
    """The field of a transfer that names a slot's image: ``style.0.mask`` is ``style``, ``strokes``, ``mask``."""
    for painting in paintings_of(transfer):
        if slot == painting.slot:
            return ("style",) if slot == "style" else ("style", painting.image)
        for name in ("mask", "own_mask"):
            if slot == getattr(painting, name):
                return ("style", painting.image, name)
    return ("start", "file") if slot == "start" else tuple(slot.split("."))


def image_slots(transfer: Transfer) -> Iterator[tuple[str, str]]:
    """Every image a transfer uses: the key of its file in a row's ``files``, and the name."""
    yield "content", transfer.content
    if isinstance(transfer.style, str):
        yield "style", transfer.style
    else:
        for k, (image, part) in enumerate(transfer.style.items()):
            named = {f"style.{k}": image, f"style.{k}.mask": part.mask, f"style.{k}.own_mask": part.own_mask}
            yield from ((slot, name) for slot, name in named.items() if name)
    if transfer.method == QUILTING:
        return  # it knows neither regions nor a start
    if transfer.segmentation:
        yield "segmentation.content", transfer.segmentation.content
        yield "segmentation.style", transfer.segmentation.style
    if not isinstance(transfer.start, str):
        yield "start", transfer.start.file
