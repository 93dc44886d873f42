"""Files that are whole or not there: the old one stays until the new one is whole."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.files import write_whole
from harness.runs.store import Manifest, RunFolder, write_durably


def broken(path: Path) -> Iterator[bytes]:
    yield b"new"
    assert path.read_text() == "old"
    raise RuntimeError("the rest cannot be had")


@pytest.mark.parametrize("write", [write_whole, write_durably])
def test_old_file_stays_where_the_new_one_cannot_be_had(tmp_path: Path, write: Callable[..., None]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        write(path, broken(path))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write(path, [b"n", memoryview(b"ew")])
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("write", "num_synced"),
    [
        (lambda path: write_whole(path, b"new one"), 0),
        (lambda path: write_durably(path, "new one"), 1),
        (lambda path: write_durably(path, [b"new", b" ", b"one"]), 1),
        (lambda path: RunFolder(path.parent).write_manifest(Manifest("0" * 12, "mine")), 1),
    ],
)
def test_what_is_durable_is_on_the_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], num_synced: int
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("old")
    synced: list[os.stat_result] = []
    folders: list[os.stat_result] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        of = os.fstat(descriptor)
        assert (path.read_text() == "old") != stat.S_ISDIR(of.st_mode)  # of the folder then: so that its name is there
        fsync(descriptor)
        (folders if stat.S_ISDIR(of.st_mode) else synced).append(of)

    monkeypatch.setattr(os, "fsync", counted)
    write(path)
    written = path.stat()
    assert [(one.st_ino, one.st_size) for one in synced] == [(written.st_ino, written.st_size)] * num_synced
    assert [one.st_ino for one in folders] == [tmp_path.stat().st_ino] * num_synced


def test_full_disk_is_a_storage_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match="file could not be written .*free some space"):
            write_durably(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
