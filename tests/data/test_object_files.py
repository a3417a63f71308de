from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import points_in_poly

from segdiff.data.object_files import outlines, write_geojson, write_labels, write_table


def filled(ring, shape):
    centres = np.stack(np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5), -1).reshape(-1, 2)
    return points_in_poly(centres, np.array(ring)).reshape(shape)


@settings(max_examples=150, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_an_outline_is_valid_and_holds_the_pixels_of_its_object(shape):
    labels = ndimage.label(shape)[0]
    found = dict(outlines(labels))
    assert list(found) == list(range(1, labels.max() + 1))
    for number, ring in found.items():
        assert ring[0] == ring[-1] and len(ring) >= 4
        assert len({tuple(point) for point in ring[:-1]}) == len(ring) - 1  # it does not touch itself
        whole = ndimage.binary_fill_holes(labels == number)
        assert np.array_equal(filled(ring, labels.shape), whole)
        assert all(0 <= x <= labels.shape[1] and 0 <= y <= labels.shape[0] for x, y in ring)


def test_geojson_that_qupath_opens(tmp_path):
    labels = np.zeros((6, 8), np.int32)
    labels[1:3, 1:4], labels[4:6, 5:8] = 1, 2
    path = tmp_path / "a.geojson"
    write_geojson(path, labels, {1: {"area": 6, "confidence": None}, 2: {"area": 6, "confidence": 0.5}}, "Nucleus")
    content = json.loads(path.read_text())
    assert content["type"] == "FeatureCollection" and len(content["features"]) == 2
    first = content["features"][0]
    assert first["type"] == "Feature" and first["geometry"]["type"] == "Polygon"
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"]["name"] == "Nucleus"
    assert first["properties"]["measurements"] == {"area": 6}
    (ring,) = first["geometry"]["coordinates"]
    assert np.array(ring).min(0).tolist() == [1.0, 1.0] and np.array(ring).max(0).tolist() == [4.0, 3.0]


def test_nothing_is_a_valid_file_too(tmp_path):
    write_geojson(tmp_path / "a.geojson", np.zeros((3, 3), np.int32), {}, "Nucleus")
    write_table(tmp_path / "a.csv", ["id", "x"], [])
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []
    assert (tmp_path / "a.csv").read_text() == "id,x\n"


@pytest.mark.parametrize("most,kind", [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_labels_are_as_wide_as_they_need(tmp_path, most, kind):
    write_labels(tmp_path / "a.tif", np.array([[0, most]], np.int32))
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == kind and found.tolist() == [[0, most]]


def test_a_table_leaves_out_what_is_not_known(tmp_path):
    write_table(tmp_path / "a.csv", ["id", "confidence"], [{"id": 1, "confidence": None}])
    assert list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines())) == [{"id": "1", "confidence": ""}]
