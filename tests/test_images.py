"""Reading and writing images: whatever the file, upright sRGB in [0, 1] or a sentence."""

import contextlib
import os
import resource
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from harness.errors import ImageError, StorageError
from harness.images.files import MAX_PIXELS, image_hash, png_bytes, read_image, without_warnings, write_png

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREYS = np.array([[0, 64, 128, 255]], dtype=np.uint8)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_grey(width: int, bits: int, photometric: int, data: bytes) -> bytes:
    """A little-endian TIFF of one row, written by hand."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1, 279: len(data)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


def linear_profile(space: bytes) -> bytes:
    """An ICC 2 profile with linear tone curves, for RGB with sRGB's primaries (adapted to D50)."""

    def fixed(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    name = b"linear test\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(79)}
    tags[b"wtpt"] = fixed(0.9642, 1.0, 0.8249)
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        tags |= {b"rXYZ": fixed(0.43607, 0.22249, 0.01392), b"gXYZ": fixed(0.38515, 0.71687, 0.09708)}
        tags |= {b"bXYZ": fixed(0.14307, 0.06061, 0.71410), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        data += bytes(-len(data) % 4)
        table += signature + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ") + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def srgb_encoded(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@contextlib.contextmanager
def full_disk(after_bytes: int = 64):
    """No file of this process may grow beyond ``after_bytes``: writing fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rgb_png_is_read_exactly(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, COLOURS.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_every_mode_becomes_three_channels(tmp_path, mode):
    picture = Image.fromarray(np.array([[0, 255, 0, 255]], dtype=np.uint8)).convert("RGB").convert(mode)
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.repeat([[[0.0], [1.0], [0.0], [1.0]]], 3, axis=2))


def test_lab_is_converted(tmp_path):
    lab = ImageCms.profileToProfile(
        Image.fromarray(COLOURS), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    lab.save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif") - COLOURS / 255).mean() < 0.01


def test_linear_profile_is_converted_by_the_srgb_formula(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png", icc_profile=linear_profile(b"RGB "))
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), srgb_encoded(COLOURS / 255), atol=3 / 255)


def test_grey_profile_is_converted_by_the_srgb_formula(tmp_path):
    Image.fromarray(GREYS).save(tmp_path / "a.png", icc_profile=linear_profile(b"GRAY"))
    expected = np.repeat(srgb_encoded(GREYS / 255)[..., None], 3, axis=2)
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, atol=3 / 255)


def test_profile_is_converted_under_alpha_too(tmp_path):
    picture = Image.fromarray(COLOURS).convert("RGBA")
    picture.putalpha(51)
    picture.save(tmp_path / "a.png", icc_profile=linear_profile(b"RGB "))
    expected = srgb_encoded(COLOURS / 255) * 0.2 + 0.8
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, atol=1.5 / 255)


def test_srgb_profile_leaves_values_exact(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOURS).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOURS.astype(np.float32) / np.float32(255))


def test_profile_for_other_channels_is_ignored(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png", icc_profile=linear_profile(b"GRAY"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOURS.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: stored[::-1].transpose(1, 0, 2)),
        (7, lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda stored: stored[:, ::-1].transpose(1, 0, 2)),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright(COLOURS).astype(np.float32) / np.float32(255))


def test_damaged_exif_does_not_warn(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0e\x01\x02\0\xff\xff\0\0\xff\xff\0\0"
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert read_image(tmp_path / "a.jpg").shape == (5, 7, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_over_white(tmp_path, mode):
    alpha = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
    picture = Image.fromarray(COLOURS[..., 0] if mode == "LA" else COLOURS)
    picture.putalpha(Image.fromarray(alpha))
    assert picture.mode == mode
    picture.save(tmp_path / "a.png")
    colours = np.repeat(COLOURS[..., :1], 3, axis=2) if mode == "LA" else COLOURS
    share = alpha[..., None] / 255
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), colours / 255 * share + (1 - share), atol=1e-6)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_transparent_palette_entry_is_white(tmp_path, transparency):
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    picture.putpalette([255, 0, 0, 10, 20, 30, 0, 0, 255])
    picture.save(tmp_path / "a.png", transparency=transparency)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[1, 0, 0], [1, 1, 1], [0, 0, 1]]])


def test_transparent_colour_of_an_rgb_file_is_white(tmp_path):
    Image.fromarray(np.array([[[10, 20, 30], [0, 0, 0]]], dtype=np.uint8)).save(
        tmp_path / "a.png", transparency=(10, 20, 30)
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[1, 1, 1], [0, 0, 0]]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_greys_keep_their_precision(tmp_path, suffix):
    values = np.array([[0, 1, 255, 256, 257, 40000, 65534, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(image[..., 0], (values / 65535).astype(np.float32))
    assert (image == image[..., :1]).all()


def test_sixteen_bit_grey_where_white_is_zero(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_grey(3, 16, 0, struct.pack("<3H", 0, 16384, 65535)))
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0, :, 1], [1, 1 - 16384 / 65535, 0], atol=1e-7)


def test_twelve_bit_grey_reaches_white(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_grey(2, 12, 1, bytes([0xFF, 0xF8, 0x00])))
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0, :, 0], [1, 2048 / 4095], atol=1e-7)


def test_transparent_sixteen_bit_grey_is_white(tmp_path):
    rows = b"\0" + struct.pack(">2H", 1000, 2000)
    file = png(2, 1, 16, 0, rows)
    at = file.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(file[:at] + chunk(b"tRNS", struct.pack(">H", 1000)) + file[at:])
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0, :, 0], [1, 2000 / 65535], atol=1e-7)


def test_sixteen_bit_colours_are_not_clipped(tmp_path):
    values = [0, 300, 20000, 40000, 60000, 65535]
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", *values)))
    np.testing.assert_allclose(read_image(tmp_path / "a.png").reshape(-1), np.array(values) / 65535, atol=1 / 255)


def test_float_greys_within_range_are_read_and_others_refused(tmp_path):
    Image.fromarray(np.array([[0.0, 0.123456, 1.0]], dtype=np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, :, 2], np.float32([0.0, 0.123456, 1.0]))
    Image.fromarray(np.array([[0.0, 200.0]], dtype=np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(ImageError, match="0 to 200.*Allowed are 0 to 1;"):
        read_image(tmp_path / "b.tif")


def test_wide_integers_without_a_known_white_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="0 to 70000.*65535"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_first_frame_of_an_animation_is_read(tmp_path, suffix):
    red, blue = Image.new("RGB", (3, 2), (255, 0, 0)), Image.new("RGB", (3, 2), (0, 0, 255))
    red.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[blue], duration=100)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), np.full((2, 3, 3), [1.0, 0, 0]))


def _bad_file(folder, kind):
    path = folder / "a.png"
    whole = png_bytes(RNG.random((40, 40, 3)))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "text": b"# not an image\n",
                "cut off": whole[: len(whole) // 2],
                "header only": whole[:20],
                "flipped": whole[:200] + b"\xff" * 200 + whole[400:],
                "large": png(9460, 9460, 8, 2, b""),
                "bomb": png(60000, 60000, 8, 2, b""),
            }[kind]
        )
    return path


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("pipe", "neither a file nor a folder"),
        ("empty", "is empty. Allowed are"),
        ("text", "is not an image.*Allowed are"),
        ("cut off", "damaged or cut off"),
        ("header only", "not an image|damaged or cut off"),
        ("flipped", "damaged or cut off"),
        ("large", "damaged or cut off"),
        ("bomb", "too large.*Allowed are 536 million"),
    ],
)
def test_bad_file_gets_a_sentence(tmp_path, kind, sentence):
    path = _bad_file(tmp_path, kind)
    with pytest.raises(ImageError, match=sentence) as caught:
        read_image(path)
    assert str(path) in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("suffix", ["jpg", "tif", "gif", "webp"])
def test_cut_off_file_of_another_kind_gets_a_sentence(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="damaged or cut off|not an image"):
        read_image(path)


def test_file_without_permission_gets_a_sentence(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((2, 2, 3)))
    path.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="cannot be read .*permission"):
            read_image(path)
    finally:
        if was_root:
            os.seteuid(0)


def test_largest_allowed_size_is_pillows_bomb_threshold():
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


def test_image_hash_is_of_the_content_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(b"abc")
    (tmp_path / "b.jpg").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert image_hash(tmp_path / "a.png") == image_hash(str(tmp_path / "b.jpg")) == known
    with pytest.raises(ImageError, match="does not exist"):
        image_hash(tmp_path / "c.png")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_eight_bit_values_survive_writing_and_reading(tmp_path_factory, height, width, seed):
    path = tmp_path_factory.mktemp("png") / "a.png"
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    write_png(path, values / 255)
    np.testing.assert_array_equal(np.rint(read_image(path) * 255), values)


def test_written_values_are_clamped_and_rounded_half_to_even(tmp_path):
    levels = np.array([-3.0, 0.5, 1.5, 2.5, 100.4, 100.6, 254.5, 300.0])
    assert (levels / 255 * 255 == levels).all()
    write_png(tmp_path / "a.png", np.repeat(levels[None, :, None] / 255, 3, axis=2))
    with Image.open(tmp_path / "a.png") as written:
        assert np.asarray(written)[0, :, 0].tolist() == [0, 0, 2, 2, 100, 101, 254, 255]


def test_equal_images_are_equal_bytes():
    image = RNG.random((20, 30, 3))
    assert png_bytes(image) == png_bytes(image.copy())


@pytest.mark.parametrize("image", [np.zeros((3, 4, 5)), np.zeros((4, 4)), np.full((2, 2, 3), np.nan)])
def test_what_is_no_image_is_not_written(tmp_path, image):
    with pytest.raises(ValueError, match="needed|finite"):
        write_png(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_old_picture_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((2, 2, 3)))
    before = path.read_bytes()
    with full_disk(), pytest.raises(StorageError, match="could not be written .*disk space"):
        write_png(path, RNG.random((50, 50, 3)))
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="could not be written"):
        write_png(tmp_path / "none" / "a.png", np.zeros((2, 2, 3)))
    assert list(tmp_path.iterdir()) == []


def test_two_threads_that_read_leave_the_filters_of_warnings_as_they_were():
    """Each puts back what it found: two at once would leave warnings ignored for good."""
    before = list(warnings.filters)
    second_is_inside, first_has_left = threading.Event(), threading.Event()

    def second():
        with without_warnings():
            second_is_inside.set()
            first_has_left.wait(5)

    thread = threading.Thread(target=second)
    with without_warnings():
        thread.start()
        assert not second_is_inside.wait(0.1)
    first_has_left.set()
    thread.join()
    assert second_is_inside.is_set() and warnings.filters == before
