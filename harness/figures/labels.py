r"""How values stand in a figure: ratios as powers of ten, layers by the paper's names, starts and seeds in words.

Texts are matplotlib's: ``$…$`` is mathematics, ``\$`` a dollar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from harness.config.experiment import CASES
from harness.config.image_files import IMAGE_SUFFIXES
from harness.config.layers import LAYERS, in_network_order
from harness.config.levels import AUTO
from harness.config.methods import QUILTING, has_network
from harness.config.transfer import Transfer
from harness.config.values import ORIGINAL

Cases = Mapping[str, Mapping[str, Any]]

_SYMBOLS = {
    "alpha": r"$\alpha$", "beta": r"$\beta$", "noise_sigma": r"$\sigma$", "style_scale": "style scale",
    "photorealism.weight": r"$\lambda$", "total_variation": "TV weight",
}  # fmt: skip
_METHODS = {"gatys": "Gatys et al.", "quilting": "quilting"}
_COLOURS = {"style": "the painting's colours", "luminance": "luminance only", "recoloured": "recoloured painting"}
_STARTS = {"content": "from the photograph", "style": "from the painting", "noise": "from noise"}
_UNITS = {"size": "px", "steps": "evaluations"}
_JOINED = "\N{NO-BREAK SPACE}"
"""Between words that one line should hold."""

_NAMELESS_CHARACTERS = 2
"""A case's name this short (the paper's A, B, C) says nothing by itself: what it sets stands beside it."""

_LEAST_PLAIN, _PLAIN_CHARACTERS = 1e-3, 6
"""Of the numbers of an axis that are written without powers of ten."""

_DOLLAR = re.compile(r"(?<!\\)\$")


def escape(text: str) -> str:
    """The text with its dollars shown as dollars, none of it taken for mathematics."""
    return _DOLLAR.sub(r"\\$", text)


def format_value(value: Any, is_plain: bool = False) -> str:
    r"""A value of a transfer as a label.

    Args:
        value: a number (1e-4 is ``$10^{-4}$``, 8e-4 is ``$8\cdot10^{-4}$``, 0.25 is ``0.25``), a text (kept), a mapping
            of layers to weights (``conv1_1, 2_1, 3_1``; the weights stand there where they are not equal shares of 1),
            another mapping, a list, or None.
        is_plain: a number is written without powers of ten (see ``are_plain``).

    Returns:
        Text for a figure.
    """
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return _plain(value) if is_plain else _number(value)
    if isinstance(value, Mapping):
        if value and all(key in LAYERS for key in value):
            return _layers(value)
        first = [format_value(value["name"])] if "name" in value else []
        told = [f"{escape(str(key))}: {format_value(item)}" for key, item in value.items() if key != "name"]
        return ", ".join([*first, *told]) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(format_value(item) for item in value) or "none"
    return escape(str(value))


def are_plain(values: Iterable[Any]) -> bool:
    """Whether the numbers of one axis are all written without powers of ten: all are short so, and not all are powers.

    ``0.1, 0.5, 2, 8`` are; ``0.1, 1, 10`` and ``0.1, 5e-5`` are not.
    """
    found = list(values)
    if any(
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) for value in found
    ):
        return False
    mantissas = {f"{abs(value):.3e}".split("e")[0] for value in found if value}
    are_short = all(abs(value) >= _LEAST_PLAIN and len(_plain(value)) <= _PLAIN_CHARACTERS for value in found if value)
    return are_short and not mantissas <= {"1.000"}


def _plain(value: float) -> str:
    """Four significant digits."""
    return f"{value}" if isinstance(value, int) else f"{float(f'{value:.4g}'):.6g}".replace("-", "\N{MINUS SIGN}")


def _number(value: float) -> str:
    """Four significant digits; a power of ten where one is shorter to read."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa, power = mantissa.rstrip("0").rstrip("."), int(exponent)
    if mantissa in ("1", "-1") and (power < 0 or power > 3):
        return f"${mantissa[:-1]}10^{{{power}}}$"
    if power < -2 or power > 5:
        return rf"${mantissa}\cdot10^{{{power}}}$"
    return _plain(value)


def _layers(weights: Mapping[str, float]) -> str:
    """``conv`` once, then the numbers; weights only where they say something."""
    used = {layer: weight for layer, weight in in_network_order(dict(weights)).items() if weight}
    if not used:
        return "none"
    short = {layer: layer if k == 0 else layer.removeprefix("conv") for k, layer in enumerate(used)}
    share = next(iter(used.values()))
    if all(math.isclose(weight, share) for weight in used.values()):
        names = ", ".join(short.values())
        if math.isclose(share * len(used), 1):
            return names
        return f"{names}: {_number(share)}" if len(used) == 1 else f"{names}: {_number(share)} each"
    return ", ".join(f"{short[layer]}: {_number(weight)}" for layer, weight in used.items())


