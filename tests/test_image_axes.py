"""A folder or a pattern of images as an axis: its sorted files; a sentence where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.config import load_experiment
from harness.errors import ConfigError
from harness.images.files import write_png

REST = "size: 48, steps: 2, pyramid: [], content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two photographs, two paintings and what is no image."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("photos/b.png", "photos/a.PNG", "paintings/night.png", "paintings/old [1]/dusk.png")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_png(Path(name), np.full((64, 80, 3), k / 10))
    Path("photos/notes.txt").write_text("no image")
    Path("empty").mkdir()


def values_of(axes: str, *words: str, rest: str = "") -> list[dict[str, object]]:
    """The labels of the cells."""
    Path("a.yaml").write_text(f"transfer: {{content: coffee, style: ink, {REST}}}\n{axes}\n{rest}")
    return [dict(cell.label) for cell in load_experiment("a.yaml", words).cells]


@pytest.mark.parametrize("given", ["photos", "photos/", "'photos/*'", "ABSOLUTE/photos"])
def test_folder_is_its_sorted_images(given: str) -> None:
    found = values_of(f"axes: {{content: {given.replace('ABSOLUTE', os.getcwd())}}}")
    assert [Path(str(label["content"])).name for label in found] == ["a.PNG", "b.png"]


def test_pattern_and_folder_make_a_grid_also_as_an_override() -> None:
    wanted = [{"content": content, "style": "paintings/night.png"} for content in ("photos/a.PNG", "photos/b.png")]
    assert values_of("axes: {content: photos, style: 'paintings/*.png'}") == wanted
    assert values_of("axes: {style: paintings/}", "axes={content: photos/*, style: paintings}") == wanted
    deep = values_of("axes: {style: 'paintings/**'}")
    assert [label["style"] for label in deep] == ["paintings/night.png", "paintings/old [1]/dusk.png"]
    assert values_of("axes: {style: 'paintings/old [1]/'}") == [{"style": "paintings/old [1]/dusk.png"}]


def test_claims_and_profiles_know_the_files() -> None:
    claim = "claims:\n  - {says: x, where: y, measure: ssim, of: {content: photos/c.png}, expect: equal, because: z}\n"
    with pytest.raises(ConfigError, match="no cell has content 'photos/c.png'"):
        values_of("axes: {content: photos/}", rest=claim)
    Path("a.yaml").write_text(
        f"transfer: {{content: coffee, style: ink, {REST}}}\nprofiles: {{mine: {{axes: {{content: photos}}}}}}\n"
    )
    assert len(load_experiment("a.yaml", (), "mine").cells) == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("'photos/*.jpg'", r"a.yaml:2: axes.content: no image file matches 'photos/\*.jpg' \(from /"),
        ("empty/", "a.yaml:2: axes.content: there is no image file in the folder 'empty/'"),
        ("nowhere/", "a.yaml:2: axes.content: there is no folder 'nowhere/'"),
        ("coffee", "a.yaml:2: axes.content: got 'coffee'; allowed: a list"),
    ],
)
def test_where_none_match_there_is_one_sentence(given: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        values_of(f"axes: {{content: {given}}}\nfigure: {{columns: content}}")
    assert len(caught.value.faults) == 1
    if given != "coffee":
        with pytest.raises(ConfigError, match="axes.content") as caught:
            values_of("", f"axes.content={given}")
        assert len(caught.value.faults) == 1


def test_mapping_keeps_the_pattern_and_its_runs_are_the_files(undrawn: None) -> None:
    given = {"transfer": {"style": "ink", "size": 48, "steps": 2, "pyramid": [], "content_layers": {"conv1_1": 1},
                          "style_layers": {"conv1_1": 1}}, "axes": {"content": "photos/*"}}  # fmt: skip
    results = harness.run(given, name="mine", devices="cpu", wandb="off", progress=False)
    assert [run.label for run in results.runs] == [{"content": "photos/a.PNG"}, {"content": "photos/b.png"}]
    assert "content: photos/*" in Path("runs/mine/mine.yaml").read_text()
