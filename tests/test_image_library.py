"""Names of images: each leads to a file that is there, or to a sentence that says how to get it."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import harness
from harness.errors import DownloadError, ImageError
from harness.images import fetch_images, find_image, library, list_images, read_image, write_png
from harness.images.catalogue import DRAWN, MASKS, PAPER, PHOTOGRAPHS, TEXTURES
from harness.images.library import image_file

BUNDLED = (*PHOTOGRAPHS, *TEXTURES, *DRAWN, *MASKS)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("image", BUNDLED, ids=lambda image: image.name)
def test_bundled_image_is_there_in_its_size(image):
    pixels = read_image(find_image(image.name))
    assert pixels.shape == (image.height, image.width, 3) and pixels.std() > 0.05
    if image.kind not in ("texture", "mask"):
        assert (pixels.max(axis=2) - pixels.min(axis=2)).mean() > 0.02  # in colour


def test_names_are_unique_and_at_least_six_styles_are_drawn():
    names = [image.name for image in list_images()]
    assert len(set(names)) == len(names) and len(DRAWN) >= 6 and {"astronaut", "strokes", "tubingen"} <= set(names)


@pytest.mark.parametrize("image", MASKS, ids=lambda image: image.name)
def test_mask_is_named_after_its_image_and_has_its_size(image):
    masked = {bundled.name: bundled for bundled in BUNDLED}[image.name.split("_")[0]]
    assert masked.kind != "mask" and (masked.width, masked.height) == (image.width, image.height)


@pytest.mark.parametrize("image", list_images(), ids=lambda image: image.name)
def test_every_image_says_whose_it_is(image):
    assert image.title and image.author and image.licence and image.source and image.name.isidentifier()


@pytest.mark.parametrize("image", PAPER, ids=lambda image: image.name)
def test_paper_image_names_its_address_hash_and_stand_in(image):
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/jcjohnson/[\w/.-]+/[0-9a-f]{40}/[\w/.-]+", image.source)
    assert re.fullmatch(r"[0-9a-f]{64}", image.sha256)
    assert image.stand_in in {bundled.name for bundled in BUNDLED if bundled.kind != "mask"}


@pytest.mark.parametrize("image", PAPER, ids=lambda image: image.name)
def test_paper_image_not_downloaded_names_the_command_and_the_stand_in(image):
    with pytest.raises(ImageError, match="harness fetch images") as caught:
        find_image(image.name)
    assert image.stand_in in str(caught.value)


def test_paper_image_with_another_content_counts_as_not_downloaded():
    image_file(PAPER[0]).parent.mkdir(parents=True)
    image_file(PAPER[0]).write_bytes(b"something else")
    with pytest.raises(ImageError, match="not downloaded"):
        find_image(PAPER[0].name)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("astronout", "astronaut"),
        ("Strokes", "strokes"),
        ("colour-fields", "colour_fields"),
        ("starry night", "starry_night"),
        ("mosaic.png", "mosaic"),
        ("rocket-skies", "rocket_sky"),
    ],
)
def test_typo_names_the_nearest_image(typo, meant):
    with pytest.raises(ImageError, match=rf"Did you mean {meant}\b.*\?.*harness fields images"):
        find_image(typo)


@pytest.mark.parametrize("nonsense", ["", "zzzzqqq", "a\0b", "x" * 5000, "~nobody_of_that_name/x.png"])
def test_nonsense_gets_a_sentence(nonsense):
    with pytest.raises(ImageError, match="harness fields images lists the bundled ones"):
        find_image(nonsense)


def test_missing_path_names_where_it_was_looked_for(tmp_path):
    with pytest.raises(ImageError) as caught:
        find_image("photos/me.jpg", relative_to=tmp_path / "experiments")
    assert f"(looked in {tmp_path / 'photos'} or {tmp_path / 'experiments' / 'photos'})" in str(caught.value)


def test_file_that_is_there_comes_before_a_name(tmp_path):
    write_png(tmp_path / "strokes", np.zeros((2, 2, 3)))
    assert find_image("strokes").resolve() == tmp_path / "strokes"


def test_folder_does_not_hide_a_name(tmp_path):
    (tmp_path / "strokes").mkdir()
    assert find_image("strokes") == image_file(DRAWN[0])
    (tmp_path / "photos").mkdir()
    with pytest.raises(ImageError, match="'photos' is a folder"):
        find_image("photos")


def test_working_folder_comes_before_the_yamls(tmp_path):
    (tmp_path / "experiments").mkdir()
    write_png(tmp_path / "experiments" / "a.png", np.zeros((2, 2, 3)))
    assert find_image("a.png", relative_to=tmp_path / "experiments") == tmp_path / "experiments" / "a.png"
    write_png(tmp_path / "a.png", np.zeros((2, 2, 3)))
    assert find_image("a.png", relative_to=tmp_path / "experiments").resolve() == tmp_path / "a.png"
    assert find_image(tmp_path / "experiments" / "a.png") == tmp_path / "experiments" / "a.png"


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    write_png(tmp_path / "home" / "a.png", np.zeros((2, 2, 3)))
    assert find_image("~/a.png") == tmp_path / "home" / "a.png"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A paper image whose file is served from this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "www").mkdir()
    write_png(tmp_path / "www" / "x.png", np.zeros((2, 2, 3)))

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "www"))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        digest = hashlib.sha256((tmp_path / "www" / "x.png").read_bytes()).hexdigest()
        image = replace(PAPER[0], source=f"http://127.0.0.1:{server.server_port}/x.png", sha256=digest)
        monkeypatch.setattr(library, "PAPER", (image,))
        monkeypatch.setitem(library._BY_NAME, image.name, image)
        yield image
        server.shutdown()
        thread.join()


def test_fetched_image_is_found_by_name(served, tmp_path):
    told = []
    assert fetch_images(on_bytes=lambda image, done, total: told.append((image.name, done, total))) == [
        find_image(served.name)
    ]
    size = (tmp_path / "www" / "x.png").stat().st_size
    assert told == [(served.name, size, size)] and find_image(served.name).is_relative_to(tmp_path / "cache")
    assert fetch_images([served.name]) == [find_image(served.name)] and len(told) == 1


def test_only_paper_images_are_fetched():
    with pytest.raises(ImageError, match="astronaut is not an image to download. Allowed are tubingen, "):
        fetch_images(["astronaut"])


def test_fetching_offline_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(DownloadError, match="Check the network"):
        fetch_images(["tubingen"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_importing_images_needs_neither_torch_nor_skimage():
    code = "import sys, harness.images as i; i.find_image('astronaut'); print({'torch', 'skimage'} & set(sys.modules))"
    above = Path(harness.__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], cwd=above, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
