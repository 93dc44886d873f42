"""The machine around the program: folders on other disks, lost files, terminals, users without a home, locks, Slurm."""

from __future__ import annotations

import ast
import errno
import io
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from results_folder import make_results_folder

import harness
from harness import downloads, system
from harness.cli.app import main
from harness.config import load_experiment
from harness.driver.carrying import local_devices
from harness.driver.folder import ExperimentFolder, link_finished
from harness.driver.handing_over import heirs_of
from harness.driver.jobs import make_jobs
from harness.driver.plan import Plan, make_plan
from harness.driver.removing import plan_removal, remove
from harness.driver.request import Request, load_asked
from harness.engines.devices import parse_devices
from harness.engines.granted import limit_threads, memory_limit_bytes, num_cores
from harness.engines.process import clean_environment
from harness.errors import DeviceError, HarnessError, StorageError, UsageError
from harness.features.sources import WeightsURL, fetch
from harness.features.state import vgg_state  # noqa: F401 - torch, once for all tests here
from harness.results.results import name_of
from harness.runs.batch import Execution, run_batch
from harness.runs.store import RunFolder, Status
from harness.studies.journal import FlockLock
from harness.studies.storage import hold_study

TINY = (
    "transfer: {content: astronaut, style: strokes, size: 32, steps: 3, pyramid: [], content_layers: {conv1_1: 1}, "
    "style_layers: {conv1_1: 1}}\naxes: {alpha: [1e-3, 1e-1]}\n"
)
ROOT = Path(harness.__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny experiment, its two runs done in ``runs/tiny``."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.yaml").write_text(TINY)
    run_batch([job.row for job in make_jobs(load_experiment(folder / "tiny.yaml"), folder / "runs")], Execution())
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of it, and another file that asks for the same."""
    shutil.copytree(made, tmp_path / "here")
    (tmp_path / "here" / "second.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def plan_of(name: str = "tiny", out: str | Path = "runs") -> Plan:
    request = Request(f"{name}.yaml", out=Path(out))
    return make_plan(request, load_asked(request))


def open_folder(name: str, out: str | Path) -> ExperimentFolder:
    """As ``harness run`` does before it computes."""
    folder = ExperimentFolder(load_experiment(f"{name}.yaml"), Path(out))
    folder.check_owner()
    folder.make()
    return folder


# Links to other disks


@pytest.mark.parametrize(
    ("out", "links"),
    [
        ("runs", {}),
        ("other", {"other": "runs"}),  # relative
        ("other", {"other": "{here}/runs"}),  # absolute
        ("disk/link/runs", {"disk/link": ".."}),  # in the middle of the path
        ("deep/../runs", {"deep": "disk"}),  # through .. behind a link: disk/..
        ("linked", {"linked/tiny": "../runs/tiny"}),  # the experiment's folder alone
        (
            "linked",
            {"linked/tiny": "../runs/tiny", "linked/second": "{here}/disk/far"},
        ),  # the second's, on another disk
        ("linked", {"linked/tiny": "../disk/tiny", "linked/second": "../disk/deep/far"}),  # both
    ],
)
def test_a_second_experiment_finds_the_runs_of_the_first_wherever_links_lead(
    here: Path, out: str, links: dict[str, str]
) -> None:
    for folder in ("disk/far", "disk/deep/far", "linked"):
        (here / folder).mkdir(parents=True)
    if links.get("linked/tiny") == "../disk/tiny":
        Path("runs/tiny").rename("disk/tiny")
    for link, target in links.items():
        Path(link).symlink_to(target.format(here=here))
    plan = plan_of("second", out)
    assert len(plan.linked) == 2 and not plan.left
    open_folder("second", out)
    link_finished(plan.jobs, plan.linked)
    assert all(job.status is Status.DONE and job.folder.image_path.is_file() for job in plan.jobs)
    again = plan_of("second", out)
    assert len(again.done) == 2 and not again.left and not again.linked


@pytest.mark.parametrize(
    ("out", "link", "target"), [("away", "away", "disk/runs"), ("runs", "runs/second", "../disk/second")]
)
def test_a_link_to_a_folder_that_is_not_made_yet_leads_to_one(here: Path, out: str, link: str, target: str) -> None:
    Path("disk").mkdir()
    Path(link).symlink_to(target)
    folder = open_folder("second", out)
    with hold_study(folder.path):
        assert folder.path.is_dir() and Path(link).is_symlink()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("gone", r"gone is a link to .*/unmounted/disk/runs, and .*/unmounted/disk is not there: mount its disk"),
        ("round", "round is a link that leads in a circle; remove it"),
        ("tiny.yaml", "tiny.yaml is a file, not a folder; choose another folder with --out"),
        ("file", "file/second is a file, not a folder"),
        ("tiny.yaml/runs", "tiny.yaml is a file, not a folder"),
        ("round/runs", "round is a link that leads in a circle; remove it"),
    ],
)
def test_what_can_be_no_folder_of_runs_is_said(here: Path, out: str, said: str) -> None:
    Path("gone").symlink_to("unmounted/disk/runs")
    Path("round").symlink_to("circle")
    Path("circle").symlink_to("round")
    Path("file").mkdir()
    Path("file/second").touch()
    with pytest.raises(HarnessError, match=said):
        plan_of("second", out)
        open_folder("second", out)


def test_results_are_called_as_their_folder_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = make_results_folder(tmp_path / "disk" / "moved", [{"label": {"alpha": a}} for a in (0.1, 1)])
    (tmp_path / "runs").mkdir()
    link = tmp_path / "runs" / "fig4"
    link.symlink_to("../disk/moved")
    for given in (link, link / "x" / "..", tmp_path / "disk" / ".." / "runs" / "fig4"):
        if given.name != "..":
            results = harness.load(given)
            assert results.name == "fig4" and results.folder == given
    assert harness.load(real).name == "moved"
    monkeypatch.chdir(link)
    monkeypatch.setenv("PWD", str(link))  # as the shell has it
    assert harness.load(".").name == "fig4"
    monkeypatch.setenv("PWD", "/elsewhere")
    assert harness.load(".").name == "moved" and name_of(Path("..")) == "disk"
    run = harness.load(link).runs[0]
    assert harness.load(run.folder.path).all_runs[0].id == run.id


def test_what_another_experiment_links_to_moves_there_also_from_and_to_other_disks(tmp_path: Path) -> None:
    label = {"alpha": 0.1}
    first = make_results_folder(tmp_path / "disk1" / "first", [{"label": label}])
    second = make_results_folder(tmp_path / "disk2" / "second", [{"label": label}])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to("../disk1/first")
    (tmp_path / "runs" / "second").symlink_to("../disk2/second")
    (run,) = harness.load(tmp_path / "runs" / "first").runs
    place = tmp_path / "runs" / "second" / run.id
    shutil.rmtree(place)
    system_link = os.path.relpath(first / run.id, second)
    place.symlink_to(system_link)
    picture = run.folder.image_path.read_bytes()
    removal = plan_removal([harness.load(tmp_path / "runs" / "first")])
    assert [*heirs_of(removal.runs).values()] == [(place,)]
    remove(removal)
    assert not place.is_symlink() and (place / "image.png").read_bytes() == picture
    assert not first.exists() and not os.path.lexists(tmp_path / "runs" / "first")


# Finished runs that have lost a file


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gone": ("image.png", Path.unlink),
    "empty": ("image.png", lambda path: path.write_bytes(b"")),
    "torn": ("image.png", _half),
    "zeros": ("image.png", lambda path: path.write_bytes(bytes(path.stat().st_size))),
    "text": ("image.png", lambda path: path.write_text("<html>Quota exceeded</html>")),
    "a link to nothing": ("image.png", lambda path: (path.unlink(), path.symlink_to("nowhere.png"))),
    "history gone": ("history.csv", Path.unlink),
    "history empty": ("history.csv", lambda path: path.write_bytes(b"")),
    "manifest empty": ("manifest.json", lambda path: path.write_bytes(b"")),
    "manifest torn": ("manifest.json", _half),
    "manifest zeros": ("manifest.json", lambda path: path.write_bytes(bytes(100))),
    "manifest gone": ("manifest.json", Path.unlink),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_finished_run_that_has_lost_a_file_is_computed_again_to_the_same_bits(here: Path, kind: str) -> None:
    name, damage = DAMAGE[kind]
    job = plan_of().done[0]
    before = (job.folder.image_path.read_bytes(), job.folder.manifest().metrics["total"])  # type: ignore[union-attr]
    damage(job.row.folder / name)
    plan = plan_of()
    assert [one.row.id for one in plan.left] == [job.row.id] and len(plan.done) == 1
    assert not plan_of("second").linked.keys() & {job.row.id}  # nobody is handed it
    run_batch([plan.left[0].row], Execution())
    after = job.folder.manifest()
    assert after is not None and after.status is Status.DONE and after.label == job.row.manifest.label
    assert (job.folder.image_path.read_bytes(), after.metrics["total"]) == before
    assert not job.folder.image_path.is_symlink() and len(job.folder.history()) == 3
    assert len(plan_of().done) == 2


def test_a_lost_picture_is_no_done_run_for_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": a}, "metrics": {"ssim": a}} for a in (0.1, 1)])
    lost, kept = harness.load(folder).runs
    lost.folder.image_path.unlink()
    results = harness.load(folder)
    assert [run.status for run in results.runs] == [Status.RUNNING, Status.DONE]
    assert results.runs[0].metrics == {} and "image.png is gone" in results.runs[0].reason
    monkey = sys.argv
    try:
        sys.argv = ["harness", "status", str(folder)]
        with pytest.raises(SystemExit):
            main()
    finally:
        sys.argv = monkey
    said = capsys.readouterr().out
    assert f"{lost.id} (alpha=0.1) is damaged: it was done, but image.png is gone" in said and "Go on: " in said


def test_a_lost_transfer_is_written_again(here: Path) -> None:
    job = plan_of().done[0]
    text = (job.row.folder / "transfer.yaml").read_text()
    (job.row.folder / "transfer.yaml").unlink()
    job.folder.create(job.transfer, job.row.manifest)
    assert yaml.safe_load((job.row.folder / "transfer.yaml").read_text()) == yaml.safe_load(text)


def test_picture_and_history_are_on_the_disk_before_the_manifest_says_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the system's own calls: file, its name, its folder; then the manifest's; last the checkpoint goes."""
    job = plan_of().done[0]
    shutil.rmtree(job.row.folder)
    job.folder.create(job.transfer, job.row.manifest)
    job.folder.checkpoint_path.write_bytes(b"torn")  # it begins anew, and this goes at the end
    calls: list[str] = []
    fsync, rename, unlink = os.fsync, os.replace, os.unlink

    def said(path: object) -> str:
        name = Path(os.fspath(path)).name  # type: ignore[call-overload]
        return next(
            (known for known in ("image.png", "manifest.json", "history.csv", "checkpoint") if known in name), name
        )

    def synced(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("sync folder" if is_folder else f"sync {said(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        fsync(descriptor)

    def renamed(source: Path, target: Path, **more: object) -> None:
        rename(source, target)
        status = (RunFolder(job.row.folder)._manifest() or job.row.manifest).status if "manifest" in str(target) else ""
        calls.append(f"rename {said(target)}{' done' if status is Status.DONE else ''}")

    def unlinked(path: Path, **more: object) -> None:
        unlink(path)
        calls.append(f"unlink {said(path)}")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "unlink", unlinked)
    run_batch([job.row], Execution())
    monkeypatch.undo()
    end = calls.index("rename manifest.json done")
    picture = calls.index("rename image.png")
    assert calls[picture - 1] == "sync image.png" and calls[picture + 1] == "sync folder" and picture < end
    assert "sync history.csv" in calls[picture:end]
    assert calls[end - 1] == "sync manifest.json" and calls[end + 1] == "sync folder"
    assert calls.index("unlink checkpoint") > end + 1


# Terminals and locales


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose labels no 8-bit terminal has."""
    folder = tmp_path_factory.mktemp("foreign")
    cells = [{"label": {"cases": name}, "metrics": {"ssim": 0.5, "total": 1.0}} for name in ("ä 照片 α", "Größe → ∞")]
    cases = {cell["label"]["cases"]: {"alpha": 10.0**-k} for k, cell in enumerate(cells)}  # type: ignore[index]
    made = make_results_folder(folder / "labels", cells, {"cases": cases, "claims": []})
    (folder / "file.yaml").write_text(TINY + "# 照片 größer\n", encoding="utf-8")
    return made


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
@pytest.mark.parametrize("command", ["fields", "--help", "status", "compare", "explain", "nothing"])
def test_every_sentence_can_be_written_in_every_encoding(
    foreign: Path, encoding: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {
        "status": ["status", str(foreign)],
        "compare": ["compare", str(foreign)],
        "explain": ["explain", str(foreign.parent / "file.yaml")],
        "nothing": ["run", str(foreign.parent / "日本.yaml")],
    }.get(command, [command])
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out.flush()
    err.flush()
    written = (out.buffer.getvalue() + err.buffer.getvalue()).decode(encoding)  # type: ignore[attr-defined]
    assert ended.value.code == (2 if command == "nothing" else 0) and written and "Traceback" not in written
    if command == "status":
        assert ("✓" in written) == (encoding == "utf-8") and ("照片" in written) == (encoding == "utf-8")
        assert "v done" in written or "✓ done" in written
    if command == "nothing" and encoding != "utf-8":
        assert r"\u65e5\u672c.yaml" in written


def test_every_file_is_opened_as_utf_8() -> None:
    """No call that reads or writes text leaves the encoding to the locale."""
    found = []
    for path in sorted(Path(harness.__file__).parent.rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            named = {word.arg: word.value for word in call.keywords}
            is_path = name in ("read_text", "write_text")
            is_pipe = name in ("run", "Popen", "check_output") and ("text" in named or "universal_newlines" in named)
            modes = [named.get("mode"), *call.args[(0 if isinstance(call.func, ast.Attribute) else 1) :]]
            mode = next((str(m.value) for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)), "r")
            of_bytes = ("webbrowser", "os", "Image", "tarfile", "folder", "_opener()")  # or no files at all
            opener = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            is_text = name in ("open", "fdopen", "NamedTemporaryFile") and "b" not in mode
            is_file = is_text and (name == "fdopen" or opener not in of_bytes)
            if (is_path or is_pipe or is_file) and "encoding" not in named:
                found.append(f"{path}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert not found


def test_a_locale_without_utf_8_reads_what_was_written_and_workers_log_it(foreign: Path, tmp_path: Path) -> None:
    """LC_ALL=C without Python's UTF-8 mode; a default encoding anywhere in it is an error."""
    script = (
        "import sys, harness\n"
        "from harness.cli.app import main\n"
        "from harness.engines.devices import DeviceSpec\n"
        "from harness.engines.process import clean_environment\n"
        "assert open(sys.argv[1] + '/cells.json').encoding.lower() not in ('utf-8', 'utf8')\n"
        "results = harness.load(sys.argv[1])\n"
        "assert results.runs[0].label['cases'] == 'ä 照片 α'\n"
        "environment = clean_environment(DeviceSpec('cpu', 1))\n"
        "assert environment['PYTHONIOENCODING'].startswith('utf-8') and environment['PYTHONUTF8'] == '0'\n"
        "harness.draw(results)\n"
        "sys.argv = ['harness', 'compare', sys.argv[1], '--csv', sys.argv[2] + '.csv']\n"
        "main()\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, tmp_path / "script.py", foreign, tmp_path / "out"]
    ended = subprocess.run(command, env=environment, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")[-2000:]
    assert "ä 照片 α" in (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert b"\\u7167\\u7247" in ended.stdout or (tmp_path / "out.csv").exists()


# No home, caches that cannot be written, proxies


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A user without HOME and without an entry in passwd."""

    def getpwuid(user: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "HARNESS_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    downloads._temporary_cache.cache_clear()
    yield
    downloads._temporary_cache.cache_clear()


def test_without_a_home_caches_lie_among_the_temporary_files(
    nobody: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = downloads.cache_folder()
    assert cache == tmp_path / f"harness-{os.getuid()}" and stat.S_IMODE(cache.stat().st_mode) == 0o700
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "MPLCONFIGDIR", "HOME"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    downloads.ensure_home()
    assert Path.home() == cache


def test_somebody_elses_temporary_cache_is_not_trusted(nobody: None, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"harness-{os.getuid()}").symlink_to("elsewhere")
    cache = downloads.cache_folder()
    assert cache.name != f"harness-{os.getuid()}" and cache.parent == tmp_path and cache.is_dir()


def test_without_a_home_weights_at_an_address_are_looked_for_in_the_cache_alone(nobody: None, tmp_path: Path) -> None:
    weights = downloads.cache_folder() / "weights" / "0a0a0a0a.pth"
    with pytest.raises(HarnessError, match=r"127\.0\.0\.1:9/vgg\.pth cannot be downloaded"):
        fetch(WeightsURL("http://127.0.0.1:9/vgg.pth", "0a0a0a0a"))
    assert not weights.exists()


@pytest.mark.parametrize("variable", ["WANDB_DATA_DIR", "WANDB_CACHE_DIR", "MPLCONFIGDIR"])
@pytest.mark.parametrize("is_given", [True, False])
def test_what_others_write_goes_where_it_can_be_written(
    variable: str, is_given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "/dev/null/x")
    if not is_given:
        monkeypatch.delenv(variable)
    downloads.ensure_home()
    assert os.access(Path(os.environ[variable]).parent, os.W_OK)
    own = tmp_path / "own"
    monkeypatch.setenv(variable, str(own))
    downloads.ensure_home()
    assert os.environ[variable] == str(own)


def test_a_cache_that_cannot_be_written_serves_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "weights" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"here")
    sha256 = downloads.file_sha256(path)

    def refuse(*given: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("harness.files.os.replace", refuse)
    assert downloads.download("http://127.0.0.1:9/file", sha256, path) == path
    downloads.keep(tmp_path / "cache" / "means" / "x", b"measured")  # it can be measured again
    with pytest.raises(HarnessError, match=r"cannot be written to .*Read-only file system.*set HARNESS_CACHE"):
        downloads.download("http://127.0.0.1:9/file", "0" * 64, tmp_path / "cache" / "new" / "file")


class Proxy(BaseHTTPRequestHandler):
    """Answers for every host."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from the proxy")

    def log_message(self, *given: object) -> None:
        pass


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
def test_downloads_go_through_the_proxy_unless_the_host_is_excepted(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    sha256 = "d1a9a7a5"
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
            with pytest.raises(HarnessError, match="is not the file that was expected"):
                downloads.download("http://weights.invalid/vgg", sha256, tmp_path / "vgg")
            assert Proxy.asked.pop() == "http://weights.invalid/vgg"
            monkeypatch.setenv(variable.replace("http", "no").replace("HTTP", "NO"), "weights.invalid")
            with pytest.raises(HarnessError, match="cannot be downloaded"):
                downloads.download("http://weights.invalid/vgg", sha256, tmp_path / "vgg", timeout_s=2)
            assert not Proxy.asked
        finally:
            proxy.shutdown()
            thread.join()


# Cores and memory that are granted


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct"
CORES = {
    "no groups": ({}, 64),
    "no limit": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 64),
    "one core": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "100000 100000\n"}, 1),
    "half a core": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "50000 100000\n"}, 1),
    "two and a half": ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "250000 100000\n"}, 2),
    "four of the group above": (
        {"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "max 100000\n", f"{V2}/a/cpu.max": "400000 100000\n"}, 4,
    ),
    "the host's path": ({"proc/self/cgroup": "0::/docker/0123\n", f"{V2}/cpu.max": "300000 100000\n"}, 3),
    "more than there are": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "9900000 100000\n"}, 64),
    "garbage": ({"proc/self/cgroup": "0::/\nx\n", f"{V2}/cpu.max": "much\n"}, 64),
    "version 1": (
        {"proc/self/cgroup": "4:cpu,cpuacct:/job\n", f"{V1}/job/cpu.cfs_quota_us": "200000\n",
         f"{V1}/job/cpu.cfs_period_us": "100000\n"}, 2,
    ),
    "version 1, no quota": (
        {"proc/self/cgroup": "4:cpu,cpuacct:/\n", f"{V1}/cpu.cfs_quota_us": "-1\n",
         f"{V1}/cpu.cfs_period_us": "100000\n"}, 64,
    ),
    "version 1, the host's path, mounted as cpu": (
        {"proc/self/cgroup": "4:cpuacct,cpu:/docker/0123\n", f"{V2}/cpu/cpu.cfs_quota_us": "150000\n",
         f"{V2}/cpu/cpu.cfs_period_us": "50000\n"}, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CORES)
