"""Storages: locks that a kill does not leave behind, and errors that say what to do."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.study import StudyDirection
from postgres import control, options, postgres_url  # noqa: F401
from study_driver import Drivers

from harness.errors import HarnessError, StorageError, UsageError
from harness.studies.grid import open_grid
from harness.studies.storage import JOURNAL, address_to_keep, hold_study, location, open_storage, without_password


def create(folder: Path, name: str) -> None:
    open_storage(None, folder).create_new_study([StudyDirection.MINIMIZE], name)


def names(folder: Path) -> list[str]:
    return [study.study_name for study in open_storage(None, folder).get_all_studies()]


@pytest.mark.parametrize("torn", [b'{"op_', b"{", b'{"a":"' + b"x" * 200_000, b"\x00\xff"])
def test_torn_tail_is_cut_off_by_the_next_write(torn: bytes, tmp_path: Path) -> None:
    create(tmp_path, "first")
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + torn)
    assert names(tmp_path) == ["first"], "readers pass over it"
    create(tmp_path, "second")
    assert names(tmp_path) == ["first", "second"]
    assert (tmp_path / JOURNAL).read_bytes().startswith(whole + b"{")


def test_journal_of_one_torn_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"op_code":0')
    create(tmp_path, "first")
    assert names(tmp_path) == ["first"]


def test_kill_while_the_lock_is_held_stalls_nobody(tmp_path: Path) -> None:
    create(tmp_path, "first")
    drivers, held = Drivers(), tmp_path / "held"
    try:
        pid = drivers.start("hold_journal", journal=str(tmp_path / JOURNAL), held=str(held))
        while not held.exists():
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert drivers.wait() == -signal.SIGKILL
    finally:
        drivers.close()
    begun = time.monotonic()
    create(tmp_path, "second")
    assert time.monotonic() - begun < 5 and names(tmp_path) == ["first", "second"]


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    with hold_study(tmp_path / "new"):
        with pytest.raises(StorageError, match="in use by another harness process"), hold_study(tmp_path / "new"):
            pass
        with hold_study(tmp_path / "other"):
            pass
    with hold_study(tmp_path / "new"):
        pass


@pytest.mark.parametrize("content", [b"PNG\nnot a journal\n", b"[]\n", b'{"a": 1}\n', b'{"op_code": 99}\n{}\n'])
def test_file_that_is_no_journal_gets_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(StorageError, match=r"study\.journal is not a journal .* move it away"):
        open_storage(None, tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == content


def test_journal_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"--out"):
        open_storage(None, tmp_path / "file")
    with pytest.raises(StorageError, match=r"--out"), hold_study(tmp_path / "file"):
        pass


@pytest.mark.parametrize("given, kind, sentence", [
    ("mysql://me:secret@host/db", UsageError, r"mysql://me:\*\*\*@host/db is not a kind .* postgresql://USER@HOST"),
    ("study.txt", UsageError, r"study\.txt is not a storage; give a file ending in \.db"),
    ("postgresql://me:secret@host:port/db", UsageError, r"is not a storage"),
    ("sqlite://", UsageError, r"names no file"),
    ("sqlite:////nowhere/at/all/study.db", StorageError, r"cannot be opened \(unable to open .* folder exists"),
    ("postgresql+pg8000://me:secret@127.0.0.1/db", UsageError, r"pip install 'harness\[postgresql\]'"),
    ("postgresql+magic://me:secret@127.0.0.1/db", UsageError, r"pip install 'harness\[postgresql\]'"),
    ("postgresql://me:secret@127.0.0.1:1/db", StorageError, r"cannot be opened .* see that the server runs"),
])  # fmt: skip
def test_wrong_storage_gets_a_sentence_without_the_password(
    given: str, kind: type[HarnessError], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        open_storage(given, tmp_path)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == (2 if kind is UsageError else 1)


def test_database_of_something_else_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is no database, but it is longer than a page's head would be" * 40)
    with pytest.raises(StorageError, match="file is not a database"):
        open_storage(str(tmp_path / "a.db"), tmp_path)


def test_missing_database_of_a_real_server_gets_a_sentence(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(StorageError, match='database "nowhere" does not exist'):
        open_storage(postgres_url.replace("/postgres?", "/nowhere?"), tmp_path)


def test_server_that_is_restarted_ends_no_study(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    """It is away when a trial is told; and one that stays away is a sentence."""
    session = open_grid(open_storage(postgres_url, tmp_path), "restarted", [{"a": 1}, {"a": 2}], ["x"])
    first, second = session.ask(), session.ask()
    assert first is not None and second is not None
    folder = Path(postgres_url.rpartition("=")[2])
    control(postgres_url, "-m", "fast", "-w", "stop")
    starting = threading.Timer(1.5, control, [postgres_url, "-o", options(folder), "-w", "start"])
    starting.start()
    session.complete(first.number, [1.0])
    starting.join()
    control(postgres_url, "-m", "fast", "-o", options(folder), "-w", "restart")
    session.complete(second.number, [2.0])
    assert [trial.values for trial in session.study.get_trials()] == [[1.0], [2.0]]


def test_passwords_are_never_shown(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    assert without_password("postgresql://me:se@cret@host:port/db") == "postgresql://***@host:port/db"
    assert without_password("study.db") == "study.db"
    asked = "postgresql://h/db?user=u&password=secret&sslpassword=secret"
    assert without_password(asked) == address_to_keep(asked).replace("+psycopg", "") == "postgresql://h/db?user=u"
    assert address_to_keep("postgresql://me:secret@h/db") == "postgresql+psycopg://me@h/db"
    storage = open_storage(postgres_url.replace("postgres@", "postgres:secret@"), tmp_path)
    assert "secret" not in location(storage) and location(storage).startswith("postgresql")
    assert location(open_storage(None, tmp_path)) == str(tmp_path / JOURNAL)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = optuna.create_study(storage=open_storage(str(tmp_path / "a.db"), tmp_path), study_name="quiet")
    study.tell(study.ask(), 1.0)
    assert capfd.readouterr() == ("", "")
