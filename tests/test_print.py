"""Figures for print: the page's width and the type's size read back from the PDF, and what stands once."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from test_figures import page_of, pdf_text, positions
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.config.figure import Figure
from harness.errors import ConfigError, StorageError, UsageError
from harness.figures.arrange import MAX_AREA_PX, MAX_SIDE_PX, arrange
from harness.figures.captions import said_once
from harness.figures.curves import MAX_LABELLED, _curves, default_looks
from harness.figures.experiment import draw_experiment
from harness.figures.files import figure_style
from harness.figures.layout import Paper, Tile
from harness.figures.panels import draw_grid
from harness.figures.regions import cut, with_insets
from harness.results import load

RATIOS = [1e-4, 1e-3, 1e-2, 1e-1]
STYLES = ["strokes", "mosaic", "ink"]
HISTORY = [
    {"evaluation": k, "seconds": 0.5 * k, "total": 3.0 / k, "content": 1.0, "style": 2.0 / k} for k in (1, 9, 80)
]
SCRIPTS = 0.7
"""Size of matplotlib's superscripts, beside the type they stand in."""


def grid(folder: Path, figure: dict[str, Any], side: int = 48, history: Any = (), **experiment: Any) -> Path:
    """Three paintings × four ratios, drawn; curves where there is a history."""
    cells = [
        {"label": {"style": style, "alpha": a}, "image": picture(4 * k + j, side, side), "history": list(history),
         "content": picture(50, side, side), "style": np.full((side, side, 3), (20 + k, 0, 255), np.uint8)}
        for k, style in enumerate(STYLES)
        for j, a in enumerate(RATIOS)
    ]  # fmt: skip
    axes = {"style": STYLES, "alpha": RATIOS}
    make_results_folder(folder, cells, {"axes": axes, "figure": figure, **experiment})
    draw_experiment(load(folder))
    return folder


