"""What a prediction is written as."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from fakes import make_predictor, noisy, picture
from PIL import Image

from segdiff.cli import predict as command
from segdiff.errors import ConfigError, ShapeError
from segdiff.inference import prediction as prediction_module
from segdiff.workflows import outputs as outputs_module
from segdiff.workflows.outputs import (
    APART,
    DEFAULT_OUTPUTS,
    OBJECT_OUTPUTS,
    OUTPUTS,
    check_outputs,
    output_paths,
    save_prediction,
)
from segdiff.workflows.predict_files import predict_files


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_is_what_was_predicted(tmp_path):
    image = picture()
    prediction = make_predictor(noisy, chains=3).predict(image)
    paths = save_prediction(prediction, tmp_path / "new", "slide", image=image)
    assert {kind: path.name for kind, path in paths.items()} == {
        "mask": "slide_mask.png",
        "probability": "slide_probability.tif",
        "uncertainty": "slide_uncertainty.tif",
        "overlay": "slide_overlay.png",
    }
    assert names(tmp_path / "new") == {path.name for path in paths.values()}
    mask = np.array(Image.open(paths["mask"]))
    assert mask.dtype == np.uint8 and np.array_equal(mask, prediction.mask * np.uint8(255))
    for kind in ("probability", "uncertainty"):
        written = tifffile.imread(paths[kind])
        assert written.dtype == np.float32 and np.array_equal(written, getattr(prediction, kind))
    assert np.array_equal(np.array(Image.open(paths["overlay"])), prediction.overlay(image))


def test_saving_deletes_nothing_that_it_did_not_write(tmp_path):
    image = picture()
    save_prediction(make_predictor(noisy, chains=3).predict(image), tmp_path, "slide", image=image)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    single = make_predictor(noisy, chains=1).predict(image)
    with pytest.raises(ConfigError, match="slide_mask.png exists"):
        save_prediction(single, tmp_path, "slide", image=image)
    paths = save_prediction(single, tmp_path, "slide", ["mask", "uncertainty"], image=image, overwrite=True)
    assert list(paths) == ["mask"]
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["slide_mask.png"] and set(before) == set(after)


def test_stems_may_hold_dots(tmp_path):
    assert output_paths(tmp_path, "a.b")["mask"].name == "a.b_mask.png"


def test_names_of_outputs():
    assert check_outputs(["geojson", "mask", "table", "mask"]) == ("mask", "objects", "outlines")
    assert (*DEFAULT_OUTPUTS, *APART) == tuple(OUTPUTS)
    with pytest.raises(ConfigError, match="no output 'overlays'; did you mean overlay.*mask, probability"):
        check_outputs(["overlays"])
    with pytest.raises(ConfigError, match="no output is asked for"):
        check_outputs([])


def test_the_help_knows_every_output_and_the_default():
    said = command.build_parser().format_help()
    assert all(f"NAME_{output.suffix} " in said for output in OUTPUTS.values())
    assert f"default: {','.join(DEFAULT_OUTPUTS)}" in " ".join(said.split())


def test_several_mask_channels_are_not_written(tmp_path):
    prediction = make_predictor(lambda image, noise, chain: image[:, :2], mask_channels=2).predict(picture())
    with pytest.raises(ShapeError, match="2 mask channels"):
        save_prediction(prediction, tmp_path, "slide", ["probability"])
    assert not names(tmp_path)


def blobs(tmp_path, count=2):
    image = np.zeros((40, 50, 3), np.uint8)
    image[5:15, 5:15] = image[20:32, 25:40] = 255
    for n in range(count):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    return [tmp_path / f"{n}.png" for n in range(count)]


@pytest.mark.parametrize("chosen", [["mask"], ["labels"], ["outlines", "overlay"], ["uncertainty"], list(OUTPUTS)])
def test_only_what_is_chosen_is_written_and_it_is_the_same(tmp_path, chosen):
    images, predictor = blobs(tmp_path), make_predictor(noisy, chains=2)
    predict_files(predictor, images, tmp_path / "all", outputs=tuple(OUTPUTS))
    record = predict_files(predictor, images, tmp_path / "some", outputs=tuple(chosen))
    files = {f"{n}_{OUTPUTS[name].suffix}" for n in range(2) for name in chosen}
    assert names(tmp_path / "some") == files | {"prediction.json", "summary.csv"}
    assert all((tmp_path / "some" / f).read_bytes() == (tmp_path / "all" / f).read_bytes() for f in files)
    assert record["options"]["outputs"] == list(check_outputs(chosen))
    assert set(record["images"][0]["outputs"]) == set(chosen)


def test_what_no_output_needs_is_not_computed(tmp_path, monkeypatch):
    images, predictor, called = blobs(tmp_path, 1), make_predictor(noisy, chains=2), []

    def watch(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: called.append(name) or real(*args))

    watch(prediction_module, "draw_overlay")
    watch(prediction_module, "separate")
    watch(prediction_module, "shares_of_chains")
    watch(outputs_module, "describe_objects")
    for number, (chosen, wanted) in enumerate(
        [
            (("mask", "probability", "uncertainty"), []),
            (("overlay",), ["draw_overlay"]),
            (("labels",), ["separate"]),
            # once for the picture, once for each of two chains
            (OBJECT_OUTPUTS, ["separate", "shares_of_chains", "separate", "separate", "describe_objects"]),
        ]
    ):
        called.clear()
        predict_files(predictor, images, tmp_path / str(number), outputs=chosen)
        assert called == wanted


def test_outlines_carry_the_class_of_the_model(tmp_path):
    images = blobs(tmp_path, 1)
    for name in ("Cell", "Object"):
        settings = {} if name == "Object" else {"class_name": name}
        predict_files(make_predictor(**settings), images, tmp_path / name, outputs=("geojson",))
        found = json.loads((tmp_path / name / "0_outlines.geojson").read_text())["features"]
        assert {one["properties"]["classification"]["name"] for one in found} == {name}


def test_the_table_has_shape_and_colour_of_each_object(tmp_path):
    """The picture's name first; in pixels, and in micrometres where their size is known."""
    (image,) = blobs(tmp_path, 1)
    predictor = make_predictor(chains=2)
    predict_files(predictor, [image], tmp_path / "out", outputs=("objects", "labels", "outlines"), objects_mpp=0.5)
    with (tmp_path / "out" / "0_objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = tifffile.imread(tmp_path / "out" / "0_labels.tif")
    assert len(rows) == labels.max() == 2 and list(rows[0])[:2] == ["image", "id"]
    for number, row in enumerate(rows, start=1):
        (top, left), (bottom, right) = np.argwhere(labels == number).min(0), np.argwhere(labels == number).max(0) + 1
        assert row["image"] == "0.png" and row["id"] == str(number) and row["touches_border"] == "false"
        assert [int(row[name]) for name in ("x_min", "y_min", "x_max", "y_max")] == [left, top, right, bottom]
        assert float(row["mean_red"]) > 250 and 0 < float(row["probability"]) <= 1 and row["confidence"]
        assert (
            0.9 < float(row["solidity"]) <= 1 and 0 <= float(row["eccentricity"]) < 1 and float(row["orientation"]) < 2
        )
        assert float(row["perimeter_um"]) == float(row["perimeter"]) / 2
        assert float(row["area_um2"]) == float(row["area"]) / 4
    features = json.loads((tmp_path / "out" / "0_outlines.geojson").read_text(encoding="utf-8"))["features"]
    for row, one in zip(rows, features, strict=True):
        measured = one["properties"]["measurements"]
        assert measured["Area µm^2"] == float(row["area_um2"]) and measured["Confidence"] == float(row["confidence"])


def test_outlines_that_were_packed_are_not_lost(tmp_path):
    images, out = blobs(tmp_path, 1), tmp_path / "out"
    out.mkdir()
    (out / "0_outlines.geojson.gz").write_bytes(b"of an earlier run")
    with pytest.raises(ConfigError, match=r"0_outlines.geojson.gz exists"):
        predict_files(make_predictor(), images, out, outputs=("outlines",))
    with pytest.raises(ConfigError, match=r"0_outlines.geojson.gz exists"):
        save_prediction(make_predictor().predict(picture()), out, "0", ["outlines"])
    assert names(out) == {"0_outlines.geojson.gz"}
    predict_files(make_predictor(), images, out, outputs=("outlines",), overwrite=True)
    assert names(out) == {"0_outlines.geojson", "prediction.json", "summary.csv"}


def test_what_lies_there_of_another_run_is_told(tmp_path):
    images, out = blobs(tmp_path, 1), tmp_path / "out"
    predict_files(make_predictor(noisy, chains=2), images, out)
    record = predict_files(make_predictor(noisy), images, out, overwrite=True, outputs=("mask", "uncertainty"))
    told = [remark for remark in record["images"][0]["remarks"] if "not of this run" in remark]
    assert [remark.partition(" ")[0] for remark in told] == ["0_probability.tif", "0_uncertainty.tif", "0_overlay.png"]


def test_resume_with_more_outputs_completes_them(tmp_path):
    images, out = blobs(tmp_path), tmp_path / "out"
    predictor = make_predictor(noisy, chains=2)
    predict_files(predictor, images, out, outputs=("mask",))
    assert predict_files(predictor, images, out, outputs=("mask",), resume=True)["done_before"] == 2
    record = predict_files(predictor, images, out, outputs=("mask", "labels"), resume=True)
    assert record["done_before"] == 0 and names(out) >= {"0_labels.tif", "1_labels.tif"}
    assert predict_files(predictor, images, out, outputs=("labels",), resume=True)["done_before"] == 2
    single = make_predictor(noisy)  # has no uncertainty, however often it is asked for
    predict_files(single, images, tmp_path / "single")
    assert predict_files(single, images, tmp_path / "single", resume=True)["done_before"] == 2
