from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data import writers
from segdiff.data.writers import atomic, write_csv, write_float_tiff, write_json, write_mask, write_overlay
from segdiff.errors import ShapeError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.bin"
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with atomic(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole" and list(path.parent.iterdir()) == [path]


def test_csv_has_a_header_and_a_row_each(tmp_path):
    rows = [{"name": "a, b", "dice": 0.5, "empty": False}, {"name": "µ\n", "dice": None}]
    write_csv(tmp_path / "scores.csv", ["name", "dice", "empty"], iter(rows))
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read == [{"name": "a, b", "dice": "0.5", "empty": "False"}, {"name": "µ\n", "dice": "", "empty": ""}]
    write_csv(tmp_path / "none.csv", ["a", "b"], [])
    assert (tmp_path / "none.csv").read_bytes() == b"a,b\n"
    with pytest.raises(ValueError, match="other"):
        write_csv(tmp_path / "scores.csv", ["name"], [{"name": 1}, {"other": 2}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none.csv", "scores.csv"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"dice": 0.5})
    with pytest.raises(ValueError):
        write_json(path, {"dice": float("nan")})
    assert json.loads(path.read_text()) == {"dice": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_not_followed(tmp_path):
    original, link = tmp_path / "original", tmp_path / "link.json"
    original.write_text("precious")
    link.symlink_to(original)
    write_json(link, {})
    assert original.read_text() == "precious" and not link.is_symlink()


@pytest.mark.parametrize("mask", [np.eye(5, dtype=bool), np.eye(5, dtype=np.uint8) * 7, np.eye(5)])
def test_masks_are_0_and_255(tmp_path, mask):
    write_mask(tmp_path / "m.png", mask)
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.array(picture), np.eye(5, dtype=np.uint8) * 255)


def test_floats_come_back_to_the_last_bit(tmp_path):
    array = np.random.default_rng(0).random((37, 300)).astype(np.float32)
    array[10:] = 0
    write_float_tiff(tmp_path / "p.tif", array)
    got = tifffile.imread(tmp_path / "p.tif")
    assert got.dtype == np.float32 and np.array_equal(got, array)
    assert (tmp_path / "p.tif").stat().st_size < array.nbytes / 2
    with Image.open(tmp_path / "p.tif") as picture:  # other programs read it too
        assert np.array_equal(np.array(picture), array)


def test_overlays_are_rgb(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    write_overlay(tmp_path / "o.png", picture)
    assert np.array_equal(np.array(Image.open(tmp_path / "o.png")), picture)
    for wrong in (picture[..., 0], picture.astype(float), np.zeros((6, 7, 4), np.uint8)):
        with pytest.raises(ShapeError):
            write_overlay(tmp_path / "o.png", wrong)
    with pytest.raises(ShapeError):
        write_mask(tmp_path / "m.png", picture)


def test_json_is_readable_by_people(tmp_path):
    write_json(tmp_path / "r.json", {"name": "Gewebe 7 µm", "n": [1, 2]})
    assert (tmp_path / "r.json").read_text(encoding="utf-8").splitlines()[1] == '  "name": "Gewebe 7 µm",'


def test_what_may_not_fit_a_classic_tiff_is_a_bigtiff(tmp_path, monkeypatch):
    for name, limit in (("small.tif", writers.CLASSIC_TIFF), ("large.tif", 100)):
        monkeypatch.setattr(writers, "CLASSIC_TIFF", limit)
        writers.write_tiff(tmp_path / name, np.arange(60, dtype=np.uint16).reshape(6, 10))
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.is_bigtiff is (name == "large.tif") and file.asarray()[5, 9] == 59