def label(parts: Sequence[str], values: Sequence[Any], cases: Cases, plain: Collection[str] = ()) -> str:
    """A place in a figure in words, as short as it can be said: ``style layers conv1_1, conv2_1, seed 1``.

    Args:
        parts: names of a label's parts: ``cases`` or dotted fields of a transfer.
        values: their values.
        cases: the experiment's.
        plain: parts whose numbers are written without powers of ten.
    """
    told = (_part(part, value, cases, part in plain) for part, value in zip(parts, values, strict=True))
    return ", ".join(told)


def labels(parts: Sequence[str], rows: Sequence[Sequence[Any]], cases: Cases) -> list[str]:
    """Places in a figure in words; where two others would read alike (the same layers, other weights), by exact values.

    Numbers of one part are written alike.

    Args:
        parts: names of a label's parts.
        rows: the parts' values, for each place.
        cases: the experiment's.
    """
    plain = [part for part, values in zip(parts, zip(*rows, strict=True), strict=False) if are_plain(values)]
    texts = [label(parts, values, cases, plain) for values in rows]
    if len(set(texts)) == len({repr(list(values)) for values in rows}):
        return texts
    return [
        ", ".join(f"{part_name(part)} = {format_value(value)}" for part, value in zip(parts, values, strict=True))
        for values in rows
    ]


def weight_captions(transfers: Sequence[Transfer]) -> list[str]:
    """What stands under the pictures of one figure, the ratios written alike."""
    is_plain = are_plain(transfer.alpha / transfer.beta for transfer in transfers if _has_ratio(transfer))
    return [weight_caption(transfer, is_plain=is_plain) for transfer in transfers]


def _has_ratio(transfer: Transfer) -> bool:
    return has_network(transfer.method) and bool(transfer.alpha and transfer.beta)


def weight_caption(transfer: Transfer, significant_digits: int = 4, is_plain: bool = False) -> str:
    r"""What stands under a picture: ``$\alpha/\beta$ = $10^{-3}$``, or which side alone was optimised.

    Of a quilted one, the size of its blocks; of a plugin's method, its name.
    """
    if transfer.method == QUILTING:
        return _BY_NAME["quilting.block"](transfer.quilting.block)
    if not has_network(transfer.method):
        return escape(transfer.method.replace("_", " "))
    alpha, beta = transfer.alpha, transfer.beta
    if not beta:
        return "content only"
    if not alpha:
        return "style only"
    return rf"$\alpha/\beta$ = {format_value(float(f'{alpha / beta:.{significant_digits}g}'), is_plain)}"


def part_name(part: str) -> str:
    """What a part of a label is called: a symbol, or its words."""
    return _SYMBOLS.get(part, part.replace("_", " "))


def _part(part: str, value: Any, cases: Cases, is_plain: bool = False) -> str:
    """One part of a label in words."""
    if part == CASES:
        return _case(str(value), cases)
    if part in ("content_layers", "style_layers") and isinstance(value, Mapping):
        used = [layer for layer, weight in in_network_order(dict(value)).items() if weight]
        side = part.removesuffix("_layers")
        return f"{side} layer{'s' * (len(used) > 1)} {_layer_names(used)}" if used else f"no {side} layer"
    if part == "start":
        if isinstance(value, Mapping):
            return f"from {escape(PurePath(str(value.get('file', value))).name)}"
        return _STARTS.get(str(value), f"from {escape(str(value))}")
    if part == "content":
        return image_name(str(value))
    if part == "style":
        return paintings(value)
    if part.startswith("style."):
        return _painting_part(part.split("."), value)
    if part in _BY_NAME:
        return _BY_NAME[part](value)
    if part in _UNITS and value != ORIGINAL:
        return f"{format_value(value)}{_JOINED}{_UNITS[part]}"
    if part == "normalised":
        return "normalised" if value else "not normalised"
    if part == "seed":
        return f"seed{_JOINED}{value}"
    if part in ("pooling", "padding", "weights", "convention") and isinstance(value, str):
        return f"{escape(value).replace('_', ' ')} {part}"
    if part == "weights" and isinstance(value, Mapping) and "network" in value:
        return f"network {escape(str(value['network']))}"
    if part.startswith(("content_layers.", "style_layers.")):
        return f"{part.split('.')[0].replace('_layers', '')} {part.split('.')[1]}: {format_value(value, is_plain)}"
    return _JOINED.join((part_name(part), "=", format_value(value, is_plain)))


