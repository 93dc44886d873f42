"""``harness dashboard``: the explorer, Optuna Dashboard on the study, and the way to the W&B view."""

from __future__ import annotations

import errno
import os
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage
from optuna_dashboard import wsgi

from harness.cli.console import make_console
from harness.cli.opening import has_display
from harness.config.commands import FileCommand, harness_command
from harness.config.experiment import Experiment
from harness.errors import StorageError, UsageError
from harness.figures.explorer import write_explorer
from harness.files import real
from harness.results import Results, load_whole
from harness.results.grids import grid_above
from harness.results.results import EXPLORER
from harness.studies.artifacts import artifact_store, mirror_study
from harness.studies.rebuild import rebuild, trial_records
from harness.studies.storage import address_to_keep, hold_study, open_storage
from harness.tracking.mode import resolve_mode
from harness.tracking.records import config_name
from harness.tracking.report import save_report
from harness.tracking.workspace import offline_advice, save_workspace

HOST = "127.0.0.1"
"""Optuna Dashboard has no login and can delete studies, so that nobody else on the network may reach it."""
NUM_PORTS = 20  # how many are tried, from the one that was asked for


EXPLORE = "/explore/"
"""Where the server has the explorer's files; everything else is Optuna Dashboard's."""
SHOWN = {".html": "text/html", ".png": "image/png", ".pdf": "application/pdf", ".md": "text/plain"}
"""Files of a run's or an experiment's folder that are served, and as what."""


def _wait_for_ever() -> None:
    threading.Event().wait()


@dataclass(frozen=True)
class Showing:
    """The command line of ``harness dashboard``."""

    path: Path
    storage: str | None = None
    port: int = 8080
    browser: bool = True
    wandb: str | None = None

    @property
    def kept_storage(self) -> str | None:
        """The storage as printed commands may have it."""
        return address_to_keep(self.storage) if self.storage else None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # an open browser page must not hold up the end


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """The page asks every few seconds; a line for each would bury what was printed."""


def show_dashboard(showing: Showing, wait: Callable[[], object] = _wait_for_ever) -> None:
    """Serve the explorer and Optuna Dashboard until Ctrl-C, and say how to open the W&B view.

    Args:
        showing: the command line.
        wait: returns, or raises KeyboardInterrupt, when it is to end.

    Raises:
        UsageError: the path is no experiment's folder, or no port is free.
    """
    console = make_console()
    results = load_whole(showing.path)
    storage = open_storage(showing.storage or results.storage, results.home)
    if kept := showing.kept_storage:
        results = replace(results, command=str(replace(FileCommand.read(results.command), storage=kept)))
    notes = [_bring_up_to_date(results), bring_back(results, storage), mirror_study(results, storage)]
    with serve(storage, results.home, showing.port) as url:
        port = int(url.rsplit(":", 1)[1])
        lines = [f"Port {showing.port} is in use; this is the next free one."] if port != showing.port else []
        address = f"{url}{EXPLORE}{quote(_page_below(results.folder))}"
        lines += [
            f"Explorer:         {address}",
            f"  every picture, sorted, compared, plotted; also {EXPLORER} in its folder",
        ]
        lines += [f"Optuna Dashboard: {url}/dashboard{_page(results, storage)}", *_what_to_look_at(results)]
        for line in (*filter(None, notes), *lines):
            console.print(line, soft_wrap=True, markup=False)
        if showing.browser and has_display():
            webbrowser.open(address)
        console.print("Ctrl-C ends it; the runs stay as they are.")
        try:
            for line in wandb_view(results, showing):  # after the address: a W&B server that is away takes 20 s
                console.print(line, soft_wrap=True, markup=False)
            wait()
        except KeyboardInterrupt:
            console.print("Ended.")


def bring_back(results: Results, storage: BaseStorage) -> str:
    """Rebuild a study that is not in its storage from the run folders; returns a sentence where that was done."""
    if any(study.study_name == results.study for study in storage.get_all_studies()):
        return ""
    parallel = None if isinstance(results.definition, Experiment) else results.definition.budget.parallel
    with hold_study(results.home):
        num_trials = rebuild(storage, results.study, trial_records(results.home, results.study), parallel)
    if not num_trials:
        return ""
    waits = f" The last {parallel} count as running until `{results.command}` goes on with it." if parallel else ""
    return f"The study was not in its storage; its {num_trials} trials were brought back from the run folders.{waits}"


