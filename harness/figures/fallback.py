"""An installed font for the characters that a figure's own font lacks: names in Chinese, Japanese, Korean, …

Figures are drawn in a font that is shipped with matplotlib, whatever the user has. Only a text with other characters
asks for one of the user's; with the same fonts installed it is drawn the same every time.
"""

from __future__ import annotations

import functools
import logging
import warnings

from matplotlib.font_manager import FontEntry, FontProperties, fontManager, get_font

logger = logging.getLogger("harness")

PREFERRED = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC", "Source Han Sans",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAexGothic", "IPAGothic", "TakaoGothic",
    "VL Gothic", "NanumGothic", "Hiragino Sans", "PingFang SC", "Heiti SC", "Yu Gothic", "Meiryo", "MS Gothic",
    "Microsoft YaHei", "SimHei", "Malgun Gothic", "Arial Unicode MS", "Noto Sans",
)  # fmt: skip
"""Families with many characters, tried before all others that are installed."""

_UNFIT = ("Emoji", "LastResort", "Last Resort")
_told: set[str] = set()


@functools.lru_cache(maxsize=256)
def known(path: str) -> frozenset[int]:
    """The characters that a font has."""
    return frozenset(get_font(path).get_charmap())


def missing(text: str, path: str) -> frozenset[str]:
    """The characters of a text that a font lacks and that are more than blanks or marks of control."""
    return frozenset(c for c in text if ord(c) not in known(path) and c.isprintable())


@functools.lru_cache(maxsize=256)
def fallback_for(characters: frozenset[str]) -> str | None:
    """The file of an installed font that has most of these characters, and at least one; the first of equals.

    Where there is none, that is logged, once for each character.
    """
    wanted = {ord(c) for c in characters}
    if not wanted:
        return None
    best, most = None, 0
    for path in _installed():
        num_known = len(wanted & _known_or_none(path))
        if num_known > most:
            best, most = path, num_known
        if most == len(wanted):
            return best
    left = {c for c in characters if best is None or ord(c) not in known(best)} - _told
    if left:
        _told.update(left)
        logger.warning(
            "No installed font has %s: in figures a replacement character stands there. Install one, such as Noto Sans "
            "CJK (Debian: apt install fonts-noto-cjk).",
            " ".join(sorted(left)[:8]) + (" …" if len(left) > 8 else ""),
        )
    return best


def with_fallback(first: str, second: str, size: float, math: str) -> FontProperties:
    """A font by its file, and another one's for what it lacks; matplotlib finds such a pair by families alone."""
    families = [f"harness {path}" for path in (first, second)]
    there = {entry.name for entry in fontManager.ttflist[: 2 * len(PREFERRED)]}
    for family, path in zip(families, (first, second), strict=True):
        if family not in there:
            fontManager.ttflist.insert(
                0, FontEntry(fname=path, name=family, style="normal", weight=400, size="scalable")
            )
    return FontProperties(family=families, size=size, math_fontfamily=math)


def _installed() -> list[str]:
    """The files of regular fonts, the preferred families first."""
    rank = {name: k for k, name in enumerate(PREFERRED)}
    fonts = [
        (rank.get(entry.name, len(rank)), entry.name, str(entry.fname))
        for entry in fontManager.ttflist
        if not entry.name.startswith("harness ") and not any(word in entry.name for word in _UNFIT)
        and entry.style == "normal" and entry.weight in (400, "normal", "regular")
    ]  # fmt: skip
    return [path for _, _, path in sorted(fonts)]


@functools.lru_cache(maxsize=1024)
def _known_or_none(path: str) -> frozenset[int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return known(path)
    except Exception:  # a font file that is gone or damaged
        return frozenset()
