"""Pictures and YAML files as chance or malice damages them: a sentence, or what they still say; never anything else."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from harness.cli.app import app
from harness.config.reading import load_experiment, load_sweep
from harness.errors import ConfigError, ImageError
from harness.images.files import read_picture

KINDS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM")


def _encoded(kind: str) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


FILES = {kind: _encoded(kind) for kind in KINDS}

edits = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.15), st.floats(0, 1)),  # headers are what can be misread
        st.sampled_from(["flip", "cut", "insert", "repeat", "huge"]),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for where, what, data in changes:
        at = int(where * len(content))
        if what == "flip":
            content = content[:at] + data + content[at + len(data) :]
        elif what == "cut":
            content = content[:at] if at > 8 else content
        elif what == "insert":
            content = content[:at] + data + content[at:]
        elif what == "repeat":
            content = content[:at] + content[at // 2 : at] + content[at:]
        else:
            content = content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :]
    return content


def is_a_sentence(text: str) -> bool:
    """Whether a terminal shows it as it is, and it ends."""
    return text.endswith((".", ")")) and not any(unicodedata.category(c) == "Cc" for c in text.replace("\n", ""))


@given(kind=st.sampled_from(KINDS), changes=edits)
@settings(deadline=None, max_examples=350)
def test_damaged_picture_is_read_or_refused_by_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, str, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind.lower()}"
    path.write_bytes(damaged(FILES[kind], changes))
    try:
        picture = read_picture(path)
    except ImageError as error:
        assert is_a_sentence(str(error)) and path.name in str(error), str(error)
        return
    assert picture.colours.ndim == 3 and picture.colours.shape[2] == 3 and picture.colours.dtype == np.float32
    assert np.isfinite(picture.colours).all() and picture.colours.min() >= 0 and picture.colours.max() <= 1


FIELDS = ("content", "style", "size", "steps", "alpha", "weights", "style_layers", "optimiser", "pyramid", "start")
SECTIONS = (
    "transfer",
    "axes",
    "cases",
    "repeat",
    "figure",
    "claims",
    "profiles",
    "space",
    "tracking",
    "plugins",
    "base",
)

values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=6),
        st.sampled_from(["astronaut", "strokes", "../../etc/passwd", "!!python/object:os.system {}", "&a [*a]"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
files = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(st.sampled_from(SECTIONS), values, min_size=1, max_size=4).map(
        lambda data: "\n".join(f"{key}: {value!r}" for key, value in data.items()).encode("utf-8", "surrogatepass")
    ),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5).map(
        lambda data: (
            f"transfer: {{content: astronaut, style: strokes, **: {data!r}}}".replace("**: {", "")
            .replace("}}", "}")
            .encode("utf-8", "surrogatepass")
        )
    ),
)


@given(
    content=files, words=st.lists(st.text(max_size=12) | st.sampled_from(["axes.alpha=[1]", "transfer={}"]), max_size=2)
)
@settings(deadline=None, max_examples=300)
def test_any_yaml_is_an_experiment_or_is_refused_by_sentences(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, words: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    for load in (load_experiment, load_sweep):
        refused(load, path, words)


def refused(load: Any, path: Path, words: list[str]) -> None:
    try:
        load(path, words)
    except ConfigError as error:
        assert error.faults and all(fault.where and fault.message for fault in error.faults)


@pytest.mark.parametrize(
    "text",
    [
        "transfer: !!python/object/apply:os.system ['touch harmed']",
        "transfer: {content: !!python/name:os.getcwd '', style: strokes}",
        "!!python/object/new:pathlib.Path [harmed]",
    ],
)
def test_yaml_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_experiment(Path("one.yaml"))
    assert not Path("harmed").exists()


def test_yaml_that_multiplies_itself_is_refused_at_once(tmp_path: Path) -> None:
    """A billion laughs: nine lines of references to the line before."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 10)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join([*lines, "transfer: {content: astronaut, style: *a9}"]))
    with pytest.raises(ConfigError):
        load_experiment(path)


def test_what_steers_a_terminal_is_shown_and_not_sent(tmp_path: Path, undrawn: None) -> None:
    """A colleague's YAML clears no screen: in a case's name, a claim, a fault, an override."""
    claim = '{says: "it \\e[2J rises", where: "\\x07", measure: total, along: alpha, expect: rises, because: x}'
    path = tmp_path / "one.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 32, steps: 2, pyramid: [], content_layers: {conv1_1: 1}, "
        f"style_layers: {{conv1_1: 1}}, start: content}}\naxes: {{alpha: [0.1, 1]}}\nclaims: [{claim}]\n"
    )
    words = ["run", str(path), "--out", str(tmp_path / "runs"), "--devices", "cpu", "--wandb", "off"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0 and "it \\x1b[2J" in told.output, told.output
    for more in (["--markdown"], []):
        told_again = CliRunner().invoke(app, ["claims", str(tmp_path / "runs" / "one"), *more])
        assert "\x1b[2J" not in told_again.output and "\x07" not in told_again.output
    assert "\x1b[2J" not in told.output and "\x07" not in told.output
    refused = CliRunner().invoke(app, ["run", str(path), "trans\x1b[2Jfer=1"])
    assert refused.exit_code == 2 and "\\x1b[2Jfer" in refused.output and "\x1b[2J" not in refused.output
