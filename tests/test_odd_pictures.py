"""Files that browsers open, and those that are no pictures: read with a word about what was ignored, or a sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_images import chunk, linear_profile, png, srgb_encoded, tiff_grey

from harness.errors import ImageError
from harness.images import decoding
from harness.images.files import read_image, read_picture
from harness.images.masks import read_mask

DOWN, ACROSS = np.mgrid[:48, :56]
SMOOTH = np.stack([DOWN * 5, 255 - ACROSS * 4, 0 * DOWN + 90], -1).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
GREY = np.full((8, 8), 128, dtype=np.uint8)
LINEAR_128 = srgb_encoded(np.float64(128 / 255))
"""A grey of 128 where the values are linear light."""


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunk(name: bytes, data: bytes, pixels: np.ndarray = SMOOTH) -> bytes:
    """A PNG with one more chunk behind its header."""
    whole = encoded(pixels, "PNG")
    return whole[:33] + chunk(name, data) + whole[33:]


def exif_entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """EXIF with a single entry."""
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0") + bytes(4)


def called_srgb(space: bytes) -> bytes:
    return linear_profile(space).replace(b"linear test\0", b"sRGB linear\0")


ORIENTATION = 0x112
ODD_EXIF = {
    "garbage": b"Exif\0\0garbagegarbage",
    "empty": b"",
    "its head alone": b"Exif\0\0",
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01",
    "points behind its end": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "points at itself": exif_entry(0x8769, 4, 1, struct.pack("<I", 8)),
    "orientation 9": exif_entry(ORIENTATION, 3, 1, b"\x09\0"),
    "orientation a word": exif_entry(ORIENTATION, 2, 2, b"a\0"),
    "orientation of no values": exif_entry(ORIENTATION, 3, 0, b"\x06\0"),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("exif", ODD_EXIF.values(), ids=ODD_EXIF)
def test_exif_that_cannot_be_used_is_ignored(tmp_path, exif, kind):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "PNG":
        content = with_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    else:
        content = encoded(SMOOTH, kind, exif=exif, **options)
    (tmp_path / "a").write_bytes(content)
    found = read_picture(tmp_path / "a")
    np.testing.assert_allclose(found.colours, SMOOTH / 255, atol=3 / 255)
    if exif.endswith(b"garbage") and kind != "JPEG":  # which Pillow reads as none
        assert found.notes == ["its EXIF data cannot be read and are ignored"]


def test_orientation_counts_where_the_rest_of_the_exif_is_broken(tmp_path):
    broken = struct.pack("<HHIHH", 306, 2, 0x7FFFFFFF, 0xFFFF, 0x7FFF)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0) + broken + bytes(4)
    (tmp_path / "a.webp").write_bytes(encoded(SMOOTH, "WEBP", lossless=True, exif=exif))
    np.testing.assert_allclose(read_image(tmp_path / "a.webp"), SMOOTH[::-1].transpose(1, 0, 2) / 255, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"xmp": b"<x:xmpmeta garbage"}, {"xmp": b"\xff\xfe\0"}, {"comment": b"\xff\0"}, {"dpi": (0, 0)}],
    ids=["XMP", "XMP not UTF-8", "comment", "0 dpi"],
)
def test_odd_metadata_of_a_jpeg_are_ignored(tmp_path, options):
    (tmp_path / "a.jpg").write_bytes(encoded(SMOOTH, "JPEG", quality=100, subsampling=0, **options))
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg"), SMOOTH / 255, atol=3 / 255)


def test_a_profile_is_applied_by_what_it_does_not_by_its_name(tmp_path):
    for space, pixels in ((b"RGB ", np.stack([GREY] * 3, -1)), (b"GRAY", GREY)):
        Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=called_srgb(space))
        found = read_picture(tmp_path / "a.png")
        np.testing.assert_allclose(found.colours, LINEAR_128, atol=1 / 255)
        assert found.reading == "profile"  # it was read otherwise before: another id


def test_srgbs_own_profile_leaves_every_value_exact(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(NOISE).save(tmp_path / "a.png", icc_profile=profile)
    found = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.colours, NOISE.astype(np.float32) / np.float32(255))
    assert found.reading == "" and found.notes == []


@pytest.mark.parametrize(
    "pixels", [np.stack([GREY, GREY * 0 + 255], -1), GREY.astype(np.uint16) * 257], ids=["LA", "I;16"]
)
def test_a_grey_profile_counts_in_every_grey_mode(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=linear_profile(b"GRAY"))
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), LINEAR_128, atol=1 / 255)


def test_deep_greys_under_a_profile_keep_their_precision(tmp_path):
    values = np.arange(0, 65536, 7, dtype=np.uint16)[None]
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=linear_profile(b"GRAY"))
    read = read_image(tmp_path / "a.png")[0, :, 0]
    assert (np.diff(read) > 0).all()
    np.testing.assert_allclose(read[values[0] > 2000], srgb_encoded(values[0] / 65535)[values[0] > 2000], atol=0.01)


LAB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
BAD_PROFILES = {
    "garbage": (b"garbage" * 40, "cannot be used"),
    "cut off": (linear_profile(b"RGB ")[:200], "cannot be used"),
    "zeros": (bytes(128), "cannot be used"),
    "of grey": (linear_profile(b"GRAY"), "other channels"),
    "of Lab": (LAB_PROFILE, "other channels"),
}


@pytest.mark.parametrize(("profile", "why"), BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_profile_that_cannot_be_used_is_ignored_and_said(tmp_path, profile, why):
    Image.fromarray(NOISE).save(tmp_path / "a.png", icc_profile=profile)
    found = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.colours, NOISE.astype(np.float32) / np.float32(255))
    assert len(found.notes) == 1 and why in found.notes[0]


DAMAGED_PNGS = {
    "iCCP": with_chunk(b"iCCP", b"x\0\0not zlib"),
    "gAMA": with_chunk(b"gAMA", b"\0"),
    "cHRM": with_chunk(b"cHRM", b"\0\0\0"),
    "pHYs": with_chunk(b"pHYs", b"\0"),
    "sRGB": with_chunk(b"sRGB", b""),
    "tEXt": with_chunk(b"tEXt", b"no separator"),
    "zTXt": with_chunk(b"zTXt", b"k\0\0not zlib"),
    "zTXt of 70 MB": with_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(70 << 20))),
    "a checksum": with_chunk(b"tEXt", b"a\0b").replace(
        chunk(b"tEXt", b"a\0b"), chunk(b"tEXt", b"a\0b")[:-4] + bytes(4)
    ),
    "no IEND": encoded(SMOOTH, "PNG")[:-12],
    "more behind its end": encoded(SMOOTH, "PNG") + b"more",
}


@pytest.mark.parametrize("content", DAMAGED_PNGS.values(), ids=DAMAGED_PNGS)
def test_a_png_whose_pixels_are_sound_is_read_exactly(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), SMOOTH.astype(np.float32) / np.float32(255))


def test_gamma_of_a_png_counts_where_nothing_else_says_how_values_are_meant(tmp_path):
    grey = np.stack([GREY] * 3, -1)
    for gamma, expected in ((100000, LINEAR_128), (45455, 128 / 255)):
        (tmp_path / "a.png").write_bytes(with_chunk(b"gAMA", struct.pack(">I", gamma), grey))
        np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, atol=1e-6)


@pytest.mark.parametrize("kept", [-2, -20, -200, 0.95, 0.9, 0.85])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_without_its_last_rows_is_read_and_said(tmp_path, kind, kept):
    whole = encoded(NOISE, kind)
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "cut").write_bytes(whole[: kept if kept < 0 else int(len(whole) * kept)])
    found, expected = read_picture(tmp_path / "cut"), read_image(tmp_path / "whole")
    assert found.colours.shape == expected.shape
    np.testing.assert_array_equal(found.colours[:44], expected[:44])  # a JPEG's colours are blended between blocks
    if kind == "PNG" and -20 <= kept < 0:  # of checksums: no row is missing
        np.testing.assert_array_equal(found.colours, expected)
        return
    assert "cut off" in found.notes[0]
    if kind == "PNG":  # the last row that is there, again
        np.testing.assert_array_equal(found.colours[-1], found.colours[-2])


@pytest.mark.parametrize("kept", [0.5, 0.1])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_file_without_much_of_its_rows_is_refused(tmp_path, kind, kept):
    whole = encoded(NOISE, kind)
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageError, match="damaged or cut off|not an image"):
        read_image(tmp_path / "cut")


def test_a_progressive_jpeg_that_was_cut_off_is_less_sharp(tmp_path):
    whole = encoded(SMOOTH, "JPEG", progressive=True, quality=95)
    (tmp_path / "a.jpg").write_bytes(whole[:-40])
    found = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(found.colours, SMOOTH / 255, atol=0.1)
    assert "less sharp" in found.notes[0]
    first = whole.index(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(whole[: first + 20])
    with pytest.raises(ImageError, match="cut off"):
        read_image(tmp_path / "a.jpg")


def test_a_multi_picture_file_is_its_first_picture(tmp_path):
    for kind in ("MPO", "TIFF", "GIF"):
        content = encoded(SMOOTH, kind, save_all=True, append_images=[Image.fromarray(SMOOTH[::2, ::2].copy())])
        (tmp_path / "a").write_bytes(content)
        assert read_image(tmp_path / "a").shape == SMOOTH.shape


OTHER_MODES = {
    "Adobe CMYK JPEG": (Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", {"quality": 100, "subsampling": 0}, 4),
    "progressive JPEG": (SMOOTH, "JPEG", {"quality": 100, "subsampling": 0, "progressive": True}, 4),
    "CMYK TIFF": (Image.fromarray(SMOOTH).convert("CMYK"), "TIFF", {}, 1),
    "JPEG in TIFF": (SMOOTH, "TIFF", {"compression": "jpeg", "quality": 100}, 6),
    "WebP with alpha": (Image.fromarray(SMOOTH).convert("RGBA"), "WEBP", {"lossless": True}, 0),
    "JPEG 2000": (SMOOTH, "JPEG2000", {}, 1),
    "TGA": (SMOOTH, "TGA", {}, 0),
    "BMP": (SMOOTH, "BMP", {}, 0),
    "APNG": (SMOOTH, "PNG", {"save_all": True, "append_images": [Image.fromarray(SMOOTH[::-1].copy())]}, 0),
}


@pytest.mark.parametrize(("image", "kind", "options", "levels"), OTHER_MODES.values(), ids=OTHER_MODES)
def test_other_kinds_are_read_whatever_their_names_end_in(tmp_path, image, kind, options, levels):
    (tmp_path / "a.jpg").write_bytes(encoded(image, kind, **options))
    found = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(found.colours, SMOOTH / 255, atol=levels / 255 + 1e-6)
    assert found.alpha is None and found.notes == [] and found.reading == ""


def tiff_of_pages(tags: dict[int, tuple[int, bytes]], sub: bool, second: bool = False, start: bytes = b"") -> bytes:
    """A TIFF whose first page is a picture of 2×1 px; a SubIFD with a sensor's mosaic, or a second page of 4×1 px."""

    def directory(at: int, own: dict[int, tuple[int, bytes]], after: int) -> bytes:
        entries = b"".join(
            struct.pack("<HHI", tag, kind, max(1, len(value) // {1: 1, 3: 2, 4: 4}[kind])) + value.ljust(4, b"\0")
            for tag, (kind, value) in sorted(own.items())
        )
        return struct.pack("<H", len(own)) + entries + struct.pack("<I", after)

    def page(width: int, photometric: int, data_at: int) -> dict[int, tuple[int, bytes]]:
        numbers = {256: width, 257: 1, 258: 8, 259: 1, 262: photometric, 273: data_at, 277: 1, 278: 1, 279: width}
        return {tag: (3, struct.pack("<H", value)) for tag, value in numbers.items()}

    head = 8 + len(start)
    first = page(2, 1, head) | {254: (4, struct.pack("<I", 1))} | tags
    at_first = head + 8
    at_other = at_first + 2 + 12 * (len(first) + sub) + 4
    if sub:
        first[330] = (4, struct.pack("<I", at_other))
    other = page(4, 32803 if sub else 1, head + 2)
    body = directory(at_first, first, at_other if second else 0) + directory(at_other, other, 0)
    return b"II*\0" + struct.pack("<I", at_first) + start + bytes([10, 20, 1, 2, 3, 4, 0, 0]) + body


RAW = {
    "DNG": ("a.dng", tiff_of_pages({50706: (1, b"\1\4\0\0")}, sub=True)),
    "DNG called TIFF": ("a.tif", tiff_of_pages({50706: (1, b"\1\4\0\0")}, sub=False)),
    "NEF": ("a.nef", tiff_of_pages({}, sub=True)),
    "ARW without its name": ("a", tiff_of_pages({}, sub=True)),
    "CR2": ("a.CR2", tiff_of_pages({}, sub=False)),
    "CR2 called TIFF": ("a.tif", tiff_of_pages({}, sub=False, start=b"CR\2\0")),
    "ORF": ("a.orf", b"IIRO" + bytes(100)),
    "RW2": ("a.rw2", b"IIU\0" + bytes(100)),
    "RAF": ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(100)),
    "CR3": ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100)),
}


