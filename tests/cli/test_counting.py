"""Objects told apart, by the commands: files of each picture, scores."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from fakes import TINY_MODEL
from PIL import Image

from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.cli.main import main
from segdiff.data.images import read_image
from segdiff.diffusion.sampling import Sampling
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation

pytestmark = pytest.mark.usefixtures("one_thread")
DIFFUSION = {"schedule": "linear", "steps": 50, "prediction": "x_0"}
SETTINGS = {"window": 32, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of random weights with a mask and cores."""
    network = TINY_MODEL
    torch.manual_seed(0)
    segmenter = build_segmenter(network, DIFFUSION, {"kind": "instances"})
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    looks = {"grey_lightness": [100.0, 110.0], "grey_contrast": [10.0, 20.0], "diameter_px": [500.0, 600.0]}
    artifact = Artifact(
        segmenter,
        network,
        DIFFUSION,
        Normalisation(),
        Sampling("ddim", steps=2, chains=2),
        SETTINGS,
        {"mpp": None, "object_diameter_px": 10.0},
        looks=looks,
    )
    return str(save_artifact(artifact, tmp_path_factory.mktemp("models") / "cores"))


@pytest.fixture
def data(tmp_path):
    """A folder of two pictures of squares, whose masks number them."""
    for stem in "ab":
        labels = np.zeros((40, 48), np.uint8)
        for number, (top, left) in enumerate([(4, 4), (4, 20), (20, 10), (22, 30)], start=1):
            labels[top : top + 10, left : left + 12] = number
        for kind, array in (("images", np.where(labels[..., None] > 0, 60, 200).repeat(3, 2)), ("masks", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / "data" / kind / f"{stem}.png")
    return tmp_path / "data"


def test_predict_writes_every_object(model, data, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["predict", "--model", model, "--image", str(data / "images"), "--output-dir", str(out), "--device", "cpu"]
    assert main([*argv, "--instances", "--threshold", "0.45"]) == 0
    err = capsys.readouterr().err
    assert "note on" in err and "the model was trained on" in err and "pixels wide" in err
    record = json.loads((out / "prediction.json").read_text())
    assert len(record["images"][0]["remarks"]) == 2
    assert {"labels", "objects", "outlines"} <= set(record["images"][0]["outputs"])
    labels = tifffile.imread(out / "a_labels.tif")
    rows = list(csv.DictReader((out / "a_objects.csv").read_text().splitlines()))
    features = json.loads((out / "a_outlines.geojson").read_text())["features"]
    assert labels.shape == (40, 48) and labels.max() == len(rows) == len(features) > 0
    assert [int(row["id"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(float(row["confidence"]) in (0, 0.5, 1) for row in rows)
    assert main([*argv, "--overwrite", "--outputs", "mask"]) == 0  # nothing is deleted, and what is old is told
    assert "a_labels.tif lies there too, and is not of this run" in capsys.readouterr().err
    assert np.array_equal(tifffile.imread(out / "a_labels.tif"), labels)


def test_resume_tells_objects_apart_where_an_earlier_run_did_not(model, data, tmp_path):
    out = tmp_path / "out"
    argv = ["predict", "--model", model, "--image", str(data / "images"), "--output-dir", str(out), "--device", "cpu"]
    assert main(argv) == 0 and not list(out.glob("*_labels.tif"))
    assert main([*argv, "--instances", "--resume"]) == 0
    assert len(list(out.glob("*_labels.tif"))) == 2
    written = (out / "a_labels.tif").stat().st_mtime_ns
    assert main([*argv, "--instances", "--resume"]) == 0
    assert (out / "a_labels.tif").stat().st_mtime_ns == written


def test_micrometres_of_a_model_that_knows_none_are_for_the_table(model, data, tmp_path, capsys):
    argv = ["predict", "--model", model, "--image", str(data / "images" / "a.png"), "--device", "cpu"]
    given = ["--instances", "--mpp", "0.5", "--diameter", "10", "--threshold", "0.45"]
    assert main([*argv, *given, "--output-dir", str(tmp_path / "out")]) == 0
    (first, *_) = csv.DictReader((tmp_path / "out" / "a_objects.csv").read_text().splitlines())
    assert float(first["area_um2"]) == float(first["area"]) / 4
    assert main([*argv, "--mpp", "0.5", "--output-dir", str(tmp_path / "other")]) == 2
    assert "does not know its own" in capsys.readouterr().err


def test_tables_of_two_scales_do_not_get_mixed(model, data, tmp_path, capsys):
    argv = [
        "predict",
        "--model",
        model,
        "--device",
        "cpu",
        "--output-dir",
        str(tmp_path / "out"),
        "--resume",
        "--image",
    ]
    pictures = [str(data / "images" / f"{stem}.png") for stem in "ab"]
    assert main([*argv, pictures[0]]) == 0
    assert main([*argv, pictures[0], "--instances", "--mpp", "0.25"]) == 0
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["options"]["objects_mpp"] == 0.25
    assert main([*argv, *pictures, "--instances", "--mpp", "0.5"]) == 2
    assert "objects_mpp" in capsys.readouterr().err
    assert main([*argv, *pictures, "--instances", "--mpp", "0.25"]) == 0


def test_micrometres_are_refused_by_an_ensemble_of_which_a_member_knows_none(model, data, tmp_path, capsys):
    artifact = load_artifact(model)
    knows = replace(artifact, scale={**artifact.scale, "mpp": 0.5}, inference={**SETTINGS, "threshold": 0.4})
    both = ["--model", model, "--model", str(save_artifact(knows, tmp_path / "knows"))]
    argv = ["predict", *both, "--image", str(data / "images" / "a.png"), "--device", "cpu", "--instances"]
    assert main([*argv, "--mpp", "0.25", "--output-dir", str(tmp_path / "one")]) == 2
    assert "does not know its own" in capsys.readouterr().err
    assert main([*argv, "--output-dir", str(tmp_path / "two")]) == 0
    assert "--scale changes it" in capsys.readouterr().err


def test_micrometres_for_the_table_only_are_told(model, data, tmp_path, capsys):
    argv = ["predict", "--model", model, "--image", str(data / "images" / "a.png"), "--device", "cpu", "--instances"]
    assert main([*argv, "--mpp", "0.25", "--output-dir", str(tmp_path / "one")]) == 0
    assert "--mpp is for the table only" in capsys.readouterr().err
    assert main([*argv, "--mpp", "0.25", "--scale", "1", "--output-dir", str(tmp_path / "two")]) == 0
    assert "--mpp is for" not in capsys.readouterr().err


def test_a_diameter_is_the_scale_that_makes_objects_the_models(model, data, tmp_path):
    for name, option in (("one", ["--diameter", "20"]), ("two", ["--scale", "0.5"])):
        argv = ["predict", "--model", model, "--image", str(data / "images" / "a.png"), "--device", "cpu"]
        assert main([*argv, "--output-dir", str(tmp_path / name), *option]) == 0
    one, two = (tifffile.imread(tmp_path / name / "a_probability.tif") for name in ("one", "two"))
    assert np.array_equal(one, two)


def test_scale_and_diameter_exclude_each_other(model, capsys):
    assert main(["predict", "--model", model, "--image", "a.png", "--scale", "2", "--diameter", "3"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_evaluate_scores_objects(model, data, tmp_path, capsys):
    argv = ["evaluate", "--model", model, "--dataset", "folder", "--root", str(data), "--split", "all"]
    argv += ["--device", "cpu", "--metrics", "dice,aji,pq,dq,ece_objects", "--json", str(tmp_path / "a.json")]
    assert main(argv) == 0
    metrics = json.loads((tmp_path / "a.json").read_text())["metrics"]
    assert set(metrics) == {"dice", "aji", "pq", "dq", "ece_objects"}
    Image.fromarray((np.arange(48 * 40).reshape(40, 48) < 100).astype(np.uint8)).save(data / "masks" / "b.png")
    assert main(argv) == 0  # a single object is told apart from nothing
    for path in (data / "masks").iterdir():  # a truth that does not tell them apart
        Image.fromarray((read_image(path) > 0).astype(np.uint8) * 255).save(path)
    assert main(argv) == 2
    assert "does not tell objects apart" in capsys.readouterr().err


def test_score_takes_label_maps_of_any_tool(data, tmp_path, capsys):
    truth = data / "masks"
    for name, change in (("same", lambda a: a * 3), ("binary", lambda a: (a > 0) * 255)):
        (tmp_path / name).mkdir()
        for path in truth.iterdir():
            Image.fromarray(change(read_image(path)).astype(np.uint8)).save(tmp_path / name / path.name)
    scores = {}
    for name in ("same", "binary"):
        argv = ["score", "--pred", str(tmp_path / name), "--truth", str(truth), "--metrics", "aji,pq"]
        assert main([*argv, "--json", str(tmp_path / f"{name}.json")]) == 0
        scores[name] = json.loads((tmp_path / f"{name}.json").read_text())["metrics"]["aji"]["mean"]
    assert scores == {"same": 1, "binary": 1}  # squares apart from each other: connected parts are the objects
    argv = ["score", "--pred", str(tmp_path / "same"), "--truth", str(tmp_path / "binary"), "--metrics", "aji"]
    assert main(argv) == 2
    assert "does not number its objects" in capsys.readouterr().err
