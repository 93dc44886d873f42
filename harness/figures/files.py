"""One style whatever the user's matplotlibrc; both files of a figure, whole or not at all, the same bytes every time.

matplotlib's settings are global to the process: drawing holds a lock, so that threads may draw at once. ``pyplot`` is
never imported, so nothing needs a screen.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from harness.config.figure import Font
from harness.figures.text import DPI
from harness.runs.store import write_durably

_LOCK = threading.RLock()

_FONTS: dict[Font, dict[Any, Any]] = {
    "sans": {"font.family": ["DejaVu Sans"], "mathtext.fontset": "dejavusans"},
    "times": {"font.family": ["STIXGeneral"], "mathtext.fontset": "stix"},
}
_SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: text stays text, and editable
    "text.hinting": "none",  # the PNG's glyphs as wide as the PDF's
    "image.composite_image": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def both(folder: Path, name: str) -> tuple[Path, Path]:
    """A figure's PNG and PDF."""
    return folder / f"{name}.png", folder / f"{name}.pdf"


@contextmanager
def figure_style(font: Font = "sans") -> Iterator[None]:
    """Matplotlib's defaults with this harness's settings, for as long as a figure is made and saved."""
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS | _FONTS[font])
        yield


def save(
    figure: Figure,
    path_png: Path,
    path_pdf: Path,
    before_pdf: Callable[[], None] | None = None,
    png_dpi: int = DPI,
) -> None:
    """Write a figure as PNG and as PDF with vector text; call it inside ``figure_style``.

    Args:
        figure: the figure.
        path_png: replaced.
        path_pdf: replaced.
        before_pdf: called between the two, e.g. to put in images of another resolution.
        png_dpi: the PNG's pixels per inch.

    Raises:
        StorageError: a folder or disk that cannot be written.
    """
    png, pdf = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure).print_figure(png, format="png", dpi=png_dpi, metadata={"Software": None})
    figure.set_layout_engine("none")  # as it was laid out for the PNG: both are alike
    if before_pdf:
        before_pdf()
    FigureCanvasPdf(figure).print_figure(
        pdf, format="pdf", dpi=DPI, metadata={"CreationDate": None, "Creator": None, "Producer": None}
    )
    write_durably(Path(path_png), png.getvalue())
    write_durably(Path(path_pdf), pdf.getvalue())