def width_pt(path: Path) -> float:
    """The width of a PDF's page, of which there is one."""
    (box,) = re.findall(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", path.read_bytes())
    return float(box[0])


def type_pt(path: Path) -> set[float]:
    """The sizes of type in a PDF, without those of superscripts."""
    streams = re.findall(rb"/FlateDecode >>\nstream\n(.*?)\nendstream", path.read_bytes(), re.DOTALL)
    pages = [text for stream in streams if b" Tf" in (text := zlib.decompress(stream))]
    sizes = {float(size) for page in pages for size in re.findall(rb"/\S+ ([\d.]+) Tf", page)}
    return {size for size in sizes if not any(abs(size - SCRIPTS * other) < 0.01 for other in sizes)}


@pytest.mark.parametrize(
    ("width", "points", "side"),
    [("column", 234, 16), ("text", 495, 300), ("9cm", 255.118, 48), (4.5, 324, 48)],
)  # fmt: skip
def test_the_page_is_as_wide_as_it_is_printed_and_type_is_7_to_9_pt_whatever_the_pixels(tmp_path, width, points, side):
    folder = grid(tmp_path / "a", {"columns": "alpha", "width": width}, side, HISTORY)
    for name in ("figure", "curves"):
        assert width_pt(folder / f"{name}.pdf") == pytest.approx(points, abs=0.01)
        sizes = type_pt(folder / f"{name}.pdf")
        assert sizes and min(sizes) > 6.995 and max(sizes) < 9.005
    assert any(size == pytest.approx(8) for size in type_pt(folder / "curves.pdf"))


def test_long_texts_are_wrapped_in_print_and_not_made_smaller_than_7_pt(tmp_path):
    words = "a caption of so many words that no column holds them"
    tiles = [[Tile(picture(k, 60, 60), words) for k in range(4)], [Tile(None, words, "failed: turned NaN")] * 4]
    columns, rows = ["style layers conv1_1, conv2_1"] * 4, ["style layers conv1_1, conv2_1, conv3_1"] * 2
    arguments = (tiles, columns, rows, [Tile(picture(9, 60, 60), "content")], "A title")
    for size in (7, 7.2, 9):
        draw_grid(*arguments, tmp_path / "a.png", tmp_path / "a.pdf", paper=Paper(3.25, size))
        assert type_pt(tmp_path / "a.pdf") and all(6.995 < found < 9.005 for found in type_pt(tmp_path / "a.pdf"))


def test_size_and_font_of_the_type_are_the_figures(tmp_path):
    figure = {"columns": "alpha", "width": "text", "size": 9, "font": "times"}
    folder = grid(tmp_path / "a", figure, history=HISTORY)
    assert max(type_pt(folder / "figure.pdf")) == pytest.approx(9)
    for name in ("figure", "curves"):
        pdf = (folder / f"{name}.pdf").read_bytes()
        assert b"STIXGeneral" in pdf and b"DejaVuSans" not in pdf


@pytest.mark.parametrize("side", [16, 300])
def test_the_png_of_a_printed_figure_has_whole_pixels_and_at_least_200_an_inch(tmp_path, side):
    folder = grid(tmp_path / "a", {"columns": "alpha", "width": "column"}, side)
    page = page_of(folder / "figure.png")
    assert page.shape[1] >= 200 * 3.25
    whole = [k for k in range(1, 12) if positions(np.kron(picture(0, side, side), np.ones((k, k, 1), np.uint8)), page)]
    assert len(whole) == 1 and (side == 300) == (whole[0] == 1)


def test_more_columns_than_can_be_read_are_refused_with_a_sentence(tmp_path):
    tiles = [[Tile(picture(k, 40, 40), r"$\alpha/\beta$ = $10^{-3}$") for k in range(9)]]
    draw_grid(tiles, (), (), (), "", tmp_path / "a.png", tmp_path / "a.pdf", paper=Paper(6.875, 8))
    with pytest.raises(UsageError, match=r"10\^.*needs more than the \d+ pt of a picture.*figure\.wrap"):
        draw_grid(tiles, (), (), (), "", tmp_path / "b.png", tmp_path / "b.pdf", paper=Paper(2.5, 8))
    with pytest.raises(UsageError, match="9 columns of pictures do not fit into 1 in"):
        draw_grid(tiles, (), (), (), "", tmp_path / "b.png", tmp_path / "b.pdf", paper=Paper(1, 8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png"]


@pytest.mark.parametrize(
    ("paper", "names"),
    [
        (Paper(3.25, 8), ["style layer conv1_1", "style layers conv1_1, conv2_1"]),
        (None, ["from the photograph, style scale = 0.5", "from the photograph, style scale = 1"]),
        (None, ["from noise, optimiser = adam, learning_rate: 0.02", "from noise, optimiser = lbfgs"]),
    ],
)
def test_rows_labels_stand_level_where_they_would_be_broken_upwards(paper, names):
    tiles = [[Tile(picture(k, 40, 60)) for k in range(4)] for _ in range(2)]
    with figure_style():
        layout = arrange(tiles, (), names, (), "", 1, paper)
        told = [" ".join(label.text.lines) for label in layout.labels if not label.rotated]
    assert all(name in told for name in names)


def test_a_ratio_of_all_pictures_stands_once_and_one_of_a_column_above_it(tmp_path):
    cases = {f"case {k}": {"seed": k} for k in range(12)}
    cells = [{"label": {"cases": name}, "image": picture(k), "history": []} for k, name in enumerate(cases)]
    for name, figure, num in (
        ("a", {"wrap": 4, "width": "text"}, 1),
        ("b", {"wrap": 4, "captions": "shared"}, 1),
        ("c", {"wrap": 4}, 12),
        ("d", {"wrap": 4, "width": "text", "captions": "each"}, 12),
    ):
        folder = make_results_folder(tmp_path / name, cells, {"cases": cases, "figure": figure})
        draw_experiment(load(folder))
        assert pdf_text(folder / "figure.pdf").count(" = 10") == num
    for name, figure, num in (("e", {"captions": "shared"}, 4), ("f", {}, 12)):
        folder = grid(tmp_path / name, {"columns": "alpha", "rows": "style", **figure})
        assert pdf_text(folder / "figure.pdf").count(" = 10") == num


def test_where_captions_stand_once():
    assert said_once([["a", "a"], ["a", None]]) == ("a", [], [])
    assert said_once([["a", "b"], ["a", "b"]]) == ("", ["a", "b"], [])
    assert said_once([["a", "a"], ["b", "b"]]) == ("", [], ["a", "b"])
    assert said_once([["a", "b"], ["b", "a"]]) == said_once([["a", "b"]]) == said_once([["a"]]) == ("", [], [])


def test_a_painting_stands_once(tmp_path):
    for name, figure, num in (("a", {"wrap": 4, "captions": "shared"}, 1), ("b", {"wrap": 4}, 4)):
        page = page_of(grid(tmp_path / name, figure) / "figure.png")
        for k in range(3):
            columns = (page == (20 + k, 0, 255)).all(-1).any(0).astype(int)
            assert (np.diff(columns) == 1).sum() == num


def test_rows_of_several_axes_stand_in_their_order_the_last_one_fastest(tmp_path):
    axes = {"style": STYLES[:2], "seed": [0, 1], "alpha": RATIOS[:2]}
    cells = [
        {"label": {"style": s, "seed": seed, "alpha": a}, "image": picture(4 * i + 2 * j + k), "history": []}
        for i, s in enumerate(STYLES[:2])
        for j, seed in enumerate((0, 1))
        for k, a in enumerate(RATIOS[:2])
    ]
    for rows, order in ((["seed", "style"], (0, 4, 2, 6)), (["style", "seed"], (0, 2, 4, 6))):
        figure = {"columns": "alpha", "rows": rows, "show": []}
        folder = make_results_folder(tmp_path / rows[0], cells, {"axes": axes, "figure": figure})
        draw_experiment(load(folder))
        tops = [positions(picture(k), page_of(folder / "figure.png"))[0][0] for k in order]
        assert tops == sorted(tops)


def test_cells_are_those_that_are_shown(tmp_path):
    page = page_of(grid(tmp_path / "a", {"cells": {"alpha": [1e-3, 1e-1], "style": "ink"}}) / "figure.png")
    assert [k for k in range(12) if positions(picture(k, 48, 48), page)] == [9, 11]


def test_pictures_and_the_photograph_are_cropped_alike_and_the_painting_is_not(tmp_path):
    page = page_of(grid(tmp_path / "a", {"crop": [0.25, 0.5, 0.5, 0.25]}) / "figure.png")
    for k in (*range(12), 50):
        assert len(positions(picture(k, 48, 48)[24:36, 12:36], page)) == 1
        assert not positions(picture(k, 48, 48), page)


def test_a_zoomed_region_is_framed_and_stands_larger_in_the_corner_farthest_from_it():
    image = picture(1, 100, 200)
    assert np.array_equal(cut(image, (0.1, 0.2, 0.3, 0.4)), image[20:60, 20:80])
    shown = with_insets(image, [(0.1, 0.1, 0.1, 0.1)])
    assert np.array_equal(shown[10:20, 20:40], image[10:20, 20:40]), "the region's own pixels stay"
    frame = shown[9, 30]
    assert (shown[9, 20:40] == frame).all() and (shown[20, 20:40] == frame).all()
    (place,) = positions(np.kron(image[10:20, 20:40], np.ones((4, 4, 1), np.uint8)), shown)
    assert place == (100 - 40 - 1, 200 - 80 - 1)
    assert np.array_equal(shown[:50, 100:], image[:50, 100:])
    four = with_insets(image, [(0.3, 0.3, 0.1, 0.1), (0.6, 0.3, 0.1, 0.1), (0.3, 0.6, 0.1, 0.1), (0.6, 0.6, 0.1, 0.1)])
    assert all((four[y, x] != image[y, x]).any() for y in (0, 99) for x in (0, 199)), "a corner for each"


@pytest.mark.parametrize("num", [1, 8, 9, 40])
def test_in_print_no_more_than_eight_lines_are_labelled(num):
    histories = {f"run {k}": HISTORY for k in range(num)}
    with figure_style():
        figure = _curves(histories, default_looks(num), paper=Paper(3.25, 8))
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == min(num, MAX_LABELLED) and labels[0] == "run 0"
    assert (labels[-1] == f"the other {num - 7}") == (num > 8) and (num > 8 or labels[-1] == f"run {num - 1}")
    colours = [line.get_color() for line in figure.axes[0].get_lines()]
    assert len(colours) == num and (num <= 8 or colours.count("#bdbdbd") == num - 7)


NOTES = {"notes": "what α/β does (Gatys et al. 2016, figure 4)"}


def test_figure_tex_includes_the_pdf_at_its_width_and_says_what_it_shows(tmp_path):
    folder = grid(tmp_path / "a_b", {"columns": "alpha", "width": "column"}, tracking=NOTES)
    tex = (folder / "figure.tex").read_text()
    assert r"\begin{figure}" in tex and r"\includegraphics[width=3.25in]{figure.pdf}" in tex
    for words in (
        "Photograph: astronaut;", "paintings: strokes, mosaic, ink.", "seed~0", "16~px", "3 evaluations",
        r"From left to right: $\alpha/\beta$ = $10^{-4}$, $10^{-3}$, $10^{-2}$, $10^{-1}$.",
        "From top to bottom: strokes, mosaic, ink.", r"content layer conv4\_2", "Compare Gatys et al. 2016, figure 4.",
        r"\label{fig:a_b}",
    ):  # fmt: skip
        assert words in tex, words
    comments, body = (
        tex[: tex.index(r"\begin{figure}")],
        re.sub(r"\\[_&%$#{}]", "", tex[tex.index(r"\begin{figure}") :]),
    )
    assert "% made by harness run a_b.yaml\n" in comments and all(line[0] == "%" for line in comments.splitlines())
    assert "ade by" not in body, "nobody prints the command"
    assert body.count("{") == body.count("}") and not re.search(r"(?<!fig:a)_", body), "nothing is left unescaped"
    assert r"\label{fig:50-a}" in (grid(tmp_path / "50 % a", {"width": "text"}) / "figure.tex").read_text()
    assert r"\begin{figure*}" in (grid(tmp_path / "b", {"width": "text"}) / "figure.tex").read_text()


def test_without_notes_the_papers_figures_are_those_of_the_claims(tmp_path):
    claim = {"says": "x", "measure": "ssim", "expect": "greater_than", "by": 0, "because": "y"}
    places = ["fig. 3, rows", "fig. 3, columns", "Gatys et al. 2016, fig. 7; Luan et al. 2017, fig. 3", "section 3"]
    claims = [{**claim, "where": where} for where in places]
    tex = (grid(tmp_path / "a", {"width": "text"}, claims=claims) / "figure.tex").read_text()
    assert re.findall(r"Compare (.*)\.", tex) == ["fig. 3; Gatys et al. 2016, fig. 7 and Luan et al. 2017, fig. 3"]
    claims = [{**claim, "where": where} for where in ("fig. 4", "fig. 6")]
    tex = (grid(tmp_path / "b", {"width": "text"}, claims=claims) / "figure.tex").read_text()
    assert tex.count("Compare") == 1 and "    Compare fig. 4 and fig. 6.}" in tex


def test_figure_tex_goes_with_the_width(tmp_path):
    folder = grid(tmp_path / "a", {})
    assert not (folder / "figure.tex").exists()
    written = harness.draw(harness.load(folder), "figure.width=text", "figure.size=7.5")
    assert [path.name for path in written][:3] == ["figure.png", "figure.pdf", "figure.tex"]
    assert "figure.width=text figure.size=7.5\n" in (folder / "figure.tex").read_text()
    harness.draw(harness.load(folder))
    assert not (folder / "figure.tex").exists()


def figure_of(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["figure", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


def test_harness_figure_takes_the_figures_fields_for_this_once(tmp_path):
    folder = grid(tmp_path / "a", {})
    code, told = figure_of(folder, "figure.width=column", "figure.columns=alpha")
    assert code == 0 and "figure.tex" in told and "figure: {width: column, columns: alpha}" in told
    assert width_pt(folder / "figure.pdf") == pytest.approx(234)
    assert figure_of(folder)[0] == 0 and width_pt(folder / "figure.pdf") != pytest.approx(234)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("figure.width=broad", "figure.width: got 'broad'; allowed: column (3.25 in), text (6.875 in), or a length"),
        ("figure.width=0.1in", "figure.width: 0.1in is 0.1 in wide; allowed: 1 to 40 in"),
        ("figure.size=8", "figure.size: is the size of type in print; say how wide"),
        ("figure.font=arial", "figure.font: got 'arial'; allowed: one of sans, times"),
        ("figure.rows=[style, alhpa]", "figure.rows: nothing varies 'alhpa'; did you mean alpha?"),
        ("figure.rows=[style, style]", "figure.rows: style stands there twice; keep one"),
        ("figure.cells={alpha: [1e-3, 5]}", "figure.cells.alpha: no cell has alpha 5; allowed: 0.0001, 0.001"),
        ("figure.cells={seed: 1}", "figure.cells.seed: nothing varies 'seed'; allowed: style, alpha"),
        ("figure.crop=[0, 0, 1.5, 1]", "figure.crop: got 1.5; allowed: [left, top, width, height] in shares"),
        ("figure.crop=[0.5, 0, 0.6, 1]", "figure.crop: has a region that leaves the picture: left + width is 1.1"),
        ("figure.zoom=[0, 0, 0.5, 0.1]", "figure.zoom: has a region of 0.5 × 0.1; below 0.4 a corner shows it larger"),
        ("figure.zoom=[0, 0, 0.2, 0]", "figure.zoom: has a region without width or height"),
        ("figure.widht=text", "figure.widht: there is no field 'widht'; did you mean width?"),
        ("transfer.size=64", "transfer is a section of experiments; allowed here: figure"),
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_is_one_sentence_and_nothing_is_drawn(tmp_path, word, sentence):
    cells = [{"label": {"style": style, "alpha": a}} for style in STYLES for a in RATIOS]
    folder = make_results_folder(tmp_path / "a", cells, {"axes": {"style": STYLES, "alpha": RATIOS}})
    code, told = figure_of(folder, word)
    assert code == 2 and sentence in told
    assert not (folder / "figure.png").exists()


def test_words_without_a_folder_and_for_a_sweep_are_sentences(tmp_path):
    assert figure_of("figure.width=text") == (2, "harness figure figure.width=text: which? Give a folder too, such as "
                                                 "runs/relative_weight.")  # fmt: skip
    sweep = {"space": {"alpha": {"log": [1e-3, 1e-1]}}, "objectives": ["pixel_distance"]}
    folder = make_results_folder(tmp_path / "a", [{"label": {"trial": 0}}], sweep)
    code, told = figure_of(folder, "figure.width=text")
    assert code == 2 and "a is a sweep, whose front is drawn in one way" in told


def test_pinned_axes_leave_the_rows_and_the_cells(tmp_path):
    from harness.config import load_experiment

    file = tmp_path / "a.yaml"
    file.write_text(
        "transfer: {content: astronaut, style: strokes}\naxes: {alpha: [1, 2], seed: [1, 2], size: [32, 64]}\n"
        "figure: {rows: [alpha, seed], cells: {alpha: [1], seed: 2}, width: column}\n"
    )
    figure = load_experiment(file, ["transfer.alpha=2"]).experiment.figure
    assert figure.row_parts == ("seed",) and figure.cells == {"seed": 2} and figure.width_in == 3.25
    assert load_experiment(file).experiment.layout() == ("size", ("alpha", "seed"))
    with pytest.raises(ConfigError, match="no cell has seed 2"):
        load_experiment(file, ["axes.seed=[1, 3]"])


def test_a_region_alone_is_a_list_of_it_and_a_number_alone_is_inches():
    figure = Figure(zoom=[0.1, 0.1, 0.2, 0.2], width=3)
    assert figure.zoom == ((0.1, 0.1, 0.2, 0.2),) and figure.width == "3in" and figure.width_in == 3


def test_a_grid_too_large_to_be_drawn_has_smaller_pictures_in_the_png_and_all_pixels_in_the_pdf(tmp_path):
    tiles = [[Tile(np.full((8, 1024, 3), k, np.uint8), str(k)) for k in range(70)]]
    draw_grid(tiles, (), (), (), "", tmp_path / "a.png", tmp_path / "a.pdf")
    assert 512 * 70 < page_of(tmp_path / "a.png").shape[1] <= MAX_SIDE_PX
    widths = re.findall(
        rb"/Subtype /Image.*?/Width (\d+)|/Width (\d+).*?/Subtype /Image", (tmp_path / "a.pdf").read_bytes()
    )
    assert len(widths) == 70 and {int(a or b) for a, b in widths} == {1024}


def test_no_figure_is_larger_than_pillow_opens_without_a_warning():
    tall = np.zeros((2000, 1000, 3), np.uint8)
    with figure_style():
        layout = arrange([[Tile(tall)] * 60], (), (), [Tile(tall)], "", 1)
        assert layout.width * layout.height <= MAX_AREA_PX and layout.width > 500 * 60
        layout = arrange([[Tile(None)] * 400], (), (), (), "", 1)
        assert layout.width <= MAX_SIDE_PX
        with pytest.raises(UsageError, match=r"1 × 2000 pictures would be .* at most 65535 px a side can be drawn"):
            arrange([[Tile(None)] * 2000], (), (), (), "", 1)


CLAIM = {"says": "x", "where": "fig. 4", "measure": "ssim", "expect": "greater_than", "by": 0, "because": "y"}


def test_what_cannot_be_drawn_loses_neither_claims_nor_the_summary(tmp_path):
    import optuna

    from harness.driver.carrying import conclude
    from harness.driver.telling import Telling
    from harness.tracking.mode import Mode

    cells = [{"label": {"alpha": a}, "metrics": {"ssim": a}} for a in RATIOS]
    folder = make_results_folder(tmp_path / "a", cells, {"axes": {"alpha": RATIOS}, "claims": [CLAIM]})
    (folder / "figure.pdf").mkdir()  # stands for any fault of drawing
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="a-00000000", directions=["minimize"] * 2)
    said: list[str] = []

    class Kept(Telling):
        def says(self, sentence: str) -> None:
            said.append(sentence)

    with pytest.raises(StorageError, match=r"figure\.pdf could not be written"):
        conclude(Kept(), folder, storage, Mode("offline", ""), has_changed=True)
    assert "holds" in (folder / "claims.json").read_text() and list((folder / "wandb").glob("*-a-summary*"))
    assert said[-1].startswith("The figure was not drawn; everything else is there.")
    (folder / "claims.json").unlink()
    code, told = figure_of(folder)
    assert code == 1 and "figure.pdf could not be written" in told
    assert "holds" in (folder / "claims.json").read_text()
