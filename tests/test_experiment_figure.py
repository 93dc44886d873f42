"""An experiment's figure: every picture in its place, pixel for pixel; what differs, what is missing, in words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from test_figures import GREY, page_of, pdf_text, positions

from harness.config import Transfer
from harness.figures.arrange import arrange
from harness.figures.curves import draw_curves
from harness.figures.experiment import draw_experiment
from harness.figures.files import figure_style
from harness.figures.labels import label, labels, weight_caption
from harness.figures.layout import Tile
from harness.results import load

FIVE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
RATIOS = [1e-4, 1e-3, 1e-2, 1e-1]
HISTORY = [{"evaluation": k, "seconds": 0.5 * k, "total": 3.0 / k, "content": 1.0, "style": 2.0 / k} for k in (1, 2)]


def shot(seed: int) -> np.ndarray:
    return picture(seed, 24, 36)


def painting(red: int) -> np.ndarray:
    """Of one colour, so that it is found at any size."""
    return np.full((30, 40, 3), (red, 0, 255), np.uint8)


def drawn(folder: Path, cells: list[dict], **experiment) -> tuple[np.ndarray, str]:
    """The figure's pixels and the characters of its PDF, without blanks."""
    cells = [{"history": [], **cell} for cell in cells]  # curves are not looked at
    make_results_folder(folder, cells, {"transfer": {"content": "astronaut", "style": "strokes"}, **experiment})
    draw_experiment(load(folder))
    return page_of(folder / "figure.png"), re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))


def box(colour: np.ndarray, page: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of one colour's pixels."""
    rows, columns = np.nonzero((page == colour[0, 0]).all(-1))
    return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())


def test_one_row_has_the_sources_then_every_picture_pixel_for_pixel_with_its_ratio(tmp_path):
    content = shot(50)
    cells = [
        {"label": {"alpha": a}, "image": shot(k), "content": content, "style": painting(9)}
        for k, a in enumerate(RATIOS)
    ]
    cells.append({"label": {"alpha": 1e-4, "seed": 1}, "part": "repeat", "image": shot(77)})
    cells.append({"label": {"alpha": 1e-4}, "part": "again", "image": shot(78), "id": "again"})
    page, text = drawn(tmp_path / "a", cells, axes={"alpha": RATIOS})
    places = [positions(shot(k), page) for k in range(4)]
    assert [len(found) for found in places] == [1] * 4
    assert len({found[0][0] for found in places}) == 1
    lefts = [positions(content, page)[0][1], box(painting(9), page)[1], *(found[0][1] for found in places)]
    assert lefts == sorted(lefts)
    assert positions(shot(77), page) == positions(shot(78), page) == []
    assert text.count("10") == 4 and "alpha" not in text and "content" in text and "style" in text


def test_rows_and_columns_are_labelled_by_what_differs(tmp_path):
    subsets = [dict.fromkeys(FIVE[:k], 0.2) for k in (1, 2, 5)]
    cells = [
        {"label": {"style_layers": w, "alpha": a}, "image": picture(10 * i + k, 150, 190)}
        for i, w in enumerate(subsets)
        for k, a in enumerate(RATIOS[:2])
    ]
    page, text = drawn(
        tmp_path / "a", cells, axes={"style_layers": subsets, "alpha": RATIOS[:2]}, figure={"columns": "alpha"}
    )
    places = [[positions(picture(10 * i + k, 150, 190), page)[0] for k in range(2)] for i in range(3)]
    assert all(a[0] == b[0] and a[1] < b[1] for a, b in places)
    assert [row[0][0] for row in places] == sorted({row[0][0] for row in places})
    for words in ("stylelayerconv1_1", "stylelayersconv1_1,conv2_1", "stylelayers"):
        assert words in text
    assert "0.2" not in text


