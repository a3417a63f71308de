"""Slicing, resizing and thumbnails: the same whatever the container."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from slide_files import picture, write_pages

from segdiff.data.sources import base
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.open import open_source
from segdiff.data.windows import Window, tiles
from segdiff.errors import ShapeError

SIZE = (233, 301)


@pytest.fixture
def both(tmp_path):
    array = picture(*SIZE)
    write_pages(tmp_path / "a.tif", array, steps=(2, 4), photometric="rgb")
    return open_source(tmp_path / "a.tif"), array


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:, :],
        np.s_[10:20],
        np.s_[..., :2],
        np.s_[3:200:7, ::90],
        np.s_[::64, 5:6:9, 1:],
        np.s_[-40:, :-290],
        np.s_[20:20, :],
        np.s_[:, :, 0],
    ],
)
def test_sources_slice_as_arrays_do(both, key):
    source, array = both
    np.testing.assert_array_equal(source[key], array[key])


def test_a_lattice_reads_only_the_tiles_it_meets(both, monkeypatch):
    source, array = both
    read = []
    monkeypatch.setattr(
        source, "_decode", lambda segments, index, plain=source._decode: read.append(index) or plain(segments, index)
    )
    np.testing.assert_array_equal(source[::200, ::250], array[::200, ::250])
    assert sorted(read) == [0, 2, 12, 14]  # tiles of 64 x 96: two rows and two columns of them


def test_what_is_no_slice_is_refused(both):
    for key in (3, np.s_[::-1], (slice(None),) * 4, [1, 2]):
        with pytest.raises(ShapeError, match="is read by slices"):
            both[0][key]


@pytest.mark.parametrize("size", [(100, 130), (117, 150), (233, 301), (466, 400), (1, 1), (23, 900)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_is_pytorchs_antialiased_interpolation_whatever_the_window(size, channels):
    array = picture(*SIZE, channels)
    source = ArraySource(array).resized(*size)
    whole = source[:, :]
    planes = torch.from_numpy(array.astype(np.float32).reshape(*SIZE, channels)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    np.testing.assert_allclose(whole.reshape(*size, channels), expected.numpy(), atol=2e-3)  # float32 of 0 to 255
    for window in tiles(*size, 37):
        np.testing.assert_array_equal(source.read(window), whole[window.rows, window.columns])


def test_resized_reads_the_level_that_suffices(tmp_path):
    # Even from left to right, so that a shift by half a pixel of a level would be seen.
    array = np.repeat(np.linspace(0, 60000, 480).astype(np.uint16)[None], 240, axis=0)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (1, 2, 4):
            means = array.reshape(240 // step, step, 480 // step, step).mean(axis=(1, 3)).astype(np.uint16)
            file.write(means, tile=(64, 64), subfiletype=int(step > 1), metadata=None)
    source = open_source(tmp_path / "a.tif")
    for step, level in ((1, 0), (1.5, 0), (2, 1), (3, 1), (4, 2), (5, 2)):
        resized = source.at(step)
        assert resized._level == level, step
        centres = (np.arange(resized.width) + 0.5) * step - 0.5
        expected = np.interp(centres, np.arange(480), array[0])
        np.testing.assert_allclose(resized[40:41, 2:-2][0], expected[2:-2], atol=30)  # a pixel is 125
    np.testing.assert_array_equal(source.at(2)[:, :], source.read(Window(0, 0, 120, 240), 1))


def test_thumbnails_are_bounded_and_keep_the_type(both, monkeypatch):
    source, array = both
    small = source.thumbnail(100)
    assert small.dtype == np.uint8 and small.shape == (77, 100, 3)
    monkeypatch.setattr(base, "_MOST_AT_ONCE", 64**2)
    np.testing.assert_array_equal(source.thumbnail(100), small)
    np.testing.assert_array_equal(source.thumbnail(400), array)
    grey = ArraySource(picture(*SIZE, 1, np.uint16))
    assert grey.thumbnail(50).shape == (39, 50) and grey.thumbnail(50).dtype == np.uint16


def test_resizing_scales_micrometres():
    mpp = base.PixelSize(0.25, 0.25, "Aperio MPP")
    half = ArraySource(picture(100, 200), mpp).at(2)
    assert (half.mpp.x, half.mpp.y, half.mpp.origin) == (0.5, 0.5, "Aperio MPP")


def test_memory_maps_are_read_where_they_lie(tmp_path):
    array = picture(*SIZE)
    np.save(tmp_path / "a.npy", array)
    source = ArraySource(np.load(tmp_path / "a.npy", mmap_mode="r"))
    np.testing.assert_array_equal(source.read(Window(9, 8, 70, 60)), array[9:79, 8:68])
    with pytest.raises(ShapeError, match=r"this array has \(4,\)"):
        ArraySource(np.zeros(4))
