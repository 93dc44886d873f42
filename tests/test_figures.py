"""Figures: pixel-exact pictures, text that never overlaps, the same bytes every time."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from harness.errors import StorageError
from harness.figures.arrange import arrange
from harness.figures.curves import LINE_STYLES, PALETTE, _curves, default_looks, draw_curves, mean_history
from harness.figures.files import figure_style
from harness.figures.labels import format_value
from harness.figures.layout import Tile, fitted
from harness.figures.panels import GREY_BOX, draw, draw_grid
from harness.figures.text import fit, printable, width_of

FIVE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # a figure takes 0.2 s, and shrinking hundreds of them
GREY = tuple(int(GREY_BOX[k : k + 2], 16) for k in (1, 3, 5))


def noise(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def positions(picture: np.ndarray, page: np.ndarray) -> list[tuple[int, int]]:
    """Every (top, left) at which the page holds exactly the picture's pixels."""
    height, width = picture.shape[:2]
    corners = np.argwhere((page[: 1 - height or None, : 1 - width or None] == picture[0, 0]).all(-1))
    return [
        (int(top), int(left))
        for top, left in corners
        if np.array_equal(page[top : top + height, left : left + width], picture)
    ]


def page_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def grid(folder: Path, tiles, column_labels=(), row_labels=(), sources=(), title="", scale=1) -> np.ndarray:
    draw_grid(tiles, column_labels, row_labels, sources, title, folder / "f.png", folder / "f.pdf", scale)
    return page_of(folder / "f.png")


def pdf_text(path: Path) -> str:
    """The characters that a PDF shows, in order, from its uncompressed page descriptions."""
    content = path.read_bytes()
    streams = re.findall(rb"/FlateDecode >>\nstream\n(.*?)\nendstream", content, re.DOTALL)
    pages = [text for stream in streams if b" Tf" in (text := zlib.decompress(stream))]
    text = "".join(s.decode("latin-1") for page in pages for s in re.findall(rb"\(((?:\\.|[^()\\])*)\)", page))
    return text.replace("\0", "")  # newer matplotlibs write two bytes a character


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1e-4, "$10^{-4}$"),
        (1e-3, "$10^{-3}$"),
        (1e-1, "$10^{-1}$"),
        (8e-4, r"$8\cdot10^{-4}$"),
        (2.34567e-5, r"$2.346\cdot10^{-5}$"),
        (0.25, "0.25"),
        (1 / 3, "0.3333"),
        (1.0, "1"),
        (0, "0"),
        (0.0, "0"),
        (1, "1"),
        (-2.5, "\N{MINUS SIGN}2.5"),
        (100.0, "100"),
        (1e6, "$10^{6}$"),
        (1234567, r"$1.235\cdot10^{6}$"),
        (512, "512"),
        (True, "yes"),
        (None, "none"),
        ("noise", "noise"),
        ("conv4_2", "conv4_2"),
        ("a$b$c", r"a\$b\$c"),
        ({"conv4_2": 1}, "conv4_2"),
        ({"conv4_2": 2}, "conv4_2: 2"),
        (dict.fromkeys(FIVE, 0.2), "conv1_1, 2_1, 3_1, 4_1, 5_1"),
        (dict.fromkeys(FIVE[:2], 0.2), "conv1_1, 2_1: 0.2 each"),
        ({"conv2_1": 0.75, "conv1_1": 0.25, "conv5_1": 0}, "conv1_1: 0.25, 2_1: 0.75"),
        ({"conv2_1": 0}, "none"),
        ({}, "none"),
        ({"name": "adam", "learning_rate": 0.02}, "adam, learning_rate: 0.02"),
        ([1e-3, "x"], "$10^{-3}$, x"),
    ],
)
def test_values_stand_in_a_figure_as_in_a_paper(value, label):
    assert format_value(value) == label


