"""What the reports of claims say: claims.md, claims.json, the table for the terminal."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import pytest
from results_folder import make_results_folder
from rich.console import Console
from test_claims import by_alpha, claim, results_of
from typer.testing import CliRunner

from harness import latex
from harness.claims import claims_table, judge, rows_for_table, write_claims
from harness.claims.report import head
from harness.cli.app import app
from harness.cli.claims import show_claims
from harness.errors import UsageError
from harness.results import Results, load


def several(path: Path) -> Results:
    cells = by_alpha({0.1: [0.1, 0.2], 1.0: [0.33333, 0.4]})
    changed = [{"on": "2026-01-03", "was": "by 0.1", "why": "The first | bound had\na slip."}]
    claims = [
        claim(says="SSIM rises.", measure="ssim", along="alpha", expect="rises", by=0.05, changed=changed),
        claim(says="SSIM [falls].", measure="ssim", along="alpha", expect="falls", factor=2),
        claim(says="Nobody looked.", measure="total_variation", along="alpha", expect="falls"),
    ]
    return results_of(path, cells, *claims, axes={"alpha": [0.1, 1.0]})


def test_reports_say_everything_and_have_the_same_bytes_for_the_same_runs(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        results = several(tmp_path / name)
        paths = write_claims(results, judge(results))
        assert [path.name for path in paths] == ["claims.json", "claims.md"]
        texts.append([path.read_bytes() for path in paths])
    assert texts[0] == texts[1]
    data, text = json.loads(texts[0][0]), texts[0][1].decode()
    assert str(tmp_path) not in text and str(tmp_path) not in texts[0][0].decode()
    assert "2026-01-02 on x86_64" in text and "16 px" in text and "embedded" in text and "seeds 0, 1" in text
    assert "| SSIM rises. | fig. 4 | 0.150 ± 0.071 → 0.367 ± 0.047, n = 2 (by 0.217) |" in text
    assert "± is the standard deviation over n seeds (of a sample: n − 1)." in text
    assert "Changed on 2026-01-03; was: by 0.1; why: The first | bound had a slip." in text
    assert text.count("Reason of the bound: Set before the first run.") == 3
    assert [each["verdict"] for each in data["claims"]] == ["holds", "does not hold", "not measured"]
    first = data["claims"][0]
    assert first["by"] == 0.05 and first["changed"][0]["why"].startswith("The first")
    number = first["findings"][0]["of"][1]
    assert (number["values"], number["num_seeds"]) == ([0.33333, 0.4], 2) and "spread" not in number
    assert number["sd"] == pytest.approx(0.06667 / 2**0.5)
    assert first["findings"][0]["of"][1]["runs"] == [run.id for run in results.all_runs[2:]]
    assert first["margin"] == pytest.approx(0.366665 - 0.15 - 0.05)


def test_margin_of_a_factor_is_told_as_a_ratio(tmp_path: Path) -> None:
    stated = claim(measure="ssim", along="alpha", expect="rises", factor=2)
    results = results_of(tmp_path, by_alpha({0.1: 0.1, 1.0: 0.6}), stated, axes={"alpha": [0.1, 1.0]})
    verdicts = judge(results)
    assert "in all ≥ 2 times; margin × 3\n" in write_claims(results, verdicts)[1].read_text()
    assert json.loads((results.folder / "claims.json").read_text())["claims"][0]["margin"] == pytest.approx(math.log(3))


def test_claims_call_files_by_stem_as_everything_else_does(tmp_path: Path) -> None:
    contents = ["photos/IMG_4211.jpg", "photos/bear walk.jpg"]
    cells = [
        {"label": {"content": content, "alpha": alpha}, "metrics": {"ssim": alpha} | unsettled}
        for content in contents
        for alpha in (0.1, 1.0)
        for unsettled in [{"evaluations": 30, "kept_evaluation": 30, "still_falling": 0.5}]
    ]
    claims = [
        claim(measure=name, along="alpha", expect="rises", by=by) for name, by in (("ssim", 5), ("reference_style", 0))
    ]
    results = results_of(tmp_path, cells, *claims, axes={"content": contents, "alpha": [0.1, 1.0]})
    verdicts = judge(results)
    (measured, missing), text = rows_for_table(verdicts), write_claims(results, verdicts)[1].read_text()
    assert measured[2].startswith("worst of 2, content=IMG_4211: 0.1 → 1")
    assert missing[2].startswith("worst of 2, content=IMG_4211: reference_style of content=IMG_4211, alpha=0.1 was not")
    assert "Groups: content=IMG_4211 does not hold; content=bear walk does not hold" in text
    assert "(content=IMG_4211, alpha=0.1: its loss still fell" in text
    table = text.partition("## Bounds")[0].partition("| claim")[2]
    assert "photos/" not in table and text.count("photos/") == 0
    data = json.loads((results.folder / "claims.json").read_text())
    assert data["claims"][0]["findings"][0]["group"] == {"content": "photos/IMG_4211.jpg"}, "programs get the path"


def test_report_names_every_painting_of_a_blend(tmp_path: Path) -> None:
    cell = {"transfer": {"style": {"strokes": 0.5, "paintings/sea.jpg": {"weight": 2, "scale": 0.5}}}}
    assert head(results_of(tmp_path, [cell]))["style"] == ["sea.jpg", "strokes"]


def test_sweep_makes_no_claims(tmp_path: Path) -> None:
    sweep = {"space": {"alpha": {"log": [0.1, 1.0]}}, "objectives": ["pixel_distance"]}
    assert judge(load(make_results_folder(tmp_path / "search", [{"label": {"trial": 0}}], sweep))) == []


def test_no_claims_make_no_files(tmp_path: Path) -> None:
    results = results_of(tmp_path, [{}])
    assert judge(results) == [] and write_claims(results, []) == ()
    assert not (results.folder / "claims.md").exists()


def test_table_shows_every_word_at_100_columns(tmp_path: Path) -> None:
    verdicts = judge(several(tmp_path))
    console = Console(file=io.StringIO(), width=100)
    console.print(claims_table(verdicts))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert max(map(len, printed.splitlines())) <= 100
    words = {word for row in rows_for_table(verdicts) for word in " ".join(row).split()}
    assert "1, 2, 3: Noise is the start" in printed
    assert "± is the standard deviation over n seeds (of a sample: n − 1)." in printed
    assert not [word for word in words if word not in printed]


def test_claims_of_several_folders_stand_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stated = claim(says="SSIM | rises.", measure="ssim", along="alpha", expect="rises", by=0.05)
    falls = claim(says="It falls.", measure="ssim", along="alpha", expect="falls")
    cells = by_alpha({0.1: [0.1, 0.2], 1.0: [0.3, 0.4]})
    first = results_of(tmp_path / "embedded", cells, stated, axes={"alpha": [0.1, 1.0]})
    cells = by_alpha({0.1: 0.3, 1.0: 0.2}, size=32)
    second = results_of(tmp_path / "vgg16", cells, falls, stated, axes={"alpha": [0.1, 1.0]})
    show_claims([first.folder, second.folder], markdown=True, are_beside=True)
    assert capsys.readouterr().out.splitlines() == [
        "| experiment | claim | paper | bound | embedded | vgg16 |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| {first.name} | SSIM \\| rises. | fig. 4 | rises at every step, in all by ≥ 0.05 "
        "| 0.150 ± 0.071 → 0.350 ± 0.071, n = 2 (by 0.2): holds "
        "| 0.3 → 0.2 (by -0.1); goes the other way at step 1 of 1: does not hold |",
        f"| {first.name} | It falls. | fig. 4 | falls at every step "
        "| – | 0.3 → 0.2 (by 0.1); the smallest step: holds |",
        "",
        f"{first.name} differs, from folder to folder, in size (16 | 32), seed (0, 1 | 0).",
        "",
        f"{first.folder}, 1: Noise is the start, and a cell was measured over 2 of the 3 seeds that this needs.",
        "",
        f"{second.folder}, 1, 2: Noise is the start, and a cell was measured over 1 of the 3 seeds that this needs.",
    ]
    show_claims([first.folder, second.folder], markdown=False, are_beside=True)
    told = capsys.readouterr().out
    assert "embedded" in told and "vgg16" in told and "holds" in told
    other = make_results_folder(tmp_path / "vgg16" / "other", cells, {"axes": {"alpha": [0.1, 1]}, "claims": [stated]})
    show_claims([second.folder, other], markdown=True, are_beside=True)
    assert capsys.readouterr().out.splitlines()[0] == "| claim | paper | bound | fig | other |"
    with pytest.raises(UsageError, match="leave out --beside"):
        show_claims([first.folder, second.folder], False, tmp_path / "claims.tex", are_beside=True)


def test_claims_for_latex_are_the_rows_of_the_table(tmp_path: Path) -> None:
    results, path = several(tmp_path / "a_b"), tmp_path / "claims.tex"
    told = CliRunner().invoke(app, ["claims", str(results.folder), "--latex", str(path)])
    assert told.exit_code == 0 and f"Written: {path}" in told.output.replace("\n", "")
    text = path.read_text().replace(r"\raggedright\hspace{0pt}", "").replace("~", " ")
    assert text.startswith("% \\usepackage{booktabs}\n"), "no other package"
    assert r"claim & paper & measured & bound & verdict \tabularnewline" in text
    measured = r"SSIM rises. & fig. 4 & 0.150 $\pm$ 0.071 $\to$ 0.367 $\pm$ 0.047, n = 2 (by 0.217)"
    assert rf"{measured} & rises at every step, in all by $\ge$ 0.05 & holds \tabularnewline" in text
    assert text.count(r"fig. 4") == 3 and "multicolumn" not in text and "over n seeds" in text
    assert "1, 2, 3: Noise is the start, and a cell was measured over 2 of the 3 seeds" in text
    assert rf"\caption{{Claims of {results.name}. " in text and r"\label{tab:claims}" in text
    shares = [float(share) for share in re.findall(r"p\{(0\.\d+)\\textwidth\}", text)]
    assert len(shares) == 5 and sum(shares) * latex.PAGE_PT + 10 * latex.GAP_PT < latex.PAGE_PT
    CliRunner().invoke(app, ["claims", str(results.folder), str(results.folder), "--latex", str(path)])
    assert path.read_text().count(rf"\multicolumn{{5}}{{l}}{{\emph{{{results.name}}}}}") == 2
    told = CliRunner().invoke(app, ["claims", str(results.folder), "--latex", str(tmp_path / "no" / "x.tex")])
    assert told.exit_code == 2 and "there is no folder" in told.output
