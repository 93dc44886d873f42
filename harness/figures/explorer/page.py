"""The explorer's page, written: its own text, style and scripts, Bokeh's JavaScript, and what there is to show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from harness.errors import StorageError
from harness.figures.explorer.contents import contents
from harness.results import Results
from harness.results.results import EXPLORER
from harness.runs.store import write_durably

HERE = Path(__file__).parent

OWN = ("page.css", "page.js", "table.js", "plots.js")

LIBRARY = ("bokeh.min.js", "bokeh-api.min.js")
"""Of the charting library, as its Python package has them. plotly's one file is several times as large: more than most
experiments' pictures."""


def write_explorer(results: Results) -> Path:
    """Write the page of an experiment or a sweep into its folder, as ``explore.html``; nothing is computed.

    Pictures are named relative to the page, so that the folder can be moved, or served, as a whole. The same runs give
    the same bytes.

    Args:
        results: as ``harness.results.load_whole`` gives them: some of the runs would replace the page of all.

    Returns:
        The page.

    Raises:
        StorageError: it cannot be written, or Bokeh's JavaScript is not where its package has it.
    """
    path = results.folder / EXPLORER
    text = page(contents(results, lambda file: relative_href(file, results.folder)))
    if not path.is_file() or path.read_bytes() != text.encode():  # else it stands as a finished run left it
        write_durably(path, text)
    return path


def relative_href(file: Path, folder: Path) -> str:
    """How a page in a folder names a file."""
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def page(data: Mapping[str, Any]) -> str:
    """The page's HTML.

    Args:
        data: as ``contents`` gives it.

    Raises:
        StorageError: as of ``write_explorer``.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    own = {name.replace(".", "_"): Markup((HERE / name).read_text(encoding="utf-8")) for name in OWN}
    return environment.get_template("page.html").render(data=data, library=_library(), **own)


@cache
def _library() -> Markup:
    """Bokeh's JavaScript, found without importing Bokeh."""
    spec = find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise StorageError("The explorer's plots need bokeh, which is gone; install harness again: pip install -e .")
    folder = Path(spec.origin).parent / "server" / "static" / "js"
    try:
        texts = [(folder / name).read_text(encoding="utf-8") for name in LIBRARY]
    except OSError as error:
        raise StorageError(
            f"The explorer's plots need {error.filename}, which cannot be read ({error.strerror}); install bokeh "
            "again: pip install --force-reinstall --no-deps bokeh."
        ) from error
    return Markup("\n".join(texts).replace("</script", r"<\/script"))