@pytest.mark.parametrize(("name", "content"), RAW.values(), ids=RAW)
def test_a_raw_files_preview_is_not_taken_for_the_photograph(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match="camera's raw file.*raw converter"):
        read_image(tmp_path / name)


def test_a_jpeg_that_is_called_raw_is_read(tmp_path):
    (tmp_path / "a.dng").write_bytes(encoded(SMOOTH, "JPEG"))
    assert read_image(tmp_path / "a.dng").shape == SMOOTH.shape


def test_a_tiff_whose_first_page_is_a_smaller_version_is_its_second(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_of_pages({}, sub=False, second=True))
    found = read_picture(tmp_path / "a.tif")
    assert (found.colours[0, :, 0] * 255).round().tolist() == [1, 2, 3, 4]
    assert "a later one" in found.notes[0] and found.reading == "page"


NO_PICTURES = {
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC picture.*pip install pillow-heif"),
    "HEIC by its compatible brand": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100), "HEIC picture"),
    "AVIF": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100), "AVIF picture"),
    "JPEG XL": (b"\xff\x0a" + bytes(100), "JPEG XL picture"),
    "SVG": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing"),
    "PDF": (b"%PDF-1.4\n", "PDF document"),
    "web page": (b"<!DOCTYPE html><html>404", "web page"),
    "video": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100), "video"),
    "zip": (b"PK\x03\x04" + bytes(100), "zip archive"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", "git lfs pull"),
    "text": (b"hello", "is not an image.*Allowed are"),
}


