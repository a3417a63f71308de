"""Samples of a model beside the masks of several raters: scores, what they depend on, a training from end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import TINY_FAST, make_predictor, picture
from PIL import Image
from small_runs import config, quiet

from segdiff.cli.main import main
from segdiff.cli.scores import table
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import NATIVE
from segdiff.errors import ConfigError
from segdiff.metrics import Scoring
from segdiff.metrics.raters import rater_scores
from segdiff.metrics.table import OF_RATERS, parse_metrics
from segdiff.training.run import run_training
from segdiff.workflows.compare import compare, read_scores
from segdiff.workflows.evaluate import evaluate

SIZE = 32


def columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:20, first:last] = 1
    return mask


RATERS = np.stack([columns(4, 20), columns(6, 22), columns(0, 0)])[:, None]


class Rated(Dataset):
    """Two pictures of three raters."""

    kind = "rated"

    def __init__(self, raters=RATERS):
        super().__init__("val", ["a", "b"], None)
        self.masks, self.raters = raters, len(raters)

    def read(self, index):
        return Sample(self.names[index], picture(SIZE, SIZE, seed=index), self.masks)


def chain(image, noise, number):
    """The masks of the raters in turn."""
    found = 0 * image[:, :1]
    found[:, 0] = 1.0 * image.new_tensor(RATERS[number % 3, 0].astype(np.float32))
    return found


def test_chains_are_scored_beside_all_raters():
    scoring = Scoring(("dice", *OF_RATERS))
    scores = evaluate(make_predictor(chain, chains=6), Rated(), NATIVE, scoring=scoring)
    samples = RATERS[[0, 1, 2, 0, 1, 2], 0]
    expected = rater_scores(samples, RATERS[:, 0])
    row = scores["per_image"][1]
    for name, key in {
        "ged": "ged",
        "ged_unbiased": "ged_unbiased",
        "hm_iou": "hm_iou",
        "empty_brier": "empty_brier",
    }.items():
        assert row[name] == pytest.approx(expected[key])
    assert row["sample_diversity"] == pytest.approx(expected["diversity"]) and row["hm_iou"] == 1
    assert scores["both_empty"] == 1 and scores["sampling"]["chains"] == 6
    assert row["ged_floor"] == pytest.approx((1 / 6 + 1 / 3) * expected["rater_diversity"])
    said = table(scores)
    assert "6 sample(s) an image; as many more raters would have a ged of" in said and "two empty masks count 1" in said
    assert set(row) >= {"area_crps_chains", "area_coverage_chains"}
    json.dumps(scores, allow_nan=False)


def test_a_single_mask_is_scored_with_its_probability():
    scores = evaluate(make_predictor(chain, chains=1), Rated(), NATIVE, scoring=Scoring(OF_RATERS))
    row = scores["per_image"][0]
    assert row["ged"] == pytest.approx(rater_scores(RATERS[:1, 0], RATERS[:, 0])["ged"]) and row["ged_unbiased"] is None
    assert row["marginal_brier"] == pytest.approx(
        rater_scores(RATERS[:1, 0], RATERS[:, 0], RATERS[0, 0])["marginal_brier"]
    )


def test_what_two_empty_masks_count():
    nothing = np.zeros_like(RATERS)
    empty = evaluate(make_predictor(lambda image, noise, n: 0 * image[:, :1], chains=2), Rated(nothing), NATIVE,
                     scoring=Scoring(("hm_iou",)))  # fmt: skip
    zero = evaluate(make_predictor(lambda image, noise, n: 0 * image[:, :1], chains=2), Rated(nothing), NATIVE,
                    scoring=Scoring(("hm_iou",), both_empty=0.0))  # fmt: skip
    assert empty["metrics"]["hm_iou"]["mean"] == 1 and zero["metrics"]["hm_iou"]["mean"] == 0
    assert zero["both_empty"] == 0 and zero["options"]["scoring"]["both_empty"] == 0
    with pytest.raises(ConfigError, match="both_empty=2"):
        Scoring(both_empty=2.0)
    assert evaluate(make_predictor(), Rated(), NATIVE, scoring=Scoring())["both_empty"] is None


def test_names_of_metrics():
    assert parse_metrics("dice,raters") == ("dice", *OF_RATERS)
    assert not set(parse_metrics("all")) & {"ged", "hm_iou"}
    with pytest.raises(ConfigError, match="ged needs a model"):
        Scoring(("ged",)).check_masks_only()


def test_comparisons_say_what_is_not_alike(tmp_path):
    files = []
    for number, (chains, empty) in enumerate([(3, 1.0), (6, 0.0)]):
        scoring = Scoring(("ged", "dice"), both_empty=empty)
        scores = evaluate(make_predictor(chain, chains=chains), Rated(), NATIVE, scoring=scoring)
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(scores))
    notes = " ".join(compare(*map(read_scores, files))["notes"])
    assert "the number of samples: 3 and 6" in notes and "what two empty masks count: 1.0 and 0.0" in notes
    assert not compare(*map(read_scores, files), metrics=["dice"])["notes"]


def write_raters(root):
    for number in range(6):
        image = picture(SIZE, SIZE, seed=number)
        for kind, array in {"images": image, "masks/x": 255 * columns(4, 16), "masks/y": 255 * columns(6, 22)}.items():
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / kind / f"{number}.png")
    return root


@pytest.mark.parametrize("kind", ["fast", "fast_direct"])
def test_train_check_evaluate_and_predict(tmp_path, capsys, kind):
    root = write_raters(tmp_path / "data")
    settings = config(root, max_steps=4, validate_every=0)
    settings["model"] = {**TINY_FAST, "kind": kind}
    settings["diffusion"] |= {"schedule": "cosine", "prediction": "logits", "condition": "log_snr", "noise_draws": 3}
    settings["diffusion"] |= {"mse_weight": 0.0, "cross_entropy_weight": 1.0}
    result = run_training(settings, tmp_path / "run", say=quiet)
    scores = json.loads((tmp_path / "run" / "validation.json").read_text())
    assert scores["metrics"]["ged"]["mean"] is not None and scores["both_empty"] == 1
    given = ["--dataset", "folder", "--root", str(root)]
    assert main(["check-data", *given]) == 0
    assert "2 raters, whose masks agree by an IoU of 0.5" in capsys.readouterr().out
    command = ["evaluate", *given, "--split", "val", "--model", result["model"], "--both-empty", "0.5"]
    assert main([*command, "--json", str(tmp_path / "s.json"), "--device", "cpu"]) == 0
    assert "two empty masks count 0.5" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["both_empty"] == 0.5
    predict = ["predict", "--image", str(root / "images" / "0.png"), "--model", result["model"], "--device", "cpu"]
    code = main([*predict, "--samples", "2", "--output-dir", str(tmp_path / "out")])
    assert code == (0 if kind == "fast" else 2)
    assert (tmp_path / "out" / "0_sample_2.png").exists() == (kind == "fast")
