"""Every tag about display, type, compression, layout and shape: what is read is what was stored.

Files are written by tifffile and Pillow, small, each combination once; the number of combinations is asserted.
"""

from __future__ import annotations

import io
import itertools
import struct
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data.images import read_image, read_size, read_stored, to_rgb
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.stored import ReadOptions
from segdiff.errors import DataError

SHAPES = {"square": (24, 24), "wide": (20, 34)}
TYPES = ("bool", "uint8", "uint16", "uint32", "int16", "int32", "int64", "float16", "float32", "float64")
COMPRESSIONS = (None, "zlib", "lzw", "packbits", "zstd")
LAYOUTS = {"strip": {}, "strips": {"rowsperstrip": 7}, "tiles": {"tile": (16, 16)}, "big": {"bigtiff": True}}
ORIENTATION = 274
TAGS = {
    "none": {},
    **{f"orientation {k}": {"extratags": [(ORIENTATION, "H", 1, k, False)]} for k in (3, 6, 8)},
    "white is zero": {"photometric": "miniswhite"},
}


def grey(shape: tuple[int, int]) -> np.ndarray:
    """Values 0 to 255, with a corner that tells any turn."""
    values = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    values[:3, :5], values[-1, -1] = 0, 255
    return values


def colour(shape: tuple[int, int]) -> np.ndarray:
    return np.dstack([grey(shape), grey(shape)[::-1], 255 - grey(shape)])


def of_type(values: np.ndarray, kind: str) -> np.ndarray:
    return (
        values > 99 if kind == "bool" else values / np.dtype(kind).type(255) if "float" in kind else values.astype(kind)
    )


