"""Rows of scores, their means and files."""

import numpy as np
import pytest

from segdiff.errors import ShapeError
from segdiff.metrics import METRICS, Metric, Scoring
from segdiff.workflows.scoring import mean_of, score, summarise

BOTH = Scoring()


def test_several_raters_and_channels_count_with_their_mean():
    mask = np.zeros((2, 4, 4), bool)
    mask[0] = True
    truth = np.stack([mask, ~mask]).astype(np.uint8)
    assert score(mask, truth, BOTH) == {"dice": 0.25, "iou": 0.25, "empty": False}
    with pytest.raises(ShapeError):
        score(mask[0], truth, BOTH)


def test_a_score_without_a_value_is_said_and_not_averaged():
    nothing, something = np.zeros((5, 5), bool), np.ones((5, 5), bool)
    scoring = Scoring(("wcov_published", "dice"))
    rows = [
        {"name": name, **score(mask, mask[None, None].astype(np.uint8), scoring)}
        for name, mask in (("empty", nothing), ("full", something))
    ]
    assert rows[0] == {"name": "empty", "wcov_published": None, "dice": 0.0, "empty": True}
    summary = summarise(rows, scoring)
    assert summary["metrics"]["wcov_published"] == {
        "mean": 1.0,
        "low": None,
        "high": None,
        "undefined": 1,
        "higher_is_better": True,
        "unit": None,
    }
    assert summary["metrics"]["dice"]["mean"] == 0.5 and summary["metrics"]["dice"]["low"] == 0.0
    assert summary["empty_images"] == 1 and summary["n"] == 2
    assert summary["tolerance"] is summary["unit"] is None
    assert np.isnan(mean_of(summarise(rows[:1], scoring), "wcov_published"))


def test_tolerance_and_unit_are_told_where_they_matter():
    mask = np.ones((5, 5), bool)
    scoring = Scoring(("surface_dice", "hausdorff_95"), 3, "px")
    summary = summarise([{"name": "a", **score(mask, mask[None, None].astype(np.uint8), scoring)}], scoring)
    assert (summary["tolerance"], summary["unit"]) == (3, "px")
    assert summary["metrics"]["hausdorff_95"]["unit"] == "px"
    assert summary["metrics"]["hausdorff_95"]["higher_is_better"] is False
    assert summary["metrics"]["surface_dice"]["unit"] is None


def test_infinity_does_not_reach_a_file(monkeypatch):
    monkeypatch.setitem(METRICS, "endless", Metric(lambda pred, target: float("inf")))
    mask = np.ones((5, 5), bool)
    assert score(mask, mask[None, None].astype(np.uint8), Scoring(("endless",)))["endless"] is None
