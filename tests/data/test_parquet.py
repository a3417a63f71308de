"""Tables of objects as Parquet."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import shapely
import tifffile
from fakes import make_predictor, picture
from PIL import Image
from slide_files import write_aperio

from segdiff.data import parquet
from segdiff.data.annotations.outlines import outlines
from segdiff.data.writers import write_mask
from segdiff.errors import ConfigError
from segdiff.workflows.predict_files import failures, predict_files

pq = pytest.importorskip("pyarrow.parquet", reason="needs segdiff[parquet]")
OUTPUTS = ("mask", "labels", "objects", "parquet")


@pytest.mark.parametrize("kind", ["picture", "slide"])
def test_it_holds_the_table_and_the_outlines(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(parquet, "BATCH", 3)  # several row groups
    image = picture(120, 150)
    path = tmp_path / ("a.png" if kind == "picture" else "a.svs")
    if kind == "picture":
        Image.fromarray(image).save(path)
    else:
        write_aperio(path, image, compression="zlib", mpp="0.5")
    given = {"outputs": OUTPUTS, "objects_mpp": 0.5, "tissue": False}
    assert not failures(predict_files(make_predictor(chains=2), [path], tmp_path / "out", **given))
    table = pq.read_table(tmp_path / "out" / "a_objects.parquet")
    with (tmp_path / "out" / "a_objects.csv").open() as file:
        told = list(csv.DictReader(file))
    rows = table.to_pylist()
    assert len(rows) == len(told) > 3 and pq.ParquetFile(tmp_path / "out" / "a_objects.parquet").num_row_groups > 1
    shapes = [row.pop("outline") for row in rows]
    for row, expected in zip(rows, told, strict=True):
        assert list(row) == list(expected)
        texts = {True: "true", False: "false", None: ""}
        assert [texts[v] if v is None or isinstance(v, bool) else str(v) for v in row.values()] == [*expected.values()]
    labels = tifffile.imread(next((tmp_path / "out").glob("a_labels*")))
    for shape, (_, polygons) in zip(shapes, outlines(labels.astype(np.int32)), strict=True):
        parts = shapely.get_parts(shapely.from_wkb(shape))
        assert [len(shapely.get_coordinates(part.exterior)) for part in parts] == [len(p[0]) for p in polygons]
        assert shapely.from_wkb(shape).equals(shapely.MultiPolygon([(p[0], p[1:]) for p in polygons]))


def test_no_object_is_a_table_with_columns_of_the_same_types(tmp_path):
    for name, image in (("some", picture(60, 70)), ("none", np.zeros((60, 70, 3), np.uint8))):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    predict_files(make_predictor(), [tmp_path / "some.png", tmp_path / "none.png"], tmp_path, outputs=("parquet",))
    some, none = (pq.read_table(tmp_path / f"{name}_objects.parquet") for name in ("some", "none"))
    assert some.schema == none.schema and some.num_rows > none.num_rows == 0


def test_rows_are_written_as_they_come(tmp_path):
    taken = []

    def rows():
        for number in range(parquet.BATCH * 2):
            taken.append(number)
            yield {"image": "a", "id": number, "outline": b""}

    parquet.write_parquet(tmp_path / "a.parquet", {"id": np.zeros(0, np.int64)}, rows())
    assert pq.read_table(tmp_path / "a.parquet")["id"].to_pylist() == taken


def test_without_the_package_it_is_refused_before_any_work(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    write_mask(tmp_path / "a.png", np.zeros((20, 20)))
    with pytest.raises(ConfigError, match="segdiff.parquet"):
        predict_files(make_predictor(), [tmp_path / "a.png"], tmp_path / "out", outputs=("parquet",))
    assert not (tmp_path / "out").exists()
