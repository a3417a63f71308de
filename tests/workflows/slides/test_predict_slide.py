"""A slide's files: those of the picture in memory, from a run that was cut as from one that was not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from fakes import make_predictor
from slide_files import write_aperio, write_pages

from segdiff.data.annotations.geojson import feature
from segdiff.data.annotations.outlines import outlines
from segdiff.data.images import list_images, read_image
from segdiff.data.object_table import object_table, table_rows
from segdiff.data.sources.open import open_source
from segdiff.data.stored import ReadOptions
from segdiff.errors import ConfigError
from segdiff.inference import strips
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.objects import describe_objects, separate
from segdiff.workflows.outputs import JUDGED
from segdiff.workflows.predict_files import failures, predict_files
from segdiff.workflows.slides import outputs as slide_outputs
from segdiff.workflows.slides import predict as slide_predict
from segdiff.workflows.slides import store

SIZE = (270, 340)
OUTPUTS = ("mask", "probability", "uncertainty", "labels", "objects", "outlines")


def nuclei(size=SIZE, count=70, seed=0):
    """Discs on pale tissue, over glass at the right: red says nucleus, green says middle (as `answer` reads them)."""
    rng = np.random.default_rng(seed)
    image = np.empty((*size, 3), np.uint8)
    image[:] = (100, 40, 150)
    image[:, int(size[1] * 0.8) :] = (100, 100, 100)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for _ in range(count):
        radius = rng.uniform(3, 13)
        row, column = rng.uniform(0, size[0]), rng.uniform(0, size[1] * 0.75)
        distance = np.hypot(rows - row, columns - column)
        image[..., 0][distance < radius] = 210
        middle = np.clip(255 * 1.2 * (1 - distance / radius), 0, 255)
        image[..., 1] = np.maximum(image[..., 1], np.where(distance < radius, middle, 0).astype(np.uint8))
    return np.clip(image + rng.integers(-15, 15, image.shape), 1, 254).astype(np.uint8)


def answer(image, noise, chain):
    """Mask and core, with some noise."""
    return torch.cat([image[:, :1] + 0.02 * noise[:, :1], image[:, 1:2] + 0.02 * noise[:, 1:]], dim=1)


def predictor(**settings):
    return make_predictor(
        answer,
        **{"chains": 2, "mask_channels": 2, "target": "instances", "window": 64, "threshold": 0.6, **settings},
    )


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(strips, "COLUMNS", 96)
    monkeypatch.setattr(store, "COLUMNS", 96)


@pytest.fixture
def slide(tmp_path):
    write_aperio(tmp_path / "a.svs", nuclei(), compression="zlib", mpp="0.25")
    return tmp_path / "a.svs"


def run(slide, folder, model=None, **options):
    given = {"outputs": OUTPUTS, "tissue": False, **options}
    record = predict_files(model or predictor(), [slide], folder, **given)
    assert not failures(record), failures(record)
    return record["images"][0]


def contents(folder):
    """All files of a folder but the record and its table, whose times differ."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix != ".json" and "summary" not in path.name
    }


@pytest.mark.parametrize("side", [64, 128, 1024])
def test_rule_7_the_files_are_those_of_the_picture_in_memory(slide, tmp_path, monkeypatch, small_tiles, side):
    monkeypatch.setattr(slide_outputs, "SIDE", side)
    facts = run(slide, tmp_path / "out")
    expected = predictor().predict(nuclei())
    labels = separate(expected.mask, expected.core)
    assert labels.max() > 25
    read = {name: tifffile.imread(tmp_path / "out" / file) for name, file in facts["outputs"].items() if "ome" in file}
    np.testing.assert_array_equal(read["probability"], expected.probability)
    np.testing.assert_array_equal(read["uncertainty"], expected.uncertainty)
    np.testing.assert_array_equal(read["mask"], expected.mask * np.uint8(255))
    np.testing.assert_array_equal(read["labels"], labels)
    found = describe_objects(labels, expected.probability, expected.uncertainty, None)
    more = {name: np.array([getattr(one, name) for one in found], np.float64) for name in JUDGED}
    rows = list(table_rows(object_table(labels, nuclei(), 0.25, more), "a.svs"))
    with (tmp_path / "out" / "a_objects.csv").open() as file:
        told = list(csv.DictReader(file))
    assert told == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    shapes = json.loads((tmp_path / "out" / "a_outlines.geojson").read_text())["features"]
    geometries = [feature(p, None, "")["geometry"] for _, p in outlines(labels)]
    assert [one["geometry"] for one in shapes] == geometries
    assert shapes[0]["properties"]["measurements"]["Area µm^2"] == pytest.approx(found[0].area / 16, abs=1e-3)
    assert not (tmp_path / "out" / "a_strips").exists()
    assert (facts["mpp"], facts["mpp_origin"], facts["shape"]) == (0.25, "Aperio MPP", [*SIZE, 3])