@settings(
    max_examples=10, deadline=None, phases=NO_SHRINKING, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_rows=st.integers(1, 3), num_columns=st.integers(1, 4), height=st.integers(3, 70), width=st.integers(3, 70),
    labelled=st.booleans(), title=st.sampled_from(["", "A title"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_tile_stands_in_the_png_pixel_for_pixel(
    tmp_path, num_rows, num_columns, height, width, labelled, title, seed
):
    tiles = [
        [Tile(noise(seed + 10 * i + j, height, width), "$10^{-4}$" if labelled else "") for j in range(num_columns)]
        for i in range(num_rows)
    ]
    columns, rows = [f"c{j}" for j in range(num_columns)], [f"r{i}" for i in range(num_rows)]
    content = Tile(noise(1000, height, width), "content")
    page = grid(tmp_path, tiles, columns * labelled, rows * labelled, [content], title)
    found = [[positions(tile.image, page) for tile in row] for row in tiles]
    assert all(len(places) == 1 for row in found for places in row)
    for row in found:
        assert len({places[0][0] for places in row}) == 1
    for column in zip(*found, strict=True):
        assert len({places[0][1] for places in column}) == 1


def test_tiles_of_different_sizes_keep_their_pixels(tmp_path):
    tiles = [
        [Tile(noise(1, 40, 60), "a"), Tile(noise(2, 64, 32), "b")],
        [Tile(noise(3, 20, 20)), Tile(noise(4, 33, 47))],
    ]
    page = grid(tmp_path, tiles)
    assert all(len(positions(tile.image, page)) == 1 for row in tiles for tile in row)


def test_scale_repeats_every_pixel(tmp_path):
    tile = noise(1, 20, 30)
    page = grid(tmp_path, [[Tile(tile)]], scale=3)
    assert len(positions(np.kron(tile, np.ones((3, 3, 1), np.uint8)), page)) == 1


def test_sources_come_first_a_little_apart_with_the_content_pixel_for_pixel(tmp_path):
    content, *results = (noise(seed, 90, 120) for seed in (9, 1, 2))
    style = np.full((30, 45, 3), (255, 0, 255), np.uint8)
    page = grid(tmp_path, [[Tile(r, "x") for r in results]], (), (), [Tile(content, "content"), Tile(style, "style")])
    (top, left), first, second = positions(content, page)[0], *(positions(r, page)[0] for r in results)
    style_columns = np.flatnonzero((page == (255, 0, 255)).all(-1).any(0))
    assert left < style_columns[0] < style_columns[-1] < first[1] < second[1]
    assert top == first[0]
    between_results = second[1] - (first[1] + 120)
    assert first[1] - style_columns[-1] - 1 >= 2 * between_results


@pytest.mark.parametrize(("height", "width"), [(30, 45), (90, 60), (400, 300), (10, 16)])
def test_a_style_image_of_any_proportions_is_fitted_to_the_rows_height(tmp_path, height, width):
    style = np.full((height, width, 3), (255, 0, 255), np.uint8)
    page = grid(tmp_path, [[Tile(noise(1, 60, 60))]], (), (), [Tile(style, "style")])
    rows, columns = np.nonzero((page == (255, 0, 255)).all(-1))
    assert rows.max() - rows.min() + 1 == 60
    assert columns.max() - columns.min() + 1 == pytest.approx(60 * width / height, abs=1)


def test_beside_several_rows_the_sources_stand_one_above_the_other(tmp_path):
    tiles = [[Tile(noise(1)), Tile(noise(2))], [Tile(noise(3)), Tile(noise(4))]]
    sources = [Tile(noise(5), "content"), Tile(noise(6), "style")]
    page = grid(tmp_path, tiles, (), (), sources)
    content, style = (positions(s.image, page)[0] for s in sources)
    assert content[1] == style[1]
    assert content[0] == positions(tiles[0][0].image, page)[0][0]
    assert style[0] >= positions(tiles[1][0].image, page)[0][0]


def test_a_missing_cell_is_a_grey_box_of_a_tiles_size_with_its_reason_in_words(tmp_path):
    tiles = [
        [Tile(noise(1, 128, 160), "a"), Tile(None, "b", "failed: turned NaN")],
        [Tile(noise(2, 128, 160)), Tile(None)],
    ]
    page = grid(tmp_path, tiles)
    rows, columns = np.nonzero((page == GREY).all(-1))
    top, left = positions(tiles[0][0].image, page)[0]
    below = positions(tiles[1][0].image, page)[0][0]
    assert (rows.min(), rows.max()) == (top, below + 127)
    assert columns.max() - columns.min() + 1 == 160 and columns.min() > left + 159
    shown = pdf_text(tmp_path / "f.pdf").replace(" ", "")
    assert "failed:turnedNaN" in shown and "missing" in shown


def test_a_grid_without_any_picture_is_still_drawn(tmp_path):
    page = grid(
        tmp_path, [[Tile(None, "", "not begun")] * 2] * 2, ["a", "b"], ["c", "d"], [Tile(None, "content", "gone")]
    )
    assert (page == GREY).all(-1).mean() > 0.3


WORDS = st.one_of(
    st.sampled_from(
        ["", r"$\alpha/\beta$ = $8\cdot10^{-4}$", "conv1_1, 2_1, 3_1, 4_1, 5_1", "$x", "$\\frac{$ $", "日本 α ☃"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60),
    st.text("ab_/ ", min_size=30, max_size=90),
)


@settings(max_examples=12, deadline=None, phases=NO_SHRINKING)
@given(captions=st.lists(WORDS, min_size=12, max_size=12), title=WORDS, side=st.sampled_from([24, 64, 150]))
@example(captions=["W" * 70, r"$\alpha/\beta$ = $8.125\cdot10^{-4}$"] * 6, title="word " * 90, side=24)
@example(captions=["$" + "x" * 80 + "$", "a\nb\nc\nd\ne"] * 6, title="x" * 500, side=64)
@example(captions=[""] * 10 + ["a caption of several lines for the first source", "style"], title="", side=64)
def test_no_text_overlaps_another_or_a_picture_or_leaves_the_page(captions, title, side):
    names = iter(captions)
    above = (noise(4, 30, 70), noise(5, 40, 20))
    tiles = [
        [Tile(noise(1, side, side + 9), next(names)), Tile(None, next(names), next(names), above), None]
        for _ in range(2)
    ]
    columns, rows = [next(names), next(names), ""], [next(names), next(names)]
    sources = [Tile(noise(2, side, side), next(names)), Tile(noise(3, side, 5 * side), next(names)), None]
    with figure_style():
        layout = arrange(tiles, columns, rows, sources, title, 1)
        figure, _ = draw(layout)
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text.get_window_extent(renderer).extents for text in figure.texts]
    heights = [layout.height - p.box.top - p.box.height for p in layout.panels if p.shown is not None]
    pictures = [
        np.array([p.box.left, bottom, p.box.left + p.box.width, bottom + p.box.height])
        for p, bottom in zip((p for p in layout.panels if p.shown is not None), heights, strict=True)
    ]
    pairs = (itertools.combinations(texts, 2), itertools.product(texts, pictures), itertools.combinations(pictures, 2))
    for a, b in itertools.chain(*pairs):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert width <= 1 or height <= 1, "two boxes overlap by more than a pixel"
    for x0, y0, x1, y1 in texts:
        assert x0 >= -1 and y0 >= -1 and x1 <= layout.width + 1 and y1 <= layout.height + 1


@settings(max_examples=25, deadline=None)
@given(text=WORDS, width=st.integers(60, 400), max_lines=st.integers(1, 3))
def test_fitted_text_keeps_to_its_width_and_loses_nothing_but_after_an_ellipsis(text, width, max_lines):
    with figure_style():
        (block,) = fit([text], [width], 14, max_lines)
        assert len(block.lines) <= max_lines
        assert all(width_of(line, block.size_px) <= width for line in block.lines)
        shown, whole = "".join("".join(block.lines).split()), "".join(printable(text).split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


def test_a_group_of_texts_has_one_size():
    with figure_style():
        short, long = fit(["a", "a somewhat longer caption"], [150, 150], 16, 1)
    assert short.size_px == long.size_px < 16


@pytest.mark.parametrize("text", [r"$\frac{1$", "$\\nosuchcommand$", "5$", "a $ b $ c $"])
def test_mathematics_that_does_not_parse_is_shown_as_typed(text):
    with figure_style():
        shown = printable(text)
    assert shown.replace(r"\$", "$") == text and re.search(r"(?<!\\)\$", shown) is None


def files_of(folder: Path) -> tuple[bytes, bytes]:
    folder.mkdir(exist_ok=True)
    sources = [Tile(noise(8), "content"), Tile(noise(9, 80, 90), "style")]
    tiles = [[Tile(noise(1, 100, 120), r"$\alpha/\beta$ = $10^{-4}$"), Tile(None, "b", "not begun")]]
    grid(folder, tiles, ["one", "two"], ["row"], sources, "Title")
    return (folder / "f.png").read_bytes(), (folder / "f.pdf").read_bytes()


def test_the_same_grid_gives_the_same_bytes_whatever_the_users_settings_and_in_threads(tmp_path):
    first = files_of(tmp_path / "a")
    with matplotlib.rc_context({"font.size": 31, "savefig.facecolor": "red", "pdf.compression": 0, "savefig.dpi": 33}):
        assert files_of(tmp_path / "b") == first
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(files_of, [tmp_path / f"t{k}" for k in range(3)])) == [first] * 3


def test_another_process_with_other_hashes_gives_the_same_bytes_and_needs_no_pyplot(tmp_path):
    code = "import sys, pathlib, tests.test_figures as t; t.files_of(pathlib.Path(sys.argv[1])); "
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], check=True, cwd=root, env=environment)
    assert [(tmp_path / "other" / f"f.{e}").read_bytes() for e in ("png", "pdf")] == [*files_of(tmp_path / "here")]


def test_files_say_nothing_of_when_and_with_what_they_were_made(tmp_path):
    _, pdf = files_of(tmp_path)
    with Image.open(tmp_path / "f.png") as image:
        assert set(image.info) == {"dpi"}
    for word in (b"CreationDate", b"ModDate", b"Producer", b"Creator"):
        assert word not in pdf


def test_the_pdf_has_text_as_text_and_pictures_at_their_own_resolution(tmp_path):
    _, pdf = files_of(tmp_path)
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert "content" in pdf_text(tmp_path / "f.pdf") and "notbegun" in pdf_text(tmp_path / "f.pdf").replace(" ", "")
    entries = [line for line in pdf.splitlines() if b"/Subtype /Image" in line]
    sizes = {tuple(int(re.search(rb"/%s (\d+)" % key, e)[1]) for key in (b"Height", b"Width")) for e in entries}
    assert sizes == {(40, 50), (80, 90), (100, 120)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tiles": []}, "at least one tile"),
        ({"tiles": [[]]}, "at least one tile"),
        ({"tiles": [[Tile(None)], [Tile(None)] * 2]}, r"same number of tiles, not \[1, 2\]"),
        ({"tiles": [[Tile(None)]], "column_labels": ["a", "b"]}, "2 column labels were given for 1 columns"),
        ({"tiles": [[Tile(None)]], "row_labels": ["a", "b"]}, "2 row labels were given for 1 rows"),
        ({"tiles": [[Tile(None)]], "scale": 0}, "scale is 0"),
        ({"tiles": [[Tile(None)]], "scale": 1.5}, "scale is 1.5"),
    ],
)
def test_a_grid_that_cannot_be_drawn_is_refused_with_a_sentence(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        grid(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_a_tile_of_another_kind_is_refused(image):
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        Tile(image)


def test_a_folder_that_is_not_there_is_a_storage_error_and_an_old_figure_stays(tmp_path):
    with pytest.raises(StorageError, match="could not be written"):
        draw_grid([[Tile(None)]], (), (), (), "", tmp_path / "no" / "f.png", tmp_path / "no" / "f.pdf")
    (tmp_path / "f.png").write_bytes(b"old")
    (tmp_path / "f.pdf").mkdir()
    with pytest.raises(StorageError, match="f.pdf could not be written"):
        grid(tmp_path, [[Tile(None)]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.pdf", "f.png"]


def test_fitted_keeps_or_repeats_pixels_where_it_can():
    tile = noise(1, 6, 8)
    assert np.array_equal(fitted(tile, 8, 6), tile)
    assert np.array_equal(fitted(tile, 24, 18), np.kron(tile, np.ones((3, 3, 1), np.uint8)))
    assert fitted(tile, 11, 9).shape == (9, 11, 3)


def test_fitted_shrinks_without_aliasing():
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = fitted(stripes, 15, 15)[2:-2, 2:-2].astype(float)
    assert np.abs(inner - 127.5).max() < 30


HISTORY = [
    {"evaluation": 1, "seconds": 0.1, "total": 8.0, "content": 0.0, "style": 3.0},
    {"evaluation": 2, "seconds": 0.2, "total": float("nan"), "content": 2.0, "style": 2.0},
    {"evaluation": 10, "seconds": 1.0, "total": 4.0, "content": 3.0, "style": 1.0},
]


def test_curves_show_each_runs_losses_on_log_axes_with_gaps_where_there_is_nothing_to_show():
    with figure_style():
        figure = _curves({"first": HISTORY, "second": HISTORY[1:]}, default_looks(2))
    assert [axes.get_title() for axes in figure.axes] == 2 * ["total", "content", "style"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
    along_of = 3 * ["evaluation"] + 3 * ["seconds"]
    for along, axes, expected in zip(
        along_of, figure.axes, 2 * [[8, np.nan, 4], [np.nan, 2, 3], [3, 2, 1]], strict=True
    ):
        assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_xlabel() == along
        first, second = axes.get_lines()
        np.testing.assert_array_equal(first.get_ydata(), expected)
        np.testing.assert_array_equal(second.get_ydata(), expected[1:])
        shown = ~np.isnan(expected)
        np.testing.assert_array_equal(first.get_xdata()[shown], np.array([row[along] for row in HISTORY])[shown])
        assert first.get_color() != second.get_color()


def test_seeds_are_thin_lines_of_their_means_colour():
    twice = [{**line, "style": 2 * line["style"]} for line in HISTORY]
    mean = mean_history([HISTORY, twice])
    assert [line["style"] for line in mean] == [4.5, 3.0, 1.5] and np.isnan(mean[1]["total"])
    assert [line["evaluation"] for line in mean_history([HISTORY, twice[1:]])] == [2, 10]
    with figure_style():
        figure = _curves({"alone": HISTORY, "two": mean}, default_looks(2), {"two": [HISTORY, twice]})
    first, second, alone, both = figure.axes[2].get_lines()
    assert [line.get_ydata().tolist() for line in (first, second, both)] == [[3, 2, 1], [6, 4, 2], [4.5, 3, 1.5]]
    assert first.get_color() == second.get_color() == both.get_color() != alone.get_color()
    assert first.get_linewidth() < both.get_linewidth()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["alone", "two"]


def test_28_runs_look_different():
    assert len(set(default_looks(28))) == 28 == len(set(PALETTE)) * len({repr(style) for style in LINE_STYLES})


@pytest.mark.parametrize(
    "histories", [{"a": HISTORY, "b" * 300: HISTORY}, {f"run {k}": HISTORY for k in range(40)}, {"x": []}]
)
def test_curves_are_written_the_same_every_time(tmp_path, histories):
    contents = []
    for name in ("a", "b"):
        draw_curves(histories, tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
        contents.append([(tmp_path / f"{name}.{ending}").read_bytes() for ending in ("png", "pdf")])
    assert contents[0] == contents[1]
    assert page_of(tmp_path / "a.png").shape[1] == 1280


def test_curves_without_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one run"):
        draw_curves({}, tmp_path / "a.png", tmp_path / "a.pdf")
