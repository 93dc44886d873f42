"""Keys and passwords that are planted in the environment, a YAML, a command and a git remote get into no file."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from postgres import postgres_url  # noqa: F401
from typer.testing import CliRunner

from harness.cli.app import app

GRID = """\
transfer: {content: astronaut, style: strokes, size: 32, steps: 2, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 1}}
axes: {alpha: [1e-3, 1e-2]}
"""
SEARCH = GRID.partition("axes")[0] + (
    "space: {alpha: {log: [1e-3, 1]}}\nobjectives: [reference_style]\nbudget: {trials: 2}\n"
)
ADDRESSES = ("https://me:hush@example.org/w.pth", "https://hush@example.org/w.pth",
             "https://example.org/w.pth?token=hush5678901234567")  # fmt: skip
VARIABLES = ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "GITHUB_TOKEN", "PGPASSWORD", "HARNESS_SECRET")


def files_with(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.long
def test_secrets_get_into_no_file_log_or_record_of_wandb(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    """A grid and a search with a database's password, tracked offline, within a repository whose remote has a token."""
    planted = {name: secrets.token_hex(20) for name in (*VARIABLES, "password", "remote", "proxy")}
    storage = postgres_url.replace("postgres@", f"postgres:{planted['password']}@")
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://somebody:{planted['remote']}@example.org/somebody/work.git"],
        ["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "empty"],
    ):
        subprocess.run(["git", *words], cwd=work, check=True)
    (work / "grid.yaml").write_text(GRID)
    (work / "search.yaml").write_text(SEARCH)
    environment = {
        **os.environ, **{name: planted[name] for name in VARIABLES}, "HOME": str(home), "TMPDIR": str(home),
        "https_proxy": f"http://somebody:{planted['proxy']}@127.0.0.1:9", "PYTHONPATH": str(Path(__file__).parents[1]),
    }  # fmt: skip
    told = ""
    for verb, name in (("run", "grid"), ("sweep", "search")):
        words = [verb, f"{name}.yaml", "--storage", storage, "--devices", "cpu", "--wandb", "offline"]
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=work, env=environment, text=True, capture_output=True
        )
        told += done.stdout + done.stderr
        assert done.returncode == 0, told
    assert list(work.glob("runs/*/wandb/offline-run-*/*.wandb"))  # so that there is something to look through
    cells = json.loads((work / "runs" / "grid" / "cells.json").read_text())
    assert "//postgres@/postgres?" in cells["storage"] and "//postgres@/postgres?" in cells["command"]  # PGPASSWORD's
    for name, secret in planted.items():
        found = [path for path in files_with(secret, tmp_path) if path.name != "config" or path.parent.name != ".git"]
        assert not found, (name, found)
        assert secret not in told, name


@pytest.mark.parametrize("address", [*ADDRESSES])
def test_address_of_weights_with_a_password_is_refused_without_showing_it(address: str, tmp_path: Path) -> None:
    """It would stand in transfer.yaml, in every command, and in W&B."""
    path = tmp_path / "one.yaml"
    path.write_text(GRID.replace("steps: 2", f"steps: 2, weights: {{url: '{address}', sha256: '12345678'}}"))
    for words in ([], [f"transfer.weights={{url: '{address}', sha256: '12345678'}}"]):
        result = CliRunner().invoke(app, ["run", str(path), *words, "--out", str(tmp_path / "runs"), "--wandb", "off"])
        assert result.exit_code == 2 and "hush" not in result.output.replace("\n", ""), result.output
        assert "without user, password or key" in result.output and not (tmp_path / "runs").exists()


def test_key_in_a_yaml_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    for text in ("wandb_api_key: hush\n", "tracking: {api_key: hush}\n"):
        path.write_text(GRID + text)
        result = CliRunner().invoke(app, ["run", str(path), "--out", str(tmp_path / "runs"), "--wandb", "off"])
        assert result.exit_code == 2 and "hush" not in result.output, result.output
        assert not (tmp_path / "runs").exists()