def write(path: Path, array: np.ndarray, **options: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(path, array, **options)


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


# What the values of a picture mean.

WHITES = {8: 255, 10: 1023, 12: 4095, 14: 16383, 16: 65535}


def brightfield(shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Stained tissue: dark violet on pale pink, uint8."""
    rng = np.random.default_rng(2)
    image = np.empty((*shape, 3), np.uint8)
    image[:] = (225, 195, 215)
    image[rng.random(shape) < 0.3] = (95, 60, 140)
    return (image.astype(int) + rng.integers(-12, 13, image.shape)).clip(1, 254).astype(np.uint8)


def test_the_range_that_is_used_is_the_scale(tmp_path):
    path, count = tmp_path / "x.tif", 0
    for (bits, white), kind, tag, coloured in itertools.product(
        WHITES.items(), ("uint16", "uint32", "int16", "int32", "int64", "float32", "float64"), (1, 6), (False, True)
    ):
        if kind == "int16" and bits == 16:
            continue
        plain = brightfield() if coloured else grey((60, 80))
        values = np.rint(plain * (white / 255))
        values = (values + 0.25 if "float" in kind else values).astype(kind)
        write(
            path, values, photometric="rgb" if coloured else "minisblack", extratags=[(ORIENTATION, "H", 1, tag, False)]
        )
        np.testing.assert_allclose(to_rgb(read_image(path)), to_rgb(plain), atol=0.6, err_msg=f"{bits} {kind}")
        count += 1
    assert count == 5 * 7 * 2 * 2 - 4


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
@pytest.mark.parametrize("white", [1, *WHITES.values()])
def test_hot_pixels_and_overshoot_are_no_change_of_scale(kind, white):
    if white == 1 and kind != "float32":
        pytest.skip("whole numbers have no range of 0 to 1")
    plain = np.repeat(np.repeat(brightfield(), 3, axis=0), 3, axis=1)  # 43,200 pixels: four may be hot
    values = (plain * (white / 255)).astype(kind)
    values[5, 7] = 65535 if kind == "uint16" else 70000
    if kind == "float32":
        values[30:34] *= np.float32(1.2)
        values[40:42] = -0.1 * white
    got = to_rgb(values)
    ordinary = np.ones(plain.shape[:2], bool)
    ordinary[5, 7] = ordinary[30:34] = ordinary[40:42] = False
    np.testing.assert_allclose(got[ordinary], plain[ordinary], atol=1.1)
    assert got.max() <= 255 and got.min() >= 0


@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "float32", "float64"])
def test_a_white_that_is_none_is_asked_for(tmp_path, kind):
    path = tmp_path / "x.tif"
    counts = (brightfield() * (100 / 1)).astype(np.int32) + (5000 if kind != "int16" else -9000)
    write(path, counts.astype(kind), photometric="rgb")
    with pytest.raises(DataError, match=r"--range LOW HIGH"):
        read_image(path)
    low = 5000 if kind != "int16" else -9000
    got = to_rgb(read_image(path, ReadOptions(value_range=(low, low + 25500))))
    np.testing.assert_allclose(got, brightfield(), atol=0.6)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_range_stretches_and_cuts(tmp_path, kind):
    write(tmp_path / "x.tif", np.array([[0, 50, 100], [150, 200, 250]], kind))
    got = to_rgb(read_image(tmp_path / "x.tif", ReadOptions(value_range=(50, 200))))[..., 0]
    np.testing.assert_allclose(got, [[0, 0, 85], [170, 255, 255]], atol=0.1)


def test_twelve_bits_are_told_of(tmp_path):
    notes: list[str] = []
    write(tmp_path / "x.tif", brightfield().astype(np.uint16) * 16, photometric="rgb")
    read_image(tmp_path / "x.tif", notes=notes)
    assert len(notes) == 1 and "taken for 12 bits" in notes[0] and "--range" in notes[0]
    notes.clear()
    write(tmp_path / "x.tif", brightfield().astype(np.uint16) * 257, photometric="rgb")
    read_image(tmp_path / "x.tif", notes=notes)
    assert notes == []


# Pages, planes and channels.

KINDS = ("uint8", "uint16", "int32", "int64", "float16", "float32", "float64")
STACKS = {
    "directories": {},
    "one directory": {"truncate": True},
    "compressed": {"compression": "zlib"},
    "tiled": {"tile": (16, 16)},
    "depth": {"volumetric": True, "tile": (16, 16)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", STACKS)
def test_stacks_are_refused_and_chosen_from(tmp_path, kind, how):
    path = tmp_path / "x.tif"
    planes = np.stack([grey((32, 48)) // 4 * k for k in (1, 3, 2)]).astype(kind)
    write(path, planes, photometric="minisblack", **STACKS[how])
    with pytest.raises(DataError, match="is a stack of 3.*choose one"):
        read_image(path)
    for options, expected in (
        ({"page": 2}, planes[1]),
        ({"z": 3}, planes[2]),
        ({"z": "middle"}, planes[1]),
        ({"z": "max"}, planes.max(axis=0)),
    ):
        np.testing.assert_array_equal(read_image(path, ReadOptions(**options)), expected, err_msg=str(options))
    for options in ({"page": 4}, {"z": 4}, {"channel": 2, "page": 1}):
        with pytest.raises(DataError, match="there is no"):
            read_image(path, ReadOptions(**options))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("writer", ["ome", "imagej"])
def test_channels_and_depth_of_hyperstacks(tmp_path, kind, writer):
    planes = np.stack([np.stack([grey((20, 30)) // 8 * (1 + 2 * z + c) for c in range(2)]) for z in range(3)]).astype(
        kind
    )
    path = tmp_path / ("x.ome.tif" if writer == "ome" else "x.tif")
    write(path, planes, metadata={"axes": "ZCYX"}, photometric="minisblack", **{writer: True})
    for options, told in (
        ({}, "2 channels"),
        ({"channel": 1}, "--z N, middle or max"),
        ({"z": "max"}, "--channel N"),
        ({"channel": 3, "z": 1}, "has 2 channels"),
    ):
        with pytest.raises(DataError) as error:
            read_image(path, ReadOptions(**options))
        assert told in str(error.value), options
    np.testing.assert_array_equal(read_image(path, ReadOptions(channel=2, z="max")), planes[:, 1].max(axis=0))
    np.testing.assert_array_equal(read_image(path, ReadOptions(channel=1, z="middle")), planes[1, 0])
    np.testing.assert_array_equal(read_image(path, ReadOptions(page=4)), planes[1, 1])


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("planes", [False, True], ids=["samples", "planes"])
def test_channels_without_a_meaning_need_a_choice(tmp_path, kind, channels, planes):
    path = tmp_path / "x.tif"
    array = np.dstack([grey((20, 30)) // (k + 1) for k in range(channels)]).astype(kind)
    stored = np.moveaxis(array, 2, 0) if planes else array
    write(path, stored, photometric="minisblack", planarconfig="separate" if planes else "contig")
    with pytest.raises(DataError, match=f"has {channels} channels: choose one"):
        read_image(path)
    for k in range(channels):
        np.testing.assert_array_equal(read_image(path, ReadOptions(channel=k + 1)), array[..., k])


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_only_a_declared_alpha_is_alpha(tmp_path, kind):
    path = tmp_path / "x.tif"
    top = 1 if kind == "float32" else np.iinfo(kind).max
    values = of_type(colour((20, 30)), kind)
    alpha = np.where(grey((20, 30)) > 99, top, 0).astype(kind)
    for extra, said in (("unassalpha", 0), ("assocalpha", 0), ("unspecified", 1)):
        notes: list[str] = []
        write(path, np.dstack([values, alpha]), photometric="rgb", extrasamples=(extra,))
        read = read_image(path, notes=notes)
        np.testing.assert_array_equal(read[..., :3], values)
        assert read.shape[2] == (3 if said else 4) and len(notes) == said, extra
    write(
        path, np.dstack([values[..., 0], alpha]), photometric="minisblack", extrasamples=("unassalpha",), planarconfig=1
    )
    np.testing.assert_array_equal(read_image(path), np.dstack([values[..., 0]] * 3 + [alpha]))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_of_several_sizes_the_largest_is_read(tmp_path, first, kind):
    main, other = of_type(grey((40, 60)), kind), of_type(grey((50, 20)), kind)
    pages = [main, other] if first else [other, main]
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for page in pages:
            file.write(page, photometric="minisblack")
    notes: list[str] = []
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", notes=notes), main)
    assert notes == ["the largest of its pictures is read; 50 x 20 is left out (--page N chooses one)"]
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", ReadOptions(page=2 if first else 1)), other)
    assert read_size(tmp_path / "x.tif") == (40, 60)


def test_pyramids_give_the_whole_picture_without_a_word(tmp_path):
    main, notes = colour((64, 96)), []
    with tifffile.TiffWriter(tmp_path / "sub.tif") as file:
        file.write(main, photometric="rgb", subifds=2, tile=(16, 16))
        for step in (2, 4):
            file.write(main[::step, ::step], photometric="rgb", subfiletype=1, tile=(16, 16))
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for step in (1, 2, 4):
            file.write(main[::step, ::step], photometric="rgb", metadata=None)
    for name in ("sub.tif", "pages.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name, notes=notes), main)
    assert notes == []


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
    import zlib

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


# Masks.

LABELS = np.zeros((96, 128), np.uint16)
for _number, (_y, _x) in enumerate(itertools.product(range(12, 90, 24), range(14, 120, 25)), start=1):
    _rows, _columns = np.mgrid[:96, :128]
    LABELS[(_rows - _y) ** 2 + (_columns - _x) ** 2 < 81] = _number
BINARY = LABELS > 0
N = int(LABELS.max())


def palette(colours: list[tuple[int, int, int]], indices: np.ndarray) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8)).convert("P")
    picture.putdata(indices.astype(np.uint8).ravel().tolist())
    picture.putpalette([value for one in colours for value in one])
    return picture


def random_colours() -> np.ndarray:
    colours = np.random.default_rng(3).integers(30, 256, (N + 1, 3)).astype(np.uint8)
    colours[0] = 0
    return colours


def rgba(colours: np.ndarray) -> np.ndarray:
    return np.dstack([colours, np.where(BINARY, 255, 0).astype(np.uint8)])


WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (128, 0, 0)
PNG_MASKS: dict[str, tuple[object, bool]] = {  # picture, whether objects are told apart
    "0/255": (BINARY.astype(np.uint8) * 255, False),
    "0/1": (BINARY.astype(np.uint8), False),
    "0/128": (BINARY.astype(np.uint8) * 128, False),
    "1 bit": (BINARY, False),
    "uint8 numbers": (LABELS.astype(np.uint8), True),
    "uint16 numbers": (LABELS, True),
    "uint16 far": (LABELS * 3000, True),
    "grey as RGB": (np.dstack([BINARY.astype(np.uint8) * 255] * 3), False),
    "maroon": (BINARY[..., None] * np.array(RED, np.uint8), False),
    "colours": (random_colours()[LABELS], True),
    "colours, opaque": (np.dstack([random_colours()[LABELS], np.full(LABELS.shape, 255, np.uint8)]), True),
    "black paint": (rgba(np.zeros((*LABELS.shape, 3), np.uint8)), False),
    "white paint": (rgba(np.full((*LABELS.shape, 3), 255, np.uint8)), False),
    "coloured paint": (rgba(random_colours()[LABELS]), True),
    "paint of half": (
        np.dstack([np.zeros((*LABELS.shape, 3), np.uint8), np.where(BINARY, 128, 0).astype(np.uint8)]),
        False,
    ),
    "grey and alpha": (np.dstack([np.zeros_like(LABELS, np.uint8), np.where(BINARY, 255, 0).astype(np.uint8)]), False),
    "palette black, white": (palette([BLACK, WHITE], BINARY), False),
    "palette white, black": (palette([WHITE, BLACK], ~BINARY), False),
    "palette numbers": (palette([BLACK, *map(tuple, random_colours()[1:].tolist())], LABELS), True),
    "palette without order": (
        palette([*map(tuple, random_colours()[1:].tolist()), BLACK], (LABELS.astype(int) - 1) % (N + 1)),
        True,
    ),
    "palette of greys": (palette([(k, k, k) for k in range(256)], LABELS), True),
    "palette white ground": (palette([WHITE, *map(tuple, random_colours()[1:].tolist())], LABELS), True),
}


@pytest.mark.parametrize("name", PNG_MASKS)
def test_masks_in_png(tmp_path, name):
    picture, told_apart = PNG_MASKS[name]
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(tmp_path / "x.png")
    mask = read_mask(tmp_path / "x.png")
    np.testing.assert_array_equal(foreground(mask), BINARY)
    labels = instances(mask)
    assert (labels is not None) == told_apart
    if labels is not None:
        same_objects(labels, LABELS)


def same_objects(ours: np.ndarray, theirs: np.ndarray) -> None:
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(theirs)) == len(np.unique(ours))


def test_masks_in_tiff(tmp_path):
    path, count = tmp_path / "x.tif", 0
    kinds = {"bool": BINARY, "uint8": LABELS, "uint16": LABELS, "int32": LABELS, "float32": LABELS, "float64": LABELS}
    kinds |= {"uint32": LABELS.astype(np.uint32) * 200_000_000, "int64": LABELS.astype(np.int64) * 2**58}
    kinds |= {"uint64": LABELS.astype(np.uint64) * 2**58}
    for (kind, array), tag, compression, layout in itertools.product(
        kinds.items(), TAGS.values(), (None, "zlib", "lzw"), LAYOUTS.values()
    ):
        if kind == "bool" and ("tile" in layout or compression == "lzw"):
            continue
        write(path, array.astype(kind), **{"photometric": "minisblack", **tag, **layout, "compression": compression})
        mask = read_mask(path)
        np.testing.assert_array_equal(foreground(mask), BINARY)
        if kind != "bool":
            same_objects(instances(mask), LABELS)
        count += 1
    assert count == 8 * 5 * 3 * 4 + 5 * 2 * 3


def smoothed(how: str, top: int) -> np.ndarray:
    from scipy import ndimage

    sharp = Image.fromarray(BINARY.astype(np.uint8) * top)
    size = (LABELS.shape[1], LABELS.shape[0])
    if how.startswith("gauss"):
        return ndimage.gaussian_filter(BINARY.astype(float) * top, float(how[5:])).astype(np.uint8)
    if how == "resized":
        return np.array(
            sharp.resize((size[0] * 3, size[1] * 3), Image.Resampling.BICUBIC).resize(size, Image.Resampling.BOX)
        )
    return np.array(
        sharp.resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX).resize(size, Image.Resampling.BILINEAR)
    )


@pytest.mark.parametrize("how", ["gauss0.6", "gauss1", "gauss2", "resized", "halved"])
@pytest.mark.parametrize("top", [255, 128, 60])
@pytest.mark.parametrize("container", ["png", "rgb png", "red png", "tif", "jpg", "palette"])
def test_soft_edges_are_cut_at_half(tmp_path, how, top, container):
    grey_levels = smoothed(how, top)
    path = tmp_path / f"x.{container.split()[-1] if container != 'palette' else 'png'}"
    colours = np.dstack([grey_levels] * 3)
    if container == "red png":
        colours[..., 1:] = 0
    picture = Image.fromarray(colours if "rgb" in container or "red" in container else grey_levels)
    if container == "palette":
        picture = palette([(k, k, k) for k in range(256)], grey_levels)
    picture.save(path, **({"quality": 90} if container == "jpg" else {}))
    notes: list[str] = []
    mask = read_mask(path, notes)
    assert mask.dtype == np.bool_ and (mask == BINARY).mean() > 0.985
    assert len(notes) == 1 and ("soft edges" in notes[0] or "rises" in notes[0])


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
@pytest.mark.parametrize("colours", [(255, 255, 255), (128, 0, 0), (0, 200, 0), (90, 90, 90), (255, 255, 0)])
@pytest.mark.parametrize("resaved", [False, True], ids=["jpg", "resaved as png"])
def test_what_jpeg_makes_of_a_mask(tmp_path, quality, colours, resaved):
    path = tmp_path / "x.jpg"
    Image.fromarray(BINARY[..., None] * np.array(colours, np.uint8)).save(path, quality=quality)
    if resaved:
        Image.open(path).save(tmp_path / "x.png")
        path = tmp_path / "x.png"
    mask = read_mask(path)
    assert (foreground(mask) == BINARY).mean() > 0.98 and instances(mask) is None


def spoiled(how: str) -> Image.Image:
    rng = np.random.default_rng(4)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 4)).astype(np.uint8))
    photograph = np.array(coarse.resize((128, 96), Image.Resampling.BICUBIC))
    photograph[..., 3] = np.where(photograph[..., 3] > 99, 255, 0)
    return {
        "photograph": lambda: Image.fromarray(photograph[..., :3].copy()),
        "smoothed numbers": lambda: Image.fromarray(LABELS.astype(np.float32) * 12).resize((160, 120), 2).convert("L"),
        "colours on white": lambda: Image.fromarray(
            np.where(BINARY[..., None], random_colours()[LABELS], np.uint8(255))
        ),
        "photograph with holes": lambda: Image.fromarray(photograph),
        "palette without black": lambda: palette([WHITE, RED, (0, 200, 0)], rng.integers(0, 3, LABELS.shape)),
    }[how]()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("photograph", "colours, as a photograph"),
        ("smoothed numbers", "neither numbers of objects nor soft edges"),
        ("colours on white", "the background must be black"),
        ("photograph with holes", "colours, as a photograph"),
        ("palette without black", "nothing else says which colour is background"),
    ],
)
def test_what_is_no_mask_is_named(tmp_path, how, told):
    spoiled(how).save(tmp_path / "x.png")
    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "x.png")
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("quality", [60, 90])
def test_numbers_in_a_jpeg_are_refused(tmp_path, quality):
    buffer = io.BytesIO()
    Image.fromarray((LABELS * 12).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    (tmp_path / "x.jpg").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="keeps no numbers"):
        read_mask(tmp_path / "x.jpg")


@pytest.mark.parametrize(("values", "told"), [(-1.0, "negative values, -1 the least"), (np.nan, "NaN or infinite")])
def test_values_that_no_mask_has_are_named(tmp_path, values, told):
    array = LABELS.astype(np.float32)
    array[3, 3] = values
    write(tmp_path / "x.tif", array)
    with pytest.raises(DataError, match=told):
        read_mask(tmp_path / "x.tif")
