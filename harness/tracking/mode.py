"""Whether runs are mirrored to W&B online, offline or not at all, decided without asking a question.

W&B's own rules for its variables, settings files and keys are used, so that ``wandb login``, ``wandb offline``,
WANDB_MODE, WANDB_API_KEY, WANDB_BASE_URL and WANDB_DIR mean what its documentation says.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from harness.downloads import ensure_home, with_home
from harness.errors import UsageError

ModeName = Literal["online", "offline", "off"]

_MODES_OF_WANDB: dict[str, ModeName] = {
    "online": "online",
    "run": "online",
    "shared": "online",  # several processes writing one run: never so here, each run has one writer
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "off",
}


@dataclass(frozen=True)
class Mode:
    """How runs are mirrored.

    Attributes:
        name: online, offline or off.
        note: a sentence for the user where the mode is not what they may expect; empty otherwise.
    """

    name: ModeName
    note: str = ""


def import_wandb() -> ModuleType:
    """Import W&B quietly; it takes about a second, so never at the top of a file.

    Its terminal output and its crash reports (which would leave the machine even from an offline run) are off unless
    WANDB_SILENT or WANDB_ERROR_REPORTING say otherwise.
    """
    ensure_home()
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def wandb_folder(directory: Path) -> Path:
    """Where W&B puts its run folders: ``directory``, unless WANDB_DIR names another root.

    Args:
        directory: a folder named ``wandb``, as W&B insists on that name.

    Raises:
        UsageError: WANDB_DIR names a home that is not there.
    """
    assert directory.name == "wandb", directory
    if root := os.environ.get("WANDB_DIR"):
        return with_home(root, f"WANDB_DIR={root}", UsageError).absolute() / "wandb"
    return directory.absolute()


def sync_command(directory: Path, runs: Literal["offline", "all"]) -> str:
    """The command that uploads the offline runs, or all that the server may not have in full."""
    folder = shlex.quote(str(wandb_folder(directory)))
    return f"wandb sync {folder}/offline-run-*" if runs == "offline" else f"wandb sync --include-online {folder}/*run-*"


def resolve_mode(requested: str | None, directory: Path) -> Mode:
    """Decide how to mirror.

    Args:
        requested: ``online``, ``offline``, ``off``, or None for what W&B's own variables, settings and keys say.
        directory: the experiment's ``wandb`` folder, for the sentence.

    Raises:
        UsageError: the request, or WANDB_MODE, is none of the allowed values.
    """
    if requested is None:
        name = _configured()
    elif requested in get_args(ModeName):
        name = _MODES_OF_WANDB.get(requested, "off")
    else:
        raise UsageError(f"--wandb {requested} is not a mode; choose one of {', '.join(get_args(ModeName))}.")
    if name == "online" and not _has_key():
        command = sync_command(directory, "offline")
        return Mode(
            "offline",
            f"There is no W&B API key, so runs are tracked offline; to upload them: `wandb login`, then `{command}`.",
        )
    return Mode(name)


def _configured() -> ModeName:
    """The mode that WANDB_MODE or W&B's settings files (``wandb offline``) say, else online."""
    variable = os.environ.get("WANDB_MODE")
    if variable:
        if variable not in _MODES_OF_WANDB:
            raise UsageError(f"WANDB_MODE={variable} is not a mode of W&B; set it to online, offline or disabled.")
        return _MODES_OF_WANDB[variable]
    return _MODES_OF_WANDB[_settings().mode]


def _settings() -> Any:
    """W&B's settings from its variables and files, without starting its service process."""
    import_wandb()
    from wandb.sdk import wandb_setup

    try:
        return wandb_setup.singleton().settings
    except Exception as error:  # any kind: W&B validates dozens of variables and two files
        raise UsageError(f"W&B's settings cannot be used ({error}); correct them, or choose --wandb off.") from error


def _has_key() -> bool:
    """Whether W&B has an API key for its server (variable, netrc or settings), by W&B's own rules, never prompting."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    settings = _settings()
    from wandb.sdk.lib import wbauth

    try:
        auth = wbauth.authenticate_session(host=settings.base_url, source="harness", prompt=False, update_session=False)
    except Exception:  # a malformed key is no key
        return False
    return auth is not None
