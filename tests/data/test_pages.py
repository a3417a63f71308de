"""Which of several pictures, planes and channels is read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile
from pictures import colour, grey, of_type, write

from segdiff.data.images import read_image, read_size
from segdiff.data.stored import ReadOptions
from segdiff.errors import DataError

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


@pytest.mark.parametrize(
    ("writer", "kind"),
    [
        *itertools.product(["plain", "compressed", "one directory"], KINDS),
        *itertools.product(["imagej"], [kind for kind in KINDS if kind in ("uint8", "uint16", "float32")]),
    ],
)
@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_colours_written_as_narrow_pictures_are_colours(tmp_path, kind, channels, writer):
    path, notes = tmp_path / "x.tif", []
    array = np.dstack([grey((40, 60)) // (k + 1) for k in range(channels)]).astype(kind)
    how = {"imagej": {"imagej": True, "metadata": {"axes": "ZYX"}}, "compressed": {"compression": "zlib"}}
    how |= {"one directory": {"truncate": True}}
    write(path, array, **{"photometric": "minisblack", **how.get(writer, {})})
    assert read_size(path) == (40, 60)
    if channels == 3:
        np.testing.assert_array_equal(read_image(path, notes=notes), array)
        assert "its three channels are read as red, green and blue (--channel N chooses one)" in notes
    else:
        with pytest.raises(DataError, match=f"has {channels} channels: choose one"):
            read_image(path)
    np.testing.assert_array_equal(read_image(path, ReadOptions(channel=2)), array[..., 1])
