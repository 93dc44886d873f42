"""Texts and tables for LaTeX: what is typed comes out as it was typed, with any engine."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PACKAGES = "% \\usepackage{booktabs}\n"
"""What tables need, as a comment before them."""

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{c: f"\\{c}" for c in "#$%&_{}"},
    "\N{NO-BREAK SPACE}": "~", "…": r"\ldots{}", "–": "--", "—": "---", "’": "'", "“": "``", "”": "''",
    **{c: f"${name}$" for c, name in {
        "−": "-", "×": r"\times", "·": r"\cdot", "±": r"\pm", "†": r"\dagger", "→": r"\to", "≥": r"\ge", "≤": r"\le",
        "∞": r"\infty",
        "α": r"\alpha", "β": r"\beta", "λ": r"\lambda", "σ": r"\sigma", "ω": r"\omega", "Σ": r"\Sigma", "½": r"\frac12",
        "⁻": "^{-}", **{"⁰¹²³⁴⁵⁶⁷⁸⁹"[k]: f"^{{{k}}}" for k in range(10)},
    }.items()},
}  # fmt: skip
"""What is not a letter or a digit to LaTeX, or not in its fonts."""

MAX_PLAIN_POWER = 5
"""Numbers below a million are written out."""

PAGE_PT, COLUMN_PT = 452, 221
"""Widths of a page and of a column of LaTeX's own class ``article`` on A4; on letter, and of conferences, are wider."""

GAP_PT = 3
"""On either side of a cell."""

LINES_OF_PAGE = 44
"""Lines of small type that a page has beside a table's rules."""

LONGEST_WORD = 8
"""Letters after which a word in a narrow cell may be broken behind its punctuation, and one too wide anywhere."""

_WIDE, _NARROW = frozenset("MWmw%@—→↔≥≤±×∞"), frozenset("iIjlftr.,:;'|!()[] ")

_COMMON_POWER = re.compile(r"\)e([+-]?)0*(\d+)")
_NUMBER = re.compile(r"(?<![\w.])(-?)(\d+(?:\.\d+)?)(?:e([+-])0*(\d+))?(?!\.?\w)")
_MATHEMATICS = re.compile(r"((?<!\\)\$(?:\\.|[^$\\])+\$)")
_MAX_LETTER = 0x17F
"""Latin letters with accents up to here are known to every LaTeX; of others the accents are left away."""


def escape(text: str) -> str:
    """A plain text; a character that LaTeX has not is a question mark."""
    return "".join(map(_escaped, text))


