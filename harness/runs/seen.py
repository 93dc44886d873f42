"""What is seen of a run's images that makes another picture of them: that all that counts is grey, or has alpha."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.config.identity import ALPHA, FLAT, GREY
from harness.config.methods import GATYS
from harness.config.styles import paintings_of
from harness.config.transfer import Transfer
from harness.config.transfer_parts import StartFile

Range = tuple[tuple[float, ...], tuple[float, ...]]
"""The lowest and the highest value of red, green and blue."""

FLAT_RANGE = 8 / 255
"""Paintings whose values differ by less in every channel are of one colour, as a JPEG of one colour is."""


def seen_of(
    transfer: Transfer, grey_slots: Collection[str], has_alpha: bool, ranges: Mapping[str, Range]
) -> frozenset[str]:
    """``GREY`` where the picture must be grey, ``ALPHA`` where its photograph has alpha, ``FLAT`` of flat paintings.

    Args:
        transfer: the run's.
        grey_slots: the images, by their slots, whose red, green and blue are equal everywhere.
        has_alpha: whether the photograph has transparent places.
        ranges: of the images, by their slots.
    """
    found = {GREY: _is_grey(transfer, grey_slots), ALPHA: has_alpha, FLAT: _is_flat(transfer, ranges)}
    return frozenset(name for name, is_so in found.items() if is_so)


def _is_flat(transfer: Transfer, ranges: Mapping[str, Range]) -> bool:
    """Whether ``bounds: source`` would leave the picture one colour: what a painting of one colour has is no range."""
    if transfer.method != GATYS or transfer.optimiser.bounds != "source":
        return False
    of_paintings = [ranges[painting.slot] for painting in paintings_of(transfer) if painting.slot in ranges]
    if transfer.colours == "style" and of_paintings:  # else each gets the photograph's colours before
        lows, highs = zip(*of_paintings, strict=True)
        of_paintings = [(tuple(map(min, zip(*lows, strict=True))), tuple(map(max, zip(*highs, strict=True))))]
    return bool(of_paintings) and all(
        high - low < FLAT_RANGE for of_one in of_paintings for low, high in zip(*of_one, strict=True)
    )


def _is_grey(transfer: Transfer, grey_slots: Collection[str]) -> bool:
    """Whether everything that the picture depends on is grey, so that it has no reason to be in colour.

    Under ``colours: luminance`` the colours are the photograph's in any case. Quilting copies what it finds, and a
    plugin's method does as it likes.
    """
    if transfer.method != GATYS or transfer.colours == "luminance":
        return False
    needed = set()
    if transfer.alpha > 0 or transfer.start == "content" or transfer.colours == "recoloured" or _has_terms(transfer):
        needed.add("content")
    if transfer.colours != "recoloured" and (transfer.beta > 0 or transfer.start == "style"):
        needed |= {painting.slot for painting in paintings_of(transfer) if painting.weight > 0}
    if isinstance(transfer.start, StartFile):
        needed.add("start")
    return bool(needed) and needed <= set(grey_slots)


def _has_terms(transfer: Transfer) -> bool:
    """Whether a term of the loss looks at the photograph beside the content's layers."""
    return any(weight > 0 for name, weight in transfer.every_term().items() if name != "total_variation")
