"""The part of W&B's server that runs, tables and views need, on this machine; and readers of offline runs."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "a" * 40


@pytest.fixture(autouse=True)
def only_what_a_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "NETRC"))]:
        monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path), "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fresh_wandb(only_what_a_test_sets: None) -> Iterator[None]:
    """W&B reads its variables once per process: forget them, before and after."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


def records(path: Path) -> list[dict[str, Any]]:
    """All records of a W&B folder, by W&B's own reader (``wandb leet inspect --json`` without its second of start)."""
    from wandb.util import get_core_path

    (log,) = path.glob("*.wandb")
    command = [get_core_path(), "leet", "inspect", "-no-observability", "-json", "-run-file", log, path.parent]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def mirrored_history(path: Path) -> list[dict[str, Any]]:
    return [record["history"]["item"] for record in records(path) if record["type"] == "history"]


def mirrored_run(path: Path) -> dict[str, Any]:
    return next(record["run"] for record in records(path) if record["type"] == "run")


def mirrored_summary(path: Path) -> dict[str, Any]:
    updates = [record["summary"].get("update", {}) for record in records(path) if record["type"] == "summary"]
    return {key: value for update in updates for key, value in update.items()}


def exit_code(path: Path) -> int:
    return next(record["exit"].get("exit_code", 0) for record in records(path) if record["type"] == "exit")


class Server(ThreadingHTTPServer):
    """The part of W&B's server that a run needs; keeps what it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.tables: list[str] = []
        self.views: dict[str, dict[str, Any]] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        """Ids of runs that were deleted: W&B takes none of them again."""
        self.refused = ""
        """Why no run is taken; empty where runs are."""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""

    def query(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "e", "name": "me"}
        project = {"id": "p", "name": "project", "entity": entity}
        if name == "RunResumeStatus":
            run = self.runs.get(variables["name"])
            if run is None:
                return {"model": {**project, "bucket": None}}
            lines = run["lines"]
            bucket = {"id": "b", "name": variables["name"], "displayName": "", "config": "{}"}
            bucket |= {"summaryMetrics": json.dumps(run["summary"])}
            bucket |= {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "tags": [], "notes": ""}
            bucket |= {"historyLineCount": len(lines), "historyTail": json.dumps(lines[-1:])}
            bucket |= {"wandbConfig": '{"t": {}}'}
            return {"model": {**project, "bucket": bucket}}
        if name == "UpsertBucket":
            run = self.runs.setdefault(
                variables["name"], {"lines": [], "summary": {}, "exit_code": None, "told": variables}
            )
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["displayName"] or ""}
            bucket |= {"historyLineCount": len(run["lines"]), "description": None, "config": "{}", "sweepName": None}
            return {"upsertBucket": {"bucket": {**bucket, "project": project}, "inserted": not run["lines"]}}
        if name == "CreateRunFiles":
            of_run = f"{self.url}/upload/{variables['run']}"
            files = [{"name": file, "uploadUrl": f"{of_run}/{file}"} for file in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if name in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {**entity, "entity": "me", "username": "me", "teams": {"edges": []}}}
        if name == "UpsertView2":
            identity = variables.get("id") or f"view{len(self.views)}"
            self.views[identity] = variables
            return {"upsertView": {"view": {"id": identity, "name": variables["name"]}, "inserted": True}}
        if name == "GetProjects":
            node = {
                "__typename": "Project",
                "id": "p",
                "name": "gatys",
                "entityName": "me",
                "createdAt": "2026-01-02T03:04:05Z",
                "isBenchmark": False,
                "user": None,
            }
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": page, "edges": [{"node": node}]}}
        if name == "ProjectInternalId":
            return {"project": {"id": "p", "internalId": "UHJvamVjdDox"}}
        if name == "upsertView":
            identity = variables.get("id") or f"report{len(self.reports)}"
            self.reports[identity] = variables
            view = {key: variables[key] for key in ("name", "displayName", "description", "type", "spec")}
            at = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
            return {
                "upsertView": {"view": {**view, "id": identity, "project": at, "updatedAt": None}, "inserted": True}
            }
        return self.artifact_query(name, variables)

    def artifact_query(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Tables go to W&B as artifacts: announced, their manifest and files uploaded, committed."""
        if name == "ArtifactType":
            return {"project": None}
        if name == "CreateArtifact":
            self.tables.append(variables["input"]["artifactCollectionName"])
            identity = f"artifact{len(self.tables)}"
            sequence = {"id": "s", "latestArtifact": None}
            return {"createArtifact": {"artifact": {"id": identity, "state": "PENDING", "artifactSequence": sequence}}}
        if name in ("CreateArtifactManifest", "UpdateArtifactManifest"):
            kind = name[0].lower() + name[1:]
            file = {
                "id": "f",
                "name": "m",
                "displayName": "m",
                "uploadUrl": f"{self.url}/upload/manifest",
                "uploadHeaders": [],
            }
            return {kind: {"artifactManifest": {"id": "m", "file": file}}}
        if name == "CreateArtifactFiles":
            nodes = [
                {"id": "f", "name": spec["name"], "displayName": spec["name"], "storagePath": spec["name"],
                 "uploadUrl": f"{self.url}/upload/{spec['artifactID']}/{spec['name']}", "uploadHeaders": [],
                 "uploadMultipartUrls": None, "artifact": {"id": spec["artifactID"]}}
                for spec in variables["input"]["artifactFiles"]
            ]  # fmt: skip
            return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}
        if name == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": ""}}}
        return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def answer(self, data: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_PUT(self) -> None:
        self.server.files[self.path.removeprefix("/upload/")] = self.body()
        self.answer({})

    def do_POST(self) -> None:
        told = json.loads(self.body())
        if self.path == "/graphql":
            named = re.search(r"(?:query|mutation)\s+(\w+)", told["query"])  # W&B's Api leaves operationName out
            name = told.get("operationName") or (named[1] if named else "")
            variables = told.get("variables") or {}
            if name == "UpsertBucket" and variables["name"] in self.server.deleted:
                why = f"run me/project/{variables['name']} was previously created and deleted; try a new run name"
                return self.answer({"errors": [{"message": why, "path": ["upsertBucket"]}], "data": None}, 409)
            if name == "UpsertBucket" and self.server.refused:
                return self.answer({"errors": [{"message": self.server.refused}], "data": None}, 403)
            return self.answer({"data": self.server.query(name, variables)})
        run = self.server.runs[self.path.split("/")[-2]]
        chunk = (told.get("files") or {}).get("wandb-history.jsonl")
        if chunk:
            run["lines"][chunk["offset"] :] = chunk["content"]
        if summary := (told.get("files") or {}).get("wandb-summary.json"):
            run["summary"] = json.loads(summary["content"][-1])
        if told.get("complete") is not None:
            run["exit_code"] = told["exitcode"]
        self.answer({})


@pytest.fixture
def server(fresh_wandb: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server()
    monkeypatch.setenv("WANDB_BASE_URL", served.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield served
    served.shutdown()
    served.server_close()
