"""Downloads against a real server on this machine: the file that was asked for, or a sentence and nothing."""

import contextlib
import hashlib
import resource
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.downloads import cache_folder, download, has_hash
from harness.errors import DownloadError, UsageError

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One path for each way a server can behave."""

    requests: list[str] = []

    def do_GET(self):
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
        elif self.path in ("/to-file", "/to-ftp", "/to-right"):
            self.send_response(302)
            there = {"/to-file": "file:///etc/hostname", "/to-ftp": "ftp://127.0.0.1/x", "/to-right": "/right"}
            self.send_header("Location", there[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/chunked-cut":
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1000\r\n" + CONTENT[:100])
            self.close_connection = True
        elif self.path == "/silent":
            time.sleep(1.0)
            self.close_connection = True
        else:
            self.send_response(200)
            if self.path != "/unsized":
                self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@contextlib.contextmanager
def full_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("page", ["right", "unsized", "to-right"])
@pytest.mark.parametrize("num_digits", [8, 64])
def test_right_hash_or_its_beginning_is_accepted(server, tmp_path, page, num_digits):
    there = tmp_path / "new" / "folder" / "file.bin"
    assert download(f"{server}/{page}", SHA256[:num_digits].upper(), there) == there
    assert there.read_bytes() == CONTENT and [path.name for path in there.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(("page", "stated"), [("right", len(CONTENT)), ("unsized", None)])
def test_progress_counts_every_byte(server, tmp_path, page, stated):
    told = []
    download(f"{server}/{page}", SHA256, tmp_path / "file", lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), stated) and told == sorted(told) and len(told) > 1


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("missing", "the server answers 404 .*Nothing was kept"),
        ("cut", f"cut off after 1000 of {len(CONTENT)} bytes"),
        ("chunked-cut", "cannot be downloaded .*Nothing was kept"),
        ("silent", "cannot be downloaded .*timed out"),
        ("to-file", "cannot be downloaded"),
        ("to-ftp", "cannot be downloaded"),
    ],
)
def test_failed_download_gets_a_sentence_and_leaves_nothing(server, tmp_path, page, sentence):
    with pytest.raises(DownloadError, match=sentence) as caught:
        download(f"{server}/{page}", SHA256, tmp_path / "file", timeout_s=0.3)
    assert f"{server}/{page}" in str(caught.value) and list(tmp_path.iterdir()) == []


def test_wrong_hash_is_refused_and_the_old_file_kept(server, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(DownloadError, match=f"its SHA-256 is {SHA256}, not 0123456789"):
        download(f"{server}/right", "0123456789" + SHA256[10:], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_file_that_is_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    download(f"{server}/right", SHA256, tmp_path / "file")
    assert Handler.requests == []


def test_file_with_another_hash_is_replaced(server, tmp_path):
    (tmp_path / "file").write_bytes(b"damaged")
    download(f"{server}/right", SHA256, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_refused_connection_gets_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:  # bound but not listening: connecting is refused
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadError, match="Check the network"):
            download(f"http://127.0.0.1:{unused.getsockname()[1]}/x", SHA256, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_unknown_host_gets_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match="cannot be downloaded .*Check the network"):
        download("http://nowhere.invalid/x", SHA256, tmp_path / "file", timeout_s=5)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_gets_a_sentence_and_leaves_nothing(server, tmp_path):
    with full_disk(), pytest.raises(DownloadError, match="cannot be written .*disk space"):
        download(f"{server}/right", SHA256, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_destination_below_a_file_gets_a_sentence(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written"):
        download(f"{server}/right", SHA256, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x", "photo.jpg", "HTTPS//typo"])
def test_only_http_is_downloaded(tmp_path, url):
    with pytest.raises(DownloadError, match="only http:// and https://"):
        download(url, SHA256, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://", "http://[bad", "http://host:port/x", "http://a b/"])
def test_malformed_address_gets_a_sentence(tmp_path, url):
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        download(url, SHA256, tmp_path / "file", timeout_s=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sha256", ["", "1234567", "g" * 64, "0" * 65])
def test_what_is_no_hash_is_refused(tmp_path, sha256):
    with pytest.raises(ValueError, match="8 to 64 hex digits"):
        download("http://127.0.0.1/x", sha256, tmp_path / "file")


def test_cache_folder_can_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "harness" and cache_folder() != tmp_path
    monkeypatch.setenv("HARNESS_CACHE", "~nosuchuser/x")
    with pytest.raises(UsageError, match="HARNESS_CACHE=~nosuchuser/x is in a home folder that this machine does not"):
        cache_folder()


def test_has_hash_of_the_beginning_and_of_nothing(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert has_hash(tmp_path / "file", SHA256[:8]) and not has_hash(tmp_path / "file", SHA256[1:9])
    assert not has_hash(tmp_path / "none", SHA256) and not has_hash(tmp_path, SHA256)
