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
        "−": "-", "×": r"\times", "·": r"\cdot", "±": r"\pm", "†": r"\dagger", "→": r"\to", "≥": r"\ge", "≤": r"\le",
        "∞": r"\infty",
        "α": r"\alpha", "β": r"\beta", "λ": r"\lambda", "σ": r"\sigma", "ω": r"\omega", "Σ": r"\Sigma", "½": r"\frac12",
        "⁻": "^{-}", **{"⁰¹²³⁴⁵⁶⁷⁸⁹"[k]: f"^{{{k}}}" for k in range(10)},
    }.items()},
}  # fmt: skip
"""What is not a letter or a digit to LaTeX, or not in its fonts."""

MAX_PLAIN_POWER = 5
"""Numbers below a million are written out."""

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
        if 0 <= int(f"{power_sign}{power}") <= MAX_PLAIN_POWER:
            return f"${sign}$" * bool(sign) + f"{float(match[0].lstrip('-')):.10g}"
        factor = "" if digits == "1" else rf"{digits}\cdot "
        return rf"${sign}{factor}10^{{{power_sign.strip('+')}{power}}}$"

    return _NUMBER.sub(typeset, escape(text))


def of_label(text: str) -> str:
    r"""A text of ``harness.figures.labels``, whose ``$…$`` is mathematics already and whose ``\$`` is a dollar."""
    parts = _MATHEMATICS.split(text)
    return "".join(part if k % 2 else escape(part.replace(r"\$", "$")) for k, part in enumerate(parts))


def tabular(columns: str, head: Sequence[Sequence[str]], rows: Sequence[Sequence[str] | str]) -> str:
    """Rows in the manner of booktabs.

    Args:
        columns: LaTeX's letters for them, such as ``lrr``.
        head: lines of the head, a cell for each column.
        rows: cells, or a text of its own over all columns.
    """
    lines = [rf"  \begin{{tabular}}{{{columns}}}", r"    \toprule"]
    lines += [rf"    {' & '.join(cells)} \\" for cells in head]
    lines += [r"    \midrule"]
    for k, row in enumerate(rows):
        if isinstance(row, str):
            lines += [r"    \addlinespace"] if k else []
            lines += [rf"    \multicolumn{{{len(head[0])}}}{{l}}{{\emph{{{row}}}}} \\"]
        else:
            lines += [rf"    {' & '.join(row)} \\"]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}"])


def table(tabulars: Sequence[str], caption: str, is_wide: bool) -> str:
    """An environment of one ``tabular`` or of several below one another, which needs the packages booktabs and array.

    Args:
        tabulars: as ``tabular`` gives them.
        caption: above them.
        is_wide: over both columns of a page.
    """
    name = "table*" if is_wide else "table"
    head = rf"\begin{{{name}}}" + "\n" + r"  \centering\small\setlength{\tabcolsep}{3pt}"
    body = "\n\n  \\medskip\n".join(tabulars)
    return f"{head}\n  \\caption{{{caption}}}\n{body}\n\\end{{{name}}}\n"
