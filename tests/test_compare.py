"""``harness compare`` and ``harness figure``: which runs, which columns, one size a table, and every wrong use."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_folder import make_results_folder
from typer.testing import CliRunner, Result

from harness.cli.app import app
from harness.cli.compare_lines import COLUMNS

BASE = {"content": "astronaut", "style": "strokes", "size": 64, "steps": 3}
GRID = {"transfer": BASE, "axes": {"alpha": [0.01, 1.0]}}


def metrics(number: float, **more: Any) -> dict[str, Any]:
    """Every comparable number, all of them told apart."""
    return {name: number + k for k, name in enumerate(COLUMNS)} | {"heldout_style_optimised": False} | more


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished cells, a failed one, a repeat and one computed twice."""
    cells = [
        {"id": "aaaaaaaaaaaa", "label": {"alpha": 0.01}, "metrics": metrics(100.0, heldout_style_optimised=True)},
        {"id": "bbbbbbbbbbbb", "label": {"alpha": 1.0}, "metrics": metrics(50.0)},
        {"id": "ffffffffffff", "label": {"alpha": 2.0}, "status": "failed"},
        {"id": "cccccccccccc", "label": {"alpha": 0.01, "seed": 1}, "part": "repeat", "metrics": metrics(103.0)},
        {"id": "aaaaaaaaaaaa", "label": {"alpha": 0.01}, "part": "again", "metrics": metrics(100.0)},
    ]
    return make_results_folder(tmp_path / "grid", cells, GRID)