def test_as_many_workers_as_cores_are_granted(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, cores = CORES[kind]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    assert num_cores(tree(tmp_path, files)) == cores
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("harness.engines.devices.num_cores", lambda: num_cores(tmp_path))
    monkeypatch.setattr("harness.engines.devices.num_gpus", lambda: 0)
    assert len(parse_devices("auto", 1000)) == cores
    assert [spec.threads for spec in (*parse_devices("auto", 1), *parse_devices("cpu", 1))] == [cores, cores]


@pytest.mark.parametrize(
    ("quota", "given", "expected"), [("200000", None, "2"), ("200000", "1", "1"), ("max", None, None)]
)
def test_threads_of_the_command_itself_keep_to_the_quota(
    quota: str, given: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads(tree(tmp_path, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": f"{quota} 100000\n"}))
    assert os.environ.get("OMP_NUM_THREADS") == expected


def test_affinity_and_systems_that_know_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # as taskset does
    try:
        assert num_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS, Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert num_cores(tmp_path) == 7


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, float("inf")),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n", f"{V2}/memory.current": "5\n"}, float("inf")),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "1000\n", f"{V2}/memory.current": "300\n"}, 700),
        ({"proc/self/cgroup": "4:memory:/x\n", f"{V2}/memory/memory.limit_in_bytes": "900\n",
          f"{V2}/memory/memory.usage_in_bytes": "100\n"}, 800),
        ({"proc/self/cgroup": "4:memory:/x\n", f"{V2}/memory/memory.limit_in_bytes": "9223372036854771712\n"},
         float("inf")),
    ],
)  # fmt: skip
def test_memory_is_what_the_container_has_left(files: dict[str, str], left: float, tmp_path: Path) -> None:
    assert memory_limit_bytes(tree(tmp_path, files)) == left


# File systems without locks or links


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems answer."""

    def refuse(descriptor: object, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("harness.system.fcntl.flock", refuse)


def test_a_run_is_one_processs_also_without_flock(no_locks: None, tmp_path: Path) -> None:
    folder, other = RunFolder(tmp_path), RunFolder(tmp_path)
    with folder:
        assert folder.is_held and system.is_locked(tmp_path / ".lock")
        with pytest.raises(StorageError, match=rf"{tmp_path} is in use .*process {os.getpid()} on .*\.lock\.held"):
            other.wait_for(0.0)
    assert not system.is_locked(tmp_path / ".lock") and sorted(p.name for p in tmp_path.iterdir()) == [".lock"]
    with other:
        assert other.is_held


def test_a_study_has_one_driver_and_a_journal_whole_lines_also_without_flock(no_locks: None, tmp_path: Path) -> None:
    with hold_study(tmp_path), pytest.raises(StorageError, match=rf"{tmp_path} is in use"), hold_study(tmp_path):
        pass
    (tmp_path / "study.journal").write_bytes(b'{"a": 1}\n{"torn')
    lock, other = FlockLock(tmp_path / "study.journal"), FlockLock(tmp_path / "study.journal")
    assert lock.acquire() and (tmp_path / "study.journal").read_bytes() == b'{"a": 1}\n'
    waiting = threading.Thread(target=lambda: (other.acquire(), other.release()), daemon=True)
    waiting.start()
    lock.release()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("holder", "is_free"),
    [("process {dead} on {here}", True), ("process {alive} on {here}", False), ("process {dead} on elsewhere", False)],
)
def test_what_a_dead_process_of_this_machine_held_is_free(
    no_locks: None, tmp_path: Path, holder: str, is_free: bool
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    told = holder.format(dead=ended.pid, alive=os.getppid(), here=socket.gethostname())
    (tmp_path / ".lock.held").write_text(told)
    assert system.is_locked(tmp_path / ".lock") is not is_free
    lock = system.Lock(tmp_path / ".lock")
    assert lock.acquire() is is_free
    if not is_free:
        assert told in lock.advice and f"remove {tmp_path / '.lock.held'}" in lock.advice
    lock.release()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EIO])
def test_runs_are_copied_where_there_are_no_links(here: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    plan = plan_of("second")
    open_folder("second", "runs")
    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    link_finished(plan.jobs, plan.linked)
    again = plan_of("second")
    assert len(again.done) == 2 and not again.linked
    first = {job.row.id: job.folder.manifest() for job in plan_of().done}
    for job in again.done:
        manifest, one = job.folder.manifest(), first[job.row.id]
        assert manifest is not None and one is not None and not job.row.folder.is_symlink()
        assert manifest.experiment == "second" and manifest.metrics == one.metrics and manifest.token != one.token
        assert job.folder.image_path.read_bytes() == RunFolder(Path("runs/tiny") / job.row.id).image_path.read_bytes()
    assert sorted(path.name for path in Path("runs/second").iterdir()) == sorted(first)


# Files from other systems


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("# x", "# \u00a0 größer, 照片").encode(),
    ],
    ids=["CRLF", "CR", "BOM", "BOM and CRLF", "comment"],
)
def test_yaml_of_other_systems_is_read(change: Callable[[str], bytes], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(change(TINY + "# x\n"))
    assert [cell.transfer.alpha for cell in load_experiment(tmp_path / "a.yaml").cells] == [1e-3, 1e-1]


LINES = "transfer:\n  content: astronaut\n  style: strokes\n  size: 32\n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (LINES.encode("utf-16"), "a.yaml: is UTF-16 or UTF-32 text; save it as UTF-8"),
        (LINES.encode("utf-16-be"), "a.yaml: is UTF-16 or UTF-32 text; save it as UTF-8"),
        (LINES.encode("utf-32"), "a.yaml: is UTF-16 or UTF-32 text; save it as UTF-8"),
        ((LINES + "# é\n").encode("latin-1"), "a.yaml:5: byte 0xe9 is not UTF-8 text"),
        (LINES.replace("  style", "\tstyle").encode(), "a.yaml:3: a tab stands at column 1"),
        (
            LINES.replace("  style", "\u00a0\u00a0style").encode(),
            r"a.yaml:3: a no-break space \(U\+00A0\) stands at co",
        ),
        (LINES.replace("e: strokes", "e:\u00a0strokes").encode(), r"a.yaml:3: a no-break space \(U\+00A0\) stands at "),
        (LINES.replace("  style", "\u3000style").encode(), r"a.yaml:3: an ideographic space \(U\+3000\)"),
        (
            LINES.replace("  style", "  \u200bstyle").encode(),
            r"a.yaml:3: .*a zero width space \(U\+200B\) stands beside",
        ),
        (
            LINES.replace("style:", "style\uff1a").encode(),
            r"a.yaml:3: a fullwidth colon \(U\+FF1A\) stands at column 8",
        ),
    ],
)
def test_yaml_that_cannot_be_read_says_what_is_in_it(raw: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(raw)
    with pytest.raises(UsageError, match=said):
        load_experiment(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("encode", "is_read"),
    [
        (lambda text: text.encode("utf-8-sig"), True),
        (lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"), True),
        (lambda text: text.encode("utf-16"), False),
    ],
    ids=["BOM", "BOM and CRLF", "UTF-16"],
)
def test_plugins_of_other_systems(encode: Callable[[str], bytes], is_read: bool, tmp_path: Path) -> None:
    from harness.registries import load_plugins, registry

    path = tmp_path / "of_windows.py"
    path.write_bytes(encode("import harness\n\n\ndef größe():\n    return 1\n"))
    if is_read:
        (plugin,) = load_plugins([str(path)])
        registry._forget(plugin)
    else:
        with pytest.raises(HarnessError, match="of_windows.py"):
            load_plugins([str(path)])


# Launchers of clusters


LAUNCHERS = {
    "srun on PATH": {},
    "salloc": {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_NAME": "mine"},
    "interactive": {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive", "SLURM_LOCALID": "0"},
    "torchelastic": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "x"},
    "LSF": {"LSB_JOBID": "7", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_LOCAL_RANK": "0", "JSM_NAMESPACE_SIZE": "2"},
    "MPI": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1", "PMI_SIZE": "2"},
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_batch_is_one_process_whatever_launched_it(
    here: Path, launcher: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Warnings are errors in tests; a checkpoint that Lightning would take for its job's is not looked at."""
    (here / "bin").mkdir()
    (here / "bin" / "srun").write_text("#!/bin/sh\nexit 1\n")
    (here / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name, value in LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    (here / "hpc_ckpt_1.ckpt").write_text("no checkpoint")
    job = plan_of().done[0]
    picture = job.folder.image_path.read_bytes()
    shutil.rmtree(job.row.folder)
    capfd.readouterr()
    (manifest,) = run_batch([job.row], Execution())
    assert manifest.status is Status.DONE and job.folder.image_path.read_bytes() == picture
    assert capfd.readouterr() == ("", "")
    left = clean_environment(parse_devices("cpu:1", 1)[0])
    assert not LAUNCHERS[launcher].keys() - {"JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"} & left.keys()


# Other operating systems


def test_nothing_that_windows_lacks_is_needed_to_import_and_to_look_things_up() -> None:
    script = (
        "import os, pkgutil, signal, sys, importlib\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios'):\n"
        "    sys.modules[name] = None\n"
        "for name in ('sched_getaffinity', 'sysconf', 'killpg', 'pread', 'getuid'):\n"
        "    delattr(os, name)\n"
        "for name in ('SIGHUP', 'SIGKILL', 'SIGUSR1', 'SIGALRM'):\n"
        "    delattr(signal, name)\n"
        "import harness.driver.folder, harness.driver.removing, harness.engines.local, harness.engines.worker\n"
        "import harness.features.registry, harness.results, harness.runs.store, harness.studies.storage\n"
        "from harness.cli.app import main\n"
        "from harness.engines.devices import available_bytes, num_cores\n"
        "from harness.engines.process import describe_exit\n"
        "assert num_cores() >= 1 and available_bytes() > 0 and describe_exit(-9)\n"
        "sys.argv = ['harness', 'fields']\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, encoding="utf-8")
    assert ended.returncode == 0 and "style_layers" in ended.stdout, ended.stderr[-2000:]


def test_locks_without_fcntl_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "fcntl", None)  # and no msvcrt here
    with system.Lock(tmp_path / "lock") as lock:
        assert lock.acquire() and not system.Lock(tmp_path / "lock").acquire(1) and system.is_locked(tmp_path / "lock")
    assert not system.is_locked(tmp_path / "lock")


def test_computing_on_windows_is_refused_by_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.driver.carrying.IS_WINDOWS", True)
    with pytest.raises(DeviceError, match="on Windows install the harness in WSL"):
        local_devices(Request("single"), 1)


@pytest.mark.parametrize("word", ["mps", "mps:0"])
def test_apples_gpu_is_refused_by_a_sentence(word: str) -> None:
    with pytest.raises(DeviceError, match=r"--devices mps.*use --devices auto, or cpu"):
        parse_devices(word, 1)


@pytest.mark.long
def test_a_run_needs_no_home_no_cache_no_utf_8_no_network_and_no_slurm(tmp_path: Path) -> None:
    """All at once, by real processes: a worker's, W&B's offline, and the figure's."""
    for name in ("bin", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    nobody = "import pwd\n\n\ndef getpwuid(user):\n    raise KeyError(user)\n\n\npwd.getpwuid = getpwuid\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(nobody)
    (tmp_path / "größer.yaml").write_text(TINY)  # the name of a file may be anything, that of the runs' folder not
    (tmp_path / "tiny.yaml").write_text("base: größer.yaml\ntracking: {notes: 照片 α}\n", encoding="utf-8")
    environment = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "LC_ALL": "C", "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'site'}", "SLURM_NTASKS": "2",
        "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": "/dev/null",
        "HARNESS_CACHE": "/dev/null/harness", "MPLCONFIGDIR": "/dev/null/matplotlib", "TORCH_HOME": "/dev/null/torch",
        "TMPDIR": "/dev/null/temporary",
    }  # fmt: skip
    command = [sys.executable, "-m", "harness", "run", "tiny.yaml", "--devices", "cpu:1"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=280)
    said = (ended.stdout + ended.stderr).decode("ascii")
    assert ended.returncode == 0, said
    assert "figure.png" in said and "Warning" not in said and "srun" not in said and "Traceback" not in said
    assert {run.status for run in harness.load(tmp_path / "runs" / "tiny").runs} == {Status.DONE}
    assert [*(tmp_path / "runs" / "tiny" / "wandb").glob("offline-run-*")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "größer.yaml", "runs", "site", "tiny.yaml"]
