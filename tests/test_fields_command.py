"""``harness fields``: everything that may be said in a file, printed from the models that read it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.fields import LISTS, _registered
from harness.config import Transfer
from harness.config.describing import Described, describe, fields_of_transfer, sections
from harness.config.experiment import Experiment
from harness.config.layers import LAYERS
from harness.config.sweep import Sweep
from harness.registries import Registry
from harness.registries.registry import _own


def printed(*words: str) -> str:
    result = CliRunner().invoke(app, ["fields", *words])
    assert result.exit_code == 0, result.output
    return "\n".join(" ".join(line.split()) for line in result.output.splitlines())


def all_fields(fields: Iterable[Described]) -> Iterator[Described]:
    for field in fields:
        yield field
        for _, inner in field.parts.values():
            yield from all_fields(inner)


def test_every_field_of_every_model_says_what_it_is() -> None:
    """A new field is described in its model's docstring, under ``Attributes``."""
    assert [field.name for field in all_fields([*fields_of_transfer(), *sections()]) if not field.text] == []
    assert {field.name for field in fields_of_transfer()} == set(Transfer.model_fields)
    assert {field.name for field in sections()} == {"base", *Experiment.model_fields, *Sweep.model_fields}


def test_all_fields_stand_in_a_table_with_their_defaults() -> None:
    text = printed()
    for line in (
        "content needed The photograph.", "alpha 0.001 Weight α of the content.",
        "size 512 Longer side of the picture, px.",
        "optimiser lbfgs What minimises the loss.", "segmentation none Which regions of photograph and painting belong",
        "base The file that this one is laid over.", "space The dimension of each dotted field to search.",
    ):  # fmt: skip
        assert line in text


def test_it_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.console.WIDTH_WITHOUT_TERMINAL", 80)
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("optimiser",), ("claims.measure",), ("conventions",), ("images",)):
        output = CliRunner().invoke(app, ["fields", *words]).output
        assert max(map(len, output.splitlines())) <= 80
        assert "…" not in output.replace("{…}", "").replace("=…", "").replace("[…]", "").replace(": …", "").replace(
            ", …}", ""
        )


@pytest.mark.parametrize(
    "name, expected",
    [
        ("alpha", ["transfer.alpha", "allowed a finite number ≥ 0", "default 0.001", "unused by method quilting"]),
        ("transfer.alpha", ["override transfer.alpha=…", "vary axes: {alpha: […]}", "figures 3 (Turner), 5 and 6"]),
        (
            "optimiser",
            ["lbfgs: L-BFGS", "optimiser.history 20 Curvature pairs", "adam: Adam", "(an integer ≥ 1 and ≤ 200)"],
        ),
        ("optimiser.bounds", ["of lbfgs", "default source", "of adam", "default none", "one of none, unit, source"]),
        ("quilting.block", ["Side of a block, px.", "default 36", "unused by method gatys"]),
        ("claims.measure", ["A loss, or a registered measure", "default none, it is needed"]),
        ("space", ["log: A float between two bounds > 0", "simplex: Weights > 0 that sum to 1"]),
        ("space.log", ["A float between two bounds > 0"]),
        ("style.strokes.mask", ["transfer.style.NAME.mask", "white is inside"]),
        ("style_layers.conv1_1", ["The weight of this layer. 0 switches it off."]),
        ("sampler.population", ["sampler.population, of nsga2", "default 20"]),
        ("pyramid.size", ["Longer side, px.", "allowed an integer ≥ 16 and ≤ 8192"]),
        ("base", ["Relative to this file's folder"]),
        ("measures", ["reference_style", "own_style_margin", "total The kept picture's own loss"]),
        ("conventions", ["printed α·½ Σ (F − P)² + β·Σ w_l 1/(4N²) Σ (G/M − A/M)² Gatys et al. 2016"]),
        ("images", ["astronaut photograph 512×512 Eileen Collins, NASA (public domain)", "starry_night paper"]),
        ("layers", [*LAYERS]),
    ],
)
def test_everything_about_one_name(name: str, expected: list[str]) -> None:
    text = printed(name)
    for words in expected:
        assert words in text, text


def test_what_cannot_be_overridden_by_itself_does_not_say_how() -> None:
    assert "override" not in printed("pyramid.size") and "override" not in printed("claims.measure")
    assert "override transfer.style.NAME.mask=…" in printed("style.mask")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("optimizer", "There is no field 'optimizer'; did you mean optimiser?"),
        ("transfer.alpa", "There is no field 'alpa'; did you mean alpha?"),
        ("quilting.blok", "There is no field of quilting 'blok'; did you mean block?"),
        ("measure", "did you mean measures?"),
        ("alpha.x", "There is no field of alpha 'x'; allowed: nothing."),
        ("zzz", "There is no field 'zzz'; allowed: method, content, style,"),
    ],
)
def test_unknown_name_gets_the_one_that_was_meant(name: str, expected: str) -> None:
    result = CliRunner().invoke(app, ["fields", name])
    assert result.exit_code == 2 and expected in result.output


def test_lists_show_what_is_registered() -> None:
    registry: Registry[object] = Registry("thing", ())

    def mine() -> None:
        """What it is.

        And more.
        """

    with _own():
        registry("mine")(mine)
    assert list(_registered(registry)) == [("mine", "What it is.")]
    assert {"measures", "style_statistics", "terms", "networks", "methods"} <= set(LISTS)


def test_bundled_text_of_a_default_is_its_own() -> None:
    [size] = describe("size")
    assert size.default == Transfer.model_fields["size"].default and size.short == "Longer side of the picture, px."


@pytest.mark.parametrize(
    "words, told",
    [
        (["fields"], "Longer side of the picture"),
        (["fetch", "images", "nothing"], "There are no images named 'nothing'"),
        (["fetch", "weights", "vgg16", "--from", "nowhere.tar.gz"], "nowhere.tar.gz"),
    ],
)
def test_command_answers_without_torch(tmp_path: Path, words: list[str], told: str) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from harness.cli.app import app; "
        f"print(CliRunner().invoke(app, {words}).output); sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "HARNESS_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and told in done.stdout, done.stdout + done.stderr
