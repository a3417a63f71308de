from __future__ import annotations

import numpy as np

from segdiff.inference.chains import ChainStatistics


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
    np.testing.assert_allclose(statistics.variance, clamped.var(0), rtol=1e-6, atol=1e-12)
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
