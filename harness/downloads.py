"""The cache folder, and downloads that are either the file that was asked for, checked by its hash, or not there.

Only the standard library. The file is streamed to a temporary one in the same folder, hashed on the way, and takes its
place when the hash is right.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path

import platformdirs

from harness import __version__
from harness.errors import DownloadError, HarnessError, UsageError
from harness.files import write_whole

OnBytes = Callable[[int, int | None], None]
"""Is told a download's bytes so far and in all (None where the server does not say)."""

PART_BYTES = 1 << 18


def with_home(path: str | Path, what: str, kind: type[HarnessError]) -> Path:
    """A path whose ``~`` or ``~user`` at the beginning is written out.

    Args:
        path: as the user gave it.
        what: what the path is called, for the sentence.
        kind: of the error.

    Raises:
        HarnessError: of that kind; this machine knows no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise kind(
            f"{what} is in a home folder that this machine does not know. Write the path in full, without ~."
        ) from error


def cache_folder() -> Path:
    """Where downloads are kept: ``$HARNESS_CACHE``, else the user's cache folder of this system.

    Of a user without a home (a container that runs under a bare number) it is a folder among the temporary files.

    Raises:
        UsageError: the variable names a home that is not there.
    """
    if override := os.environ.get("HARNESS_CACHE"):
        return with_home(override, f"HARNESS_CACHE={override}", UsageError)
    try:
        usual = Path(platformdirs.user_cache_dir("harness"))
    except RuntimeError:  # neither HOME nor an entry in passwd
        usual = Path()
    return usual if usual.is_absolute() else _temporary_cache()


def ensure_home() -> None:
    """Give this process what W&B and matplotlib do not begin without, or complain of: a home, folders to write to."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_temporary_cache())
    for variable, usual in (
        ("WANDB_DATA_DIR", platformdirs.user_data_dir("wandb")),
        ("WANDB_CACHE_DIR", platformdirs.user_cache_dir("wandb")),
        ("MPLCONFIGDIR", platformdirs.user_config_dir("matplotlib")),
    ):
        if not _can_be_written(Path(os.environ.get(variable) or usual)):
            os.environ[variable] = str(_temporary_cache() / variable.partition("_")[0].lower())


def _can_be_written(folder: Path) -> bool:
    """Whether a folder, or the nearest that is there above it, is one that may be written to."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


@cache
def _temporary_cache() -> Path:
    """The user's own folder among the temporary files; one that is somebody else's is not trusted."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    path = Path(tempfile.gettempdir()) / f"harness-{user}"
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        if path.lstat().st_uid in (user, 0) and not path.is_symlink():
            return path
    return Path(tempfile.mkdtemp(prefix="harness-"))


def keep(path: Path, content: bytes) -> None:
    """Write what could be computed again into the cache, whole or not at all; where that cannot be, it is no error."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_hash(path: Path, sha256: str) -> bool:
    """Whether a file is there and its SHA-256 begins with ``sha256``."""
    if not path.is_file():
        return False
    return file_sha256(path).startswith(sha256.lower())


def download(
    url: str, sha256: str, destination: str | Path, on_bytes: OnBytes | None = None, timeout_s: float = 30.0
) -> Path:
    """Download a file unless it is there already with the right hash.

    Args:
        url: ``http://`` or ``https://``; proxies of the environment are used.
        sha256: the file's SHA-256 in hex, or at least its first 8 digits (as in the names of torch.hub's files).
        destination: the file to write; its folder is made. A file there with another hash is replaced, but only by
            a right one.
        on_bytes: is told how far it is.
        timeout_s: how long the server may stay silent, > 0.

    Returns:
        ``destination``.

    Raises:
        ValueError: ``sha256`` is no such hash.
        DownloadError: refused, offline, cut off, wrong hash, or nowhere to write; nothing is left behind.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise ValueError(f"{sha256!r} is no SHA-256: 8 to 64 hex digits are needed.")
    destination = Path(destination)
    if not url.lower().startswith(("http://", "https://")):
        raise DownloadError(
            f"{url} cannot be downloaded: only http:// and https:// addresses can. "
            "Give a file on this machine by its path."
        )
    try:
        if has_hash(destination, sha256):
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with closing(_checked_parts(url, sha256, on_bytes, timeout_s)) as parts:
            write_whole(destination, parts)
    except OSError as error:
        raise _cannot_write(destination, error) from error
    return destination


def _checked_parts(url: str, sha256: str, on_bytes: OnBytes | None, timeout_s: float) -> Generator[bytes, None, None]:
    """The parts of an answer, which ends in a DownloadError where it is not whole or not the right one."""
    digest = hashlib.sha256()
    num_bytes = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"harness/{__version__}"})
        response = _opener().open(request, timeout=timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        raise _cannot_download(url, error) from error
    with response:
        stated = response.headers.get("Content-Length", "")
        total = int(stated) if stated.isdecimal() else None
        while True:
            try:
                part = response.read(PART_BYTES)
            except (OSError, HTTPException) as error:
                raise _cannot_download(url, error) from error
            if not part:
                break
            yield part
            digest.update(part)
            num_bytes += len(part)
            if on_bytes:
                on_bytes(num_bytes, total)
    if total is not None and num_bytes != total:
        raise DownloadError(
            f"{url} was cut off after {num_bytes} of {total} bytes. Nothing was kept; try again when the network is "
            "better."
        )
    if not (found := digest.hexdigest()).startswith(sha256.lower()):
        raise DownloadError(
            f"{url} is not the file that was expected: its SHA-256 is {found}, not {sha256.lower()}"
            f"{'' if len(sha256) == 64 else '…'}. It was thrown away. The file may have been changed at its source."
        )


def _opener() -> urllib.request.OpenerDirector:
    """An opener that follows redirects to http and https only (urllib's default one would also follow ftp)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _cannot_download(url: str, error: Exception) -> DownloadError:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return DownloadError(
            f"{url} cannot be downloaded: the server answers {error.code} {error.reason}. Nothing was kept. "
            "Check the address in a browser, or give the file by its path."
        )
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return DownloadError(
        f"{url} cannot be downloaded ({reason or type(error).__name__}). Nothing was kept. "
        "Check the network, or give the file by its path."
    )


def _cannot_write(destination: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"The download cannot be written to {destination} ({error.strerror or error}). Nothing was kept. "
        "Check permissions and disk space, or set HARNESS_CACHE to another folder."
    )
