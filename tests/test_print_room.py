"""In print pictures get the width: labels and sources go above where they would be cut or take too much room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from results_folder import make_results_folder, picture
from test_figures import pdf_text

from harness.config import Transfer
from harness.figures.arrange import WIDE_SHARE, arrange
from harness.figures.experiment import draw_experiment
from harness.figures.files import figure_style
from harness.figures.labels import are_plain, labels, weight_captions
from harness.figures.layout import Layout, Paper, Tile
from harness.results import load

COLUMN = Paper(3.25, 8)
LONG = [
    f"{photo}, {start}, {colours}"
    for photo in ("IMG 4211", "starfish")
    for start, colours in (("from the photograph", "recoloured painting"), ("from noise", "the painting's colours"))
]
RATIOS = [rf"$\alpha/\beta$ = {value}" for value in ("0.1", "0.5", "2", "8")]


def rows_of(num_rows: int, height: int = 32, width: int = 48) -> list[list[Tile]]:
    return [[Tile(picture(4 * i + j, height, width)) for j in range(4)] for i in range(num_rows)]


def laid_out(paper: Paper | None, names: Sequence[str] = LONG, heads: Sequence[str] = RATIOS, **size: int) -> Layout:
    sources = [Tile(picture(50, 32, 48), "content"), Tile(picture(51, 30, 60), "style")]
    with figure_style():
        return arrange(rows_of(len(names), **size), heads, names, sources, "", 1, paper)


def texts(layout: Layout) -> list[str]:
    return [" ".join(label.text.lines) for label in layout.labels]


def pictures(layout: Layout) -> list[list[tuple[int, int, int]]]:
    """Left, top and width of each picture, a list of them for each row; without the two sources."""
    tiles = {(4 * i + j): None for i in range(len(LONG)) for j in range(4)}
    found = []
    for panel in layout.panels:
        for k in tiles:
            if panel.native is not None and (panel.native == picture(k, *panel.native.shape[:2])).all():
                found.append((k, (panel.box.left, panel.box.top, panel.box.width)))
    return [[box for k, box in sorted(found) if k // 4 == i] for i in range(len(found) // 4)]


@pytest.mark.parametrize("paper", [COLUMN, None])
def test_a_rows_label_that_fits_nowhere_beside_it_stands_whole_on_lines_of_its_own_above_it(
    paper: Paper | None,
) -> None:
    layout = laid_out(paper, heads=())
    rows = pictures(layout)
    assert len(rows) == len(LONG) and not any(label.rotated for label in layout.labels)
    assert paper is None or rows[0][-1][0] + rows[0][-1][2] > 0.95 * layout.width, "the page is filled"
    above = 0.0
    for name, row in zip(LONG, rows, strict=True):
        over = [label for label in layout.labels if label.text.lines and above < label.start_px < row[0][1]]
        lines = [label for label in over if label.text.lines[0] in name]
        assert " ".join(line for label in lines for line in label.text.lines) == name
        for label in lines:
            assert label.start_px + label.text.height_px <= row[0][1], "it does not reach into the pictures"
            left = label.centre_px - label.text.width_px / 2
            assert 0 <= left <= row[0][0] + 1 and left + label.text.width_px <= layout.width
        above = row[0][1]


def test_sources_stand_in_a_line_above_several_rows_where_pictures_would_be_small_in_print() -> None:
    names = ["style layers conv1_1, conv2_1, conv3_1", "style layers conv1_1 … conv4_1"]
    beside, printed = laid_out(None, names), laid_out(COLUMN, names)
    for layout, is_above in ((beside, False), (printed, True)):
        rows = pictures(layout)
        captions = [label for label in layout.labels if label.text.lines in (("content",), ("style",))]
        assert len(captions) == 2
        assert all((label.start_px < rows[0][0][1]) == is_above for label in captions)
        assert (captions[0].start_px == captions[1].start_px) == is_above
    share = pictures(printed)[0][0][2] / printed.width
    assert share >= WIDE_SHARE
    one_row = laid_out(COLUMN, ["a"])
    captions = [label for label in one_row.labels if label.text.lines == ("content",)]
    assert captions[0].start_px > pictures(one_row)[0][0][1], "one row stands as in the papers"


def test_where_pictures_are_large_enough_labels_and_sources_stand_beside_them() -> None:
    layout = laid_out(Paper(6.875, 8), ["a row", "another"])
    rows = pictures(layout)
    assert sum(label.rotated for label in layout.labels) == 2
    content = next(label for label in layout.labels if label.text.lines == ("content",))
    assert content.centre_px < rows[0][0][0] and content.start_px > rows[0][0][1]
    assert rows[0][0][2] / layout.width >= WIDE_SHARE


def test_what_columns_labels_have_in_common_stands_once_where_they_do_not_fit_on_a_line() -> None:
    narrow, broad = laid_out(COLUMN, ["a", "b"], width=32), laid_out(Paper(6.875, 8), ["a", "b"], width=32)
    assert all(ratio in texts(broad) for ratio in RATIOS)
    told = texts(laid_out(Paper(2.2, 8), ["a", "b"]))
    assert told.count(r"$\alpha/\beta$ =") == 1 and {"0.1", "0.5", "2", "8"} <= set(told)
    assert not any("\n" in text for text in texts(narrow))
    other = ["content layer conv2_2", *RATIOS[1:]]
    assert r"$\alpha/\beta$ =" not in texts(laid_out(Paper(2.2, 8), ["a", "b"], other)), "they have nothing in common"


def test_photographs_of_rows_stand_in_the_line_by_their_names(tmp_path: Path) -> None:
    photos, starts = ["photos/IMG_4211.jpg", "photos/starfish.jpg"], ["content", "noise"]
    cells = [
        {"label": {"content": photo, "alpha": a, "start": start}, "image": picture(k, 32, 48), "history": [],
         "content": picture(50 + k, 32, 48)}
        for k, photo in enumerate(photos) for a in (0.1, 0.5, 2, 8) for start in starts
    ]  # fmt: skip
    axes = {"content": photos, "alpha": [0.1, 0.5, 2, 8], "start": starts}
    figure = {"columns": "alpha", "rows": ["content", "start"], "width": "column"}
    folder = make_results_folder(tmp_path / "a", cells, {"axes": axes, "figure": figure})
    draw_experiment(load(folder))
    text = re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    assert text.count("IMG4211") == 3 and text.count("star") == 3, "its own, and one for each of two rows"
    assert "content" not in text and text.count("style") == 1
    assert all(f"={value}" in text for value in ("0.1", "0.5", "2", "8")), "the ratios are written alike"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.1, 0.5, 2, 8), True), ((1e-3, 0.02, 5), True), ((0, 0.1, 0.5), True), ((1e-4, 1e-3, 1e-1), False),
        ((0.1, 1, 10), False), ((0.1, 5e-5), False), ((0.1, 0.0023456), False), ((True, 0.5), False), ((), False),
        (("a", 0.5), False),
    ],
)  # fmt: skip
def test_numbers_of_one_axis_are_written_alike(values: tuple, expected: bool) -> None:
    assert are_plain(values) is expected


def test_ratios_and_labels_are_written_alike() -> None:
    def ratios(*alphas: float) -> list[str]:
        transfers = [Transfer(content="a", style="b", alpha=alpha, beta=1) for alpha in alphas]
        return [text.removeprefix(r"$\alpha/\beta$ = ") for text in weight_captions(transfers)]

    assert ratios(0.1, 0.5, 2) == ["0.1", "0.5", "2"]
    assert ratios(0.01, 0.1) == ["$10^{-2}$", "$10^{-1}$"]
    told = labels(("noise_sigma",), [[0.002], [0.02], [0.1]], {})
    assert [text.split("\N{NO-BREAK SPACE}")[-1] for text in told] == ["0.002", "0.02", "0.1"]
