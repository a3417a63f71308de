"""Reading pictures as stored, and the one rule that makes RGB on the 0..255 scale of them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data.images import list_images, read_image, read_size, read_stored, to_rgb, value_scale
from segdiff.errors import DataError, MissingError, ShapeError

GREY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def assert_one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp"])
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_files_are_read_as_stored(tmp_path, suffix, array):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(array).save(path)
    read = read_image(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)
    assert read_size(path) == (2, 3)


def test_jpeg_and_upper_case_suffixes_are_read(tmp_path):
    path = tmp_path / "PHOTO.JPG"
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(path)
    np.testing.assert_allclose(read_image(path), 100, atol=2)
    assert list_images([tmp_path]) == [path]


def test_alpha_and_bilevel_files_keep_their_shape(tmp_path):
    rgba = np.dstack([COLOUR, GREY])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([GREY, GREY])).save(tmp_path / "la.png")
    Image.fromarray(GREY > 100).save(tmp_path / "one.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgba)
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), np.dstack([GREY] * 4))
    one = read_image(tmp_path / "one.png")
    assert one.dtype == np.bool_
    np.testing.assert_array_equal(one, GREY > 100)


def test_palettes_give_their_colours_or_their_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode=None).convert("P")
    picture.putdata([0, 1, 2])
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]])
    np.testing.assert_array_equal(read_stored(tmp_path / "palette.png").values, [[0, 1, 2]])
    picture.save(tmp_path / "clear.png", transparency=1)
    assert read_image(tmp_path / "clear.png").shape == (1, 3, 4)


def test_sixteen_bits_stay_sixteen_bits_in_grey_and_in_colour(tmp_path):
    deep = np.array([[0, 257, 65535], [256, 300, 40000]], np.uint16)
    deep_colour = np.stack([deep, deep[::-1], deep], axis=2)
    Image.fromarray(deep).save(tmp_path / "grey.png")
    tifffile.imwrite(tmp_path / "grey.tif", deep)
    tifffile.imwrite(tmp_path / "colour.tif", deep_colour, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "planes.tif", np.moveaxis(deep_colour, 2, 0), photometric="rgb", planarconfig="separate"
    )
    for name, expected in {
        "grey.png": deep, "grey.tif": deep, "colour.tif": deep_colour, "planes.tif": deep_colour
    }.items():  # fmt: skip
        read = read_image(tmp_path / name)
        assert read.dtype == np.uint16, name
        np.testing.assert_array_equal(read, expected, err_msg=name)


def test_sixteen_bit_colour_png_keeps_its_low_bytes(tmp_path):
    import struct
    import zlib

    # Written by hand, since Pillow cannot: one row of two pixels, 16 bits, colour type 2.
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    values = np.array([[[1, 2, 3], [256, 65535, 40001]]], np.uint16)
    rows = b"\0" + values.astype(">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_image(path), values)


def test_float_tiff_is_read_as_floats(tmp_path):
    values = np.array([[0.25, 0.5], [0.75, 1.0]], np.float32)
    tifffile.imwrite(tmp_path / "f.tif", values)
    np.testing.assert_array_equal(read_image(tmp_path / "f.tif"), values)


def test_a_stack_is_refused_and_a_pyramid_gives_its_first_picture(tmp_path):
    big, small = np.zeros((8, 8), np.uint8), np.ones((4, 4), np.uint8)
    for name, pages in {"stack": [big, big], "pyramid": [big, small]}.items():
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            for page in pages:
                file.write(page)
    np.testing.assert_array_equal(read_image(tmp_path / "pyramid.tif"), big)
    with pytest.raises(DataError) as error:
        read_image(tmp_path / "stack.tif")
    assert_one_line(error, "stack.tif", "2 pictures")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_truncated_and_foreign_files_give_one_line_that_names_the_file(tmp_path, suffix):
    rng = np.random.default_rng(0)
    whole, cut, text = (tmp_path / f"{name}{suffix}" for name in ("whole", "cut", "text"))
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole)
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    text.write_text("no picture")
    for path in (cut, text):
        with pytest.raises(DataError) as error:
            read_image(path)
        assert_one_line(error, str(path))


def test_huge_pictures_are_read_and_pillows_guard_stays_for_others(tmp_path, monkeypatch):
    Image.fromarray(COLOUR).save(tmp_path / "slide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)  # six pixels are a "decompression bomb" then
    assert read_image(tmp_path / "slide.png").shape == (2, 3, 3)
    assert Image.MAX_IMAGE_PIXELS == 2


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(MissingError) as error:
        read_image(tmp_path / "none.png")
    assert_one_line(error, "no such image", "none.png")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_image(tmp_path)


def test_to_rgb_repeats_grey_and_drops_alpha():
    np.testing.assert_array_equal(to_rgb(GREY), np.stack([GREY] * 3, axis=2))
    np.testing.assert_array_equal(to_rgb(GREY[..., None]), to_rgb(GREY))
    np.testing.assert_array_equal(to_rgb(np.dstack([COLOUR, GREY])), COLOUR)
    assert to_rgb(COLOUR).dtype == np.uint8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[257, 65535]], np.uint16), [1, 255]),
        (np.array([[0, 200]], np.int64), [0, 200]),
        (np.array([[0.0, 1.0]], np.float64), [0, 255]),
        (np.array([[0.5, 200.0]], np.float32), [0.5, 200]),
        (np.array([[0.25, 0.5]], np.float16), [63.75, 127.5]),
    ],
)
def test_to_rgb_brings_every_type_to_the_0_to_255_scale(values, expected):
    rgb = to_rgb(values)
    assert rgb.dtype == np.float32 and rgb.shape == (1, 2, 3)
    np.testing.assert_allclose(rgb[0, :, 1], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([[-1.0]]), "--range LOW HIGH"),
        (np.array([[-1.0, 1.0]]), "--range LOW HIGH"),  # a common scale of networks
        (np.array([[-40, 100]]), "--range LOW HIGH"),
        (np.array([[90000]]), "--range LOW HIGH"),
        (np.array([[np.nan, 0.5]]), "NaN"),
        (np.array([[np.inf, 0.5]]), "infinite"),
        (np.array([[1j]]), "give whole numbers"),
    ],
)
def test_to_rgb_refuses_values_without_a_rule(values, told):
    with pytest.raises(DataError) as error:
        to_rgb(values)
    assert_one_line(error, told)


def test_to_rgb_refuses_odd_shapes():
    for channels in (2, 5):  # of two nothing says that the second is alpha
        with pytest.raises(DataError, match="choose one"):
            to_rgb(np.zeros((2, 2, channels), np.uint8))
    for shape in [(3,), (2, 2, 3, 1), (0, 2), (2, 2, 0)]:
        with pytest.raises(ShapeError):
            to_rgb(np.zeros(shape, np.uint8))


def test_the_scale_of_a_window_is_that_of_the_whole_array():
    whole = np.full((3000, 4), 0.5, np.float32)  # more rows than one strip
    whole[2500] = 200
    assert value_scale(whole) == 1.0
    assert value_scale(whole[:10]) == 255.0  # taken for itself, a dark window would be misread
    np.testing.assert_array_equal(to_rgb(whole[:10], value_scale(whole)), np.full((10, 4, 3), 0.5))


def test_list_images_takes_files_folders_and_patterns_once_each(tmp_path):
    for name in ["b.png", "a.png", "c.tif", "notes.txt", ".hidden.png", "x[1].png"]:
        (tmp_path / name).touch()
    (tmp_path / "sub.png").mkdir()
    names = [path.name for path in list_images([tmp_path])]
    assert names == ["a.png", "b.png", "c.tif", "x[1].png"]
    assert [p.name for p in list_images([str(tmp_path / "*.png"), tmp_path / "a.png"])] == [
        "a.png", "b.png", "x[1].png"
    ]  # fmt: skip
    assert [p.name for p in list_images([tmp_path / "b.png", tmp_path])][:2] == ["b.png", "a.png"]
    assert [p.name for p in list_images([str(tmp_path / "x[1].png")])] == ["x[1].png"]  # a file before a pattern
    assert [p.name for p in list_images([tmp_path / "notes.txt"])] == ["notes.txt"]  # named: the reader will say


def test_list_images_says_what_was_not_found(tmp_path):
    (tmp_path / "notes.txt").touch()
    for given, part in [
        ([], "no image given"),
        ([tmp_path], "holds no image"),
        ([str(tmp_path / "*.txt")], "no image matches"),
        ([tmp_path / "gone.png"], "no such image"),
    ]:
        with pytest.raises(MissingError) as error:
            list_images(given)
        assert_one_line(error, part)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\x93NUMPY\1\0v\0{'descr': '<u2'}", "an array of numpy: write it with tifffile.imwrite"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PK\3\4" + bytes(40), "a ZIP archive"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (bytes(128) + b"DICM" + bytes(40), "DICOM"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"nothing that is known", "(PNG, JPEG, TIFF or BMP)"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_other_files_are_named(tmp_path, content, said, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_image(path)
    assert said in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("height", [101, 70_000, 16_711_703])
def test_a_header_of_more_rows_than_the_file_holds_is_told(tmp_path, height):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((100, 31), np.uint8))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(np.uint32(height).item())
    with pytest.raises(DataError, match="truncated"):
        read_image(path)
