"""Text that fits: measured with the font it is drawn in, wrapped between words, shrunk before it is cut.

Lengths are pixels of the PNG. ``$…$`` is never broken, nor are words joined by a no-break space while there is another
way. A character that the font lacks is drawn in another one where one is installed (``fallback``), else it becomes
U+FFFD or ?, and mathematics that does not parse is shown as it was typed: a figure does not fail because of a file's
name.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cbook import is_math_text
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from harness.figures.fallback import fallback_for, known, missing, with_fallback
from harness.figures.labels import escape

DPI = 128
"""Pixels per inch. A power of two: inches × DPI is then the whole number of pixels it came from."""

LINE_HEIGHT = 1.36
"""Distance of baselines, in font sizes: a superscript clears the line above."""

ASCENT = 1.02
"""From the top of a block to its first baseline, in font sizes."""

SHRINKING = (1.0, 0.92, 0.85, 0.78)
"""Sizes that a group of texts tries before it is cut: smaller ones are hard to read beside the rest."""

MARGIN = 0.97
"""Share of a width that text may take: the PDF's glyphs are not hinted and so a little wider."""

_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = {"dejavusans": str(_FOLDER / "DejaVuSans.ttf"), "stix": str(_FOLDER / "STIXGeneral.ttf")}
"""Text that goes with each of matplotlib's fonts for mathematics; both are shipped with it."""

SANS = "dejavusans"