def compare(*words: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def rows_of(result: Result) -> list[list[str]]:
    """The printed lines that begin with a run id."""
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    return [words for words in lines if words and len(words[0]) == 12 and set(words[0]) <= set("0123456789abcdef")]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_columns_are_the_comparable_numbers_of_the_metrics() -> None:
    from harness.measures.names import HELDOUT_STYLE_OPTIMISED, KEPT_EVALUATION, METRICS

    assert [name for name in METRICS if name not in (HELDOUT_STYLE_OPTIMISED, KEPT_EVALUATION)] == list(COLUMNS)


def test_table_has_the_panels_runs_with_what_differs_and_every_number(folder: Path) -> None:
    result = compare(folder)
    expected = ["100", "101", "102*", "103", "104", "105", "106", "107", "108", "109", "1:50"]
    assert rows_of(result) == [
        ["aaaaaaaaaaaa", "0.01", *expected],
        ["bbbbbbbbbbbb", "1", "50", "51", "52", "53", "54", "55", "56", "57", "58", "59", "1:00"],
    ]
    assert "2 runs at 64 px" in result.output and "not held out" in result.output
    assert "1 of 3 runs of" in result.output and "are not done and left out" in result.output


def test_star_is_explained_only_where_one_stands(folder: Path) -> None:
    assert "not held out" not in compare(folder / "bbbbbbbbbbbb").output


def test_all_includes_repeats_and_second_computations(folder: Path) -> None:
    rows = rows_of(compare(folder, "--all"))
    assert [(row[0], row[1]) for row in rows] == [
        ("aaaaaaaaaaaa", "grid"), ("bbbbbbbbbbbb", "grid"), ("cccccccccccc", "repeat"), ("aaaaaaaaaaaa", "again"),
    ]  # fmt: skip


def test_over_seeds_gives_mean_and_half_spread_of_the_seeds(folder: Path) -> None:
    result = compare(folder, "--over-seeds")
    rows = rows_of(result)
    assert [row[:3] for row in rows] == [["aaaaaaaaaaaa", "0.01", "2"], ["bbbbbbbbbbbb", "1", "1"]]
    assert rows[0][3:6] == ["101.5", "±", "1.5"] and rows[1][3] == "50"
    assert "half the spread" in result.output


@pytest.mark.parametrize(
    ("name", "first"),
    [("ssim", "b"), ("-ssim", "a"), ("alpha", "a"), ("-alpha", "b"), ("loss/total", "a"), ("seconds", "b")],
)
def test_sort_is_by_any_number_or_field_either_way(folder: Path, name: str, first: str) -> None:
    assert rows_of(compare(folder, "--sort", name))[0][0][0] == first


def test_sort_by_a_typo_names_the_nearest(folder: Path) -> None:
    result = compare(folder, "--sort", "sim")
    assert result.exit_code == 2 and "did you mean ssim?" in result.output


def test_cases_stand_before_the_fields_that_they_change(tmp_path: Path) -> None:
    cases = {"A": {"start": "content"}, "B": {"start": "style"}}
    cells = [{"label": {"cases": name}, "metrics": metrics(1.0)} for name in cases]
    folder = make_results_folder(tmp_path / "cases", cells, {"transfer": BASE, "cases": cases})
    assert [row[1:3] for row in rows_of(compare(folder))] == [["A", "content"], ["B", "style"]]


def test_layers_stand_whole_in_the_terminal_and_one_by_one_in_the_csv(tmp_path: Path) -> None:
    layers = [{"conv1_1": 1.0}, {"conv1_1": 0.5, "conv2_1": 0.5}]
    cells = [{"label": {"style_layers": some}, "metrics": metrics(1.0)} for some in layers]
    folder = make_results_folder(tmp_path / "layers", cells, {"transfer": BASE, "axes": {"style_layers": layers}})
    path = tmp_path / "table.csv"
    assert [row[1] for row in rows_of(compare(folder, "--csv", path))] == ["conv1_1", "conv1_1+2_1"]
    rows = read(path)
    assert [(row["style_layers.conv1_1"], row["style_layers.conv2_1"]) for row in rows] == [("1.0", ""), ("0.5", "0.5")]


def test_csv_has_every_number_in_full(folder: Path, tmp_path: Path) -> None:
    manifest = folder / "aaaaaaaaaaaa" / "manifest.json"
    data = json.loads(manifest.read_text())
    data["metrics"] |= {"ssim": 1 / 3, "total": 2 / 3}
    manifest.write_text(json.dumps(data))
    path = tmp_path / "table.csv"
    result = compare(folder, "--csv", path)
    assert f"Written: {path}" in result.output.replace("\n", "")
    first, second = read(path)
    assert list(first) == [
        "id", "alpha", *COLUMNS, "loss/total", "loss/content", "loss/style", "heldout_style_optimised",
    ]  # fmt: skip
    assert (first["id"], float(first["ssim"]), float(first["loss/total"])) == ("aaaaaaaaaaaa", 1 / 3, 2 / 3)
    assert (first["heldout_style_optimised"], second["heldout_style_optimised"]) == ("True", "False")
    assert second["loss/total"] == ""


def test_csv_over_seeds_has_a_spread_beside_every_number(folder: Path, tmp_path: Path) -> None:
    compare(folder, "--over-seeds", "--csv", tmp_path / "table.csv")
    first, second = read(tmp_path / "table.csv")
    assert (first["id"], first["seeds"]) == ("aaaaaaaaaaaa cccccccccccc", "2")
    assert (float(first["ssim"]), float(first["ssim_spread"]), second["ssim_spread"]) == (104.5, 3.0, "")


def test_sizes_have_tables_of_their_own_and_a_column_in_the_csv(folder: Path, tmp_path: Path) -> None:
    cells = [{"id": "dddddddddddd", "label": {"alpha": 0.5}, "metrics": metrics(1.0)}]
    small = make_results_folder(tmp_path / "small", cells, {**GRID, "transfer": {**BASE, "size": 32}})
    result = compare(folder, small, "--csv", tmp_path / "table.csv")
    assert "Numbers compare at one size only; there are 32 px, 64 px" in result.output
    assert result.output.index("1 run at 32 px") < result.output.index("dddddddddddd")
    assert result.output.index("dddddddddddd") < result.output.index("2 runs at 64 px")
    rows = read(tmp_path / "table.csv")
    assert [row["size"] for row in rows] == ["32", "64", "64"]
    assert [row["experiment"] for row in rows] == ["small", "grid", "grid"]


def test_run_folders_compare_and_a_run_named_twice_is_there_once(folder: Path) -> None:
    rows = rows_of(compare(folder / "bbbbbbbbbbbb", folder / "aaaaaaaaaaaa", folder / "bbbbbbbbbbbb"))
    assert [row[:2] for row in rows] == [["bbbbbbbbbbbb", "1"], ["aaaaaaaaaaaa", "0.01"]]


def test_narrow_terminal_gets_the_numbers_in_several_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("harness.cli.console.WIDTH_WITHOUT_TERMINAL", 60)
    result = compare(folder)
    rows = [row for row in rows_of(result) if row[0] == "aaaaaaaaaaaa"]
    assert len(rows) > 1 and all(len(line) <= 60 for line in result.output.splitlines())
    assert [word for row in rows for word in row[2:]] == [
        "100",
        "101",
        "102*",
        "103",
        "104",
        "105",
        "106",
        "107",
        "108",
        "109",
        "1:50",
    ]


def test_damaged_manifest_is_left_out_with_its_sentence(folder: Path) -> None:
    (folder / "bbbbbbbbbbbb" / "manifest.json").write_text("[]")
    result = compare(folder)
    assert [row[0] for row in rows_of(result)] == ["aaaaaaaaaaaa"]
    assert "cannot be read as a manifest" in result.output


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("[]", "it is not a mapping"),
        ("{content: a, style: b, size: 3}", "size: got 3; allowed: an integer ≥ 16 and ≤ 8192, or original"),
        ("{content: a", "expected ',' or '}'"),
    ],
)
def test_damaged_transfer_of_a_single_run_is_a_sentence(folder: Path, text: str | None, why: str) -> None:
    path = folder / "aaaaaaaaaaaa" / "transfer.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    result = compare(path.parent)
    output = " ".join(result.output.split())
    assert result.exit_code == 2 and why in output and "compute the run again" in output


