"""TIFF, OME-TIFF and SVS: windows of every layout are the pixels that were written."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
import tifffile
from slide_files import picture, shrunk, write_aperio, write_ome, write_pages

from segdiff.data.images import read_image
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.base import Level
from segdiff.data.sources.open import open_source
from segdiff.data.sources.tiff import TiffSource
from segdiff.data.windows import Window
from segdiff.errors import DataError, MissingError, ShapeError

# Within a tile, across four, along the right and bottom border, the last pixel, the whole.
WINDOWS = [Window(3, 5, 20, 30), Window(60, 60, 140, 150), Window(150, 200, 83, 101), Window(232, 300, 1, 1)]
SIZE = (233, 301)


def assert_windows(source, array, level=0):
    for window in [*WINDOWS, Window(0, 0, *SIZE)]:
        window = window.clipped(*array.shape[:2])
        if window.height and window.width:
            np.testing.assert_array_equal(source.read(window, level), array[window.rows, window.columns])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("layout", ["tiles", "strips", "one strip"])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.float32)]
)
def test_windows_are_what_was_written(tmp_path, byteorder, compression, layout, channels, dtype):
    array = picture(*SIZE, channels, dtype)
    cut = {"tiles": {"tile": (48, 80)}, "strips": {"rowsperstrip": 7}, "one strip": {"rowsperstrip": SIZE[0]}}[layout]
    photometric = "minisblack" if channels == 1 else "rgb"
    path = tmp_path / "a.tif"
    options = {"compression": compression, "predictor": bool(compression) and dtype != np.float32, "metadata": None}
    big = byteorder == ">"
    tifffile.imwrite(path, array, byteorder=byteorder, photometric=photometric, bigtiff=big, **options, **cut)
    source = TiffSource(path)
    assert source.shape == array.shape and source.dtype == array.dtype and not source.is_slide
    assert_windows(source, array)
    np.testing.assert_array_equal(source[5:200:3, 9::7], array[5:200:3, 9::7])
    np.testing.assert_array_equal(np.asarray(source), array)


def test_separate_planes_and_channel_pages_become_the_last_axis(tmp_path):
    array = picture(*SIZE, 3)
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(array, 2, 0), planarconfig="separate", tile=(64, 64),
                     photometric="rgb", metadata=None)  # fmt: skip
    write_ome(tmp_path / "channels.ome.tif", np.moveaxis(array, 2, 0), "CYX")
    for name in ("planes.tif", "channels.ome.tif"):
        source = TiffSource(tmp_path / name)
        assert source.shape == array.shape
        assert_windows(source, array)
    assert len(source.levels) == 3
    assert_windows(source, array[::4, ::4], 2)


def test_every_kind_of_pyramid_shows_its_levels(tmp_path):
    array = picture(*SIZE)
    write_aperio(tmp_path / "a.svs", array, steps=(4, 8))
    write_ome(tmp_path / "b.ome.tif", array, "YXS", steps=(2, 4))
    write_pages(tmp_path / "c.tif", array, steps=(2, 4, 16), photometric="rgb")
    write_pages(tmp_path / "d.tif", array, steps=(3, 9), photometric="rgb", up=True)
    for name, steps, up in [
        ("a.svs", (4, 8), 0),
        ("b.ome.tif", (2, 4), 1),
        ("c.tif", (2, 4, 16), 0),
        ("d.tif", (3, 9), 1),
    ]:
        source = open_source(tmp_path / name)
        assert isinstance(source, TiffSource) and source.is_slide
        assert [(level.row_step, level.column_step) for level in source.levels] == [(s, s) for s in (1, *steps)], name
        for number, step in enumerate((1, *steps)):
            assert_windows(source, shrunk(array, step, bool(up)), number)


def test_an_svs_without_a_thumbnail_loses_no_level(tmp_path):
    array = picture(512, 768)
    tiled = {"tile": (128, 128), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        for step in (1, 2, 4):  # the page behind the full one is by convention the thumbnail
            file.write(array[::step, ::step], description="Aperio Image Library|MPP = 0.25", **tiled)
    assert [level.row_step for level in open_source(tmp_path / "a.svs").levels] == [1, 2, 4]


def test_levels_need_no_power_of_two_and_no_exact_division():
    assert Level.of((62, 75), (250, 300)) == (62, 75, 4, 4)
    assert Level.of((63, 75), (250, 300)) == (63, 75, 4, 4)
    assert Level.of((100, 120), (250, 300)) == (100, 120, 2.5, 2.5)


def test_jpeg_tiles_are_decoded_as_rgb(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG tiles need imagecodecs")
    array = np.repeat(np.repeat(picture(16, 20), 16, axis=0), 16, axis=1)  # JPEG keeps flat squares
    write_aperio(tmp_path / "a.svs", array, compression="jpeg", compressionargs={"level": 95})
    found = open_source(tmp_path / "a.svs")[:, :].astype(int)
    assert imagecodecs and np.abs(found - array).mean() < 3


def test_missing_tiles_are_glass_in_colour_and_nothing_in_grey(tmp_path):
    for channels, expected in ((3, 255), (1, 0)):
        array = picture(128, 192, channels)
        path = tmp_path / f"{channels}.tif"
        tifffile.imwrite(
            path, array, tile=(64, 64), photometric="rgb" if channels == 3 else "minisblack", metadata=None
        )
        with tifffile.TiffFile(path, mode="r+") as file:
            counts = list(file.pages[0].databytecounts)
            counts[1] = 0
            file.pages[0].tags["TileByteCounts"].overwrite(counts)
        source = TiffSource(path)
        array[:64, 64:128] = expected
        np.testing.assert_array_equal(source[:, :], array)


def test_stacks_and_odd_colours_are_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "z.ome.tif", picture(100, 100, 5).transpose(2, 0, 1), metadata={"axes": "ZYX"})
    with pytest.raises(DataError, match=r"z\.ome\.tif is a stack of 5 \(Z\) pictures; save"):
        TiffSource(tmp_path / "z.ome.tif")
    tifffile.imwrite(tmp_path / "cmyk.tif", picture(64, 64, 4), photometric="separated", tile=(64, 64))
    with pytest.raises(DataError, match="stores its colours as SEPARATED"):
        TiffSource(tmp_path / "cmyk.tif")


def test_strips_too_large_to_decode_get_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("segdiff.data.sources.tiff.MOST_SEGMENT", 10_000)
    monkeypatch.setattr("segdiff.data.sources.open.MOST_IN_MEMORY", 20_000)
    array = picture(*SIZE)
    tifffile.imwrite(tmp_path / "packed.tif", array, compression="zlib", rowsperstrip=SIZE[0], metadata=None)
    with pytest.raises(DataError, match=r"packed\.tif is compressed in strips of 233 x 301 pixels.*vips tiffsave"):
        open_source(tmp_path / "packed.tif")
    # Without compression a strip of any size is read row by row.
    tifffile.imwrite(tmp_path / "plain.tif", array, rowsperstrip=SIZE[0], metadata=None)
    source = open_source(tmp_path / "plain.tif")
    assert isinstance(source, TiffSource)
    assert_windows(source, array)


def test_what_is_small_and_plain_is_read_as_a_whole(tmp_path):
    array = picture(*SIZE)
    tifffile.imwrite(tmp_path / "a.tif", array, tile=(64, 64), resolution=(40000, 40000), resolutionunit=3)
    source = open_source(tmp_path / "a.tif")
    assert isinstance(source, ArraySource) and source.mpp.x == 0.25 and not source.is_slide
    np.testing.assert_array_equal(source[:, :], read_image(tmp_path / "a.tif"))
    with pytest.raises(MissingError, match="no such image"):
        open_source(tmp_path / "b.tif")
    with pytest.raises(MissingError, match="is a folder"):
        open_source(tmp_path)


@pytest.mark.parametrize("layout", ["tiles", "strips"])
def test_damage_is_named_by_file_and_tile(tmp_path, layout):
    path = tmp_path / "a.tif"
    cut = {"tile": (64, 64)} if layout == "tiles" else {"rowsperstrip": 16}
    tifffile.imwrite(path, picture(*SIZE), compression="zlib", metadata=None, **cut)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[1]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    path.write_bytes(content)
    source = TiffSource(path)
    assert source.read(Window(0, 0, 8, 8)).shape == (8, 8, 3)  # what is whole can be read
    with pytest.raises(DataError, match=rf"a\.tif is damaged: {layout[:-1]} 1 cannot be decoded") as error:
        np.asarray(source)
    assert "\n" not in str(error.value)
    path.write_bytes(content[: offset + 10])
    with pytest.raises(DataError, match="is damaged|not a TIFF that can be read"):
        np.asarray(TiffSource(path))


def test_windows_beyond_the_image_are_refused(tmp_path):
    write_pages(tmp_path / "a.tif", picture(*SIZE), photometric="rgb")
    source = open_source(tmp_path / "a.tif")
    for window in (Window(-1, 0, 5, 5), Window(0, 0, 234, 5), Window(0, 0, 0, 5)):
        with pytest.raises(ShapeError, match="does not lie within level 0"):
            source.read(window)
    with pytest.raises(ShapeError, match="no level 3"):
        source.read(Window(0, 0, 1, 1), 3)


def _mean(source):
    return float(source[:, :].mean())


def test_sources_travel_to_other_processes(tmp_path):
    array = picture(*SIZE)
    write_aperio(tmp_path / "a.svs", array)
    source = open_source(tmp_path / "a.svs")
    assert _mean(source) == array.mean()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[:, :], array)
    with multiprocessing.get_context("fork").Pool(2) as pool:  # with the file open here
        assert pool.map(_mean, [source] * 4) == [array.mean()] * 4
        assert _mean(source) == array.mean()


REAL = {
    "CMU-1-Small-Region.svs": 1,
    "tcga-cr-7395-01a-01-ts1.svs": 2,
    "boxes.tiff": 4,
    "small.svs": 1,
    "yb10kx5k.zstd.tiff": 5,
}


def test_real_files_are_read_as_openslide_reads_them(shared_data):
    openslide = pytest.importorskip("openslide", reason="needs segdiff[slides]")
    for name, count in REAL.items():
        path = shared_data / "slides" / name
        source = open_source(path)
        assert isinstance(source, TiffSource) and len(source.levels) == count, name
        with openslide.OpenSlide(str(path)) as slide:
            for level in range(count):
                size = source.levels[level]
                # A corner, and one further in that crosses tiles; OpenSlide takes corners on the full image.
                for corner in (0, min(size.height, size.width) // 3):
                    window = Window(corner, corner, 150, 170).clipped(size.height - 1, size.width - 1)
                    at = (round(corner * size.column_step), round(corner * size.row_step))
                    theirs = np.asarray(slide.read_region(at, level, (window.width, window.height)))[..., :3]
                    ours = source.read(window, level)
                    # Where levels are rounded OpenSlide interpolates between their pixels.
                    exact = level == 0 or slide.level_downsamples[level] == size.row_step
                    assert np.array_equal(ours, theirs) or (not exact and np.abs(ours - theirs.astype(int)).mean() < 3)
