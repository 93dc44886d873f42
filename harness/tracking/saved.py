"""What an experiment's ``wandb`` folder remembers of W&B: the token of its summary's id, the saved view, the report.

saved.json    {"token": "0f3a…", "view": {"entity": …, "project": …, "name": …, "id": …}, "report": {…}}
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from harness.runs.store import write_durably

SAVED = "saved.json"


def read_saved(directory: Path, key: str) -> dict[str, Any]:
    """What was remembered under a key; empty where nothing was.

    Args:
        directory: the experiment's ``wandb`` folder; WANDB_DIR, which experiments may share, does not count here.
        key: ``view`` or ``report``.
    """
    found: dict[str, Any] = _read(directory).get(key, {})
    return found


def remember(directory: Path, key: str, value: Any) -> None:
    """Remember something under a key.

    Raises:
        OSError: the folder cannot be made.
        StorageError: the file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_durably(directory / SAVED, json.dumps({**_read(directory), key: value}) + "\n")


def own_token(directory: Path) -> str:
    """8 hex digits that end the id of the experiment's own W&B run, drawn once: another ``--out`` has others."""
    token: str = _read(directory).get("token", "")
    if not token:
        token = secrets.token_hex(4)
        remember(directory, "token", token)
    return token


def _read(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / SAVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: W&B's folder is a mirror, what is lost is made anew
        return {}
    return found if isinstance(found, dict) else {}
