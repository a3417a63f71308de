"""Conformal factors against the finite-sample quantile by hand, and their coverage on new images."""

import math

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.conformal import (
    LEAST_DEVIATION,
    conformal_factor,
    conformal_interval,
    held_out_coverage,
    least_images,
    log_deviation,
    log_ratio_score,
)


def test_score_and_interval_are_each_other_s_inverse():
    score = log_ratio_score(120, 99, deviation=0.1)
    assert score == pytest.approx(math.log(121 / 100) / 0.1)
    low, high = conformal_interval(99, 0.1, score)
    assert high == pytest.approx(120) and low == pytest.approx(100**2 / 121 - 1)
    assert log_ratio_score(low, 99, 0.1) == pytest.approx(score)


def test_nothing_found_and_nothing_there():
    assert log_ratio_score(0, 0) == 0
    assert conformal_interval(0, 0.5, 2.0) == pytest.approx((0, math.e - 1))
    low, high = conformal_interval(5, 1.0, 1e9)
    assert low == 0 and math.isfinite(high)


def test_quantile_is_the_one_of_finite_samples():
    scores = [float(i) for i in range(1, 10)]
    assert least_images() == 9
    assert conformal_factor(scores) == 9  # ceil(10 * 0.9) = 9
    assert conformal_factor(scores, 0.5) == 5
    assert conformal_factor([*scores, 10.0, 11.0]) == 11  # ceil(12 * 0.9) = 11
    with pytest.raises(ConfigError, match="needs 9 images"):
        conformal_factor(scores[:8])
    assert least_images(0.95) == 19 and least_images(0.8) == 4


def law(n, seed):
    """Truth, estimate and deviation of images of which some are ten times less sure than others."""
    generator = np.random.default_rng(seed)
    deviation = np.where(generator.random(n) < 0.5, 0.3, 0.03)
    truth = generator.uniform(50, 500, n)
    return truth, truth * np.exp(deviation * generator.standard_normal(n)), deviation


@pytest.mark.parametrize("n", [9, 30])
def test_coverage_on_a_new_image_is_that_of_ranks(n):
    covered, images = [], 4000
    truth, estimate, deviation = law((n + 1) * images, seed=0)
    scores = [log_ratio_score(*row) for row in zip(truth, estimate, deviation, strict=True)]
    for rows in np.reshape(scores, (images, n + 1)):
        covered.append(rows[0] <= conformal_factor(rows[1:].tolist()))
    assert np.mean(covered) == pytest.approx(math.ceil((n + 1) * 0.9) / (n + 1), abs=0.02)


def test_scores_by_deviation_give_narrower_intervals():
    truth, estimate, deviation = law(2000, seed=1)
    own = [log_ratio_score(*row) for row in zip(truth, estimate, deviation, strict=True)]
    constant = [log_ratio_score(*row) for row in zip(truth, estimate, strict=True)]
    widths = [np.mean(deviation) * conformal_factor(own), conformal_factor(constant)]
    assert widths[0] < 0.75 * widths[1]
    assert conformal_factor(own) == pytest.approx(1.645, abs=0.1)  # of a normal distribution


def test_held_out_coverage():
    truth, estimate, deviation = law(300, seed=2)
    scores = [log_ratio_score(*row) for row in zip(truth, estimate, deviation, strict=True)]
    assert held_out_coverage(scores, list(range(300))).mean() == pytest.approx(0.9, abs=0.03)
    # A fold unlike the others: what the others promise does not hold there.
    folds = [0] * 20 + [1] * 20
    covered = held_out_coverage([5.0] * 20 + [1.0] * 20, folds)
    assert covered.tolist() == [False] * 20 + [True] * 20
    with pytest.raises(ConfigError, match="needs 9 images"):
        held_out_coverage([1.0] * 16, [0] * 8 + [1] * 8)
    with pytest.raises(ShapeError, match="do not go together"):
        held_out_coverage([1.0], [0, 1])


def test_deviation_of_a_sweep():
    assert log_deviation([0, math.e - 1]) == pytest.approx(0.5)
    assert log_deviation([7, 7, 7]) == LEAST_DEVIATION
    with pytest.raises(ShapeError, match="at least one"):
        log_deviation([])


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_numbers_that_cannot_be(wrong):
    for call in (
        lambda: log_ratio_score(wrong, 1),
        lambda: log_ratio_score(1, wrong),
        lambda: log_ratio_score(1, 1, wrong),
        lambda: conformal_interval(wrong, 1, 1),
        lambda: conformal_interval(1, 1, wrong),
    ):
        with pytest.raises(ConfigError):
            call()
    with pytest.raises(ConfigError):
        conformal_factor([1.0] * 9 + ([wrong] if not math.isfinite(wrong) else [math.inf]))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        least_images(1)
