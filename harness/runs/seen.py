"""What is seen of a run's images that makes another picture of them: that all that counts is grey, or has alpha."""

from __future__ import annotations

from collections.abc import Collection

from harness.config.identity import ALPHA, GREY
from harness.config.methods import GATYS
from harness.config.styles import paintings_of
from harness.config.transfer import Transfer
from harness.config.transfer_parts import StartFile


def seen_of(transfer: Transfer, grey_slots: Collection[str], has_alpha: bool) -> frozenset[str]:
    """``GREY`` where the picture must be grey, ``ALPHA`` where its photograph is transparent in places.

    Args:
        transfer: the run's.
        grey_slots: the images, by their slots, whose red, green and blue are equal everywhere.
        has_alpha: whether the photograph has transparent places.
    """
    found = {GREY} if _is_grey(transfer, grey_slots) else set()
    return frozenset(found | ({ALPHA} if has_alpha else set()))


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