@pytest.mark.parametrize("side", [64, 1024])
def test_rule_7_confidence_in_objects_is_that_of_the_picture_in_memory(slide, tmp_path, monkeypatch, side):
    monkeypatch.setattr(slide_outputs, "SIDE", side)
    coefficients = (0.4, 0.8, -0.3, -0.2)
    facts = run(slide, tmp_path / "out", predictor(confidence=coefficients), outputs=("objects", "outlines"))
    expected = predictor(confidence=coefficients).predict(nuclei())
    sure = expected.confidence(expected.instances())
    with (tmp_path / "out" / "a_objects.csv").open() as file:
        told = [float(row["confidence"]) for row in csv.DictReader(file)]
    assert len(told) > 25 and len(set(told)) > 20
    np.testing.assert_array_equal(told, np.round(sure, 4))
    shapes = json.loads((tmp_path / "out" / "a_outlines.geojson").read_text())["features"]
    assert [one["properties"]["measurements"]["Confidence"] for one in shapes] == told
    assert slide_predict.NO_CONFIDENCE not in facts["remarks"]
    facts = run(slide, tmp_path / "other", predictor(confidence=coefficients), outputs=("objects",), temperature=2.0)
    assert slide_predict.NO_CONFIDENCE in facts["remarks"]  # they are not of that temperature


def test_rule_7_ensembles(slide, tmp_path, small_tiles):
    members = [predictor(identity="a@1", chains=3), predictor(identity="b@2", window=96)]
    facts = run(slide, tmp_path / "out", Ensemble(members, temperature=1.2), outputs=("probability", "labels"))
    expected = Ensemble(members, temperature=1.2).predict(nuclei())
    found = tifffile.imread(tmp_path / "out" / facts["outputs"]["probability"])
    np.testing.assert_array_equal(found, expected.probability)
    found = tifffile.imread(tmp_path / "out" / facts["outputs"]["labels"])
    np.testing.assert_array_equal(found, separate(expected.mask, expected.core))


def test_micrometres_of_the_file_decide_the_scale(slide, tmp_path):
    model = predictor(scale={"mpp": 0.5})
    facts = run(slide, tmp_path / "out", model, outputs=("probability",))
    expected = predictor(scale={"mpp": 0.5}).predict(nuclei(), mpp=0.25)
    found = tifffile.imread(tmp_path / "out" / facts["outputs"]["probability"])
    np.testing.assert_array_equal(found, expected.probability)
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, nuclei(), resolution=(40000, 40000), resolutionunit=3)
    facts = run(plain, tmp_path / "plain", predictor(scale={"mpp": 0.5}), outputs=("probability",))
    assert (facts["mpp"], facts["mpp_origin"]) == (0.25, "TIFF XResolution")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "plain" / "b_probability.tif"), expected.probability)


