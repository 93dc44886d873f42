"""The id of a run: what its result depends on, and nothing else.

The whole resolved transfer is hashed, not its difference from the defaults: with the difference, a changed default
would leave old ids standing for new pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from harness.config.methods import has_network, is_used
from harness.config.styles import image_slots
from harness.config.transfer import Transfer
from harness.config.transfer_parts import StartFile, WeightsNetwork
from harness.registries import Plugin, Registry, method, network, style_statistic, term

NUMERICS = 6
"""Raise by one whenever the same transfer would give another picture: another resize, another order of summation,
another embedded start, another default inside an algorithm. Not for speed, names, logging or file formats.

2: ``initial_hessian: fourier`` knows the colours' covariance; mean activations are 1 under max pooling, for VGG-16 over
the photographs whose means come with the package; every field that the method uses enters the id.
3: Winograd's convolutions, L-BFGS in its compact form, steps without a search taken back, larger tiles.
4: oneDNN's matrix products, also for the Gram matrix; Winograd's gradient by the weights turned round.
5: equations 1 and 4 with their gradients written out, read-outs taken of differences; γ by the free variables alone.
6: a line search's first step is bounded.

What changed for a few images only is in ``seen`` and in their hashes instead: ids of all others stand.
"""

OF_A_VGG = ("pooling", "padding", "normalised")
"""Fields that say nothing to a plugin's network."""


def canonical_json(data: Any) -> str:
    """JSON with one spelling per value: sorted keys, no spaces, floats by ``repr`` (−0.0 as 0.0), integers as such.

    Raises:
        ValueError: at NaN or an infinity, which JSON does not have.
    """
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return data + 0.0 if isinstance(data, float) else data


def picture_key(transfer: Transfer) -> str:
    """One spelling for transfers that are the same picture by what they say: without what their method does not use."""
    return canonical_json(_used(transfer))


def _used(transfer: Transfer) -> dict[str, Any]:
    """What says anything to the method: a quilted synthesis has one iteration, and a term of weight 0 is none."""
    data = {field: value for field, value in transfer.model_dump().items() if is_used(transfer.method, field)}
    if isinstance(transfer.weights, WeightsNetwork):
        data = {field: value for field, value in data.items() if field not in OF_A_VGG}
    if "terms" in data:
        data["terms"] = {name: weight for name, weight in transfer.terms.items() if weight > 0}
    if "quilting" in data and transfer.quilting.task == "synthesis":
        del data["quilting"]["iterations"]
    return data


def hashed_fields(transfer: Transfer) -> tuple[str, ...]:
    """What enters the id by its content in place of its name: ``weights`` and every image, by its slot.

    See ``harness.config.styles.image_slots``. Quilting has no network, and so no weights; nor has a plugin's method.
    """
    weights = ("weights",) if has_network(transfer.method) else ()
    return (*weights, *(slot for slot, _ in image_slots(transfer)))


GREY, ALPHA, FLAT = "grey", "alpha", "flat"
"""What is seen of a transfer's images that makes another picture of them: all that counts is grey, so that the picture
has one channel; the photograph is transparent in places; the paintings are of one colour, so that their range is none
to keep the picture within."""


def identity(
    transfer: Transfer, content_hashes: Mapping[str, str], numerics: int = NUMERICS, seen: Collection[str] = ()
) -> dict[str, Any]:
    """The data whose hash is the id.

    Args:
        transfer: a resolved transfer.
        content_hashes: for each of ``hashed_fields(transfer)`` the SHA-256 of what it names: of weights the network's,
            however its file spells it (``harness.features.identify``).
        numerics: version of the arithmetic.
        seen: of ``GREY``, ``ALPHA`` and ``FLAT`` what there is; without ``ALPHA``, ``transparency`` says nothing.
    """
    needed = hashed_fields(transfer)
    assert set(content_hashes) == set(needed), f"content hashes of {needed} are needed, got {sorted(content_hashes)}"
    data: dict[str, Any] = {**_used(transfer), "content": content_hashes["content"], "numerics": numerics}
    data["style"] = _style(transfer, content_hashes)
    if ALPHA not in seen:
        data.pop("transparency", None)
    if seen:
        data["seen"] = sorted(seen)
    if plugins := plugins_of(transfer):
        data["plugins"] = {use: plugin.sha256 for use, plugin in plugins.items()}
    if "weights" in content_hashes:
        data["weights"] = content_hashes["weights"]
    if isinstance(transfer.start, StartFile) and "start" in data:
        data["start"] = {"file": content_hashes["start"]}
    if transfer.segmentation is not None and "segmentation" in data:
        data["segmentation"] = {side: content_hashes[f"segmentation.{side}"] for side in ("content", "style")}
    return data


def plugins_of(transfer: Transfer) -> dict[str, Plugin]:
    """The plugins that a transfer's picture depends on, by what of them it uses: ``term brightness``."""
    uses: list[tuple[Registry[Any], str]] = [(method, transfer.method)]
    if has_network(transfer.method):
        uses += [(term, name) for name, weight in transfer.terms.items() if weight > 0]
        uses.append((style_statistic, transfer.style_statistic))
        if isinstance(transfer.weights, WeightsNetwork):
            uses.append((network, transfer.weights.network))
    found = {f"{registry.kind} {name}": registry.plugin_of(name) for registry, name in uses}
    return {use: plugin for use, plugin in found.items() if plugin is not None}


def _style(transfer: Transfer, content_hashes: Mapping[str, str]) -> Any:
    """The painting's hash; several as a list in their transfer's order, which is that of a sum."""
    if isinstance(transfer.style, str):
        return content_hashes["style"]
    return [
        {
            "content": content_hashes[f"style.{k}"],
            "weight": part.weight,
            "scale": part.scale,
            "mask": content_hashes.get(f"style.{k}.mask"),
            "own_mask": content_hashes.get(f"style.{k}.own_mask"),
        }
        for k, part in enumerate(transfer.style.values())
    ]


def run_id(transfer: Transfer, content_hashes: Mapping[str, str], seen: Collection[str] = ()) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the canonical JSON of ``identity``."""
    return hashlib.sha256(canonical_json(identity(transfer, content_hashes, seen=seen)).encode()).hexdigest()[:12]
