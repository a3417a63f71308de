from __future__ import annotations

import json

import numpy as np
import pytest

from segdiff.inference.chains import ChainStatistics
from segdiff.inference.rescale import Grids
from segdiff.inference.windows import Window
from segdiff.metrics import dice, iou


def gathered(chains, sizes):
    statistics = ChainStatistics(keep=True)
    start = 0
    for size in sizes:
        statistics.add(chains[start : start + size])
        start += size
    return statistics


def test_mean_and_variance_of_clamped_chains():
    chains = np.random.default_rng(0).normal(0.5, 0.6, (30, 6, 7)).astype(np.float32)
    statistics = gathered(chains, [30])
    clamped = chains.astype(np.float64).clip(0, 1)
    np.testing.assert_allclose(statistics.mean, clamped.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, clamped.var(0), rtol=1e-10, atol=1e-15)
    assert np.array_equal(np.stack(statistics.chains), clamped.astype(np.float32))


def test_grouping_changes_no_bit():
    chains = np.random.default_rng(0).normal(0.5, 0.6, (9, 6, 7)).astype(np.float32)
    one, other = gathered(chains, [9]), gathered(chains, [2, 2, 1, 4])
    assert np.array_equal(one.mean, other.mean) and np.array_equal(one.variance, other.variance)


def test_equal_chains_have_no_variance():
    chains = np.broadcast_to(np.float32(1 / 3), (7, 2, 2))
    statistics = gathered(chains, [7])
    assert np.all(statistics.variance == 0) and np.all(statistics.mean == np.float64(np.float32(1 / 3)))


def test_nine_votes_that_tie_are_exactly_one_half():
    votes = np.float32([0.125, 0.875, 0.25, 0.75, 0.5, 0.375, 0.625, 1.5, -0.5]).reshape(9, 1)
    assert gathered(votes, [9]).mean == 0.5


@pytest.mark.parametrize("name", ["same_size", "resize_up", "resize_down", "ties_and_clipping"])
def test_published_votes_give_the_published_masks(name, shared_data):
    """Rule: (x + 1) / 2, resize to the truth, clamp, mean over the nine, above one half."""
    folder = shared_data / "golden" / "aggregate"
    with np.load(folder / "votes.npz") as votes:
        samples, truth, expected = (votes[f"{name}__{what}"] for what in ("samples", "gt", "mask"))
    soft = ((samples + 1) / 2)[:, 0]
    height, width = soft.shape[1:]
    grids = Grids(truth.shape[-2:], (height, width))
    statistics = ChainStatistics()
    statistics.add(grids.to_image(soft, Window(0, 0, height, width)))
    mask = statistics.mean > 0.5
    assert np.array_equal(mask, expected.reshape(mask.shape) != 0)
    scores = json.loads((folder / "expected.json").read_text())[name]
    assert dice(mask, truth.reshape(mask.shape)) == pytest.approx(scores["f1"], abs=1e-9)
    assert iou(mask, truth.reshape(mask.shape)) == pytest.approx(scores["iou"], abs=1e-9)
