"""A real PostgreSQL for the tests: Debian's server, started once per session as an unprivileged user.

It listens on a socket in a temporary folder only, and is stopped and deleted when the tests end.
"""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

USER = "postgres"
"""Debian's user for the server, which refuses to run as root."""


def binaries() -> Path | None:
    """The newest installed server's folder of commands; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@functools.cache
def start_server() -> str:
    """Start the server and return the URL of an empty database.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    commands = binaries()
    if commands is None:
        raise FileNotFoundError("initdb")
    # Not pytest's own folder: the server's user may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="harness-postgres-"))
    prefix = []
    if os.geteuid() == 0:
        prefix = ["runuser", "-u", USER, "--"]
        os.chown(folder, pwd.getpwnam(USER).pw_uid, pwd.getpwnam(USER).pw_gid)
    folder.chmod(0o755)

    def run(command: str, *arguments: str) -> None:
        # The server inherits the streams: with a pipe, nobody would see its end.
        with open(folder.with_suffix(".out"), "ab") as out:
            _run([*prefix, str(commands / command), *arguments], out)

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    # The watcher stops the server when its input ends: when the tests end, and also when they are killed.
    stop = shlex.join([*prefix, str(commands / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop"])
    watcher = subprocess.Popen(
        ["sh", "-c", f"read line; {stop}; rm -rf {folder} {folder}.out"],
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    atexit.register(watcher.communicate)
    run("pg_ctl", "-D", data, "-o", options(folder), "-l", str(folder / "log"), "-w", "start")
    return f"postgresql://{USER}@/postgres?host={folder}"


def control(url: str, *arguments: str) -> None:
    """``pg_ctl`` for the server: ``stop``, ``start``, with its options."""
    commands, folder = binaries(), Path(url.rpartition("=")[2])
    assert commands is not None
    prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    with open(folder.with_suffix(".out"), "ab") as out:
        _run(
            [*prefix, str(commands / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log"), *arguments], out
        )


def options(folder: Path) -> str:
    return f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=40"


def _run(words: list[str], out: IO[bytes]) -> None:
    subprocess.run(words, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a real PostgreSQL's database; every test takes other study names."""
    if binaries() is None:
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    yield start_server()
