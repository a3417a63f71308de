"""Every tag about display, type, compression, layout and shape: what is read is what was stored.

Files are written by tifffile and Pillow, small, each combination once; the number of combinations is asserted.
"""

from __future__ import annotations

import itertools
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from pictures import COMPRESSIONS, LAYOUTS, ORIENTATION, SHAPES, TAGS, TYPES, colour, grey, of_type, write
from PIL import Image

from segdiff.data.images import read_image, read_size, read_stored, to_rgb
from segdiff.errors import DataError


@pytest.mark.parametrize("kind", TYPES)
def test_tiff(tmp_path, kind):
    path, count = tmp_path / "x.tif", 0
    for (shape_name, shape), (tag, options), compression, (_, layout), colours in itertools.product(
        SHAPES.items(), TAGS.items(), COMPRESSIONS, LAYOUTS.items(), (False, True)
    ):
        if colours and (tag == "white is zero" or kind == "bool"):
            continue  # no such file can be written
        array = of_type(colour(shape) if colours else grey(shape), kind)
        given = {"photometric": "rgb" if colours else "minisblack", **options, **layout, "compression": compression}
        if kind == "bool" and ("tile" in layout or compression == "lzw"):
            continue  # tifffile does not write these
        write(path, array, **given)
        read = read_image(path)
        what = f"{shape_name}, {tag}, {compression}, {layout}"
        assert read.dtype == array.dtype, what
        np.testing.assert_array_equal(read, array, err_msg=what)
        assert read_size(path) == shape, what
        expected = to_rgb(array) if kind == "bool" else to_rgb(colour(shape) if colours else grey(shape))
        np.testing.assert_allclose(to_rgb(read), expected, atol=0.2, err_msg=what)  # float16 has 11 bits
        count += 1
    # shapes x tags x compressions x layouts; colours have no "white is zero".
    assert count == (2 * 5 * 4 * 3 if kind == "bool" else 2 * 5 * 4 * (5 + 4))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_byte_orders_and_predictors(tmp_path, kind, order):
    path, count = tmp_path / "x.tif", 0
    for shape, compression, predictor, planes, layout in itertools.product(
        SHAPES.values(), (None, "zlib", "lzw"), (False, True), (False, True), LAYOUTS.values()
    ):
        if predictor and compression is None:
            continue
        array = of_type(colour(shape), kind)
        stored = np.moveaxis(array, 2, 0) if planes else array
        options = {"planarconfig": "separate"} if planes else {}
        write(path, stored, photometric="rgb", compression=compression, predictor=predictor, byteorder=order,
              **options, **layout)  # fmt: skip
        np.testing.assert_array_equal(read_image(path), array)
        count += 1
    assert count == 2 * (1 + 2 * 2) * 2 * 4


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pillow_writes_and_tags_change_nothing(tmp_path, shape):
    exif = Image.Exif()
    count = 0
    pictures = {
        "1": grey(shape) > 99,
        "L": grey(shape),
        "RGB": colour(shape),
        "I;16": grey(shape).astype(np.uint16) * 257,
    }
    pictures["RGBA"] = np.dstack([colour(shape), np.where(grey(shape) > 99, 255, 0).astype(np.uint8)])
    for (mode, array), suffix, orientation in itertools.product(pictures.items(), ("png", "tif", "bmp"), (1, 2, 5, 6)):
        if suffix == "bmp" and (mode in ("I;16", "RGBA", "1") or orientation > 1):
            continue
        exif[ORIENTATION] = orientation
        path = tmp_path / f"x.{suffix}"
        options = (
            {} if suffix == "bmp" else {"exif": exif} if suffix == "png" else {"tiffinfo": {ORIENTATION: orientation}}
        )
        Image.fromarray(array).save(path, **options)
        read = read_image(path)
        np.testing.assert_array_equal(read, array, err_msg=f"{mode} {suffix} {orientation}")
        assert read.dtype == array.dtype and read_size(path) == shape
        count += 1
    assert count == 5 * 4 + 5 * 4 + 2


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_not_turned(tmp_path, shape, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    smooth = np.add.outer(np.arange(shape[0]), 3 * np.arange(shape[1])).astype(np.uint8)
    path = tmp_path / "x.jpg"
    Image.fromarray(smooth).save(path, quality=95, exif=exif)
    np.testing.assert_allclose(read_image(path), smooth, atol=6)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_packed_bits_have_the_white_that_the_file_states(tmp_path, bits, shape):
    top = 2**bits - 1
    values = (grey(shape).astype(np.uint32) * top // 255 // (2 if bits > 2 else 1)).astype(
        np.uint8 if bits < 9 else np.uint16
    )
    array = values > 0 if bits == 1 else values
    write(tmp_path / "x.tif", array, photometric="minisblack", **({} if bits == 1 else {"bitspersample": bits}))
    np.testing.assert_array_equal(read_stored(tmp_path / "x.tif").values, array)
    expected = values.astype(float) * 255 / top
    np.testing.assert_allclose(to_rgb(read_image(tmp_path / "x.tif"))[..., 0], expected, atol=0.51)


@pytest.mark.parametrize("colours", [2, 3, 4])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_deep_and_transparent_png(tmp_path, colours, kind):
    if kind == "float32":
        pytest.skip("PNG has no floats")
    shape = SHAPES["wide"]
    alpha = np.where(grey(shape) > 99, np.iinfo(kind).max, 0).astype(kind)
    scale = np.iinfo(kind).max // 255
    values = colour(shape).astype(kind) * np.dtype(kind).type(scale)
    array = {2: np.dstack([values[..., 0], alpha]), 3: values, 4: np.dstack([values, alpha])}[colours]
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(array))
    expected = np.dstack([array[..., 0]] * 3 + [alpha]) if colours == 2 else array
    read = read_image(tmp_path / "x.png")
    assert read.dtype == kind
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colours_become_rgb_or_are_named(tmp_path, mode):
    smooth = np.dstack([np.tile(np.arange(0, 240, 8, dtype=np.uint8), (20, 1))] * 3)
    smooth[..., 1] //= 2
    Image.fromarray(smooth).convert(mode if mode != "LAB" else "RGB").save(tmp_path / "x.tif")
    if mode == "LAB":
        write(tmp_path / "x.tif", smooth, photometric="cielab")
        with pytest.raises(DataError, match="CIELAB"):
            read_image(tmp_path / "x.tif")
        return
    np.testing.assert_allclose(read_image(tmp_path / "x.tif").astype(int), smooth, atol=3)


def test_text_of_any_size_in_a_png(tmp_path):

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    count = 0
    for array, (kind, body) in itertools.product(
        (
            grey((20, 30)),
            colour((20, 30)),
            grey((20, 30)).astype(np.uint16) * 257,
            colour((20, 30)).astype(np.uint16) * 257,
        ),
        {
            b"tEXt": b"Comment\0" + b"x" * 2**21,
            b"zTXt": b"Comment\0\0" + zlib.compress(b"x" * 2**22),
            b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 2**22),
            b"iCCP": b"profile\0\0" + zlib.compress(b"x" * 2**22),
            b"eXIf": b"x" * 2**17,
        }.items(),
    ):
        content = imagecodecs.png_encode(array)
        (tmp_path / "x.png").write_bytes(content[:33] + chunk(kind, body) + content[33:])
        np.testing.assert_array_equal(read_image(tmp_path / "x.png"), array)
        assert read_size(tmp_path / "x.png") == (20, 30)
        count += 1
    assert count == 4 * 5