def test_panels_wrap_and_carry_their_own_labels(tmp_path):
    cases = {f"case {k}": {"seed": k} for k in range(5)}
    cells = [{"label": {"cases": name}, "image": picture(k, 90, 120)} for k, name in enumerate(cases)]
    page, text = drawn(tmp_path / "a", cells, cases=cases, figure={"wrap": 3})
    tops, lefts = zip(*(positions(picture(k, 90, 120), page)[0] for k in range(5)), strict=True)
    assert tops[0] == tops[1] == tops[2] < tops[3] == tops[4]
    assert lefts[:2] == lefts[3:] and lefts[0] < lefts[1] < lefts[2]
    assert (page == GREY).all(-1).sum() < 200, "an empty place is no missing picture"
    assert all(f"case{k}" in text for k in range(5)) and text.count("10") == 5


STYLES = ["strokes", "mosaic", "ink"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_painting_of_its_own_stands_above_each_picture(tmp_path, wrapped):
    cells = [
        {"label": {"style": name}, "image": shot(k), "style": painting(10 + k), "content": shot(50)}
        for k, name in enumerate(STYLES)
    ]
    page, text = drawn(tmp_path / "a", cells, axes={"style": STYLES}, figure={"wrap": 2} if wrapped else {})
    assert len(positions(shot(50), page)) == 1
    for k in range(3):
        top, left = positions(shot(k), page)[0]
        first, start, last, end = box(painting(10 + k), page)
        assert last < top and last - first + 1 == 12, "half as high as the picture"
        assert abs((start + end) / 2 - (left + 17.5)) <= 1
    assert "strokes" in text and "ink" in text


def test_a_painting_that_varies_along_the_rows_stands_once_beside_each(tmp_path):
    cells = [
        {"label": {"style": name, "alpha": a}, "image": shot(4 * k + j), "style": painting(10 + k), "content": shot(50)}
        for k, name in enumerate(STYLES)
        for j, a in enumerate(RATIOS[:2])
    ]
    page, _ = drawn(
        tmp_path / "a", cells, axes={"style": STYLES, "alpha": RATIOS[:2]}, figure={"columns": "alpha", "rows": "style"}
    )
    for k in range(3):
        top, left = positions(shot(4 * k), page)[0]
        first, _, last, end = box(painting(10 + k), page)
        assert end < left and first <= top + 24 and last >= top
    assert positions(shot(50), page)[0][1] < box(painting(10), page)[1]


def test_a_painting_that_varies_along_the_columns_of_several_rows_is_shown_once_on_top(tmp_path):
    cells = [
        {"label": {"style": name, "seed": j}, "image": shot(4 * k + j), "style": painting(10 + k)}
        for k, name in enumerate(STYLES)
        for j in range(2)
    ]
    page, _ = drawn(
        tmp_path / "a", cells, axes={"style": STYLES, "seed": [0, 1]}, figure={"columns": "style", "rows": "seed"}
    )
    for k in range(3):
        assert (
            box(painting(10 + k), page)[2] < positions(shot(4 * k), page)[0][0] < positions(shot(4 * k + 1), page)[0][0]
        )


def test_the_same_painting_at_another_size_is_still_shared(tmp_path):
    cells = [
        {"label": {"size": size}, "image": picture(size, size, size), "content": picture(90, size, size)}
        for size in (24, 32)
    ]
    page, text = drawn(tmp_path / "a", cells, axes={"size": [24, 32]})
    assert len(positions(picture(24, 24, 24), page)) == len(positions(picture(32, 32, 32), page)) == 1
    assert text.count("content") == 1 and "24px" in text and "32px" in text


def test_missing_pictures_are_grey_with_the_reason(tmp_path):
    cells = [
        {"label": {"seed": 0}, "image": picture(0, 150, 200)},
        {"label": {"seed": 1}, "status": "failed", "reason": "turned NaN"},
        {"label": {"seed": 2}, "status": "waiting"},
        {"label": {"seed": 3}, "status": "running"},
        {"label": {"seed": 4}, "status": "pruned"},
        {"label": {"seed": 5}, "image": picture(5, 150, 200), "id": "emptied"},
    ]
    cells = [{"history": [], **cell} for cell in cells]
    folder = make_results_folder(tmp_path / "a", cells, {"axes": {"seed": list(range(6))}})
    (folder / "emptied" / "image.png").unlink()
    draw_experiment(load(folder))
    page, text = page_of(folder / "figure.png"), pdf_text(folder / "figure.pdf").replace(" ", "")
    assert len(positions(picture(0, 150, 200), page)) == 1
    for words in ("failed:turnedNaN", "hasnotbegun", "inprogress", "pruned", "image.pngisgone"):
        assert words in text
    assert (page == GREY).all(-1).sum() > 4 * 150 * 200


def test_a_side_without_weight_is_named_instead_of_a_ratio(tmp_path):
    cases = {"photograph": {"beta": 0}, "painting": {"alpha": 0}}
    cells = [{"label": {"cases": name}, "image": picture(k, 90, 120)} for k, name in enumerate(cases)]
    _, text = drawn(tmp_path / "a", cells, cases=cases)
    assert "contentonly" in text and "styleonly" in text
    transfer = Transfer(content="a", style="b", alpha=2.346e-3, beta=1)
    assert weight_caption(transfer, 2) == r"$\alpha/\beta$ = $2.3\cdot10^{-3}$"


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("content_layers", {"conv4_2": 1}, "content layer conv4_2"),
        ("style_layers", {"conv1_1": 0.2, "conv2_1": 0.2}, "style layers conv1_1, conv2_1"),
        ("style_layers", {layer: 0.2 for layer in FIVE}, "style layers conv1_1 … conv5_1"),
        ("style_layers", {"conv1_2": 1, "conv2_1": 1, "conv3_1": 1, "conv4_1": 1},
         "style layers conv1_2, conv2_1, conv3_1, conv4_1"),
        ("style_layers", {"conv1_1": 0}, "no style layer"),
        ("start", "content", "from the photograph"),
        ("start", "noise", "from noise"),
        ("start", {"file": "images/first$.png"}, r"from first\$.png"),
        ("seed", 3, "seed 3"),
        ("style", "images/starry_night.jpg", "starry night"),
        ("pooling", "max", "max pooling"),
        ("normalised", False, "not normalised"),
        ("size", 512, "512 px"),
        ("alpha", 1e-3, r"$\alpha$ = $10^{-3}$"),
        ("style_layers.conv1_1", 0.5, "style conv1_1: 0.5"),
        ("cases", "A", "A: from the painting, seed 2"),
        ("cases", "long name", "long name"),
    ],
)  # fmt: skip
def test_parts_of_a_label_read_as_words(part, value, words):
    cases = {"A": {"start": "style", "seed": 2, "alpha": 1}, "long name": {"start": "style"}}
    assert label((part,), (value,), cases).replace("\N{NO-BREAK SPACE}", " ") == words