@contextmanager
def serve(storage: BaseStorage, folder: Path, port: int) -> Iterator[str]:
    """Serve a storage's studies and an experiment's explorer, with their images, on this machine only.

    Args:
        storage: what to show.
        folder: the experiment's; its ``artifacts`` are served, and below ``/explore/`` its page and pictures.
        port: the first to try.

    Yields:
        The address, as ``http://127.0.0.1:8080``.

    Raises:
        UsageError: neither this port nor the next ones are free.
    """
    server = _bind(_with_explorer(wsgi(storage, artifact_store(folder)), _root(folder)), port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _with_explorer(dashboard: Any, root: Path) -> Any:
    """A web application that has a folder's pages and pictures below ``EXPLORE``, and the dashboard elsewhere."""

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Any:
        if environ.get("HTTP_HOST", HOST).rsplit(":", 1)[0] not in (HOST, "localhost"):  # a page of another's by a name
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"This is served to this machine alone: open http://{HOST}.".encode()]
        name = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        if not name.startswith(EXPLORE):
            return dashboard(environ, start_response)
        path = root / name.removeprefix(EXPLORE).lstrip("/")
        if ".." in path.parts or path.suffix not in SHOWN or not path.is_file():
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"There is no such page or picture."]
        try:
            content = path.read_bytes()
        except OSError:  # gone meanwhile, or not readable
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"It cannot be read."]
        kind = f"{SHOWN[path.suffix]}; charset=utf-8" if SHOWN[path.suffix].startswith("text/") else SHOWN[path.suffix]
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content)))])
        return [content]

    return application


def _root(folder: Path) -> Path:
    """The folder in which the pictures lie: an earlier grid's are its experiment's."""
    return real(grid_above(folder) or folder)


def _page_below(folder: Path) -> str:
    return (real(folder) / EXPLORER).relative_to(_root(folder)).as_posix()


def _bring_up_to_date(results: Results) -> str:
    """Write the explorer as the runs are now; a sentence where that cannot be done."""
    try:
        write_explorer(results)
    except StorageError as error:
        return f"The explorer shows what it did before: {error}"
    return ""


def wandb_view(results: Results, showing: Showing) -> list[str]:
    """Build the W&B view and report when online; otherwise what to do, as lines for the terminal."""
    directory = results.home / "wandb"
    mode = resolve_mode(showing.wandb, directory)
    if mode.name == "off":
        return []
    advice = offline_advice(directory, harness_command("dashboard", showing.path, storage=showing.kept_storage))
    if mode.name == "offline":
        login = ["sign in once:                        wandb login"] if mode.note else []
        return _indented("W&B view: the runs are tracked offline.", login + advice) if advice else []
    try:
        project = os.environ.get("WANDB_PROJECT") or results.definition.tracking.project
        url = save_workspace(project, results.name, varied(results), directory)
    except Exception as error:  # any kind: W&B must never stop the dashboard
        told = " ".join(str(error).split()) or type(error).__name__
        return _indented(f"The W&B view could not be built ({told}).", advice)
    return [
        f"W&B view:         {url}",
        _wandb_report(project, results, directory),
        *_indented("Some runs are not uploaded yet.", advice if advice else []),
    ]


def _wandb_report(project: str, results: Results, directory: Path) -> str:
    """Write the W&B report; its address, or why there is none, as a line for the terminal."""
    try:
        return f"W&B report:       {save_report(project, results, varied(results), directory)}"
    except Exception as error:  # any kind: as for the view
        return f"The W&B report could not be written ({' '.join(str(error).split()) or type(error).__name__})."


def varied(results: Results) -> tuple[str, ...]:
    """What sets the runs apart, as their W&B configuration calls it."""
    definition = results.definition
    names = definition.varies() if isinstance(definition, Experiment) else tuple(definition.space)
    return tuple(map(config_name, names))


def _indented(title: str, lines: list[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)] if lines else []


def _bind(app: Any, first: int) -> WSGIServer:
    for port in range(first, min(first + NUM_PORTS, 65536)):
        try:
            return make_server(HOST, port, app, server_class=_Server, handler_class=_QuietHandler)
        except PermissionError as error:
            raise UsageError(f"Port {port} is reserved for the system; choose one above 1023 with --port.") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise UsageError(f"Ports {first} to {port} of {HOST} are all in use; choose another with --port.")


def _page(results: Results, storage: BaseStorage) -> str:
    """The study's page, or the list of studies where it is not in the storage."""
    try:
        return f"/studies/{storage.get_study_id_from_name(results.study)}"
    except KeyError:
        return ""


def _what_to_look_at(results: Results) -> list[str]:
    pages = ["the figure and the claims under Note, every trial's image and command under Trials"]
    if results.is_sweep:
        pages.append("the front or the search's course, and what matters most, under Analytics")
    return [f"  {page}" for page in pages]
