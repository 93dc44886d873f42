"""Texts and tables for LaTeX: what is typed comes out as it was typed, with any engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

PACKAGES = "% \\usepackage{booktabs,array}\n"
"""What tables need, as a comment before them."""

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{c: f"\\{c}" for c in "#$%&_{}"},
    "\N{NO-BREAK SPACE}": "~", "…": r"\ldots{}", "–": "--", "—": "---", "’": "'", "“": "``", "”": "''",
    **{c: f"${name}$" for c, name in {
        "−": "-", "×": r"\times", "·": r"\cdot", "±": r"\pm", "→": r"\to", "≥": r"\ge", "≤": r"\le", "∞": r"\infty",
        "α": r"\alpha", "β": r"\beta", "λ": r"\lambda", "σ": r"\sigma", "ω": r"\omega", "Σ": r"\Sigma", "½": r"\frac12",
        "⁻": "^{-}", **{"⁰¹²³⁴⁵⁶⁷⁸⁹"[k]: f"^{{{k}}}" for k in range(10)},
    }.items()},
}  # fmt: skip
"""What is not a letter or a digit to LaTeX, or not in its fonts."""

_NUMBER = re.compile(r"(?<![\w.])(-?)(\d+(?:\.\d+)?)(?:e([+-]?)0*(\d+))?(?![\w.]\w)")
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
    r"""A text with numbers as Python writes them: ``1e-05`` is $10^{-5}$'s spelling, ``-1`` has a minus."""

    def typeset(match: re.Match[str]) -> str:
        sign, digits, power_sign, power = match.groups()
        if power is None:
            return rf"${sign}{digits}$" if sign else digits
        factor = "" if digits == "1" else rf"{digits}\cdot "
        return rf"${sign}{factor}10^{{{power_sign.strip('+')}{power}}}$"

    return _NUMBER.sub(typeset, escape(text))


def of_label(text: str) -> str:
    r"""A text of ``harness.figures.labels``, whose ``$…$`` is mathematics already and whose ``\$`` is a dollar."""
    parts = _MATHEMATICS.split(text)
    return "".join(part if k % 2 else escape(part.replace(r"\$", "$")) for k, part in enumerate(parts))


def command(text: str) -> str:
    """A command line in typewriter type, which may be broken behind its punctuation."""
    broken = re.sub(r"(\\_|[/=,.:])", r"\1\\allowbreak{}", escape(text))
    return rf"\texttt{{{broken}}}"


def table(
    columns: str, head: Sequence[Sequence[str]], rows: Sequence[Sequence[str] | str], caption: str, is_wide: bool = True
) -> str:
    """A table in the manner of booktabs.

    Args:
        columns: LaTeX's letters for them, such as ``lrr``.
        head: lines of the head, a cell for each column.
        rows: cells, or a line of its own over all columns.
        caption: above it.
        is_wide: over both columns of a page.

    Returns:
        An environment that needs the packages booktabs and array.
    """
    name, num = "table*" if is_wide else "table", len(head[0])
    lines = [rf"\begin{{{name}}}", r"  \centering\small\setlength{\tabcolsep}{3pt}", rf"  \caption{{{caption}}}"]
    lines += [rf"  \begin{{tabular}}{{{columns}}}", r"    \toprule"]
    lines += [rf"    {' & '.join(cells)} \\" for cells in head]
    lines += [r"    \midrule"]
    for k, row in enumerate(rows):
        if isinstance(row, str):
            lines += [r"    \addlinespace"] if k else []
            lines += [rf"    \multicolumn{{{num}}}{{l}}{{\emph{{{row}}}}} \\"]
        else:
            lines += [rf"    {' & '.join(row)} \\"]
    lines += [r"    \bottomrule", r"  \end{tabular}", rf"\end{{{name}}}"]
    return "\n".join(lines) + "\n"
