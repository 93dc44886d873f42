"""Where a study is stored: a journal file by default, SQLite or PostgreSQL by ``--storage``.

One driver at a time works on a folder (``hold_study``); readers, such as Optuna Dashboard, may come and go.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from harness.errors import HarnessError, StorageError, UsageError
from harness.files import make_folder
from harness.results import DRIVER_LOCK, Results
from harness.studies.journal import FlockLock
from harness.system import Lock

JOURNAL = "study.journal"
"""The default storage, in the experiment's folder."""

ALLOWED = "a file ending in .db, sqlite:///FILE or postgresql://USER@HOST/DATABASE"

_SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_CONNECT = {"sqlite": {"timeout": 60}, "postgresql": {"connect_timeout": 10}}
"""Seconds to wait for another process's write (SQLite's own 5 are too few: "database is locked"), or for a server."""

RESTART_S = 60.0
"""How long a server that has answered before may be away: a restart ends no sweep."""

optuna.logging.disable_default_handler()  # a line per trial and per table on stderr; the driver has its own


def open_storage(given: str | None, folder: Path) -> BaseStorage:
    """Open a study's storage; made where there is none.

    Args:
        given: what ``--storage`` says; None for ``study.journal`` in the folder.
        folder: of the experiment; made where there is none, if the journal goes there.

    Raises:
        UsageError: it is no storage the harness knows, or its driver is not installed.
        StorageError: the file cannot be read as what it should be, or the server does not answer.
    """
    if given is None:
        return _open_journal(folder / JOURNAL)
    return _open_database(_url_of(given))


@contextmanager
def hold_study(folder: Path) -> Iterator[None]:
    """Be the one driver that asks and tells for a folder, until the context ends or the process dies.

    Raises:
        StorageError: another process is, or the folder cannot be written.
    """
    lock = Lock(folder / DRIVER_LOCK)
    try:
        make_folder(folder)
        is_ours = lock.acquire()
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}); choose another folder with --out."
        ) from error
    with lock:
        if not is_ours:
            raise StorageError(
                f"{folder} is in use by another harness process, which asks and tells for its study; "
                f"{lock.advice}, or choose another folder with --out."
            )
        yield


SECRETS = ("password", "sslpassword", "passfile")
"""What may also stand behind the ``?`` of PostgreSQL's addresses."""


def without_password(given: str) -> str:
    """What ``--storage`` said, fit to be printed: a URL's password is replaced by ``***``."""
    if "://" not in given:
        return given
    try:
        url = sqlalchemy.make_url(given)
        return url.difference_update_query(SECRETS).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return given if "@" not in given else f"{given.partition('://')[0]}://***@{given.rpartition('@')[2]}"


def address_to_keep(given: str) -> str:
    """What ``--storage`` said as it may stand in a file: without its password, a file's path absolute.

    The password then comes from PGPASSWORD or ``.pgpass``, or from ``--storage`` anew.
    """
    url = _url_of(given)
    if url.get_backend_name() == "sqlite":
        return url.set(database=str(Path(url.database or "").absolute())).render_as_string()
    query = url.difference_update_query(SECRETS).query
    parts = (url.drivername, url.username, None, url.host, url.port, url.database, query)
    return sqlalchemy.URL.create(*parts).render_as_string()  # URL.set takes None for: as it was


def location(storage: BaseStorage) -> str:
    """A storage's file or URL, fit to be printed."""
    inner: Any = getattr(storage, "_backend", storage)  # of a journal its file, of Optuna's cache its database
    if isinstance(inner, JournalFileBackend):
        return inner._file_path
    return without_password(inner.url) if isinstance(inner, RDBStorage) else type(inner).__name__


def is_gone(given: str) -> bool:
    """Whether what ``--storage`` said is a file that is not there any more."""
    url = _url_of(given)
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


