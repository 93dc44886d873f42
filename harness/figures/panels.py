"""Grids of pictures as the papers have them: sources at the left, labelled rows and columns, α/β under each panel.

The layout is that of Gatys et al. 2016, figures 4 and 5, and arXiv 1508.06576, figure 3. Pictures are drawn pixel for
pixel in the PNG (axes on whole-pixel rectangles; tight boxes resample) and embedded at their own resolution in the PDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from harness.config.figure import Font
from harness.figures.arrange import arrange
from harness.figures.files import figure_style, save
from harness.figures.layout import Box, Label, Layout, Paper, Tile, Tiles, baselines
from harness.figures.text import DPI
from harness.figures.text import font as font_of
from harness.results.pictures import Pixels

INK = "#1a1a1a"
GREY_INK = "#5f5f5f"
GREY_BOX = "#ebebeb"


def draw_grid(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    title: str,
    path_png: Path,
    path_pdf: Path,
    scale: int = 1,
    paper: Paper | None = None,
    font: Font = "sans",
) -> None:
    r"""Draw a labelled grid and write it as PNG and PDF; the same arguments give the same bytes.

    All texts are matplotlib's (``$…$`` is mathematics); ``harness.figures.labels.format_value`` makes them from values.
    They wrap, then shrink, and are cut only where nothing else helps; they never overlap.

    Args:
        tiles: rows of equally many tiles. Pictures may differ in size; each keeps its pixels, centred in its cell.
            None leaves a place empty, among the sources too.
        column_labels: one above each column, or none at all.
        row_labels: one at the left of each row, reading upwards, or level, or above it where it would be broken there;
            or none at all.
        sources: the photograph and the style image, a little apart at the left, as many to a column as there are rows;
            scaled to their row's height. In print they stand in a line above rows whose pictures would be small.
        title: above everything; may be empty.
        path_png: where the PNG goes.
        path_pdf: where the PDF goes.
        scale: whole number ≥ 1: each pixel of a picture becomes scale × scale pixels of the PNG. It is a half, a third
            … where the PNG would be larger than can be drawn and opened; the PDF has all pixels.
        paper: how wide it is printed and how large type is there: the PDF's page is that wide, and the PNG has the
            same proportions, with a whole multiple of the scale where it would be coarser than 200 pixels an inch.
        font: of all texts.

    Raises:
        ValueError: no tiles, rows of different lengths, or labels of another number.
        UsageError: more pictures than can be drawn, or printed with type that can be read.
        StorageError: a file that cannot be written; neither a partial file nor a temporary one is left.
    """
    if not tiles or not tiles[0]:
        raise ValueError("A grid needs at least one tile.")
    if len({len(row) for row in tiles}) != 1:
        raise ValueError(f"Every row needs the same number of tiles, not {[len(row) for row in tiles]}.")
    for name, labels, num in (("column", column_labels, len(tiles[0])), ("row", row_labels, len(tiles))):
        if labels and len(labels) != num:
            raise ValueError(f"{len(labels)} {name} labels were given for {num} {name}s; give one for each, or none.")
    if scale < 1 or scale != int(scale):
        raise ValueError(f"scale is {scale!r}; a whole number of at least 1 is needed, so that pixels stay exact.")
    with figure_style(font):
        layout = arrange(tiles, column_labels, row_labels, sources, title, int(scale), paper)
        figure, images = draw(layout)
        save_drawn(figure, images, path_png, path_pdf, paper)


def save_drawn(
    figure: Figure,
    images: Sequence[tuple[AxesImage, Pixels]],
    path_png: Path,
    path_pdf: Path,
    paper: Paper | None = None,
) -> None:
    """Write what ``draw`` gave: the PNG with the pixels it shows, the PDF with the images' own, as wide as in print."""

    def for_pdf() -> None:
        for image, native in images:
            image.set_data(native)
        if paper:
            _resize(figure, paper.width_in)

    save(figure, path_png, path_pdf, before_pdf=for_pdf)


def _resize(figure: Figure, width_in: float) -> None:
    """Make a figure of panels and texts another size, with everything in it."""
    width, height = figure.get_size_inches()
    factor = width_in / width
    figure.set_size_inches(width_in, height * factor)
    for text in figure.texts:
        text.set_fontsize(text.get_fontsize() * factor)


def draw(layout: Layout) -> tuple[Figure, list[tuple[AxesImage, Pixels]]]:
    """The figure, and its images beside the pixels that the PDF gets."""
    figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI, facecolor="white")
    images = []
    for panel in layout.panels:
        left, bottom, width, height = _fractions(panel.box, layout)
        if panel.shown is None or panel.native is None:
            box = Rectangle((left, bottom), width, height, transform=figure.transFigure, color=GREY_BOX, linewidth=0)
            box.set_antialiased(False)
            figure.add_artist(box)
            continue
        axes = figure.add_axes((left, bottom, width, height))
        axes.set_axis_off()
        image = axes.imshow(panel.shown, interpolation="none", aspect="auto", extent=(0, 1, 0, 1))
        images.append((image, panel.native))
    for label in layout.labels:
        _draw_label(figure, label, layout)
    return figure, images


def _draw_label(figure: Figure, label: Label, layout: Layout) -> None:
    for line, baseline in zip(label.text.lines, baselines(label), strict=True):
        if label.rotated:
            x, y = baseline / layout.width, 1 - label.centre_px / layout.height
        else:
            x, y = label.centre_px / layout.width, 1 - baseline / layout.height
        figure.text(
            x, y, line, fontproperties=font_of(label.text.size_px, line), color=GREY_INK if label.grey else INK,
            ha="center", va="baseline", rotation=90 if label.rotated else 0, rotation_mode="anchor",
        )  # fmt: skip


def _fractions(box: Box, layout: Layout) -> tuple[float, float, float, float]:
    """Left, bottom, width, height as matplotlib counts them: in figure widths and heights, from the bottom left."""
    return (
        box.left / layout.width,
        1 - (box.top + box.height) / layout.height,
        box.width / layout.width,
        box.height / layout.height,
    )