_TOKEN = re.compile(r"(?:\$(?:\\.|[^$\\])+\$|\\.|[\S\N{NO-BREAK SPACE}])+")
_MATHEMATICS = re.compile(r"(?<!\\)\$((?:\\.|[^$\\])+)\$")
_GREEK, _POWER = re.compile(r"\\([a-z]+)"), re.compile(r"\^\{([-0-9]+)\}")
_LETTERS = {"alpha": "α", "beta": "β", "sigma": "σ", "lambda": "λ", "cdot": "·"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BREAK_AFTER = "_/-,.:="


def face() -> str:
    """The face that ``harness.figures.files.figure_style`` has set."""
    return found if (found := str(matplotlib.rcParams["mathtext.fontset"])) in FACES else SANS


def font(size_px: float, text: str = "") -> FontProperties:
    """The face as shipped with matplotlib, whatever the user has; for a text with characters it lacks, with another."""
    path, size = FACES[face()], size_px * 72 / DPI
    other = None if text.isascii() else fallback_for(missing(text, path))
    if other is None:
        return FontProperties(fname=path, size=size, math_fontfamily=face())
    return with_fallback(path, other, size, face())


@dataclass(frozen=True)
class TextBlock:
    """Lines of one size, stacked."""

    lines: tuple[str, ...] = ()
    size_px: float = 0.0

    @property
    def height_px(self) -> float:
        """Height of the stack, 0 without lines."""
        return len(self.lines) * LINE_HEIGHT * self.size_px

    @property
    def width_px(self) -> float:
        """Width of the widest line."""
        return max((width_of(line, self.size_px) for line in self.lines), default=0.0)


@functools.lru_cache(maxsize=1)
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


def width_of(line: str, size_px: float) -> float:
    """Width in pixels of one line."""
    return _width_of(line, size_px, face())


@functools.lru_cache(maxsize=4096)
def _width_of(line: str, size_px: float, of_face: str) -> float:
    math = is_math_text(line)
    shown = line if math else line.replace(r"\$", "$")
    width: float = _renderer().get_text_width_height_descent(shown, font(size_px, shown), bool(math))[0]
    return width


def printable(text: str) -> str:
    """The text with only characters that can be drawn and mathematics that parses.

    Mathematics is drawn in one font alone: beside characters of another it is spelt out.
    """
    path = FACES[face()]
    if not text.isascii() and (further := fallback_for(missing(text, path))) is not None:
        have = known(path) | known(further)
        text = _spelt_out(text)
    else:
        have = known(path)
    other = "\N{REPLACEMENT CHARACTER}" if ord("\N{REPLACEMENT CHARACTER}") in known(path) else "?"
    text = "".join(c if c == "\n" or ord(c) in have else " " if c.isspace() else other for c in text)
    if "$" not in text:
        return text
    if not is_math_text(text):
        return escape(text)
    try:
        MathTextParser("path").parse(text.replace("\n", " "), dpi=72, prop=font(12))
    except ValueError:
        return escape(text)
    return text


def _spelt_out(text: str) -> str:
    """Greek letters, products and powers without mathematics: ``α/β = 8·10⁻⁴``; what is more stays as it is typed."""
    if not is_math_text(text):
        return text

    def plain(found: re.Match[str]) -> str:
        inner = _GREEK.sub(lambda name: _LETTERS.get(name[1], name[0]), found[1])
        return _POWER.sub(lambda power: power[1].translate(_RAISED), inner)

    return escape(_MATHEMATICS.sub(plain, text))


def fit(
    texts: Sequence[str], widths_px: Sequence[float], size_px: float, max_lines: int, least_px: float = 0.0
) -> list[TextBlock]:
    """Set some texts in one common size, each within its width.

    The largest size of ``SHRINKING`` is taken at which no word is broken and no text has too many lines; failing
    that, in the smallest, long words are broken and what is left over is cut with an ellipsis.

    Args:
        texts: matplotlib text; a newline is a line break; an empty one gives an empty block.
        widths_px: the width for each.
        size_px: the font size wished for.
        max_lines: allowed for each.
        least_px: no size below it is tried; mathematics that is too wide even so gets one.

    Returns:
        A block for each text.
    """
    texts = [printable(text) for text in texts]
    limits = [width * MARGIN for width in widths_px]
    sizes = [max(size_px * factor, min(size_px, least_px)) for factor in SHRINKING]
    for size in dict.fromkeys(sizes):
        if blocks := _whole(texts, limits, size, max_lines):
            return blocks
    return [_cut(text, width, sizes[-1], max_lines) for text, width in zip(texts, limits, strict=True)]


def fits(texts: Sequence[str], width_px: float, size_px: float, max_lines: int) -> bool:
    """Whether texts can be set in a size and a width, no word broken and nothing cut."""
    limits = [width_px * MARGIN] * len(texts)
    return not texts or bool(_whole([printable(text) for text in texts], limits, size_px, max_lines))


def _whole(texts: Sequence[str], limits: Sequence[float], size_px: float, max_lines: int) -> list[TextBlock]:
    """Blocks of whole words that keep to their limits; none where one does not."""
    blocks = [TextBlock(wrap(text, width, size_px), size_px) for text, width in zip(texts, limits, strict=True)]
    are_set = all(
        len(block.lines) <= max_lines and block.width_px <= width for block, width in zip(blocks, limits, strict=True)
    )
    return blocks if are_set else []


def wrap(text: str, width_px: float, size_px: float) -> tuple[str, ...]:
    """Break between words, as late as possible; a word that is too wide stands alone on its line."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _TOKEN.findall(paragraph):
            longer = f"{line} {word}" if line else word
            if line and width_of(longer, size_px) > width_px:
                lines.append(line)
                line = word
            else:
                line = longer
        if line:
            lines.append(line)
    return tuple(lines)


def _cut(text: str, width_px: float, size_px: float, max_lines: int) -> TextBlock:
    """Break long words, then drop lines, then, where mathematics is still too wide, shrink this block alone."""
    words = [
        part
        for paragraph in text.split("\n")
        for word in _TOKEN.findall(paragraph)
        for part in _broken(word, width_px, size_px)
    ]
    lines = wrap(" ".join(words), width_px, size_px)
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        if "$" not in last and width_of(f"{last}…", size_px) > width_px:
            last = last[: _num_fitting(last, width_px, size_px, after="…")].rstrip()
        lines = (*lines[: max_lines - 1], f"{last}…")
    block = TextBlock(lines, size_px)
    too_wide = block.width_px / width_px
    return block if too_wide <= 1 else replace(block, size_px=size_px / too_wide * MARGIN)


def _broken(word: str, width_px: float, size_px: float) -> list[str]:
    """A word in pieces that fit, cut after punctuation where that is not wasteful."""
    parts: list[str] = []
    while "$" not in word and len(word) > 1 and width_of(word, size_px) > width_px:
        end = max(1, _num_fitting(word, width_px, size_px))
        nice = [n for n in range(end, end // 2, -1) if word[n - 1] in _BREAK_AFTER]
        end = nice[0] if nice else end
        parts.append(word[:end])
        word = word[end:]
    return [*parts, word]


def _num_fitting(text: str, width_px: float, size_px: float, after: str = "") -> int:
    """How many characters of a text fit, with ``after`` behind them; by bisection, for measuring takes 0.1 ms."""
    return bisect.bisect_right(range(1, len(text)), width_px, key=lambda n: width_of(text[:n] + after, size_px))
