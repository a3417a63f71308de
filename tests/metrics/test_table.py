"""Metrics by name, and intervals."""

import numpy as np
import pytest

from segdiff import metrics
from segdiff.errors import ConfigError
from segdiff.metrics import METRICS, Metric, Scoring, bootstrap_interval
from segdiff.metrics.raters import rater_scores
from segdiff.metrics.table import RATER_SCORES, parse_metrics, parse_tolerance, scoring_of

A = np.zeros((30, 30), bool)
A[5:20, 5:20] = True
B = np.roll(A, 3, axis=0)


def said(mask):
    """A model that is sure of this mask, twice."""
    sure = mask.astype(np.float32)
    wrong = (mask != A).astype(np.float32)
    objects = {"instances": mask.astype(int), "true_instances": A.astype(int), "confidence": np.ones(1)}
    chains = np.stack([sure, sure])
    areas, counts = [float(mask.sum())] * 2, [1.0, 1.0]
    samples = {"chain_areas": areas, "threshold_areas": areas, "chain_counts": counts, "threshold_counts": counts}
    maps = {"probability": sure, "raw_probability": sure, "uncertainty": wrong, "chains": chains}
    raters = rater_scores(np.stack([mask, mask]), np.stack([A, A]))
    return {**maps, **objects, **samples, "rater_scores": raters}


def plain_name(name):
    """The function's: what it is given is not in it."""
    for samples in ("_chains", "_threshold"):
        if name.startswith(("area_", "count_")):
            name = name.removesuffix(samples)
    name = name.removesuffix("_raw").split("_auroc")[0] + "_auroc" * ("auroc" in name)
    return {"dispersion": "image_dispersion"}.get(name, name)


def test_every_metric_of_the_room_is_in_the_table():
    for name, metric in METRICS.items():
        if metric.needs != "rater_scores":
            assert getattr(metrics, plain_name(name)) is metric.function
    perfect = Scoring(tuple(METRICS))(A, A, said=said(A))
    for name, metric in METRICS.items():
        if metric.needs in ("margin", "uncertainty"):
            assert np.isnan(perfect[name])  # no error to find
        elif name == "dispersion":
            assert np.isnan(perfect[name])  # chains equal the truth: nothing to divide by
        elif name in ("ged_floor", "marginal_brier", "marginal_nll"):  # of samples, which say 1/6 at the least
            assert 0 <= perfect[name] < 0.2
        elif "diversity" not in name:  # of which there is no best
            assert perfect[name] == pytest.approx(1 if metric.higher_is_better else 0, abs=2e-5), name


def test_a_scoring_gives_what_the_functions_give():
    scores = Scoring(tuple(METRICS), 2, "px")(B, A, said=said(B))
    assert list(scores) == list(METRICS)
    assert scores["dice"] == metrics.dice(A, B) and scores["surface_dice"] == metrics.surface_dice(A, B, 2.0)
    assert scores["hausdorff_95"] == metrics.hausdorff_95(A, B)
    assert scores["brier"] == metrics.brier(B, A) == np.mean(A != B)
    assert scores["error_auroc_chains"] == 1 and scores["error_auroc_margin"] == 0.5
    assert scores["diversity"] == scores["dispersion"] == 0
    assert scores["chain_error"] == pytest.approx(1 - scores["dice"])
    assert scores["ged"] == scores["ged_unbiased"] == pytest.approx(2 * (1 - scores["iou"]))
    assert scores["aji"] == scores["iou"] == scores["pq"] and scores["dq"] == 1  # one object on one


def test_what_a_model_says_is_needed_and_may_be_nothing():
    with pytest.raises(ConfigError, match="ece needs probability"):
        Scoring(("ece",))(A, A)
    with pytest.raises(ConfigError, match="ece needs a model"):
        Scoring(("dice", "ece")).check_masks_only()
    assert np.isnan(Scoring(("diversity",))(A, A, said={"chains": None})["diversity"])
    assert "ece" in parse_metrics("all") and "ece" not in parse_metrics("all", masks_only=True)


def test_a_metric_brings_what_weighs_it():
    scoring = Scoring(("dispersion",))
    assert scoring.columns == ("dispersion", "chain_error") and scoring.needs == {"samples"}
    assert list(scoring(B, A, said={"chains": np.stack([A, B])})) == ["dispersion", "chain_error"]
    assert Scoring(("chain_error", "dispersion")).columns == ("chain_error", "dispersion")
    assert Scoring(("count_crps_chains",)).scores_objects and not Scoring(("area_crps_chains",)).scores_objects


def test_micrometres():
    scoring = scoring_of(["boundary_f", "hausdorff_95"], "0.75um")
    assert scoring(A, B, mpp=0.25) == {"boundary_f": 1.0, "hausdorff_95": 0.75}
    assert scoring(A, B, mpp=0.5)["boundary_f"] < 1
    with pytest.raises(ConfigError, match="micrometres of a pixel"):
        scoring(A, B)
    assert scoring_of(["dice"], "1um")(A, A) == {"dice": 1}  # nothing is measured: no unit needed


@pytest.mark.parametrize(
    ("text", "expected"), [("2px", (2, "px")), ("0.5um", (0.5, "um")), ("3 µm", (3, "um")), (".5px", (0.5, "px"))]
)
def test_tolerances_are_read(text, expected):
    assert parse_tolerance(text) == expected


@pytest.mark.parametrize("text", ["2", "px", "-1px", "2 pixels", "1e999px", ""])
def test_tolerances_that_are_none(text):
    with pytest.raises(ConfigError, match="2px or 0.5um"):
        parse_tolerance(text)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("dise",), "no metric 'dise'; did you mean dice"),
        (("zzz",), "there are dice, iou"),
        ((), "one at least"),
        (("dice", "dice"), "once"),
    ],
)
def test_names_that_cannot_be(names, said):
    with pytest.raises(ConfigError, match=said):
        Scoring(names)


def test_names_are_read():
    assert parse_metrics("dice, iou") == ("dice", "iou") and set(METRICS) - set(parse_metrics("all")) == {
        *RATER_SCORES,
        "aji",
        "pq",
        "dq",
        "ece_objects",
        *(f"count_{score}_{samples}" for score in ("crps", "coverage") for samples in ("chains", "threshold")),
    }


def test_own_code_can_add_a_metric(monkeypatch):
    monkeypatch.setitem(METRICS, "area", Metric(lambda pred, target: float(np.sum(pred))))
    assert Scoring(("area",))(A, B) == {"area": 225}


def test_interval_of_a_mean():
    values = np.random.default_rng(1).normal(0.8, 0.1, 400)
    low, high = bootstrap_interval(values)
    # The standard error is 0.1 / 20, and 1.96 of them lie on either side.
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.001)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.001)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval([0.5]) is bootstrap_interval([]) is None
    assert bootstrap_interval([0.5, 0.5]) == (0.5, 0.5)


def test_many_images_are_drawn_in_blocks(monkeypatch):
    values = np.random.default_rng(1).random(60)
    whole = bootstrap_interval(values, draws=2000)
    monkeypatch.setattr("segdiff.metrics.intervals.BLOCK", 6000)
    assert bootstrap_interval(values, draws=2000) == pytest.approx(whole, abs=0.01)