def test_labels_that_would_read_alike_say_the_values_themselves():
    rows = [[{"conv1_1": 1.0}], [{"conv1_1": 2.0}]]
    assert len(set(labels(("style_layers",), rows, {}))) == 2
    assert labels(("style_layers",), rows[:1], {}) == ["style layer conv1_1"]
    assert labels(("style_layers",), rows[:1] * 2, {}) == ["style layer conv1_1"] * 2  # one place twice


def test_curves_are_drawn_by_evaluation_and_by_second_with_every_seed_of_a_cell(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("harness.figures.experiment_curves.draw_curves", lambda *a: given.append(a) or draw_curves(*a))
    twice = [{name: 2 * value for name, value in line.items() if name != "evaluation"} for line in HISTORY]
    twice = [{**line, **own} for line, own in zip(HISTORY, twice, strict=True)]
    cells = [{"label": {"alpha": a}, "history": HISTORY} for a in RATIOS[:2]]
    cells.append({"label": {"alpha": 1e-4, "seed": 7}, "part": "repeat", "history": twice})
    cells.append({"label": {"alpha": 1e-4, "seed": 8}, "part": "repeat", "history": twice[:1], "status": "running"})
    cells.append({"label": {"alpha": 1e-4}, "part": "again", "history": twice, "id": "again"})
    folder = make_results_folder(tmp_path / "a", cells, {"axes": {"alpha": RATIOS[:2]}})
    written = draw_experiment(load(folder))
    assert written == [folder / f"{name}.{ending}" for name in ("figure", "curves") for ending in ("png", "pdf")]
    assert all(path.stat().st_size for path in written)
    text = pdf_text(folder / "curves.pdf")
    assert "evaluation" in text and "seconds" in text and text.count("2 seeds") == 1
    [(histories, _, _, looks, seeds, *_)] = given
    (name, mean), (_, alone) = histories.items()
    assert name.endswith(", 2 seeds") and seeds[name] == [HISTORY, twice] and alone == HISTORY and len(set(looks)) == 2
    assert [line["style"] for line in mean] == [1.5 * line["style"] for line in HISTORY]


def test_where_nothing_but_the_seed_varies_every_seed_has_its_line(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("harness.figures.experiment_curves.draw_curves", lambda *a: given.append(a))
    cells = [{"label": {"seed": k}, "history": HISTORY} for k in (0, 1)]
    draw_experiment(load(make_results_folder(tmp_path / "a", cells, {"axes": {"seed": [0, 1]}})))
    cells = [{"label": {"alpha": a, "seed": k}, "history": HISTORY} for a in RATIOS[:2] for k in (0, 1)]
    draw_experiment(load(make_results_folder(tmp_path / "b", cells, {"axes": {"alpha": RATIOS[:2], "seed": [0, 1]}})))
    assert [len(histories) for histories, *_ in given] == [2, 2]
    assert [len(own) for own in given[1][4].values()] == [2, 2]


def test_without_any_history_there_are_no_curves(tmp_path):
    folder = make_results_folder(
        tmp_path / "a", [{"label": {"seed": k}, "status": "waiting"} for k in (0, 1)], {"axes": {"seed": [0, 1]}}
    )
    assert [path.name for path in draw_experiment(load(folder))] == ["figure.png", "figure.pdf"]


def test_a_single_run_without_a_label_is_drawn(tmp_path):
    page, _ = drawn(tmp_path / "a", [{"image": shot(1)}])
    assert len(positions(shot(1), page)) == 1


def test_the_same_folders_give_the_same_bytes(tmp_path):
    cells = [{"label": {"alpha": a}, "image": shot(k)} for k, a in enumerate(RATIOS[:2])]
    folder = make_results_folder(tmp_path / "a", cells, {"axes": {"alpha": RATIOS[:2]}})
    first = [path.read_bytes() for path in draw_experiment(load(folder))]
    moved = folder.rename(tmp_path / "elsewhere")
    assert [path.read_bytes() for path in draw_experiment(load(moved))] == first


def test_a_sweep_is_refused_with_a_sentence(tmp_path):
    folder = make_results_folder(
        tmp_path / "a", [], {"space": {"alpha": {"log": [1e-3, 1e-1]}}, "objectives": ["pixel_distance"]}
    )
    assert json.loads((folder / "cells.json").read_text())["cells"] == []
    with pytest.raises(ValueError, match="a is a sweep"):
        draw_experiment(load(folder))


@pytest.mark.parametrize(("num_rows", "num_columns", "side"), [(1, 6, 256), (5, 4, 192), (2, 5, 256), (4, 6, 512)])
def test_text_can_be_read_when_the_page_is_shown_a_thousand_pixels_wide(num_rows, num_columns, side):
    image = np.zeros((side, side, 3), np.uint8)
    tiles = [[Tile(image, r"$\alpha/\beta$ = $10^{-4}$")] * num_columns for _ in range(num_rows)]
    with figure_style():
        layout = arrange(tiles, (), ["row"] * num_rows, [Tile(image, "content"), Tile(image, "style")], "", 1)
        sizes = [text.text.size_px * 1000 / layout.width for text in layout.labels]
    assert min(sizes) >= 10
