from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import NATIVE, PAPER, Protocol
from segdiff.errors import ConfigError
from segdiff.metrics import Scoring, dice, iou
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.scoring import mean_of


class Made(Dataset):
    """Samples from memory."""

    kind = "made"

    def __init__(self, samples, mpp=None):
        super().__init__("val", [sample.name for sample in samples], mpp)
        self.samples = samples

    def read(self, index):
        return self.samples[index]


def sample(name, image, truth):
    return Sample(name, image, truth.astype(np.uint8)[None, None])


def bright(seed):
    image = picture(40, 50, seed=seed)
    return image, image[..., 0] > 127


def test_scores_and_their_means():
    """A segmenter that answers with the red channel, against masks that differ from it in a known way."""
    (first, truth), (second, _) = bright(1), bright(2)
    half = truth.copy()
    half[20:] = False
    data = Made([sample("right", first, truth), sample("half", first, half), sample("wrong", second, truth)])
    scores = evaluate(make_predictor(), data, NATIVE)
    mask = second[..., 0] > 127
    expected = [1.0, dice(truth, half), dice(mask, truth)]
    assert [row["dice"] for row in scores["per_image"]] == pytest.approx(expected)
    assert [row["iou"] for row in scores["per_image"]] == pytest.approx([1.0, iou(truth, half), iou(mask, truth)])
    assert mean_of(scores, "dice") == pytest.approx(np.mean(expected)) and scores["n"] == 3
    assert [row["name"] for row in scores["per_image"]] == ["right", "half", "wrong"]
    assert scores["empty_images"] == 0 and not any(row["empty"] for row in scores["per_image"])
    assert all(row["seconds"] >= 0 for row in scores["per_image"])
    assert json.loads(json.dumps(scores, allow_nan=False)) == json.loads(json.dumps(scores))
    assert (scores["protocol"], scores["dataset"], scores["split"]) == ("native", "made", "val")
    assert scores["model"] == "fake@0" and scores["sampling"]["chains"] == 1 and scores["threshold"] == 0.5


def test_empty_images_score_0_and_are_counted():
    black, nothing = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), bool)
    image, truth = bright(1)
    data = Made([sample("empty", black, nothing), sample("missed", black, ~nothing), sample("right", image, truth)])
    scores = evaluate(make_predictor(), data, NATIVE)
    assert [row["empty"] for row in scores["per_image"]] == [True, False, False]
    assert scores["empty_images"] == 1 and mean_of(scores, "dice") == pytest.approx(1 / 3)


def test_limit_threshold_and_sampling():
    image, truth = bright(1)
    predictor = make_predictor()
    data = Made([sample(f"{n}", image, truth) for n in range(4)])
    scores = evaluate(predictor, data, NATIVE, limit=2, threshold=0.0)
    assert scores["n"] == 2 and scores["threshold"] == 0.0
    assert mean_of(scores, "dice") == pytest.approx(dice(image[..., 0] > 0, truth))
    assert evaluate(predictor, data, NATIVE, limit=9)["n"] == 4
    with pytest.raises(ConfigError, match="limit=0"):
        evaluate(predictor, data, NATIVE, limit=0)
    with pytest.raises(ConfigError, match="no image"):
        evaluate(predictor, Made([]), NATIVE)


def test_seed_is_the_only_chance():
    image, truth = bright(1)
    data, predictor = Made([sample("a", image, truth)]), make_predictor(noisy, chains=2)
    runs = [evaluate(predictor, data, NATIVE, seed=seed)["metrics"]["dice"]["mean"] for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_the_protocol_fixes_size_and_windows():
    shown = []
    image, truth = bright(1)
    protocol = Protocol("small", resize=(48, 64), window=16, overlap=0.0, adapt_scale=False)
    predictor = make_predictor(scale={"mpp": 0.5})
    scores = evaluate(
        predictor,
        Made([sample("a", image, truth)], mpp=0.25),
        protocol,
        batch_size=1,
        watch=lambda sample, prediction: shown.append((sample, prediction)),
    )
    assert len(predictor.segmenter.calls) == 12
    assert scores["windows"] == {"window": 16, "overlap": 0.0} and scores["inference"]["window"] == 32
    [(seen, prediction)] = shown
    assert seen.image.shape == (48, 64, 3) and prediction.probability.shape == (48, 64)


@pytest.mark.parametrize(("mpp", "expected"), [(0.25, (20, 25)), (1.0, (80, 100)), (None, (40, 50))])
def test_images_are_adapted_to_the_scale_of_the_model(mpp, expected):
    sizes = []

    def look(image, noise, chain):
        sizes.append(tuple(image.shape[-2:]))
        return image[:, :1]

    image, truth = bright(1)
    predictor = make_predictor(look, window=None, size_multiple=1, scale={"mpp": 0.5})
    evaluate(predictor, Made([sample("a", image, truth)], mpp=mpp), NATIVE)
    assert sizes == [expected]


def test_a_model_without_mpp_takes_images_as_they_are():
    image, truth = bright(1)
    assert (
        evaluate(make_predictor(), Made([sample("a", image, truth)], mpp=0.25), NATIVE)["metrics"]["dice"]["mean"] == 1
    )


def test_a_length_in_micrometres_follows_the_protocol():
    """Resized to half its size, a pixel of 0.25 um has 0.5."""
    image, truth = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)
    image[:, 20:40], truth[:, 28:40] = 255, True
    data = Made([sample("a", image, truth)], mpp=0.25)
    half = Protocol("half", resize=(32, 32), window=32, overlap=0.0, adapt_scale=False)
    scoring = Scoring(("hausdorff_95",), unit="um")
    whole = evaluate(make_predictor(), data, NATIVE, scoring=scoring)
    assert mean_of(whole, "hausdorff_95") == 2.0  # 8 pixels
    assert mean_of(evaluate(make_predictor(), data, half, scoring=scoring), "hausdorff_95") == 2.0  # 4 pixels
    assert whole["metrics"]["hausdorff_95"]["unit"] == "um" and whole["unit"] == "um"
    with pytest.raises(ConfigError, match="micrometres of a pixel"):
        evaluate(make_predictor(), Made(data.samples), NATIVE, scoring=scoring)


def test_the_protocol_chooses_metrics_unless_told_otherwise():
    image, truth = bright(1)
    data = Made([sample("a", image, truth)])
    assert list(evaluate(make_predictor(), data, PAPER["vaihingen"])["metrics"])[2:] == [
        "wcov_published",
        "fbound_published",
    ]
    assert list(evaluate(make_predictor(), data, NATIVE, scoring=Scoring(("recall",)))["metrics"]) == ["recall"]


def test_progress():
    told = []
    image, truth = bright(1)
    data = Made([sample("a", image, truth), sample("b", image, truth)])
    evaluate(make_predictor(), data, NATIVE, progress=lambda *at: told.append(at))
    assert told[0] == (0, 2, "a") and told[-1] == (2, 2, "b")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