@pytest.mark.parametrize("command", ["compare", "figure"])
def test_nothing_done_yet_is_a_sentence_and_code_2(tmp_path: Path, command: str) -> None:
    cells = [{"label": {"alpha": 0.01}, "status": "waiting"}, {"label": {"alpha": 1.0}, "status": "failed"}]
    folder = make_results_folder(tmp_path / "grid", cells, GRID)
    result = CliRunner().invoke(app, [command, str(folder)])
    assert result.exit_code == 2 and "harness status" in result.output and "Traceback" not in result.output
    assert not list(folder.glob("figure.*"))


@pytest.mark.parametrize("command", ["compare", "figure"])
@pytest.mark.parametrize("name", ["nowhere", "empty", "grid/sources", "."])
def test_what_is_no_experiment_is_a_sentence_and_code_2(folder: Path, command: str, name: str) -> None:
    (folder.parent / "empty").mkdir()
    result = CliRunner().invoke(app, [command, str(folder.parent / name)])
    assert result.exit_code == 2 and result.output.strip().endswith(".") and "Traceback" not in result.output


def test_csv_into_no_folder_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    result = compare(folder, "--csv", tmp_path / "nowhere" / "table.csv")
    assert result.exit_code == 2 and "there is no folder" in result.output


def test_figure_is_drawn_again_from_the_folders_alone(folder: Path) -> None:
    for path in folder.rglob("checkpoint*"):
        path.unlink()
    result = CliRunner().invoke(app, ["figure", str(folder)])
    assert result.exit_code == 0, result.output
    assert (folder / "figure.png").stat().st_size > 0 and (folder / "figure.pdf").stat().st_size > 0
    assert "figure.png" in result.output and f"harness compare {folder}" in result.output.replace("\n", "")
    assert "1 run of 3 drawn as missing" in result.output
    before = (folder / "figure.png").read_bytes()
    (folder / "figure.png").unlink()
    CliRunner().invoke(app, ["figure", str(folder)])
    assert (folder / "figure.png").read_bytes() == before


def test_figure_judges_the_claims_again_as_they_stand_in_the_folder(folder: Path) -> None:
    claim = {"says": "Structure stays.", "where": "fig. 4", "measure": "ssim", "expect": "greater_than"}
    bound = {"of": {"alpha": 0.01}, "than": {"alpha": 1.0}, "because": "It was seen."}
    data = yaml.safe_load((folder / "experiment.yaml").read_text())
    (folder / "experiment.yaml").write_text(yaml.safe_dump({**data, "claims": [claim | bound]}))
    result = CliRunner().invoke(app, ["figure", str(folder)])
    assert result.exit_code == 0, result.output
    assert "Structure stays." in result.output and "Claims: " in result.output
    (verdict,) = json.loads((folder / "claims.json").read_text())["claims"]
    assert verdict["verdict"] == "holds"  # 105.5 over two seeds against 54
    assert "Claims: 1 holds; see" in CliRunner().invoke(app, ["status", str(folder)]).output