def _escaped(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if c.isspace():
        return " "
    if ord(c) < 0x7F or (0xA0 < ord(c) <= _MAX_LETTER and c.isalpha()):
        return c
    base = unicodedata.normalize("NFKD", c)[0]
    return base if base.isascii() and base.isprintable() else "?"


def of_numbers(text: str) -> str:
    r"""A text with numbers as Python writes them: ``1e-05`` is $10^{-5}$'s spelling, ``-1`` has a minus.

    An exponent has a sign: a hash such as ``089140e3`` stays what it is.
    """

    def typeset(match: re.Match[str]) -> str:
        sign, digits, power_sign, power = match.groups()
        if power is None:
            return rf"${sign}{digits}$" if sign else digits
        if 0 <= int(f"{power_sign}{power}") <= MAX_PLAIN_POWER:
            return f"${sign}$" * bool(sign) + f"{float(match[0].lstrip('-')):.10g}"
        factor = "" if digits == "1" else rf"{digits}\cdot "
        return rf"${sign}{factor}10^{{{power_sign.strip('+')}{power}}}$"

    def common(match: re.Match[str]) -> str:
        return rf")$\cdot 10^{{{match[1].strip('+')}{match[2]}}}$"

    return _COMMON_POWER.sub(common, _NUMBER.sub(typeset, escape(text)))


def of_label(text: str) -> str:
    r"""A text of ``harness.figures.labels``, whose ``$…$`` is mathematics already and whose ``\$`` is a dollar."""
    parts = _MATHEMATICS.split(text)
    return "".join(part if k % 2 else escape(part.replace(r"\$", "$")) for k, part in enumerate(parts))


def width_pt(text: str) -> float:
    """About how wide a plain text is in small type (9 pt), rather more than less."""
    powers = 10 * len(re.findall(r"\de[+-]\d|\)e[+-]", text))
    return powers + sum(7.8 if c in _WIDE else 3.7 if c in _NARROW else 6.8 if c.isupper() else 4.8 for c in text)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        width_pt: of its text, without the gaps.
        kind: ``l``, ``r``: of one line, left or right; ``p``: text that is folded at the width.
    """

    width_pt: float
    kind: Literal["l", "r", "p"]

    @property
    def letters(self) -> str:
        """What ``tabular`` is told."""
        return self.kind if self.kind != "p" else rf"p{{{self.width_pt / PAGE_PT:.3f}\textwidth}}"

    def cell(self, text: str) -> str:
        """A plain text in it."""
        return of_numbers(text) if self.kind != "p" else rf"\raggedright\hspace{{0pt}}{_breakable(text, self.width_pt)}"

    def num_lines(self, text: str) -> int:
        """About how many lines a plain text takes in it."""
        return 1 if self.kind != "p" else max(1, math.ceil(1.1 * width_pt(text) / self.width_pt))


def _breakable(text: str, within_pt: float) -> str:
    """A text whose long words may be broken, behind punctuation or else anywhere; a sign stays with its number."""
    tied = re.sub(
        r"([×<>≤≥]) (?=\d)", "\\1\N{NO-BREAK SPACE}", text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    )
    return " ".join(_broken(word, within_pt) for word in tied.split(" "))


def _broken(word: str, within_pt: float) -> str:
    pieces = re.split(r"(?<=[=+/,:])(?=\w)", word) if len(word) > LONGEST_WORD else [word]
    halves = [re.split(r"(?<=_)", piece) if width_pt(piece) > within_pt else [piece] for piece in pieces]
    return r"\allowbreak{}".join(_cut(piece, within_pt) for some in halves for piece in some)


def _cut(piece: str, within_pt: float) -> str:
    """A piece that is still too wide may be broken anywhere; what is a word LaTeX hyphenates itself."""
    num = LONGEST_WORD if width_pt(piece) > within_pt and not piece.isalpha() else max(1, len(piece))
    return r"\-".join(of_numbers(piece[k : k + num]) for k in range(0, len(piece), num))


Row = Sequence[str] | str
"""A plain text for each column, or one of its own over all of them."""


def width_of(columns: Sequence[Column]) -> float:
    """What columns take, gaps included, in pt."""
    return sum(column.width_pt + 2 * GAP_PT for column in columns)


def tables(
    columns: Sequence[Column], head: Sequence[Sequence[str]], rows: Sequence[Row], caption: str, label: str
) -> str:
    r"""A table in the manner of booktabs; what is longer than a page goes on in a further one.

    It stands in one column of the page where it is narrow enough, else over both.

    Args:
        columns: of the table.
        head: lines of the head, a plain text for each column.
        rows: of the body.
        caption: above it, plain.
        label: what ``\ref`` is told.
    """
    is_wide = width_of(columns) > COLUMN_PT
    room = LINES_OF_PAGE - len(head) - math.ceil(1.1 * width_pt(caption) / (PAGE_PT if is_wide else COLUMN_PT))
    pages: list[list[Row]] = [[]]
    used = 0.0
    for row in rows:
        num_lines = _height(columns, row)
        if pages[-1] and used + num_lines > room:
            pages.append([])
            used = 0.0
        pages[-1].append(row)
        used += num_lines
    begun = rf"\caption{{{escape(caption)}}}\label{{{label}}}"
    goes_on = r"\addtocounter{table}{-1}\caption{(continued)}"
    return "".join(
        _float(_tabular(columns, head, page), goes_on if k else begun, "table*" if is_wide else "table")
        for k, page in enumerate(pages)
    )


def _height(columns: Sequence[Column], row: Row) -> float:
    """Of a row, in lines; before one of folded text there is half of one more."""
    if isinstance(row, str):
        return 1.5
    return max(map(Column.num_lines, columns, row)) + 0.5 * _is_folded(columns)


def _is_folded(columns: Sequence[Column]) -> bool:
    return any(column.kind == "p" for column in columns)


def _float(tabular: str, caption: str, name: str) -> str:
    head = rf"\begin{{{name}}}" + "\n" + rf"  \centering\small\setlength{{\tabcolsep}}{{{GAP_PT}pt}}"
    return f"{head}\\setlength{{\\abovetopsep}}{{6pt}}\n  {caption}\n{tabular}\n\\end{{{name}}}\n"


def _tabular(columns: Sequence[Column], head: Sequence[Sequence[str]], rows: Sequence[Row]) -> str:
    lines = [rf"  \begin{{tabular}}{{{''.join(column.letters for column in columns)}}}", r"    \toprule"]
    lines += [f"    {_cells(columns, line)}" for line in head]
    lines += [r"    \midrule"]
    for k, row in enumerate(rows):
        is_apart = isinstance(row, str) or (_is_folded(columns) and not isinstance(rows[k - 1], str))
        lines += [r"    \addlinespace"] if k and is_apart else []
        if isinstance(row, str):
            lines += [rf"    \multicolumn{{{len(columns)}}}{{l}}{{\emph{{{escape(row)}}}}} \tabularnewline"]
        else:
            lines += [f"    {_cells(columns, row)}"]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}"])


def _cells(columns: Sequence[Column], texts: Sequence[str]) -> str:
    return rf"{' & '.join(map(Column.cell, columns, texts))} \tabularnewline"