@pytest.mark.parametrize(("content", "sentence"), NO_PICTURES.values(), ids=NO_PICTURES)
def test_what_is_no_picture_is_called_what_it_is(tmp_path, content, sentence, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)  # not installed
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=sentence) as caught:
        read_image(tmp_path / "a.jpg")
    assert str(caught.value).endswith(".")


def test_an_avif_is_read_where_pillow_has_it(tmp_path):
    features = pytest.importorskip("PIL.features")
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    (tmp_path / "a.avif").write_bytes(encoded(SMOOTH, "AVIF", quality=100, subsampling="4:4:4"))
    np.testing.assert_allclose(read_image(tmp_path / "a.avif"), SMOOTH / 255, atol=4 / 255)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 60}), ("PNG", {"compress_level": 1})])
def test_a_picture_beyond_the_limit_is_read_at_half_its_size(tmp_path, kind, options):
    pixels = np.zeros((9500, 9600), dtype=np.uint8)
    pixels[:, 4800:] = 200
    assert pixels.size > decoding.MAX_PIXELS
    (tmp_path / "a").write_bytes(encoded(pixels, kind, **options))
    found = read_picture(tmp_path / "a")
    assert found.colours.shape == (4750, 4800, 3)
    sample = found.colours[::97, ::97]
    np.testing.assert_allclose(
        sample, np.where(np.arange(0, 4800, 97) < 2400, 0, 200 / 255)[:, None] + 0 * sample, atol=0.02
    )
    assert "9600×9500 px" in found.notes[0]


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_reduced_to_the_means_of_its_pixels(tmp_path, mode, monkeypatch):
    image = Image.fromarray((DOWN * 5).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((DOWN * 5 * 257).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray((DOWN * 5 / 255).astype(np.float32))
    else:
        image = image.convert(mode)
    kind = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "TIFF"
    (tmp_path / "a").write_bytes(encoded(image, kind))
    whole = read_image(tmp_path / "a")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 48 * 56 // 3)
    found = read_picture(tmp_path / "a").colours
    assert found.shape == (24, 28, 3)
    np.testing.assert_allclose(found, whole.reshape(24, 2, 28, 2, 3).mean((1, 3)), atol=1.1 / 255)


def test_a_mask_beyond_the_limit_is_reduced_as_its_picture_is(tmp_path, monkeypatch):
    pixels = np.zeros((40, 60, 4), dtype=np.uint8)
    pixels[:, 20:] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 40 * 60 // 3)
    mask = read_mask(tmp_path / "mask.png")
    assert mask.shape == (20, 30) and mask[:, :10].max() == 0 and mask[:, 10:].min() == 1


def test_what_only_says_that_it_is_vast_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(60000, 60000, 8, 2, b""))
    buffer = io.BytesIO(png(60000, 60000, 8, 2, b""))
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(buffer.getvalue()), 22) + buffer.getvalue()
    (tmp_path / "a.ico").write_bytes(icon)
    for name in ("a.png", "a.ico"):
        with pytest.raises(ImageError, match="too large.*Allowed are 536 million"):
            read_image(tmp_path / name)


def test_inverted_greys_and_grey_steps_of_every_depth_agree(tmp_path):
    for bits, photometric, data, expected in (
        (8, 0, bytes([0, 128, 255]), [1, 127 / 255, 0]),
        (1, 1, b"\xa0", [1, 0, 1]),
    ):
        (tmp_path / "a.tif").write_bytes(tiff_grey(3, bits, photometric, data))
        np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0, :, 0], expected, atol=1e-6)
