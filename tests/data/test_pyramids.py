"""Pyramids written tile by tile are read as they were meant, by tifffile and as an image source."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from segdiff.data.pyramids import Pyramid, mean, nearest, write_pyramid
from segdiff.data.sources.open import open_source
from segdiff.data.sources.tiff import TiffSource
from segdiff.data.windows import tiles
from segdiff.errors import OutputError, ShapeError


def labels(height, width):
    numbers = np.arange(height * width, dtype=np.uint32).reshape(height, width) * 37
    return np.where((numbers // 11) % 3 > 0, numbers + 70_000, 0).astype(np.uint32)


def write(path, array, **options):
    pyramid = Pyramid(*array.shape, dtype=array.dtype, **options)
    write_pyramid(path, pyramid, (array[w.rows, w.columns] for w in tiles(*array.shape, pyramid.tile)))
    return pyramid


@pytest.mark.parametrize("size", [(300, 517), (64, 64), (65, 64), (1, 700), (129, 200), (5, 7)])
def test_label_maps_come_back_at_every_level(tmp_path, size):
    array = labels(*size)
    pyramid = write(tmp_path / "a.ome.tif", array, mpp=0.25, tile=64)
    source = TiffSource(tmp_path / "a.ome.tif")
    assert [(level.height, level.width) for level in source.levels] == pyramid.sizes()
    assert source.mpp.isotropic() == 0.25 and source.mpp.origin == "OME PhysicalSizeX"
    for number, level in enumerate(source.levels):
        with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
            stored = file.series[0].levels[number].asarray()
        expected = array[:: 2**number, :: 2**number]
        np.testing.assert_array_equal(stored, expected)
        assert stored.dtype == np.uint32 and stored.shape == (level.height, level.width)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.tif"]


def test_it_is_tiled_compressed_and_states_its_scale(tmp_path):
    write(tmp_path / "a.ome.tif", np.zeros((900, 1300), np.uint32), mpp=0.5)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        page = file.pages[0]
        assert file.is_ome and page.is_tiled and page.compression == 8 and page.tile == (512, 512)
        assert page.tags["ResolutionUnit"].value == 3 and page.get_resolution("MICROMETER") == pytest.approx((2, 2))
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata and 'Type="uint32"' in file.ome_metadata
        assert page.pages[0].get_resolution("MICROMETER") == pytest.approx((1, 1))
    assert (tmp_path / "a.ome.tif").stat().st_size < 20_000
    write(tmp_path / "b.ome.tif", np.zeros((90, 130), np.uint32))
    assert not open_source(tmp_path / "b.ome.tif").mpp.known


def test_the_same_image_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.ome.tif", labels(100, 140), mpp=0.25, tile=64)
    assert (tmp_path / "a" / "x.ome.tif").read_bytes() == (tmp_path / "b" / "x.ome.tif").read_bytes()


def test_probabilities_shrink_by_their_means(tmp_path):
    array = np.random.default_rng(0).random((130, 203)).astype(np.float32)
    write(tmp_path / "a.ome.tif", array, shrink=mean, tile=64)
    source = TiffSource(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(source[:, :], array)
    half = np.pad(array, ((0, 0), (0, 1)), mode="edge").reshape(65, 2, 102, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(source._read(tiles(65, 102, 200)[0], 1), half, rtol=1e-6)
    assert nearest(array).shape == mean(array).shape


def test_large_files_are_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr("segdiff.data.pyramids.CLASSIC_TIFF", 1000)
    write(tmp_path / "a.ome.tif", labels(200, 100), tile=64)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.is_bigtiff
    np.testing.assert_array_equal(TiffSource(tmp_path / "a.ome.tif")[:, :], labels(200, 100))


def test_wrong_tiles_and_failing_ones_leave_nothing(tmp_path):
    def failing():
        yield np.zeros((64, 64), np.uint32)
        raise RuntimeError("cut")

    for content, error in (
        (iter([np.zeros((64, 64))]), ShapeError),
        ([np.zeros((3, 3))], ShapeError),
        (failing(), RuntimeError),
    ):
        with pytest.raises(error):
            write_pyramid(tmp_path / "a.ome.tif", Pyramid(100, 100, tile=64), content)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write(tmp_path / "file" / "a.ome.tif", labels(9, 9))
