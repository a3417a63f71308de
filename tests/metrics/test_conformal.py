"""Conformal intervals against the finite-sample quantile by hand, and their coverage on new images."""

import math

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.conformal import (
    LEAST_DEVIATION,
    ConformalFit,
    conformal_factor,
    fit_conformal,
    held_out_coverage,
    least_images,
    log_deviation,
    log_ratio,
)


def test_error_and_interval_are_each_other_s_inverse():
    error = log_ratio(120, 99)
    assert error == pytest.approx(math.log(121 / 100))
    low, high = ConformalFit(0.0, error / 0.1).interval(99, 0.1)
    assert high == pytest.approx(120) and low == pytest.approx(100**2 / 121 - 1)
    assert log_ratio(low, 99) == pytest.approx(-error)


def test_a_shift_moves_the_interval():
    low, high = ConformalFit(math.log(2), math.log(1.5)).interval(99)
    assert (low, high) == pytest.approx((200 / 1.5 - 1, 200 * 1.5 - 1))


def test_nothing_found_and_nothing_there():
    assert log_ratio(0, 0) == 0
    assert ConformalFit(0.0, 2.0).interval(0, 0.5) == pytest.approx((0, math.e - 1))
    assert ConformalFit(-9.0, 0.1).interval(0) == (0, 0)
    low, high = ConformalFit(0.0, 1e9).interval(5)
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


def test_fit_by_hand():
    errors = [0.1, 0.2, 0.3, 0.4, 0.9]
    fit = fit_conformal(errors, [1.0, 1.0, 1.0, 1.0, 2.0], 0.5)
    # Medians of the others: 0.35, 0.35, 0.3, 0.25, 0.25; scores 0.25, 0.15, 0, 0.15, 0.325: the third is 0.15.
    assert fit == pytest.approx((0.3, 0.15))
    assert fit_conformal([5.0] * 9, [1.0] * 9) == (5, 0)


def law(n, seed, shift=0.3):
    """Errors and deviations of images of which some are ten times less sure than others."""
    generator = np.random.default_rng(seed)
    deviation = np.where(generator.random(n) < 0.5, 0.5, 0.05)
    return shift + deviation * generator.standard_normal(n), deviation


@pytest.mark.parametrize("n", [9, 30])
def test_coverage_on_a_new_image_is_that_of_ranks(n):
    images = 1500
    errors, deviations = law((n + 1) * images, seed=0)
    covered = []
    for e, d in zip(np.reshape(errors, (images, n + 1)), np.reshape(deviations, (images, n + 1)), strict=True):
        fit = fit_conformal(e[1:].tolist(), d[1:].tolist())
        covered.append(abs(e[0] - fit.shift) <= fit.factor * d[0])
    assert np.mean(covered) == pytest.approx(math.ceil((n + 1) * 0.9) / (n + 1), abs=0.025)


def test_deviations_and_shift_make_intervals_narrower():
    errors, deviations = law(1001, seed=1)
    own, constant = fit_conformal(errors, deviations), fit_conformal(errors, np.ones(1001))
    assert own.shift == pytest.approx(0.3, abs=0.03) and own.factor == pytest.approx(1.645, abs=0.15)  # of a normal
    assert np.mean(deviations) * own.factor < 0.75 * constant.factor
    assert constant.factor < conformal_factor(np.abs(errors).tolist()) - 0.1


def test_held_out_coverage():
    errors, deviations = law(200, seed=2)
    assert held_out_coverage(errors, deviations, range(200)).mean() == pytest.approx(0.9, abs=0.04)
    # A fold unlike the others: what the others promise does not hold there.
    alternating = [1.0, -1.0] * 10
    errors, folds = [5 * e for e in alternating] + alternating, [0] * 20 + [1] * 20
    assert held_out_coverage(errors, [1.0] * 40, folds).tolist() == [False] * 20 + [True] * 20
    with pytest.raises(ConfigError, match="needs 9 images"):
        held_out_coverage([1.0] * 16, [1.0] * 16, [0] * 8 + [1] * 8)
    with pytest.raises(ShapeError, match="do not go together"):
        held_out_coverage([1.0], [1.0], [0, 1])


def test_deviation_of_a_sweep():
    assert log_deviation([0, math.e - 1]) == pytest.approx(math.hypot(0.5, LEAST_DEVIATION))
    assert log_deviation([7, 7, 7]) == LEAST_DEVIATION
    with pytest.raises(ShapeError, match="at least one"):
        log_deviation([])


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_numbers_that_cannot_be(wrong):
    for call in (
        lambda: log_ratio(wrong, 1),
        lambda: log_ratio(1, wrong),
        lambda: ConformalFit(0, 1).interval(wrong, 1),
        lambda: ConformalFit(0, 1).interval(1, wrong),
    ):
        with pytest.raises(ConfigError):
            call()
    with pytest.raises(ConfigError):
        fit_conformal([1.0] * 8 + ([wrong] if not math.isfinite(wrong) else [math.inf]), [1.0] * 9)
    with pytest.raises(ConfigError, match="above 0"):
        fit_conformal([1.0] * 9, [0.0] * 9)
    with pytest.raises(ShapeError, match="do not go together"):
        fit_conformal([1.0] * 9, [1.0] * 8)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        least_images(1)
