"""Samples by one shared threshold: nested, with the probability of each pixel, as wide as uniform draws are."""

import numpy as np
import pytest

from segdiff.errors import ConfigError
from segdiff.metrics.predictive import coverage, nominal_coverage
from segdiff.metrics.shared_threshold import even_thresholds, threshold_samples, threshold_sweep


def test_marginals_are_the_probability_and_masks_are_nested():
    p = np.random.default_rng(0).random((6, 5))
    masks = threshold_samples(p, even_thresholds(999))
    np.testing.assert_allclose(masks.mean(0), p, atol=0.001)
    assert (masks[:-1] >= masks[1:]).all()
    assert threshold_samples(p).shape == (19, 6, 5)


def test_even_thresholds_stand_for_uniform_draws():
    u = even_thresholds(19)
    pairs = np.abs(u[:, None] - u)[np.triu_indices(19, 1)]
    assert pairs.mean() == pytest.approx(1 / 3)
    truth = np.linspace(0, 1, 10_001)
    assert coverage(u, truth).mean() == pytest.approx(nominal_coverage(19), abs=1e-3)


def test_areas_and_counts():
    p = np.array([[0.9, 0.0, 0.3, 0.3]])
    assert threshold_sweep(p, np.sum, [0.1, 0.5, 0.95]).tolist() == [3, 1, 0]
    assert threshold_sweep(p, lambda mask: mask.any(), [0.1, 0.95]).tolist() == [1, 0]


def test_area_is_the_same_law_as_that_of_a_moved_boundary():
    # p falls linearly: the threshold u leaves the columns with 1 - (x + 1/2) / 100 > u.
    p = np.broadcast_to(1 - (np.arange(100) + 0.5) / 100, (1, 100))
    areas = threshold_sweep(p, np.sum, even_thresholds(99))
    assert areas.tolist() == list(range(99, 0, -1))


def test_sure_probabilities_do_not_differ():
    assert threshold_sweep(np.array([[1.0, 0.0]]), np.sum).tolist() == [1] * 19


def test_bad_input():
    with pytest.raises(ConfigError, match="at least one"):
        even_thresholds(0)
