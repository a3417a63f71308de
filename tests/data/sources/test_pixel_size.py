"""Micrometres per pixel: every place that states them, its units, and what is not to be believed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import picture, write_aperio, write_ome

from segdiff.data.sources.open import open_source
from segdiff.data.sources.pixel_size import PixelSize, read_pixel_size
from segdiff.errors import DataError

GREY = np.zeros((20, 30), np.uint8)


def written(path, **options):
    tifffile.imwrite(path, GREY, **{"metadata": None, **options})
    return read_pixel_size(path)


@pytest.mark.parametrize(("text", "value"), [("0.4990", 0.499), ("0,2528", 0.2528), (" 0.25 ", 0.25), ("1e-1", 0.1)])
def test_aperio_with_point_and_comma(tmp_path, text, value):
    write_aperio(tmp_path / "a.svs", picture(200, 260), mpp=text)
    assert open_source(tmp_path / "a.svs").mpp == PixelSize(value, value, "Aperio MPP")


@pytest.mark.parametrize("text", ["none", "0", "-0.25", "nan", "inf", "25", "0.001"])
def test_aperio_without_a_length_of_a_microscope(tmp_path, text):
    write_aperio(tmp_path / "a.svs", picture(200, 260), mpp=text)
    size = open_source(tmp_path / "a.svs").mpp
    assert not size.known and size.isotropic() is None
    if text in ("25", "0.001"):
        assert f"Aperio MPP states {text} micrometres per pixel, which is outside 0.05 to 10" == size.origin


@pytest.mark.parametrize(
    ("unit", "stated", "value"), [(None, 0.5, 0.5), ("µm", 0.5, 0.5), ("nm", 250, 0.25), ("mm", 0.001, 1)]
)
def test_ome_in_every_unit(tmp_path, unit, stated, value):
    units = {} if unit is None else {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    write_ome(
        tmp_path / "a.ome.tif",
        picture(150, 200),
        "YXS",
        metadata={"PhysicalSizeX": stated, "PhysicalSizeY": stated, **units},
    )
    size = open_source(tmp_path / "a.ome.tif").mpp
    assert size.origin == "OME PhysicalSizeX" and size.isotropic() == pytest.approx(value)


@pytest.mark.parametrize("unit", ["pixel", "reference frame"])
def test_ome_units_that_are_no_lengths(tmp_path, unit):
    tags = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata={"axes": "YX", **tags})
    assert not read_pixel_size(tmp_path / "a.ome.tif").known


@pytest.mark.parametrize(
    ("unit", "per_unit", "value"),
    [
        ("micron", 4, 0.25),
        ("um", 2, 0.5),
        ("µm", 4, 0.25),
        ("\\u00B5m", 4, 0.25),
        ("nm", 0.004, 0.25),
        ("mm", 4000, 0.25),
        ("cm", 40000, 0.25),
    ],
)
@pytest.mark.parametrize("tag", [1, 2, 3])
def test_imagej_in_every_unit(tmp_path, unit, per_unit, value, tag):
    options = {"resolution": (per_unit, per_unit), "resolutionunit": tag}
    description = (
        f"ImageJ=1.54f\nunit={unit}\n".encode("ascii", "backslashreplace")
        if "\\" in unit
        else f"ImageJ=1.54f\nunit={unit}\n".encode()
    )
    size = written(tmp_path / "a.tif", description=description, **options)
    assert size.isotropic() == pytest.approx(value) and size.origin.startswith("ImageJ unit")


def test_imagej_without_a_length_falls_back_to_the_tags(tmp_path):
    for text, tag, known in (("unit=pixel", 1, False), ("", 1, False), ("unit=pixel", 3, True)):
        size = written(
            tmp_path / "a.tif", description=f"ImageJ=1.54f\n{text}\n", resolution=(40000, 40000), resolutionunit=tag
        )
        assert size.known == known


@pytest.mark.parametrize(
    ("unit", "per_unit", "value"), [(3, 40000, 0.25), (2, 101600, 0.25), (2, 25400, 1), (3, 20000.5, 10000 / 20000.5)]
)
def test_resolution_tags(tmp_path, unit, per_unit, value):
    size = written(tmp_path / "a.tif", resolution=(per_unit, per_unit), resolutionunit=unit)
    assert size.isotropic() == pytest.approx(value, rel=1e-6) and size.origin == "TIFF XResolution"


def test_a_unit_of_none_is_unknown(tmp_path):
    size = written(tmp_path / "a.tif", resolution=(40000, 40000), resolutionunit=1)
    assert not size.known and size.origin == "the file does not state it"


@pytest.mark.parametrize(("dpi", "value"), [(72, "352.8"), (96, "264.6"), (300, "84.67")])
def test_print_resolutions_are_unknown_and_named(tmp_path, dpi, value):
    Image.fromarray(GREY).save(tmp_path / "a.tif", dpi=(dpi, dpi))
    size = read_pixel_size(tmp_path / "a.tif")
    assert not size.known and f"states {value} micrometres" in size.origin


def test_pixels_that_are_not_square_are_refused_when_they_are_asked_for(tmp_path):
    near = written(tmp_path / "a.tif", resolution=(40000, 40400), resolutionunit=3)
    assert near.isotropic() == pytest.approx((0.25 + 10000 / 40400) / 2)
    far = written(tmp_path / "a.tif", resolution=(40000, 20000), resolutionunit=3)
    assert (far.x, far.y) == (0.25, 0.5)
    with pytest.raises(DataError, match=r"0\.25 x 0\.5 micrometres \(TIFF XResolution\).*--mpp"):
        far.isotropic()


def test_the_order_of_places(tmp_path):
    both = {"resolution": (20000, 20000), "resolutionunit": 3}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", GREY, metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}, **both
    )
    assert read_pixel_size(tmp_path / "a.ome.tif").x == 0.25
    assert written(tmp_path / "b.tif", description="Aperio|MPP = 0.25", **both).x == 0.25
    assert written(tmp_path / "c.tif", description="Aperio|AppMag = 40", **both).x == 0.5  # nothing from magnification


def test_files_that_state_nothing(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(25400, 25400))
    (tmp_path / "b.tif").write_bytes(b"II*\0nothing")
    for name in ("a.png", "b.tif", "c.tif"):
        assert not read_pixel_size(tmp_path / name).known


def test_real_files(shared_data):
    expected = {"CMU-1-Small-Region.svs": 0.499, "cells.ome.tif": 0.25, "cells-2c.ome.tif": 0.25,
                "grey10kx5k.tif": None, "tcga-cr-7395-01a-01-ts1.svs": None, "boxes.tiff": None,
                "multi-channel-z-series.ome.tif": None}  # fmt: skip
    for name, value in expected.items():
        assert read_pixel_size(shared_data / "slides" / name).isotropic() == value, name
