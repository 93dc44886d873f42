"""What is said of claims before anything is computed: a measure that cannot be had, seeds that are too few."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.claims.verdicts import SEEDS_NEEDED
from harness.cli.app import app

LPIPS = (
    "Claim 1: lpips needs VGG-16, which is not on this machine, and will not be measured: fetch it before, "
    "`harness fetch weights vgg16`, or the same command again measures it then."
)
SEEDS = (
    "Noise is the start, and a cell is to be measured over 2 of the 3 seeds that this needs; "
    "`repeat: [{seeds: [1, 2]}]` adds two (`harness fields repeat`)."
)
FILE = """
transfer: {content: astronaut, style: strokes, size: 32, steps: 1}
axes: {alpha: [0.1, 1], start: [content, noise]}
repeat: [{seeds: [1]}]
claims:
  - {says: A, where: fig. 4, measure: lpips, along: alpha, expect: falls, because: b}
  - {says: B, where: fig. 4, measure: ssim, along: alpha, of: {start: content}, expect: rises, because: b}
  - {says: C, where: f. 6, measure: ssim, of: {start: content}, than: {start: noise}, expect: greater_than, because: b}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))  # without VGG-16
    path = tmp_path / "mine.yaml"
    path.write_text(FILE)
    return path


def typed(*words: object) -> str:
    result = CliRunner().invoke(app, ["run", *map(str, words), "--devices", "cpu:1", "--wandb", "off"])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_dry_run_says_what_claims_lack(file: Path) -> None:
    told = typed(file, "--dry-run").splitlines()
    assert LPIPS in told and f"Claims 1, 3: {SEEDS}" in told


def test_nothing_is_said_where_nothing_lacks(file: Path) -> None:
    file.write_text(FILE.replace("lpips", "ssim").replace("[1]", "[1, 2]"))
    assert "Claim" not in typed(file, "--dry-run")


@pytest.mark.usefixtures("undrawn")
def test_a_run_says_it_before_it_computes_and_never_again(file: Path) -> None:
    told = typed(file)
    assert told.index(LPIPS) < told.index(f"Claims 1, 3: {SEEDS}") < told.index("ssim")
    again = typed(file, "--checkpoint-every", "1")
    assert "is to be measured" not in again


def test_fields_say_how_many_seeds_a_claim_wants() -> None:
    assert SEEDS_NEEDED == 3
    for name in ("claims", "repeat"):
        told = " ".join(CliRunner().invoke(app, ["fields", name]).output.split())
        assert "three seeds of every cell" in told and "[1, 2]" in told
