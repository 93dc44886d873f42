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
from harness.config.claims import COMPARABLE

BASE = {"content": "astronaut", "style": "strokes", "size": 64, "steps": 3}
GRID = {"transfer": BASE, "axes": {"alpha": [0.01, 1.0]}}


def metrics(number: float, **more: Any) -> dict[str, Any]:
    """Every comparable number, all of them told apart, of a run that had settled."""
    of_the_end = {"evaluations": 109, "kept_evaluation": 109, "still_falling": 0.01}
    return {name: number + k for k, name in enumerate(COLUMNS)} | of_the_end | {"heldout_style_optimised": False} | more


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
    from harness.measures.names import HELDOUT_STYLE_OPTIMISED, METRICS

    assert [name for name in METRICS if name != HELDOUT_STYLE_OPTIMISED] == list(COLUMNS)


def test_table_has_the_panels_runs_with_what_differs_and_every_number(folder: Path) -> None:
    result = compare(folder)
    expected = ["100", "101", "102*", "103", "104", "105", "106", "107", "108"]
    end = ["109", "of", "109", "0.01"]
    assert rows_of(result) == [
        ["aaaaaaaaaaaa", "0.01", *expected, *end, "112"],
        ["bbbbbbbbbbbb", "1", "50", "51", "52", "53", "54", "55", "56", "57", "58", *end, "62"],
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


def test_over_seeds_gives_mean_and_standard_deviation_of_the_seeds(folder: Path) -> None:
    """Of 100 and 103: √((1.5² + 1.5²) / (2 − 1)) = 2.12."""
    result = compare(folder, "--over-seeds")
    rows = rows_of(result)
    assert [row[:3] for row in rows] == [["aaaaaaaaaaaa", "0.01", "2"], ["bbbbbbbbbbbb", "1", "1"]]
    assert rows[0][3:6] == ["101.5", "±", "2.1"] and rows[1][3] == "50"
    assert "± is the standard deviation over n seeds (of a sample: n − 1), n in the column seeds." in result.output
    both = compare(folder, "--over-seeds", "--all")
    assert both.output == result.output, "a second computation of the same transfer is no further seed"


def test_over_seeds_says_how_many_they_are_also_where_all_have_as_many(folder: Path, tmp_path: Path) -> None:
    cells = [
        {"label": {"alpha": alpha, **({"seed": seed} if seed else {})}, "part": part, "metrics": metrics(100.0 + seed)}
        for alpha in (0.01, 1.0) for seed, part in ((0, "grid"), (1, "repeat"), (2, "repeat"))
    ]  # fmt: skip
    result = compare(make_results_folder(tmp_path / "three", cells, GRID), "--over-seeds", "--csv", tmp_path / "t.csv")
    assert [row[1:6] for row in rows_of(result)] == [
        ["0.01", "3", "101.0", "±", "1.0"],
        ["1", "3", "101.0", "±", "1.0"],
    ]
    assert [(row["seeds"], row["ssim_sd"]) for row in read(tmp_path / "t.csv")] == [("3", "1.0")] * 2


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


def test_one_layer_that_varies_heads_its_column_with_its_whole_name(tmp_path: Path) -> None:
    cells = [{"label": {"style_layers.conv1_1": weight}, "metrics": metrics(1.0)} for weight in (0.25, 0.5)]
    given = {"transfer": BASE, "axes": {"style_layers.conv1_1": [0.25, 0.5]}}
    result = compare(make_results_folder(tmp_path / "layers", cells, given))
    assert "style_layers.conv1_1" in result.output and " 0.25 " in result.output, result.output


def test_layers_stand_whole_in_the_terminal_and_one_by_one_in_the_csv(tmp_path: Path) -> None:
    layers = [{"conv1_1": 1.0}, {"conv1_1": 0.5, "conv2_1": 0.5}]
    cells = [{"label": {"style_layers": some}, "metrics": metrics(1.0)} for some in layers]
    folder = make_results_folder(tmp_path / "layers", cells, {"transfer": BASE, "axes": {"style_layers": layers}})
    path = tmp_path / "table.csv"
    assert [row[1] for row in rows_of(compare(folder, "--csv", path))] == ["conv1_1", "conv1_1+2_1"]
    rows = read(path)
    assert [(row["style_layers.conv1_1"], row["style_layers.conv2_1"]) for row in rows] == [("1.0", ""), ("0.5", "0.5")]


def test_an_axis_of_settings_stands_as_it_was_given_and_one_by_one_in_the_csv(tmp_path: Path) -> None:
    given: list[Any] = ["lbfgs", {"name": "adam", "learning_rate": 0.02}]
    cells = [
        {"label": {"optimiser": one, "alpha": 0.1 * (1 + k)}, "metrics": metrics(1.0)} for k, one in enumerate(given)
    ]
    folder = make_results_folder(tmp_path / "grid", cells, {"axes": {"optimiser": given, "alpha": [0.1, 0.2]}})
    result = compare(folder, "--csv", tmp_path / "table.csv")
    assert "optimiser" in result.output and "optimiser." not in result.output
    first, second = result.output.split("lbfgs")[0], result.output.split("lbfgs")[1]
    assert "{name: adam, learning_rate: 0.02}" in second and "adam" not in first
    assert [row["optimiser.learning_rate"] for row in read(tmp_path / "table.csv")] == ["1.0", "0.02"]


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
        "id", "alpha", *COLUMNS, "loss/total", "loss/content", "loss/style", "settled", "heldout_style_optimised",
    ]  # fmt: skip
    assert (first["id"], float(first["ssim"]), float(first["loss/total"])) == ("aaaaaaaaaaaa", 1 / 3, 2 / 3)
    assert (first["heldout_style_optimised"], second["heldout_style_optimised"]) == ("True", "False")
    assert second["loss/total"] == ""