def test_pixels_that_are_not_square_stop_that_picture(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", nuclei((60, 60), 3), resolution=(40000, 20000), resolutionunit=3)
    record = predict_files(predictor(scale={"mpp": 0.5}), [tmp_path / "b.tif"], tmp_path / "out")
    assert "the pixels are not square" in failures(record)[0]["error"]
    assert not failures(predict_files(predictor(), [tmp_path / "b.tif"], tmp_path / "other"))  # which needs none


CUT = """
import sys
sys.path[:0] = {paths!r}
import signal, os, torch
torch.set_num_threads(1)
from pathlib import Path
from segdiff.workflows.slides import store
from segdiff.inference import strips
strips.COLUMNS = store.COLUMNS = 96
from test_predict_slide import predictor, OUTPUTS
from segdiff.workflows.predict_files import predict_files
kept, write = {kept}, store.StripStore.write

def cut(self, strip):
    if strip.row == kept:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, strip)

store.StripStore.write = cut
predict_files(predictor(), [Path({slide!r})], {folder!r}, outputs=OUTPUTS, tissue=False)
"""


@pytest.mark.parametrize("kept", [0, 3])
def test_rule_7_a_run_that_was_killed_goes_on(slide, tmp_path, small_tiles, kept):
    run(slide, tmp_path / "whole")
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]
    code = CUT.format(paths=paths, kept=kept, slide=str(slide), folder=str(tmp_path / "out"))
    ended = subprocess.run([sys.executable, "-c", code], timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -signal.SIGKILL
    there = sorted((tmp_path / "out" / "a_strips" / "model_0").glob("*.zip"))
    assert len(there) == kept and not (tmp_path / "out" / "a_labels.ome.tif").exists()
    model = predictor()
    run(slide, tmp_path / "out", model, resume=True)
    repeated = sum(windows for _, windows in model.segmenter.calls)
    rows, across = 6, 7
    assert repeated <= across * (rows - kept + 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_was_begun_is_not_overwritten_nor_mixed(slide, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(slide_predict.SlideFiles, "write", fail)
        record = predict_files(predictor(), [slide], tmp_path / "out", outputs=OUTPUTS, tissue=False)
    assert "the disk is full" in failures(record)[0]["error"]
    assert (tmp_path / "out" / "a_strips" / "manifest.json").exists()
    with pytest.raises(ConfigError, match="a_strips exists: choose another output folder, --resume or --overwrite"):
        predict_files(predictor(), [slide], tmp_path / "out", outputs=OUTPUTS, tissue=False)
    record = predict_files(predictor(), [slide], tmp_path / "out", outputs=OUTPUTS, tissue=True, overwrite=True)
    assert not failures(record)


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"threshold": 0.3}, {"region": "0,0,100,100"}, {"tissue": True}, {"scale": 0.9}]
)
def test_other_settings_are_refused(slide, tmp_path, monkeypatch, change):
    def fail(*args, **kwargs):
        raise OSError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(slide_predict.SlideFiles, "write", fail)
        predict_files(predictor(), [slide], tmp_path / "out", outputs=("mask",), tissue=False)
    given = {"outputs": ("mask",), "tissue": False, "resume": True, **change}
    try:
        message = failures(predict_files(predictor(), [slide], tmp_path / "out", **given))[0]["error"]
    except ConfigError as error:  # by the record, before any work
        message = str(error)
    assert "other settings" in message or "exists" in message
    assert (tmp_path / "out" / "a_strips").exists()


def test_regions_bound_the_mask_and_the_work(slide, tmp_path):
    whole = predictor().predict(nuclei())
    model = predictor()
    facts = run(slide, tmp_path / "out", model, region="50,60,120,130", outputs=("mask", "labels"))
    found = tifffile.imread(tmp_path / "out" / facts["outputs"]["mask"]) > 0
    expected = np.zeros(SIZE, bool)
    expected[60:190, 50:170] = whole.mask[60:190, 50:170]
    np.testing.assert_array_equal(found, expected)
    assert sum(windows for _, windows in model.segmenter.calls) < 25
    labels = tifffile.imread(tmp_path / "out" / facts["outputs"]["labels"])
    np.testing.assert_array_equal(labels, separate(expected, whole.core))