def paintings(style: Any) -> str:
    """What stands behind ``style``: ``strokes``, ``strokes 0.75 + mosaic 0.25``, ``strokes on coffee cup + …``."""
    if not isinstance(style, Mapping):
        return image_name(str(style))
    parts = {image: part if isinstance(part, Mapping) else {"weight": part} for image, part in style.items()}
    used = {image: part for image, part in parts.items() if part.get("weight", 1) != 0}
    are_weighed = any(part.get("weight", 1) != 1 for part in used.values())
    return " + ".join(_painting(image, part, are_weighed) for image, part in used.items()) or "no painting"


def _painting(image: str, part: Mapping[str, Any], is_weighed: bool) -> str:
    words = [image_name(image)]
    words += [format_value(part.get("weight", 1))] if is_weighed else []
    words += [f"\N{MULTIPLICATION SIGN}{format_value(part['scale'])}"] if part.get("scale", 1) != 1 else []
    words += [f"from {image_name(part['own_mask'])}"] if part.get("own_mask") else []
    words += [f"on {image_name(part['mask'])}"] if part.get("mask") else []
    return _JOINED.join(words)


def _painting_part(steps: Sequence[str], value: Any) -> str:
    """``style.strokes`` or one of its fields."""
    _, image, *inner = steps
    part = {inner[0]: value} if inner else value if isinstance(value, Mapping) else {"weight": value}
    if part.get("weight", 1) == 0:
        return f"no {image_name(image)}"
    return _painting(image, part, "weight" in part)


def _sizes(levels: Any) -> str:
    """Levels, the last one without steps being the picture: ``256 → 512 px``; levels alone: ``from 256 px``."""
    if not isinstance(levels, list | tuple):
        return "coarse to fine" if levels == AUTO else format_value(levels)
    sizes = [level["size"] for level in levels]
    if not levels or "steps" not in levels[-1]:
        return _JOINED.join((" → ".join(map(str, sizes)), "px")) if sizes else "one size"
    return _JOINED.join(("from", " → ".join(map(str, sizes)), "px"))


def _photorealism(value: Any) -> str:
    if not isinstance(value, Mapping):
        return format_value(value)
    told = [_part(f"photorealism.{name}", value[name], {}) for name in ("weight", "first_stage") if name in value]
    return ", ".join(told)


_BY_NAME: Mapping[str, Callable[[Any], str]] = {
    "method": lambda value: _METHODS.get(value, escape(str(value).replace("_", " "))),
    "colours": lambda value: _COLOURS.get(value, escape(str(value))),
    "noise_spectrum": lambda value: f"{value}{_JOINED}noise",
    "smoothing": lambda value: "smoothed" if value else "not smoothed",
    "pyramid": _sizes,
    "photorealism": _photorealism,
    "photorealism.first_stage": lambda value: f"first stage of {value}" if value else "one stage",
    "segmentation": lambda value: "by regions" if value else "regions ignored",
    "segmentation.content": lambda value: f"regions of {image_name(str(value))}",
    "segmentation.style": lambda value: f"regions of {image_name(str(value))}",
    "quilting.task": lambda value: f"texture{_JOINED}{value}",
    "quilting.block": lambda value: _JOINED.join(("blocks of", format_value(value), "px")),
    "quilting.iterations": lambda value: f"{value}{_JOINED}iteration{'s' * (value != 1)}",
    "quilting.tolerance": lambda value: f"tolerance{_JOINED}{format_value(value)}",
    "quilting.overlap": lambda value: f"overlap{_JOINED}{format_value(value)}",
}
"""Fields whose values are words of their own."""


def image_name(given: str) -> str:
    """An image's name or its file's, in words: ``starry night``; a name of ``FileNames`` keeps its folders."""
    path = PurePath(given)
    name = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else given
    return escape(name.replace("_", " "))


def _case(name: str, cases: Cases) -> str:
    fields = {field: value for field, value in cases.get(name, {}).items() if field not in ("alpha", "beta")}
    if len(name) > _NAMELESS_CHARACTERS or not fields:
        return escape(name)
    return f"{escape(name)}: {label(tuple(fields), tuple(fields.values()), {})}"


def _layer_names(layers: Sequence[str]) -> str:
    """Names in full; of the paper's own conv1_1, conv2_1, … four or more by the first and the last."""
    first_of_blocks = [f"conv{k}_1" for k in range(1, len(layers) + 1)]
    if len(layers) > 3 and list(layers) == first_of_blocks:
        return _JOINED.join((layers[0], "…", layers[-1]))
    return ", ".join(layers)
