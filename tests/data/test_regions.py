"""Regions: which pixels belong to them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segdiff.data.annotations.geojson import write_features
from segdiff.data.regions import Region, parse_region, read_region
from segdiff.data.windows import Window
from segdiff.errors import DataError, MissingError

SQUARE = [[10, 20], [40, 20], [40, 50], [10, 50], [10, 20]]
HOLE = [[20, 30], [30, 30], [30, 40], [20, 40], [20, 30]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
FEATURE = {"type": "Feature", "geometry": POLYGON, "properties": {}}


def expected(height=100, width=120):
    mask = np.zeros((height, width), bool)
    mask[20:50, 10:40] = True
    mask[30:40, 20:30] = False
    return mask


@pytest.mark.parametrize(
    "content",
    [
        POLYGON,
        FEATURE,
        [FEATURE],
        {"type": "FeatureCollection", "features": [FEATURE, {"type": "Feature", "geometry": None, "properties": {}}]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]},
        {"type": "GeometryCollection", "geometries": [POLYGON, {"type": "Point", "coordinates": [1, 2]}]},
    ],
    ids=["polygon", "feature", "list", "collection", "multi", "geometries"],
)
def test_every_kind_of_geojson(tmp_path, content):
    (tmp_path / "r.geojson").write_text(json.dumps(content))
    region = parse_region(str(tmp_path / "r.geojson"), 100, 120)
    assert region.bounds(100, 120) == (20, 10, 30, 30)
    np.testing.assert_array_equal(region.mask(Window(0, 0, 100, 120)), expected())
    for window in (Window(25, 15, 30, 20), Window(0, 0, 21, 11), Window(60, 60, 40, 60)):
        np.testing.assert_array_equal(region.mask(window), expected()[window.rows, window.columns])
    write_features(tmp_path / "again.geojson", region.features("Region"))
    np.testing.assert_array_equal(read_region(tmp_path / "again.geojson").mask(Window(0, 0, 100, 120)), expected())


def test_a_pixel_belongs_when_its_centre_does():
    ring = np.array([[2.4, 3.6], [5.6, 3.6], [5.6, 6.4], [2.4, 6.4], [2.4, 3.6]])
    rows, columns = np.nonzero(Region.of([(ring,)]).mask(Window(0, 0, 10, 10)))
    assert set(rows) == {4, 5} and set(columns) == {2, 3, 4, 5}  # centres at 2.5 .. 5.5 and 4.5, 5.5


def test_rectangles(tmp_path):
    region = parse_region("10, 20, 30, 40", 100, 120)
    assert region.bounds(100, 120) == (20, 10, 40, 30)
    mask = region.mask(Window(0, 0, 100, 120))
    assert mask.sum() == 1200 and mask[20:60, 10:40].all()
    assert region.touches(Window(59, 39, 5, 5)) and not region.touches(Window(60, 39, 5, 5))
    assert parse_region("100,90,500,500", 100, 120).bounds(100, 120) == (90, 100, 10, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "give x,y,w,h"),
        ("1.5,2,3,4", "give x,y,w,h"),
        ("5,5,0,9", "at least one pixel"),
        ("500,5,10,10", "lies outside the image"),
        ("-20,5,10,10", "lies outside"),
    ],
)
def test_rectangles_that_cannot_be(text, message):
    with pytest.raises(DataError, match=message):
        parse_region(text, 100, 120)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a complete JSON file"),
        ("7", "neither GeoJSON nor"),
        ('{"type": "FeatureCollection", "features": []}', "holds no shape with an area"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "holds no shape with an area"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [NaN, 1]]]}', "no geometry of numbers"),
    ],
)
def test_files_that_are_no_regions(tmp_path, text, message):
    (tmp_path / "r.geojson").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_region(tmp_path / "r.geojson")
    assert "\n" not in str(error.value)


def test_a_region_that_is_not_there(tmp_path):
    with pytest.raises(MissingError, match="no such region"):
        parse_region(str(tmp_path / "none.geojson"), 100, 120)