def test_regions_of_plain_pictures(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", nuclei())
    facts = run(tmp_path / "b.tif", tmp_path / "out", region="50,60,120,130", outputs=("mask",))
    mask = tifffile.imread(tmp_path / "out" / facts["outputs"]["mask"])
    assert mask[60:190, 50:170].any() and not mask[:60].any() and not mask[:, 170:].any()


@pytest.mark.parametrize(("region", "message"), [("900,900,5,5", "lies outside the image"), ("1,2,3", "give x,y,w,h")])
def test_regions_that_cannot_be_stop_that_slide(slide, tmp_path, region, message):
    record = predict_files(predictor(), [slide], tmp_path / "out", region=region)
    assert message in failures(record)[0]["error"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["prediction.json", "summary.csv"]


def stained(size=(512, 640)):
    image = np.full((*size, 3), 240, np.uint8)
    image[100:300, 120:400] = (205, 130, 175)
    return image


def test_tissue_is_found_kept_and_the_rest_left_out(tmp_path):
    write_aperio(tmp_path / "a.svs", stained(), compression="zlib", mpp="0.5")
    model = predictor()
    facts = run(tmp_path / "a.svs", tmp_path / "out", model, tissue=True, outputs=("mask",))
    assert set(facts["outputs"]) == {"mask", "tissue", "tissue_region"}
    tissue = read_image(tmp_path / "out" / "a_tissue.png") > 0
    assert tissue[150:250, 200:300].all() and not tissue[:80].any()
    assert facts["tissue_mm2"] == pytest.approx(tissue.sum() * 0.25e-6, abs=5e-5)
    every = predictor()
    run(tmp_path / "a.svs", tmp_path / "other", every, tissue=False, outputs=("mask",))
    calls, of_all = (sum(windows for _, windows in one.segmenter.calls) for one in (model, every))
    assert calls < of_all / 2


def test_a_slide_without_tissue_has_empty_files(tmp_path):
    write_aperio(tmp_path / "a.svs", np.full((300, 400, 3), 240, np.uint8), compression="zlib")
    facts = run(tmp_path / "a.svs", tmp_path / "out", tissue=True)
    assert facts["remarks"] == [slide_predict.NO_TISSUE]
    assert not tifffile.imread(tmp_path / "out" / "a_labels.ome.tif").any()
    with (tmp_path / "out" / "a_objects.csv").open() as file:
        lines = file.read().splitlines()
    assert len(lines) == 1 and lines[0].startswith("image,id,x,y,")
    assert json.loads((tmp_path / "out" / "a_outlines.geojson").read_text())["features"] == []


def test_by_default_a_slide_gives_a_mask_and_files_of_objects_if_wanted(slide, tmp_path):
    facts = predict_files(predictor(), [slide], tmp_path / "a")["images"][0]
    assert set(facts["outputs"]) == {"mask", "overview", "tissue", "tissue_region"}
    assert "of slides these are not written: probability, uncertainty" in facts["remarks"]
    names = ("mask", "probability", "uncertainty", "overlay", "labels", "objects", "outlines")
    facts = predict_files(predictor(), [slide], tmp_path / "b", outputs=names)["images"][0]
    assert set(facts["outputs"]) == {"mask", "overview", *names[4:], "tissue", "tissue_region"}
    assert slide_predict.NO_CONFIDENCE in facts["remarks"]


def test_a_folder_of_slides_and_pictures(slide, tmp_path):
    write_pages(tmp_path / "b.tif", nuclei(), photometric="rgb")
    shutil.copy(slide, tmp_path / ".hidden.svs")
    assert [path.name for path in list_images([tmp_path])] == ["a.svs", "b.tif"]
    assert list_images([str(tmp_path / "*.svs")]) == [slide]
    record = predict_files(predictor(), [tmp_path], tmp_path / "out", outputs=("mask",), tissue=False)
    assert not failures(record)
    masks = [tifffile.imread(tmp_path / "out" / f"{stem}_mask.ome.tif") for stem in "ab"]
    np.testing.assert_array_equal(*masks)
    again = predict_files(predictor(), [tmp_path], tmp_path / "out", outputs=("mask",), tissue=False, resume=True)
    assert again["done_before"] == 2


def test_zarr_folders_are_images(tmp_path):
    zarr = pytest.importorskip("zarr", reason="needs segdiff[zarr]")
    zarr.save_array(str(tmp_path / "a.zarr"), nuclei())
    assert list_images([tmp_path]) == [tmp_path / "a.zarr"] == list_images([tmp_path / "a.zarr"])
    facts = run(tmp_path / "a.zarr", tmp_path / "out", outputs=("mask",))
    expected = predictor().predict(nuclei()).mask
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / facts["outputs"]["mask"]) > 0, expected)


@pytest.mark.parametrize("option", [{"page": 1}, {"z": 2}, {"value_range": (0, 100)}])
def test_choices_that_slides_do_not_have_are_refused(slide, tmp_path, option):
    record = predict_files(predictor(), [slide], tmp_path / "out", read=ReadOptions(**option))
    assert "does not apply to" in failures(record)[0]["error"]


def test_a_channel_of_a_slide(slide, tmp_path):
    facts = run(slide, tmp_path / "out", read=ReadOptions(channel=2), outputs=("probability",))
    expected = predictor().predict(nuclei()[..., 1])
    found = tifffile.imread(tmp_path / "out" / facts["outputs"]["probability"])
    np.testing.assert_array_equal(found, expected.probability)


def test_labels_state_the_scale_and_open_as_a_slide(slide, tmp_path):
    run(slide, tmp_path / "out", outputs=("labels",))
    source = open_source(tmp_path / "out" / "a_labels.ome.tif")
    assert source.mpp.isotropic() == 0.25 and source.dtype == np.uint32


def test_glass_is_read_without_its_strips(tmp_path, monkeypatch, small_tiles):
    write_aperio(tmp_path / "a.svs", stained((1024, 1280)), compression="zlib", mpp="0.5")
    opened = []
    read = store.read_arrays
    monkeypatch.setattr(store, "read_arrays", lambda path, names: opened.append(path.name) or read(path, names))
    monkeypatch.setattr(slide_outputs, "SIDE", 64)
    facts = run(tmp_path / "a.svs", tmp_path / "out", predictor(threshold=0.5), tissue=True, outputs=("mask",))
    mask = tifffile.imread(tmp_path / "out" / facts["outputs"]["mask"])
    assert mask[150:250, 200:300].all() and not mask[500:].any()
    tops = {int(name.split("_")[2]) for name in opened}
    assert tops and max(tops) < 500