def test_methods_stand_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    blend = {"strokes": 0.75, "mosaic": {"mask": "coffee_cup"}}
    photo = {"photorealism": {"weight": 1e4, "first_stage": 0}}
    cells = [
        {"id": "aaaaaaaaaaaa", "transfer": {"alpha": 0.5}, "metrics": metrics(100.0, heldout_style_optimised=True)},
        {"id": "bbbbbbbbbbbb", "transfer": {"method": "quilting", "quilting": {"block": 20}}, "metrics": metrics(50.0)},
        {"id": "cccccccccccc", "transfer": {"style": blend, "smoothing": 0.8, **photo}, "metrics": metrics(20.0)},
        {
            "id": "dddddddddddd",
            "transfer": {"convention": "gordicaleksa", "colours": "luminance"},
            "metrics": metrics(1),
        },
    ]
    folder = make_results_folder(tmp_path / "all", cells, {"transfer": BASE})
    table, words = tmp_path / "table.csv", []
    result = compare(folder, "--csv", table)
    for line in rows_of(result):
        words.append(line[1 : -len(COLUMNS)])
    header = next(line for line in result.output.splitlines() if line.startswith("run ") or " method " in line)
    fields = ["method", "style", "colours", "alpha", "photorealism.weight", "smoothing", "convention"]
    assert [name for name in header.split() if name in fields][: len(fields)] == fields
    assert "quilting.block" not in result.output, "only one run has blocks: nothing to tell apart"
    assert words[0] == ["gatys", "strokes", "style", "0.5", "0", "0", "released"]
    assert words[1] == ["quilting", "strokes", "style", "–", "–", "0", "–"]
    assert " ".join(words[2]) == "gatys mosaic:{mask: coffee_cup} strokes:0.75 style 0.001 1e+04 0.8 released"
    assert words[3] == ["gatys", "strokes", "luminance", "0.001", "0", "0", "gordicaleksa"]
    rows = read(table)
    assert [row["alpha"] for row in rows] == ["0.5", "", "0.001", "0.001"]
    assert [row["method"] for row in rows] == ["gatys", "quilting", "gatys", "gatys"]
    assert rows[2]["style.mosaic.mask"] == "coffee_cup" and rows[0]["style"] == "strokes"


def test_fields_too_wide_for_the_terminal_have_a_table_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    cases = {
        "A": {"style": {"strokes": 0.75, "mosaic": 0.25}, "total_variation": 1, "smoothing": 0.5, "alpha": 2},
        "B": {"photorealism.weight": 1e4, "colours": "recoloured", "start": "content", "noise_sigma": 0.5},
    }
    cells = [{"id": name * 12, "label": {"cases": name.upper()}, "metrics": metrics(100.0)} for name in ("a", "b")]
    result = compare(make_results_folder(tmp_path / "wide", cells, {"transfer": BASE, "cases": cases}))
    rows = rows_of(result)
    assert rows[0][:2] == ["aaaaaaaaaaaa", "A"] and "strokes:0.75" in result.output and rows[0][-1] != "1:50"
    assert rows[2][:3] == ["aaaaaaaaaaaa", "A", "100"] and len(rows) == 4, "one more table has all the numbers"


def test_quilted_runs_are_told_apart_by_their_blocks(tmp_path: Path) -> None:
    cells = [
        {"id": f"{name * 12}", "transfer": {"method": "quilting", "quilting": {"block": block}}, "metrics": metrics(k)}
        for k, (name, block) in enumerate((("a", 20), ("b", 36)))
    ]
    result = compare(make_results_folder(tmp_path / "all", cells, {"transfer": BASE}))
    assert "quilting.block" in result.output
    assert [line[1] for line in rows_of(result)] == ["20", "36"]


def test_latex_has_the_table_of_each_size_with_its_signs_explained(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.tex"
    result = compare(folder, "--over-seeds", "--latex", path)
    assert result.exit_code == 0 and f"Written: {path}" in result.output.replace("\n", "")
    text = path.read_text()
    assert text.startswith("% \\usepackage{booktabs,array}\n") and text.count(r"\begin{tabular}") == 2, "two blocks"
    assert "2 lines at 64 px. * the run optimised one of these layers: not held out." in text and r"$\pm$ half" in text
    rows = [[cell.strip(" \\") for cell in line.split("&")] for line in text.splitlines() if "&" in line]
    first, second, small, large = rows[:4]
    assert (first[2], second[2]) == ("reference", "content") and second[:2] == ["alpha", "seeds"]
    assert small[:3] == ["0.01", "2", r"101.5 $\pm$ 1.5"] and large[:3] == ["1", "1", "50"]
    assert r"103.5 $\pm$ 1.5*" in small
    names = [f"{a} {b}".strip().replace(" ", "_") for k in (0, 4) for a, b in zip(*rows[k : k + 2], strict=True)]
    assert [name for name in names if name in COLUMNS] == list(COLUMNS)
    assert all(len(row) == len(rows[0]) for row in rows[:4])


def test_latex_into_no_folder_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    result = compare(folder, "--latex", tmp_path / "nowhere" / "table.tex")
    assert result.exit_code == 2 and "there is no folder" in result.output and "--latex" in result.output


def test_latex_of_one_run_names_it(folder: Path, tmp_path: Path) -> None:
    compare(folder / "bbbbbbbbbbbb", "--latex", tmp_path / "table.tex")
    assert "bbbbbbbbbbbb & 50 & 51" in (tmp_path / "table.tex").read_text()
