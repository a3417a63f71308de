"""The table of a folder of predictions: a row a picture, whatever way the run took."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from fakes import make_predictor, picture
from PIL import Image
from slide_files import write_aperio

from segdiff.cli.main import main
from segdiff.data.images import read_image
from segdiff.data.writers import write_json
from segdiff.errors import ConfigError, DataError, MissingError, OutputError
from segdiff.workflows.join_predictions import join_predictions
from segdiff.workflows.parts import Part
from segdiff.workflows.predict_files import predict_files
from segdiff.workflows.summary import COLUMNS, in_all

APART = ("mask", "labels", "objects")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for seed in range(5):
        Image.fromarray(picture(40, 50, seed=seed)).save(tmp_path / "in" / f"{seed}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture, with a comma")
    return tmp_path / "in"


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == list(COLUMNS)
    return rows


def without_times(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_row_a_picture_of_what_its_files_hold(folder, tmp_path):
    predict_files(make_predictor(), [folder], tmp_path / "out", outputs=APART, objects_mpp=0.5)
    rows = table(tmp_path / "out" / "summary.csv")
    assert [row["image"] for row in rows] == [*(f"{n}.png" for n in range(5)), "broken.png"]
    for row in rows[:5]:
        stem = row["image"][:-4]
        mask = np.asarray(Image.open(tmp_path / "out" / f"{stem}_mask.png")) > 0
        with (tmp_path / "out" / f"{stem}_objects.csv").open() as file:
            areas = [float(one["area"]) for one in csv.DictReader(file)]
        assert areas and int(row["objects"]) == len(areas)
        assert float(row["median_area_px"]) == np.median(areas)
        assert float(row["median_area_um2"]) == pytest.approx(np.median(areas) / 4)
        assert float(row["area_fraction"]) == pytest.approx(mask.mean(), abs=1e-6)
        assert (row["status"], row["tissue_mm2"], row["objects_per_mm2"]) == ("done", "", "")
        assert float(row["seconds"]) > 0
    assert rows[5]["status"] == "failed" and rows[5]["warnings"] and not rows[5]["objects"]


def test_what_is_not_known_is_an_empty_cell(folder, tmp_path):
    predict_files(make_predictor(), [folder / "0.png"], tmp_path / "out")
    [row] = table(tmp_path / "out" / "summary.csv")
    assert row["objects"] == row["median_area_px"] == row["median_area_um2"] == "" and row["area_fraction"]


def test_slides_have_tissue_and_objects_in_a_square_millimetre(tmp_path):
    image = np.full((400, 500, 3), 240, np.uint8)
    image[100:300, 120:400] = (160, 90, 140)
    image[150:170, 150:170, 0] = image[200:230, 300:310, 0] = 215
    write_aperio(tmp_path / "a.svs", image, compression="zlib", mpp="0.5")
    record = predict_files(make_predictor(threshold=0.7), [tmp_path / "a.svs"], tmp_path / "out", outputs=APART)
    [row] = table(tmp_path / "out" / "summary.csv")
    area = record["images"][0]["tissue_mm2"]
    assert float(row["tissue_mm2"]) == area > 0
    assert float(row["objects_per_mm2"]) == pytest.approx(int(row["objects"]) / area, abs=0.01)
    assert int(row["objects"]) == record["images"][0]["found"]["objects"] >= 2
    assert f"{area:.2f} mm^2 of tissue" in in_all(record["images"])


@pytest.mark.parametrize("rectangle", [(120, 60, 201, 99), (0, 0, 150, 400), (450, 300, 30, 50)])
def test_of_a_region_areas_and_tissue_are_those_in_it(tmp_path, rectangle):
    image = np.full((400, 500, 3), 240, np.uint8)
    image[100:300, 120:400] = (160, 90, 140)
    image[150:170, 150:170, 0] = 215
    write_aperio(tmp_path / "a.svs", image, compression="zlib", mpp="0.5")
    left, top, across, down = rectangle
    given = {"outputs": APART, "region": ",".join(map(str, rectangle))}
    record = predict_files(make_predictor(threshold=0.7), [tmp_path / "a.svs"], tmp_path / "out", **given)
    tissue = read_image(tmp_path / "out" / "a_tissue.png") > 0
    pixels = tissue[top : top + down, left : left + across].sum()
    [row] = table(tmp_path / "out" / "summary.csv")
    assert float(row["tissue_mm2"]) == pytest.approx(pixels * 0.25e-6, abs=1e-4)
    mask = tifffile.imread(tmp_path / "out" / "a_mask.ome.tif") > 0
    assert float(row["area_fraction"]) == pytest.approx(mask.sum() / (across * down), abs=1e-6)
    assert record["images"][0]["tissue_mm2"] == float(row["tissue_mm2"])
    if not pixels:
        assert row["objects_per_mm2"] == ""


@pytest.mark.parametrize("count", [1, 2, 4])
def test_resumed_and_in_parts_it_is_the_same(folder, tmp_path, count):
    given = {"outputs": APART, "objects_mpp": 0.5}
    predict_files(make_predictor(), [folder], tmp_path / "whole", **given)
    whole = without_times(table(tmp_path / "whole" / "summary.csv"))
    out = tmp_path / "out"
    if count == 1:  # cut: two pictures first, then all
        predict_files(make_predictor(), [folder / "0.png", folder / "3.png"], out, **given)
        predict_files(make_predictor(), [folder], out, resume=True, **given)
    else:
        for part in range(1, count + 1):
            predict_files(make_predictor(), [folder], out, part=Part(part, count), **given)
        parts = [str(out / f"prediction_{part}of{count}.json") for part in range(count, 0, -1)]
        assert not (out / "summary.csv").exists()
        assert main(["join", *parts]) == 0
    assert without_times(table(out / "summary.csv")) == whole


def test_parts_that_make_no_whole_are_refused(folder, tmp_path):
    out = tmp_path / "out"
    for part in (Part(1, 3), Part(2, 3)):
        predict_files(make_predictor(), [folder], out, part=part)
    parts = [out / f"prediction_{part}of3.json" for part in (1, 2)]
    with pytest.raises(ConfigError, match="are not those of a whole"):
        join_predictions(parts)
    with pytest.raises(MissingError):
        join_predictions([*parts, out / "prediction_3of3.json"])
    with pytest.raises(DataError, match="is not a record"):
        join_predictions([*parts, out / "summary_1of3.csv"])
    predict_files(make_predictor(), [folder], tmp_path / "other", part=Part(3, 3), seed=5)
    with pytest.raises(ConfigError, match="not parts of one prediction.*seed"):
        join_predictions([*parts, tmp_path / "other" / "prediction_3of3.json"])


def test_a_table_of_someone_elses_is_not_replaced(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.csv").write_text("patient,age\n1,50\n")
    with pytest.raises(ConfigError, match="summary.csv is not a table that segdiff predict wrote"):
        predict_files(make_predictor(), [folder], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.csv"]
    assert (tmp_path / "out" / "summary.csv").read_text() == "patient,age\n1,50\n"


def test_records_of_before_there_was_a_table(folder, tmp_path):
    out = tmp_path / "out"
    predict_files(make_predictor(), [folder / "0.png"], out, outputs=APART)
    content = json.loads((out / "prediction.json").read_text())
    del content["images"][0]["found"], content["region_content"]
    write_json(out / "prediction.json", content)
    (out / "summary.csv").unlink()
    record = predict_files(make_predictor(), [folder / "0.png"], out, outputs=APART, resume=True)
    assert record["done_before"] == 1
    [row] = table(out / "summary.csv")
    assert row["image"] == "0.png" and row["objects"] == ""


def test_totals_on_the_terminal(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("segdiff.cli.predict.predictor_from", lambda args: make_predictor())
    assert main(["predict", "--image", str(folder), "--output-dir", str(tmp_path / "out"), "--instances"]) == 3
    rows = table(tmp_path / "out" / "summary.csv")[:5]
    said = capsys.readouterr().out
    assert f"in all: 5 image(s), {sum(int(row['objects']) for row in rows)} object(s), masks cover" in said
    assert str(tmp_path / "out" / "summary.csv") in said


def test_a_table_that_cannot_be_written_says_so(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.csv").mkdir()
    with pytest.raises((ConfigError, OutputError), match="summary.csv"):
        predict_files(make_predictor(), [folder], out)
