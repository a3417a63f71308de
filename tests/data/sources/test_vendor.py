"""What OpenSlide reads. Of its formats only generic TIFF and Aperio files were to be had."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
from PIL import Image
from slide_files import picture, write_aperio

from segdiff.data.sources import vendor
from segdiff.data.sources.open import open_source
from segdiff.data.sources.tiff import TiffSource
from segdiff.data.sources.vendor import OpenSlideSource
from segdiff.data.windows import Window
from segdiff.errors import ConfigError, DataError

pytest.importorskip("openslide", reason="needs segdiff[slides]")
ARRAY = picture(520, 777)


@pytest.fixture
def aperio(tmp_path):
    write_aperio(tmp_path / "a.svs", ARRAY, steps=(4,), compression="zlib")
    return tmp_path / "a.svs"


def test_openslide_and_tifffile_agree(aperio):
    source, other = OpenSlideSource(aperio), TiffSource(aperio)
    assert source.shape == other.shape and source.mpp.x == other.mpp.x == 0.499
    assert source.levels == other.levels and source.tile == other.tile
    np.testing.assert_array_equal(source[100:400, 50:700], ARRAY[100:400, 50:700])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[::100, ::90], ARRAY[::100, ::90])


def _corner(source):
    return source[:50, :60].tolist()


def test_each_process_opens_its_own(aperio):
    source = OpenSlideSource(aperio)
    expected = _corner(source)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_corner, [source] * 3) == [expected] * 3


class Scanner:
    """A slide with a canvas of 400 x 300 of which a part was scanned; the rest is transparent."""

    dimensions = (400, 300)
    level_dimensions = ((400, 300), (100, 75))
    level_count = 2

    def __init__(self, **properties):
        self.properties = {f"openslide.{name.replace('__', '-')}": value for name, value in properties.items()}
        self.canvas = np.dstack([picture(300, 400), np.zeros((300, 400), np.uint8)])
        self.canvas[40:200, 50:350, 3] = 255
        self.canvas[..., :3][self.canvas[..., 3] == 0] = 0

    def read_region(self, corner, level, size):
        step = (1, 4)[level]
        part = self.canvas[corner[1] :: step, corner[0] :: step][: size[1], : size[0]]
        return Image.fromarray(np.ascontiguousarray(part))

    def close(self):
        pass


@pytest.fixture
def scanner(monkeypatch):
    def use(**properties):
        made = Scanner(**properties)
        monkeypatch.setattr(vendor._Slide, "_open", lambda self: made)
        return OpenSlideSource("a.mrxs"), made.canvas

    return use


def test_bounds_crop_only_if_both_sides_are_smaller(scanner):
    bounds = {"bounds__x": "50", "bounds__y": "40", "bounds__width": "300", "bounds__height": "160"}
    source, canvas = scanner(**bounds)
    assert source.shape == (160, 300, 3)
    np.testing.assert_array_equal(source[:, :], canvas[40:200, 50:350, :3])
    assert source.levels[1] == (40, 75, 4, 4)
    np.testing.assert_array_equal(source.read(Window(1, 2, 30, 40), 1), canvas[44:164:4, 58:218:4, :3])
    for changed in ({"bounds__width": "400"}, {"bounds__height": "300"}, {"bounds__x": None}):
        properties = {name: value for name, value in {**bounds, **changed}.items() if value is not None}
        assert scanner(**properties)[0].shape == (300, 400, 3)


def test_what_was_not_scanned_is_the_background(scanner):
    source, canvas = scanner()
    found = source[:, :]
    np.testing.assert_array_equal(found[40:200, 50:350], canvas[40:200, 50:350, :3])
    assert (found[:40] == 255).all() and (found[:, 350:] == 255).all()
    found = scanner(background__color="102030")[0][:, :]
    assert (found[:40] == (16, 32, 48)).all()


@pytest.mark.parametrize(
    ("x", "y", "known"), [("0.25", "0.25", True), ("0,25", "0,25", True), ("0.25", None, False), ("50", "50", False)]
)
def test_micrometres_by_openslide(scanner, x, y, known):
    properties = {name: value for name, value in {"mpp__x": x, "mpp__y": y, "vendor": "mirax"}.items() if value}
    size = scanner(**properties)[0].mpp
    assert size.known == known
    if known:
        assert size.x == 0.25 and size.origin == "mirax metadata by OpenSlide"


@pytest.mark.parametrize("suffix", [".mrxs", ".ndpi", ".scn"])
def test_what_openslide_does_not_read_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"no slide")
    with pytest.raises(DataError, match=rf"a\{suffix} is not a slide that OpenSlide reads"):
        open_source(path)


def test_missing_packages_and_formats_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.vsi").write_bytes(b"II*\0")
    with pytest.raises(DataError, match="export it as OME-TIFF"):
        open_source(tmp_path / "a.vsi")
    (tmp_path / "a.mrxs").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    with pytest.raises(ConfigError, match=r"pip install 'segdiff\[slides\]'"):
        open_source(tmp_path / "a.mrxs")
