from __future__ import annotations

import csv
import gzip
import json
import uuid

import numpy as np
import pytest
import shapely
import tifffile

from segdiff.data.annotations.geojson import colour_of, write_features
from segdiff.data.masks import read_mask
from segdiff.data.object_files import MEASUREMENTS, measurements_of, write_geojson, write_labels
from segdiff.data.object_table import object_table
from segdiff.data.writers import write_csv


@pytest.fixture
def labels():
    found = np.zeros((6, 8), np.int32)
    found[1:3, 1:4], found[4:6, 5:8] = 1, 2
    return found


def test_geojson_by_the_rules_of_qupaths_importer(tmp_path, labels):
    columns = object_table(
        labels, more={"probability": np.array([0.9, 0.80001]), "confidence": np.array([np.nan, 0.5])}
    )
    path = write_geojson(tmp_path / "a.geojson", labels, measurements_of(columns, 0.5), "Nucleus", "a.png")
    assert path == tmp_path / "a.geojson"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection" and len(content["features"]) == 2
    for one in content["features"]:
        assert one["type"] == "Feature" and one["geometry"]["type"] in ("Polygon", "MultiPolygon")
        assert str(uuid.UUID(one["id"])) == one["id"]
        assert one["properties"]["objectType"] == "detection"
        classification = one["properties"]["classification"]
        assert classification == {"name": "Nucleus", "color": list(colour_of("Nucleus"))}
        assert all(isinstance(value, (int, float)) for value in one["properties"]["measurements"].values())
        assert shapely.geometry.shape(one["geometry"]).is_valid
    first, second = (one["properties"] for one in content["features"])
    assert first["measurements"] == {"Area µm^2": 6 / 4, "Probability": 0.9}  # what is not known is left out
    assert second["measurements"] == {"Area µm^2": 6 / 4, "Probability": 0.8, "Confidence": 0.5}
    assert second["name"] == "2"
    ((ring,),) = (one["geometry"]["coordinates"] for one in content["features"][:1])
    assert np.array(ring).min(0).tolist() == [1, 1] and np.array(ring).max(0).tolist() == [4, 3]
    assert all(isinstance(v, int) or v % 1 for point in ring for v in point)  # whole numbers are written as such


def test_ids_are_of_picture_and_object(tmp_path, labels):
    def ids(name, picture):
        content = json.loads(write_geojson(tmp_path / name, labels, {}, picture=picture).read_text())
        return [one["id"] for one in content["features"]]

    first = ids("a.geojson", "a.png")
    assert first == ids("b.geojson", "a.png") and len(set(first + ids("c.geojson", "c.png"))) == 4


def test_holes_and_parts_are_written(tmp_path):
    found = np.ones((9, 9), np.int32)
    found[2:7, 2:7], found[4, 4] = 0, 1
    content = json.loads(write_geojson(tmp_path / "a.geojson", found, {}, "Gland").read_text())
    (one,) = content["features"]
    assert one["geometry"]["type"] == "MultiPolygon"
    assert sorted(len(rings) for rings in one["geometry"]["coordinates"]) == [1, 2]
    assert shapely.geometry.shape(one["geometry"]).is_valid
    assert one["properties"]["classification"]["name"] == "Gland" and "measurements" not in one["properties"]


def test_a_large_file_is_packed_and_takes_the_place_of_the_plain_one(tmp_path, labels):
    plain = write_geojson(tmp_path / "a.geojson", labels, {})
    content = plain.read_bytes()
    packed = write_geojson(tmp_path / "a.geojson", labels, {}, zipped_above=300)
    assert packed.name == "a.geojson.gz" and sorted(p.name for p in tmp_path.iterdir()) == ["a.geojson.gz"]
    assert gzip.decompress(packed.read_bytes()) == content
    again = packed.read_bytes()
    assert write_geojson(tmp_path / "a.geojson", labels, {}, zipped_above=300).read_bytes() == again
    assert write_geojson(tmp_path / "a.geojson", labels, {}) == plain and not packed.exists()


def test_features_are_written_as_they_come(tmp_path):
    """Memory holds a part only; what fails in the midst leaves nothing."""

    def many(fail_at=None):
        for number in range(1000):
            if number == fail_at:
                raise RuntimeError("cut")
            yield {"type": "Feature", "number": number}

    found = json.loads(gzip.decompress(write_features(tmp_path / "a.geojson", many(), 1000).read_bytes()))
    assert [one["number"] for one in found["features"]] == list(range(1000))
    for limit in (1000, 10**6):
        with pytest.raises(RuntimeError):
            write_features(tmp_path / "b.geojson", many(700), limit)
    assert [path.name for path in tmp_path.iterdir()] == ["a.geojson.gz"]


def test_nothing_is_a_valid_file_too(tmp_path):
    write_geojson(tmp_path / "a.geojson", np.zeros((3, 3), np.int32), {})
    write_csv(tmp_path / "a.csv", ["id", "x"], [])
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []
    assert (tmp_path / "a.csv").read_text() == "id,x\n"


@pytest.mark.parametrize("most,kind", [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_labels_are_as_wide_as_they_need(tmp_path, most, kind):
    write_labels(tmp_path / "a.tif", np.array([[0, most]], np.int32))
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == kind and found.tolist() == [[0, most]]


def test_a_table_is_written_from_rows_that_come(tmp_path):
    rows = ({"id": number, "confidence": None, "name": "ö, x"} for number in range(3))
    write_csv(tmp_path / "a.csv", ["id", "confidence", "name"], rows)
    found = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert found == [{"id": str(number), "confidence": "", "name": "ö, x"} for number in range(3)]


def test_bytes_of_a_nucleus(tmp_path, shared_data):
    """At most 1,000 plain and 250 packed, on nuclei that experts drew, with every measurement there is."""
    found = plain = packed = 0
    for path in sorted((shared_data / "data" / "dsb2018_he" / "masks").iterdir())[:8]:
        own = read_mask(path).astype(np.int32)
        judged = {name: np.full(len(np.unique(own)) - 1, 0.8765) for name in MEASUREMENTS}
        columns = object_table(own, more=judged)
        file = write_geojson(tmp_path / f"{path.stem}.geojson", own, measurements_of(columns, 0.25), picture=path.name)
        found += columns["id"].size
        plain += file.stat().st_size
        packed += len(gzip.compress(file.read_bytes(), 6))
    assert found > 100 and plain / found <= 1000 and packed / found <= 250


def test_without_a_scale_the_area_is_in_pixels(labels):
    assert measurements_of(object_table(labels), None) == {1: {"Area px^2": 6}, 2: {"Area px^2": 6}}