def test_csv_over_seeds_has_the_printed_standard_deviation_beside_every_number(folder: Path, tmp_path: Path) -> None:
    compare(folder, "--over-seeds", "--csv", tmp_path / "table.csv")
    first, second = read(tmp_path / "table.csv")
    assert (first["id"], first["seeds"]) == ("aaaaaaaaaaaa cccccccccccc", "2")
    assert (float(first["ssim"]), float(first["ssim_sd"]), second["ssim_sd"]) == (104.5, pytest.approx(4.5**0.5), "")


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
        "of",
        "109",
        "0.01",
        "112",
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


def test_figure_drawn_otherwise_is_told_as_the_file_would_have_it(folder: Path) -> None:
    result = CliRunner().invoke(app, ["figure", str(folder), "figure.rows=[alpha]", "figure.columns="])
    assert result.exit_code == 0, result.output
    (told,) = [text for text in result.output.splitlines() if text.startswith("To keep it so, in ")]
    assert yaml.safe_load(told.partition(": ")[2]) == {"figure": {"rows": ["alpha"], "columns": None}}


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
        words.append(line[1 : -len(COLUMNS) - 1])  # "109 of 109" are three words of two numbers
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
    assert rows[0][:2] == ["aaaaaaaaaaaa", "A"] and "strokes:0.75" in result.output and rows[0][-1] != "112"
    assert rows[2][:3] == ["aaaaaaaaaaaa", "A", "100"] and len(rows) == 4, "one more table has all the numbers"


def test_every_run_keeps_one_line_while_what_differs_can_be_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = [{"strokes": 0.5, "mosaic": {"mask": "coffee_cup", "weight": 0.25}, "ink": 2}, {"waves": 1, "dots": 3}]
    cells = [
        {"id": f"{k}" * 12, "label": {"style": style}, "metrics": metrics(100.0)} for k, style in enumerate(styles)
    ]
    folder = make_results_folder(tmp_path / "wide", cells, {"transfer": BASE, "axes": {"style": styles}})
    for width, num_rows in ((200, 2), (140, 2), (80, 6)):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("harness.cli.console.WIDTH_WITHOUT_TERMINAL", width)
        assert len(rows_of(compare(folder))) == num_rows, width


def test_quilted_runs_are_told_apart_by_their_blocks(tmp_path: Path) -> None:
    cells = [
        {"id": f"{name * 12}", "transfer": {"method": "quilting", "quilting": {"block": block}}, "metrics": metrics(k)}
        for k, (name, block) in enumerate((("a", 20), ("b", 36)))
    ]
    result = compare(make_results_folder(tmp_path / "all", cells, {"transfer": BASE}))
    assert "quilting.block" in result.output
    assert [line[1] for line in rows_of(result)] == ["20", "36"]


def cells_of(path: Path) -> list[list[str]]:
    return [
        [c.strip() for c in line.removesuffix(r"\tabularnewline").split("&")]
        for line in path.read_text().splitlines()
        if "&" in line
    ]


