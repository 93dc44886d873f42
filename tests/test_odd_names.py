"""Names of images, not UTF-8, with control characters, or Chinese: printed, drawn and written harmlessly."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from harness.cli.app import app
from harness.config import load_experiment
from harness.driver.jobs import make_jobs
from harness.errors import ConfigError, ImageError
from harness.figures import fallback
from harness.figures.files import figure_style, save
from harness.figures.text import FACES, font, printable, width_of
from harness.images.files import read_image
from harness.images.library import find_image
from harness.odd_names import escaped, unescaped

NAMES = {
    "not UTF-8": (b"caf\xe9.png", r"caf\xe9.png"),
    "a terminal's escapes": (b"a\x1b[31mred\x1b]0;title\x07.png", r"a\x1b[31mred\x1b]0;title\x07.png"),
    "a line break": (b"a\nb.png", r"a\x0ab.png"),
    "a carriage return": (b"a\rb.png", r"a\x0db.png"),
    "C1 controls": ("a\x9b31m.png".encode(), r"a\u009b31m.png"),
    "from right to left": ("a\u202egnp.exe.png".encode(), r"a\u202egnp.exe.png"),
    "YAML's line break": ("a\u2028b.png".encode(), r"a\u2028b.png"),
    "dots": (b"..\xff..png", r"..\xff..png"),
    "Chinese": ("山水.png".encode(), "山水.png"),
    "quotes": (b"a'b\"c$d`e`.png", "a'b\"c$d`e`.png"),
    "tags": (b"<script>alert(1)<x>.png", "<script>alert(1)<x>.png"),
    "YAML": (b"a: {b} [c], #d & *e.png", "a: {b} [c], #d & *e.png"),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("plain.png")
    return tmp_path


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_a_name_is_escaped_where_it_comes_in_and_found_again(name, shown):
    os.rename("plain.png", name)
    assert escaped(os.fsdecode(name)) == escaped(shown) == shown
    assert unescaped(shown) == os.fsdecode(name)
    np.testing.assert_array_equal(np.rint(read_image(find_image(shown)) * 255), PIXELS)
    Path("a.yaml").write_text("transfer: {style: strokes, content: coffee, size: 32, pyramid: []}\n")
    word = f"transfer.content={os.fsdecode(name)}" if not name.startswith(b"a:") else f"transfer.content={shown!r}"
    [job] = make_jobs(load_experiment(Path("a.yaml"), [word]), Path("runs"))
    assert job.transfer.content == shown and all(c.isprintable() for c in job.row.manifest.to_json().replace("\n", ""))
    job.folder.create(job.transfer, job.row.manifest)
    assert job.folder.transfer() == job.transfer


def test_a_folder_of_odd_names_is_an_axis_of_escaped_ones(folder):
    (folder / "photos").mkdir()
    for name, _ in NAMES.values():
        (folder / "photos" / os.fsdecode(name)).write_bytes(Path("plain.png").read_bytes())
    Path("a.yaml").write_text("transfer: {style: strokes, size: 32, pyramid: []}\naxes: {content: photos}\n")
    contents = [cell.transfer.content for cell in load_experiment(Path("a.yaml")).cells]
    names = [shown for _, shown in NAMES.values() if not shown.startswith(".")]  # those are hidden
    assert sorted(contents) == sorted(f"photos/{shown}" for shown in names)


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_a_sentence_about_an_odd_name_has_nothing_that_a_terminal_obeys(name, shown):
    Path(os.fsdecode(name)).write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        read_image(os.fsdecode(name))
    assert shown in str(caught.value) and str(caught.value).isprintable()
    Path("a.yaml").write_text("transfer: {style: strokes, content: coffee, size: 32}\n")
    with pytest.raises(ConfigError) as fault:
        make_jobs(load_experiment(Path("a.yaml"), [f"transfer.content={json.dumps(shown)}"]), Path("runs"))
    assert str(fault.value).isprintable()


@pytest.mark.long
def test_a_name_that_is_not_utf_8_goes_through_a_whole_run_and_wandb():
    name = b"caf\xe9 \x1b[31m.png"
    os.rename("plain.png", name)
    words = ["run", "single", f"transfer.content={os.fsdecode(name)}", "transfer.style=strokes", "transfer.size=32"]
    words += ["transfer.steps=2", "transfer.pyramid=[]", "transfer.style_layers={conv1_1: 1}", "axes.alpha=[0.01,0.1]"]
    words += ["transfer.content_layers={conv2_1: 1}", "--devices", "cpu", "--wandb", "offline"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "\x1b[31m" not in result.output and result.output.encode()
    folder = Path("runs/single")
    for path in ("experiment.yaml", "cells.json", "explore.html"):
        assert r"caf\xe9" in (folder / path).read_text().replace(r"\\", "\\"), path
    assert (folder / "figure.png").exists() and list((folder / "wandb").glob("offline-run-*"))
    shown = CliRunner().invoke(app, ["compare", str(folder), "--columns", "content"])
    assert shown.exit_code == 0 and "\x1b[31m" not in shown.output


def test_a_name_in_chinese_is_drawn_in_an_installed_font(folder, caplog, recwarn):
    path = fallback.fallback_for(frozenset("山水"))
    if path is None:
        pytest.skip("no font with Chinese characters is installed")
    text = printable(r"山水, $\alpha/\beta$ = $8\cdot10^{-4}$, \$5")
    assert text == r"山水, α/β = 8·10⁻⁴, \$5"
    assert width_of("山水", 20) == pytest.approx(40, abs=4)  # each is as wide as high: not two narrow boxes
    with figure_style():
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, text, fontproperties=font(20, text))
        save(figure, folder / "a.png", folder / "a.pdf")
    assert not caplog.records and not recwarn.list
    assert font(20, "plain").get_file() == font(20, "caf\xe9, α").get_file() == FACES["dejavusans"]  # as it was


def test_characters_that_no_font_has_are_said_once_and_replaced(monkeypatch, caplog, recwarn):
    monkeypatch.setattr(fallback, "_installed", lambda: [FACES["dejavusans"]])
    monkeypatch.setattr(fallback, "_told", set())
    fallback.fallback_for.cache_clear()
    with caplog.at_level(logging.WARNING):
        shown = [printable("山水 a"), printable("水 b"), printable("山水 c")]
    fallback.fallback_for.cache_clear()
    assert shown == ["\ufffd\ufffd a", "\ufffd b", "\ufffd\ufffd c"]
    [record] = caplog.records
    assert "山" in record.getMessage() and "fonts-noto-cjk" in record.getMessage() and not recwarn.list
