"""What is written for LaTeX comes out as it was typed."""

from __future__ import annotations

import re
import string

import pytest

from harness import latex


@pytest.mark.parametrize(
    ("text", "typeset"),
    [
        ("conv1_1 & 50 % of {x} #1 $5", r"conv1\_1 \& 50 \% of \{x\} \#1 \$5"),
        (
            "a\\b ~ ^ <|>",
            r"a\textbackslash{}b \textasciitilde{} \textasciicircum{} \textless{}\textbar{}\textgreater{}",
        ),
        ("1 ± 2 → 3 × 4 ≥ α/β …", r"1 $\pm$ 2 $\to$ 3 $\times$ 4 $\ge$ $\alpha$/$\beta$ \ldots{}"),
        ("Jesuiten é, ạ, 日本, ☃", "Jesuiten é, a, ??, ?"),
        ("10⁻³", "10$^{-}$$^{3}$"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_text_is_shown_as_it_was_typed(text: str, typeset: str) -> None:
    assert latex.escape(text) == typeset


def test_nothing_printable_is_left_that_latex_takes_for_a_command() -> None:
    escaped = latex.escape(string.printable)
    left = re.sub(r"\\(text\w+\{\}|[#$%&_{}])", "", escaped)
    assert not set(left) & set('\\{}#$%&_~^<>|"\n\t')


@pytest.mark.parametrize(
    ("text", "typeset"),
    [
        ("1e-05", "$10^{-5}$"),
        ("9.1e-05 ± 2e-07", r"$9.1\cdot 10^{-5}$ $\pm$ $2\cdot 10^{-7}$"),
        ("1.098e+04", "10980"),
        ("-0.5", "$-0.5$"),
        ("3e+12*", r"$3\cdot 10^{12}$*"),
        ("conv1_1, 2_1 at 2026-01-02, 1:50, 0.25", r"conv1\_1, 2\_1 at 2026-01-02, 1:50, 0.25"),
    ],
)
def test_numbers_are_typeset_as_numbers(text: str, typeset: str) -> None:
    assert latex.of_numbers(text) == typeset


def test_a_label_keeps_its_mathematics() -> None:
    assert latex.of_label(r"$\alpha/\beta$ = $8\cdot10^{-4}$, a\$b_c") == r"$\alpha/\beta$ = $8\cdot10^{-4}$, a\$b\_c"


def test_a_table_has_booktabs_rules_and_a_cell_for_every_column() -> None:
    tabular = latex.tabular("lr", [["a", "b"]], ["one", ["1", "2"], "two", ["3", "4"]])
    lines = [line.strip() for line in tabular.splitlines()]
    assert lines == [
        r"\begin{tabular}{lr}", r"\toprule", r"a & b \\", r"\midrule", r"\multicolumn{2}{l}{\emph{one}} \\",
        r"1 & 2 \\", r"\addlinespace", r"\multicolumn{2}{l}{\emph{two}} \\",
        r"3 & 4 \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    whole = latex.table([tabular], "what it is", is_wide=False)
    assert (
        whole.startswith("\\begin{table}\n") and whole.endswith("\\end{table}\n") and r"\caption{what it is}" in whole
    )