@contextmanager
def explained(storage: BaseStorage) -> Iterator[None]:
    """Turn what goes wrong in a storage into a sentence, and keep Optuna's warnings to ourselves.

    Raises:
        StorageError: the storage failed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental arguments: each is chosen on purpose in ``sampling``
        try:
            yield
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError) as error:
            raise StorageError(
                f"The study in {location(storage)} cannot be read or written ({_cause(error)}); "
                "see that it can be reached and has space, then run again: finished runs are kept."
            ) from error


def _open_journal(path: Path) -> BaseStorage:
    try:
        make_folder(path.parent)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=FlockLock(path)))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read or written ({error.strerror}); choose another folder with --out."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise StorageError(
            f"{path} is not a journal that Optuna can read ({type(error).__name__}: {error}); "
            "move it away: the study is then rebuilt from the run folders."
        ) from error


def _url_of(given: str) -> sqlalchemy.URL:
    if Path(given).suffix in _SQLITE_SUFFIXES and "://" not in given:
        return sqlalchemy.URL.create("sqlite", database=given)
    shown = without_password(given)
    try:
        url = sqlalchemy.make_url(given)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"--storage {shown} is not a storage; give {ALLOWED}, or leave it out.") from error
    kind = "postgresql" if url.get_backend_name() == "postgres" else url.get_backend_name()
    if kind not in _CONNECT:
        raise UsageError(f"--storage {shown} is not a kind that the harness knows; give {ALLOWED}, or leave it out.")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError(f"--storage {shown} names no file, and the study would be lost; give {ALLOWED}.")
    if "+" in url.drivername or kind == "sqlite":
        return url
    # SQLAlchemy 2.0 and 2.1 disagree on the driver that a bare postgresql:// means: take the one that is there.
    for driver in ("psycopg", "psycopg2"):
        if importlib.util.find_spec(driver):
            return url.set(drivername=f"postgresql+{driver}")
    raise UsageError(_no_driver(shown))


def _open_database(url: sqlalchemy.URL) -> BaseStorage:
    shown, kind = url.render_as_string(hide_password=True), url.get_backend_name()
    # Optuna makes its engine from the text, so the password has to stand in it; a connection is tried before it is
    # used, so that a server that was restarted costs nothing.
    arguments = {"connect_args": dict(_CONNECT[kind]), "pool_pre_ping": True}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=arguments)
            weakref.finalize(storage, storage.engine.dispose)  # psycopg warns of connections that nobody closed
            if kind == "postgresql":  # it has answered, so that its address is right
                sqlalchemy.event.listen(storage.engine, "do_connect", _connect_patiently)
            return storage
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise UsageError(_no_driver(shown)) from error
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError) as error:
        cause = _hide_password(_cause(error), url)
        advice = (
            "see that its folder exists and that the file is a study's database"
            if kind == "sqlite"
            else "see that the server runs, that the database exists and that you may use it"
        )
        raise StorageError(f"--storage {shown} cannot be opened ({cause}); {advice}.") from error
    except RuntimeError as error:  # tables of another version of Optuna: its message says which command to give
        raise StorageError(f"--storage {shown} cannot be used: {_hide_password(str(error), url)}") from error


def _connect_patiently(dialect: Any, record: Any, arguments: Any, named: Any) -> Any:
    """Connect to a server, trying again while it is being restarted."""
    until = time.monotonic() + RESTART_S
    while True:
        try:
            return dialect.connect(*arguments, **named)
        except dialect.loaded_dbapi.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.5)


def _hide_password(text: str, url: sqlalchemy.URL) -> str:
    return text.replace(str(url.password), "***") if url.password else text


def _no_driver(shown: str) -> str:
    return f"--storage {shown} needs a driver that is not installed; install it with: pip install 'harness[postgresql]'"


def _cause(error: BaseException) -> str:
    """The first line of what really went wrong, below the layers of Optuna and SQLAlchemy."""
    while error.__cause__ is not None and not isinstance(error, OSError | HarnessError):
        error = error.__cause__
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def forget_study(storage: BaseStorage, name: str) -> None:
    """Delete a study, where there is one.

    Raises:
        StorageError: the storage failed.
    """
    with explained(storage):
        if any(study.study_name == name for study in storage.get_all_studies()):
            optuna.delete_study(study_name=name, storage=storage)


def read_study(results: Results) -> optuna.Study:
    """A sweep's study, to be read; ``Results.optuna_study`` says the rest.

    Raises:
        UsageError: it is no sweep.
        StorageError: the storage is gone, cannot be reached, or has no such study.
    """
    if not results.is_sweep:
        raise UsageError(
            f"{results.name} is an experiment: nothing was searched, so there is no study to look at; table() has its "
            "runs."
        )
    shown = without_password(results.storage) if results.storage else str(results.home / JOURNAL)
    gone = StorageError(f"There is no study {results.study} in {shown}; {results.command} brings it back.")
    if is_gone(results.storage) if results.storage else not (results.home / JOURNAL).exists():
        raise gone
    storage = open_storage(results.storage, results.home)
    with explained(storage):
        if all(study.study_name != results.study for study in storage.get_all_studies()):
            raise gone
        return optuna.load_study(study_name=results.study, storage=storage)