def test_latex_is_one_table_of_what_a_page_has_room_for_and_says_what_was_left_out(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "table.tex"
    result = compare(folder, "--over-seeds", "--latex", path)
    output = " ".join(result.output.split())
    assert result.exit_code == 0 and f"Written: {path}" in result.output.replace("\n", "")
    text = path.read_text()
    assert text.startswith("% \\usepackage{booktabs}\n") and text.count(r"\begin{tabular}") == 1
    assert r"\caption{grid at 64 px: 2 settings, means over 1 to 2 seeds $\pm$ the standard deviation" in text
    assert r"\label{tab:table}" in text  # of the file: two tables of one experiment have two
    first, second, small, large = cells_of(path)
    names = [f"{a} {b}".strip().replace(" ", "_") for a, b in zip(first, second, strict=True)]
    assert names[:6] == ["alpha", "seeds", "reference_content", "reference_style", "ssim", "lpips"]
    assert small[:3] == ["0.01", "2", r"101.5 $\pm$ 2.1"] and large[:3] == ["1", "1", "50"]
    left_out = [name for name in ("heldout_style", "style_swd", "pixel_distance") if name not in names]
    assert not {"seconds", "total", "still_falling"} & set(names) and ("total_variation" in names) is (not left_out)
    if left_out:
        assert f"{left_out[0]}, " in output and "--columns chooses" in output


def test_latex_drops_the_last_numbers_where_they_do_not_fit_the_page(tmp_path: Path) -> None:
    cells = [
        {"label": {"alpha": 0.1, **({"seed": seed} if seed else {})}, "part": "repeat" if seed else "grid",
         "metrics": metrics(0.0) | {name: 0.0001067 + seed * 1e-7 for name in COMPARABLE}}
        for seed in (0, 1)
    ]  # fmt: skip
    path = tmp_path / "t.tex"
    result = compare(make_results_folder(tmp_path / "long", cells, GRID), "--over-seeds", "--latex", path)
    told = " ".join(result.output.split())
    assert "Left out of it, a page being too narrow: " in told and "total_variation; --columns chooses." in told
    assert (
        cells_of(path)[1][:4] == ["run", "content", "style", "ssim"] and path.read_text().count("begin{tabular}") == 1
    )


def test_latex_of_as_many_seeds_says_so_in_its_caption_alone(tmp_path: Path) -> None:
    cells = [
        {"label": {"alpha": alpha, **({"seed": seed} if seed else {})}, "part": "repeat" if seed else "grid",
         "metrics": metrics(1.0 + seed, still_falling=alpha / 2)}
        for alpha in (0.01, 1.0) for seed in (0, 1, 2)
    ]  # fmt: skip
    path = tmp_path / "t.tex"
    folder = make_results_folder(tmp_path / "three", cells, GRID)
    result = compare(folder, "--over-seeds", "--latex", path, "--columns", "ssim,total")
    assert [row[3:] for row in rows_of(result)] == [["5.0", "±", "1.0", "–"], ["5.0", "±", "1.0†", "–"]]
    text, rows = path.read_text(), cells_of(path)
    assert "three at 64 px: 2 settings, means over 3 seeds" in text and "* the run" not in text
    assert rows[0] == ["alpha", "ssim", "total"], "no empty line above names of one line"
    assert [row[1] for row in rows[1:]] == [r"5.0 $\pm$ 1.0", r"5.0 $\pm$ 1.0$\dagger$"] and "not settled" in text


def test_columns_asked_for_are_all_in_the_latex_table_however_wide(folder: Path, tmp_path: Path) -> None:
    asked = "reference_content,reference_style,ssim,heldout_style,lpips,style_swd,pixel_distance,colour_distance"
    result = compare(folder, "--columns", f"{asked},total_variation,evaluations,seconds", "--latex", tmp_path / "t.tex")
    assert len(cells_of(tmp_path / "t.tex")[0]) == 12 and "Left out" not in result.output


def test_columns_are_those_asked_for_in_terminal_csv_and_latex(folder: Path, tmp_path: Path) -> None:
    files = ["--csv", tmp_path / "t.csv", "--latex", tmp_path / "t.tex"]
    result = compare(folder, "--columns", "lpips, reference_style,loss/total,total", *files)
    assert [row[1:] for row in rows_of(result)] == [["0.01", "107", "101", "–"], ["1", "57", "51", "–"]]
    assert list(read(tmp_path / "t.csv")[0]) == ["id", "alpha", "lpips", "reference_style", "loss/total", "settled"]
    assert cells_of(tmp_path / "t.tex")[1] == ["alpha", "lpips", "style", "total"]
    assert "not held out" not in result.output, "no such number is shown"


def test_a_typo_among_columns_names_the_nearest(folder: Path) -> None:
    result = compare(folder, "--columns", "ssim,lpisp")
    assert result.exit_code == 2 and "did you mean lpips?" in result.output


def test_the_runs_own_loss_comes_first(folder: Path) -> None:
    manifest = folder / "aaaaaaaaaaaa" / "manifest.json"
    data = json.loads(manifest.read_text())
    data["metrics"] |= {"total": 1.5e28}
    manifest.write_text(json.dumps(data))
    first, second = rows_of(compare(folder))
    assert first[1:4] == ["0.01", "1.5e+28", "100"] and second[1:4] == ["1", "–", "50"]


def test_latex_into_no_folder_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    result = compare(folder, "--latex", tmp_path / "nowhere" / "table.tex")
    assert result.exit_code == 2 and "there is no folder" in result.output and "--latex" in result.output


def test_latex_of_one_run_names_it(folder: Path, tmp_path: Path) -> None:
    compare(folder / "bbbbbbbbbbbb", "--latex", tmp_path / "table.tex")
    assert "bbbbbbbbbbbb & 50 & 51 & 53" in (tmp_path / "table.tex").read_text()


def test_field_among_the_columns_is_told_to_stand_there_always(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "fig", [{"label": {"alpha": alpha}} for alpha in (1, 2)])
    result = CliRunner().invoke(app, ["compare", str(folder), "--columns", "ssim,alpha"])
    assert result.exit_code == 2 and "fields in which runs differ stand in every table" in " ".join(
        result.output.split()
    )
