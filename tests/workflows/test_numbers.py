"""Area and count with intervals: estimates of known pictures; intervals fitted, stored, written and printed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeSegmenter, make_predictor, noisy
from PIL import Image

from segdiff.artifacts.folder import Artifact
from segdiff.cli import predict as predict_command
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import NATIVE
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.options import ConformalSettings, InferenceSettings
from segdiff.metrics import Scoring, crps, diversity
from segdiff.metrics.conformal import LEAST_DEVIATION, fit_conformal, log_ratio
from segdiff.models.normalisation import Normalisation
from segdiff.settings import plain
from segdiff.training.settings import TrainerSettings
from segdiff.training.validate import Validation
from segdiff.workflows.compare import compare, read_scores
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import predictor_of
from segdiff.workflows.numbers import NumberCalibration, area_estimate, count_estimate, in_words, intervals_of
from segdiff.workflows.predict_files import predict_files

FITTED = ConformalSettings(images=12, area=(0.1, 1.5), count=(0.0, 2.0))
SIDE = 6  # of a square


def squares(count, size=(48, 64), grey=200):
    """`count` squares in rows: a picture, and its labels."""
    labels = np.zeros(size, np.int32)
    across = size[1] // (SIDE + 4)
    for number in range(count):
        row, column = divmod(number, across)
        labels[2 + row * (SIDE + 4) :, 2 + column * (SIDE + 4) :][:SIDE, :SIDE] = number + 1
    return np.where(labels[..., None] > 0, grey, 0).repeat(3, 2).astype(np.uint8), labels


class Squares(Dataset):
    """Pictures of 3, 4, 5, ... squares whose truth has `more` times as many rows of pixels in each."""

    kind = "squares"

    def __init__(self, length, numbered=True):
        super().__init__("val", [f"{n:02}" for n in range(length)], None)
        self.numbered = numbered

    def read(self, index):
        image, labels = squares(3 + index)
        truth = np.where(np.roll(labels, 1, axis=1) > 0, np.roll(labels, 1, axis=1), labels)  # a column wider
        mask = (truth > 0).astype(np.uint8)[None, None]
        return Sample(self.names[index], image, mask, truth if self.numbered else None)


def test_estimates_of_a_known_picture():
    prediction = make_predictor().predict(squares(7)[0])
    # 0.78 everywhere in the squares: 0.2, 0.4 and 0.6 find all of them, 0.8 none.
    area, inside = area_estimate(prediction), 7 * SIDE**2
    assert area.value == inside
    assert area.deviation == pytest.approx(np.hypot(np.log([inside + 1] * 3 + [1]).std(), LEAST_DEVIATION))
    count = count_estimate(prediction)
    assert count.value == 7
    assert count.deviation == pytest.approx(np.hypot(np.log([8, 8, 8, 1]).std(), LEAST_DEVIATION))
    assert count == count_estimate(prediction, prediction.instances())
    nothing = make_predictor().predict(np.zeros((20, 20, 3), np.uint8))
    assert area_estimate(nothing).value == count_estimate(nothing).value == 0


def test_intervals_are_those_that_were_fitted():
    prediction = make_predictor(conformal=FITTED).predict(squares(7, grey=250)[0])
    found = intervals_of(prediction, prediction.instances())
    deviation = count_estimate(prediction).deviation
    assert found["count"] == {
        "value": 7,
        "low": int(np.ceil(8 / np.exp(2 * deviation) - 1)),
        "high": int(np.floor(8 * np.exp(2 * deviation) - 1)),
        "level": 0.9,
    }
    area = found["area"]
    assert area["low"] * area["high"] > 0 and area["high"] <= 48 * 64
    assert np.sqrt((area["low"] + 1) * (area["high"] + 1)) > 1.05 * (area["value"] + 1)  # the shift
    assert list(intervals_of(prediction)) == ["area"]
    assert json.loads(json.dumps(found)) == found


def test_nothing_is_said_where_nothing_was_fitted():
    image = squares(7)[0]
    plain_model, fitted = make_predictor(), make_predictor(conformal=FITTED)
    for prediction in (
        plain_model.predict(image),
        fitted.predict(image, threshold=0.4),
        fitted.predict(image, temperature=2.0),
        fitted.predict(image, keep_raw=True).at(1.0, 0.5),
    ):
        assert intervals_of(prediction, prediction.instances()) == {}
    assert intervals_of(fitted.predict(image, threshold=0.5, temperature=1.0)) != {}


def test_an_ensemble_has_its_own_or_none():
    members = [make_predictor(conformal=FITTED, identity=f"{n}@{n}") for n in range(2)]
    image = squares(7)[0]
    assert intervals_of(Ensemble(members).predict(image)) == {}
    own = Ensemble(members, conformal=replace(FITTED, area=(0.0, 1.0)))
    assert intervals_of(own.predict(image)) != intervals_of(members[0].predict(image))
    assert own.describe()["inference"]["conformal"]["area"] == [0.0, 1.0]


def test_words():
    numbers = {
        "count": {"value": 143, "low": 118, "high": 171, "level": 0.9},
        "area": {"value": 5120.0, "low": 4100.4, "high": 6299.7, "level": 0.9},
    }
    assert in_words(numbers) == "count 143 (90 %: 118 to 171), area 5120 px (90 %: 4100 to 6300)"


def test_calibration_fits_what_is_off():
    found, data, predictor = NumberCalibration(), Squares(9), make_predictor()
    for sample in data:
        found.add(predictor.predict(sample.image), sample)
    fitted = found.fit()
    errors = [log_ratio((3 + n) * SIDE * (SIDE + 1), (3 + n) * SIDE**2) for n in range(9)]
    deviations = [area_estimate(predictor.predict(sample.image)).deviation for sample in data]
    assert fitted["area"] == pytest.approx(fit_conformal(errors, deviations), abs=1e-4)
    assert fitted["count"] == [0.0, 0.0] and (fitted["level"], fitted["images"]) == (0.9, 9)
    assert found.fit(0.95)["area"] is None  # that needs 19
    settings = ConformalSettings(**fitted)
    for sample in Squares(20):  # pictures of more squares are off likewise
        said = intervals_of(make_predictor(conformal=settings).predict(sample.image))["area"]
        assert said["low"] <= sample.mask.sum() <= said["high"]


def test_a_truth_that_does_not_number_its_objects_has_an_area_only():
    found, predictor = NumberCalibration(), make_predictor()
    for sample in Squares(9, numbered=False):
        found.add(predictor.predict(sample.image), sample)
    assert found.fit()["count"] is None and found.fit()["area"] is not None


@pytest.mark.parametrize("length", [8, 9])
def test_validation_fits_intervals_from_nine_images_on(length, tmp_path):
    artifact = Artifact(
        FakeSegmenter(),
        {},
        {},
        Normalisation("fixed", [0.0] * 3, [255.0] * 3),
        Sampling(chains=1),
        {"window": 64, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5},
    )
    validation = Validation(
        lambda segmenter: artifact, Squares(length), NATIVE, TrainerSettings(), torch.device("cpu"), tmp_path, 0
    )
    fitted = validation.calibrated(artifact).inference
    assert ("conformal" in fitted) == (length == 9)
    if length == 9:
        # Of the fitted threshold and temperature, not of those before.
        found, predictor = NumberCalibration(), predictor_of(validation.calibrated(artifact), "cpu", "float32")
        for sample in Squares(9):
            found.add(predictor.predict(sample.image), sample)
        assert fitted["conformal"] == found.fit() and fitted["conformal"]["area"] is not None


def test_files_and_terminal(tmp_path, capsys, monkeypatch):
    Image.fromarray(squares(7)[0]).save(tmp_path / "seven.png")
    predictor = make_predictor(conformal=FITTED)
    record = predict_files(predictor, [tmp_path / "seven.png"], tmp_path / "out", outputs=("mask", "labels"))
    numbers = record["images"][0]["numbers"]
    assert list(numbers) == ["count", "area"] and record["inference"]["conformal"] == plain(FITTED)
    assert predict_files(predictor, [tmp_path / "seven.png"], tmp_path / "out2")["images"][0]["numbers"].keys() == {
        "area"
    }
    unfitted = predict_files(make_predictor(), [tmp_path / "seven.png"], tmp_path / "out3", outputs=("labels",))
    assert "numbers" not in unfitted["images"][0]

    monkeypatch.setattr(predict_command, "predictor_from", lambda args: predictor)
    argv = ["--image", str(tmp_path / "seven.png"), "--output-dir", str(tmp_path / "out4"), "--instances"]
    assert predict_command.main(argv) == 0
    said = capsys.readouterr().out
    low, high = numbers["count"]["low"], numbers["count"]["high"]
    assert f"seven.png: count 7 (90 %: {low} to {high}), area" in said
    assert "for pictures like the model's validation pictures" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"level": 1.0}, "conformal.level=1.0"),
        ({"area": [1.0]}, "conformal.area"),
        ({"count": [0.0, -1.0]}, "conformal.count"),
        ({"count": [float("nan"), 1.0]}, "conformal.count"),
    ],
)
def test_settings_that_cannot_be(wrong, said):
    with pytest.raises(ConfigError, match=said):
        InferenceSettings(conformal=ConformalSettings(**wrong))


def noisy_scores(names, tmp_path, chains=4):
    predictor, data = make_predictor(noisy, chains=chains, window=64), Squares(4)
    kept = []
    scores = evaluate(predictor, data, NATIVE, scoring=Scoring(names), watch=lambda *one: kept.append(one))
    path = Path(tmp_path) / f"{chains}.json"
    path.write_text(json.dumps(scores))
    return scores, kept, path


def test_dispersion_is_the_ratio_of_means(tmp_path):
    scores, kept, path = noisy_scores(("dispersion", "diversity"), tmp_path)
    rows = scores["per_image"]
    within = [diversity(said.chains) for _, said in kept]
    assert [row["diversity"] for row in rows] == pytest.approx(within)
    assert scores["metrics"]["dispersion"]["mean"] == pytest.approx(
        np.mean(within) / np.mean([row["chain_error"] for row in rows])
    )
    assert list(scores["metrics"]) == ["dispersion", "diversity"]  # what weighs it is a column only
    low, high = scores["metrics"]["dispersion"]["low"], scores["metrics"]["dispersion"]["high"]
    assert low <= scores["metrics"]["dispersion"]["mean"] <= high
    other = noisy_scores(("dispersion", "diversity"), tmp_path, chains=5)[2]
    files = read_scores(path), read_scores(other)
    assert list(compare(*files)["metrics"]) == ["diversity"]
    with pytest.raises(ConfigError, match="compare diversity and chain_error"):
        compare(*files, metrics=["dispersion"])


def test_area_and_count_of_chains_and_thresholds(tmp_path):
    every = [f"{n}_{s}_{k}" for n in ("area", "count") for s in ("crps", "coverage") for k in ("chains", "threshold")]
    scores, kept, _ = noisy_scores(tuple(every), tmp_path)
    for row, (sample, said) in zip(scores["per_image"], kept, strict=True):
        areas, truth = (said.chains > 0.5).sum((1, 2)), sample.mask.sum()
        assert row["area_crps_chains"] == pytest.approx(float(crps(areas, truth)) / said.mask.size)
        assert row["area_coverage_chains"] == (areas.min() <= truth <= areas.max())
        sweep = [(said.probability > k / 20).sum() for k in range(1, 20)]
        assert row["area_coverage_threshold"] == (min(sweep) <= truth <= max(sweep))
        assert row["count_crps_threshold"] >= 0 and row["count_coverage_chains"] in (0, 1)
    single = noisy_scores(("area_coverage_chains", "area_crps_chains", "dispersion"), tmp_path, chains=1)[0]
    assert single["metrics"]["area_coverage_chains"]["undefined"] == 4
    assert single["metrics"]["area_crps_chains"]["undefined"] == 0
    assert single["metrics"]["dispersion"]["mean"] is None
