"""The two commands with a real model of random weights: files in, files and scores out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from fakes import picture
from PIL import Image

import segdiff
from segdiff.cli.main import main
from segdiff.diffusion.sampling import Sampling

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = ["--chains", "2", "--steps", "2", "--device", "cpu", "--precision", "float32"]


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for n, name in enumerate(("one", "two")):
        Image.fromarray(picture(41, 50, seed=n)).save(folder / f"{name}.png")
    return folder


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_predict_writes_what_python_gives(model, slides, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [
        "predict",
        "--image",
        str(slides / "*.png"),
        "--model",
        str(model),
        "--output-dir",
        str(out),
        *QUICK,
    ]
    assert main(argv) == 0
    kinds = ("mask.png", "overlay.png", "probability.tif", "uncertainty.tif")
    assert files(out) == sorted(
        ["prediction.json", "summary.csv", *(f"{stem}_{kind}" for stem in ("one", "two") for kind in kinds)]
    )
    said = capsys.readouterr()
    assert str(out / "one_mask.png") in said.out and str(out / "two_overlay.png") in said.out
    assert str(out / "prediction.json") in said.out
    assert "0.5 micrometres per pixel" in said.err and "--mpp" in said.err
    record = json.loads((out / "prediction.json").read_text())
    assert record["command"] == ["segdiff", *argv] and record["model"].startswith("tiny@")
    assert (record["sampling"]["chains"], record["sampling"]["steps"]) == (2, 2)

    predictor = segdiff.load(model, device="cpu", precision="float32")
    settings = Sampling(sampler="ddpm", steps=2, chains=2)
    expected = predictor.predict(picture(41, 50, seed=1), sampling=settings)
    assert np.array_equal(tifffile.imread(out / "two_probability.tif"), expected.probability)
    assert np.array_equal(np.array(Image.open(out / "two_mask.png")) > 0, expected.mask)
    assert expected.probability.std() > 0.01  # the network says something

    assert main(argv) == 2  # all is there already
    assert "--overwrite" in capsys.readouterr().err
    assert main([*argv, "--overwrite", "--mpp", "0.25"]) == 0
    assert "micrometres" not in capsys.readouterr().err
    assert tifffile.imread(out / "two_probability.tif").shape == (41, 50)


def test_predict_goes_on_after_a_broken_file(model, slides, tmp_path, capsys):
    out = tmp_path / "out"
    (slides / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    argv = [
        "predict",
        "--model",
        str(model),
        "--output-dir",
        str(out),
        "--scale",
        "1",
        "--chains",
        "1",
        "--steps",
        "1",
    ]
    assert main([*argv, "--image", str(slides)]) == 3
    said = capsys.readouterr()
    assert "broken.png" in said.err and said.err.count("\n") == 1 and "2 of 3" in said.out
    assert (out / "one_mask.png").exists() and not (out / "one_uncertainty.tif").exists()
    assert main([*argv, "--image", str(slides / "broken.png")]) == 2
    assert main([*argv, "--image", str(slides / "none.png")]) == 2
    assert main(["predict", "--image", str(slides), "--model", str(tmp_path / "no model")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_chains_depend_neither_on_batch_size_nor_on_their_number(model):
    """With a real network: to rounding of its kernels in float32."""
    predictor = segdiff.load(model, device="cpu", precision="float32")
    image, sampling = picture(70, 60), Sampling(sampler="ddpm", steps=4, chains=3)
    one = predictor.predict(image, sampling=sampling, batch_size=1, keep_chains=True)
    other = predictor.predict(image, sampling=Sampling(sampler="ddpm", steps=4, chains=5), keep_chains=True)
    np.testing.assert_allclose(one.chains, other.chains[:3], atol=1e-5)


@pytest.fixture
def data(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "data" / "val" / folder).mkdir(parents=True)
    for n, name in enumerate(("x", "y", "blank")):
        image = picture(40, 50, seed=n)
        mask = (image[..., 0] > 127) * np.uint8(255) * (name != "blank")
        Image.fromarray(image).save(tmp_path / "data" / "val" / "images" / f"{name}.png")
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "data" / "val" / "masks" / f"{name}.png")
    return tmp_path / "data"


def test_evaluate_prints_a_table_and_writes_json(model, data, tmp_path, capsys):
    argv = [
        "evaluate",
        "--model",
        str(model),
        "--dataset",
        "folder",
        "--root",
        str(data),
        "--split",
        "val",
        *QUICK,
    ]
    scores_file = tmp_path / "new" / "scores.json"
    assert main([*argv, "--json", str(scores_file), "--threshold", "1"]) == 0
    said = capsys.readouterr().out
    scores = json.loads(scores_file.read_text())
    assert scores["n"] == 3 and scores["protocol"] == "native" and scores["split"] == "val"
    assert [row["name"] for row in scores["per_image"]] == ["blank", "x", "y"]
    # Nothing is more probable than 1: every mask is empty, and one truth.
    assert scores["metrics"]["dice"]["mean"] == scores["metrics"]["iou"]["mean"] == 0 and scores["empty_images"] == 1
    assert "1 image(s) with empty truth and empty mask score 0" in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line}
    assert rows["x"][:2] == rows["mean"][:2] == ["0.0000", "0.0000"]
    assert rows["image"] == ["dice", "iou", "ece_raw", "ece", "diversity"]
    assert rows["x"][2] == rows["x"][3]  # no temperature: the same before and after

    assert main([*argv, "--json", str(scores_file), "--threshold", "0", "--limit", "2"]) == 0
    scores = json.loads(scores_file.read_text())
    assert scores["n"] == 2 and scores["per_image"][1]["dice"] > 0.5
    assert f"{scores['metrics']['dice']['mean']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--dataset", "coco"], "coco"),
        (["--protocol", "paper"], "native"),
        (["--protocol", "mine"], "mine"),
        (["--split", "test"], "test"),
        (["--option", "fold=1"], "fold"),
        (["--root", "nowhere"], "nowhere"),
        (["--splt", "val"], "did you mean --split?"),
    ],
)
def test_mistakes_of_evaluate_are_one_line(model, data, capsys, change, said):
    argv = ["evaluate", "--model", str(model), "--dataset", "folder", "--root", str(data), "--split", "val"]
    assert main([*argv, *change]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
