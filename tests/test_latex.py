"""What is written for LaTeX comes out as it was typed."""

from __future__ import annotations

import re
import shutil
import string
import subprocess
from pathlib import Path

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
        ("(9.10 ± 0.20)e-05", r"(9.10 $\pm$ 0.20)$\cdot 10^{-5}$"),
        ("1.098e+04", "10980"),
        ("-0.5", "$-0.5$"),
        ("089140e3, 1e3.jpg, 40dd20d6, 4e-5d", "089140e3, 1e3.jpg, 40dd20d6, 4e-5d"),
        ("3e+12*", r"$3\cdot 10^{12}$*"),
        ("conv1_1, 2_1 at 2026-01-02, 1:50, 0.25", r"conv1\_1, 2\_1 at 2026-01-02, 1:50, 0.25"),
    ],
)
def test_numbers_are_typeset_as_numbers(text: str, typeset: str) -> None:
    assert latex.of_numbers(text) == typeset


def test_a_label_keeps_its_mathematics() -> None:
    assert latex.of_label(r"$\alpha/\beta$ = $8\cdot10^{-4}$, a\$b_c") == r"$\alpha/\beta$ = $8\cdot10^{-4}$, a\$b\_c"


def test_a_table_has_booktabs_rules_and_a_cell_for_every_column() -> None:
    columns = [latex.Column(20, "l"), latex.Column(20, "r")]
    text = latex.tables(columns, [["a_1", "b"]], ["one", ["1", "2"], "two", ["3", "-4"]], "what it is", "tab:it")
    assert [line.strip() for line in text.splitlines()] == [
        r"\begin{table}", r"\centering\small\setlength{\tabcolsep}{3pt}\setlength{\abovetopsep}{6pt}",
        r"\caption{what it is}\label{tab:it}",
        r"\begin{tabular}{lr}", r"\toprule", r"a\_1 & b \tabularnewline", r"\midrule",
        r"\multicolumn{2}{l}{\emph{one}} \tabularnewline", r"1 & 2 \tabularnewline", r"\addlinespace",
        r"\multicolumn{2}{l}{\emph{two}} \tabularnewline", r"3 & $-4$ \tabularnewline", r"\bottomrule",
        r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def test_a_table_longer_than_a_page_goes_on_in_a_further_one_of_the_same_number() -> None:
    columns, rows = [latex.Column(200, "l"), latex.Column(200, "l")], [[str(k), "x"] for k in range(100)]
    text = latex.tables(columns, [["a", "b"]], rows, "what it is", "tab:it")
    first, *others = text.split("\\begin{table*}\n")[1:]
    goes_on = r"\addtocounter{table}{-1}\caption{(continued)}"
    assert len(others) == 2 and goes_on not in first and all(goes_on in other for other in others)
    assert text.count(r"\caption{what it is}\label{tab:it}") == text.count(r"\label") == 1
    assert [row for row in re.findall(r"(\d+) & x", text)] == [str(k) for k in range(100)]
    assert max(part.count(" & x") for part in (first, *others)) <= 45


def test_words_too_long_for_a_folded_cell_may_be_broken_and_numbers_keep_their_signs() -> None:
    cell = latex.Column(60, "p").cell
    assert cell("content=IMG_4211") == r"\raggedright\hspace{0pt}content=\allowbreak{}IMG\_4211"
    assert r"\-" in cell("0123456789abcdef0123456789abcdef") and r"\-" not in cell("reconstructions")
    assert cell("0.1 ± 0.2 (× 3), 1.5e-06") == r"\raggedright\hspace{0pt}0.1~$\pm$~0.2 ($\times$~3), $1.5\cdot 10^{-6}$"


PAGE = r"""\documentclass[twocolumn]{article}\usepackage{booktabs}\begin{document}
%s
\end{document}"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
def test_tables_of_any_width_and_length_fit_the_page_of_a_plain_article(tmp_path: Path) -> None:
    label = (
        "content=photographs/IMG_4211_of_the_harbour.jpg, style_layers={conv1_1: 0.2}, 0123456789abcdef0123456789abcdef"
    )
    folded = [latex.Column(share * latex.PAGE_PT, "p") for share in (0.12, 0.3, 0.15)]
    one_line = [latex.Column(latex.width_pt(text), "r") for text in ("IMG_WWMM", "0.0001067 ± 0.0000022†", "1.23e-05")]
    numbers = [["IMG_WWMM", "0.0001067 ± 0.0000022†", "1.23e-05"]] * 100
    wide = 2 * [latex.Column(latex.width_pt("(9.999 ± 0.040)e-05"), "r")] + one_line
    texts = [
        latex.tables(folded, [["a", "b", "c"]], [[label, label, "1 ± 2"]] * 9, "Caption. " * 40, "tab:a"),
        latex.tables(one_line, [["a", "b", "c"]], numbers, "Caption. " * 40, "tab:b"),
        latex.tables(wide, [list("abcde")], [[*2 * ["(9.999 ± 0.040)e-05"], *row] for row in numbers], "C", "tab:c"),
    ]
    (tmp_path / "page.tex").write_text(PAGE % "\n".join(texts))
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "page.tex"], cwd=tmp_path, capture_output=True, check=True)
    told = (tmp_path / "page.log").read_text(errors="replace")
    assert "Overfull" not in told and "too large" not in told and "Output written" in told
