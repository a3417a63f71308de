"""Calibration and doubt against cases worked out by hand."""

import numpy as np
import pytest

from segdiff.errors import ShapeError
from segdiff.metrics import brier, diversity, ece, ece_boundary, error_auroc, nll, reliability
from segdiff.metrics.calibration import boundary_band


def drawn(bias=0.0, shape=(64, 64)):
    """Probabilities, and masks drawn with them less a bias."""
    generator = np.random.default_rng(0)
    p = generator.random(shape)
    return p, generator.random(shape) < p - bias


def test_ece_by_hand():
    p = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1])
    y = np.array([1, 1, 0, 0, 0, 0])
    assert ece(p, y) == pytest.approx((4 * 0.4 + 2 * 0.1) / 6)
    assert ece(np.full(10, 0.3), [1, 1, 1] + [0] * 7) == pytest.approx(0, abs=1e-12)
    assert ece([1.0, 0.0], [0, 1]) == 1


def test_ece_sees_a_bias_and_nothing_else():
    assert ece(*drawn()) < 0.02
    assert ece(*drawn(0.1)) == pytest.approx(0.1, abs=0.02)


def test_tables_of_images_add_up():
    p, y = drawn()
    parts = reliability(p[:20], y[:20]) + reliability(p[20:], y[20:])
    np.testing.assert_allclose(parts, reliability(p, y))
    assert reliability(p, y)[:, 0].sum() == p.size


def test_band():
    y = np.zeros((40, 40), bool)
    y[:, 20:] = True
    band = boundary_band(y, 5)
    assert band.sum(1).tolist() == [10] * 40  # five columns on either side
    assert not boundary_band(np.ones((4, 4))).any()
    p = np.where(y, 1.0, 0.0)
    p[:, :10] = 1  # wrong, and far from the boundary
    assert ece_boundary(p, y) == 0 and ece(p, y) == 0.25
    assert np.isnan(ece_boundary(p, np.zeros_like(y)))


def test_brier_and_likelihood():
    assert brier([0.8, 0.4], [1, 0]) == pytest.approx((0.04 + 0.16) / 2)
    assert nll([0.8, 0.4], [1, 0]) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert np.isfinite(nll([0.0, 1.0], [1, 0]))
    with pytest.raises(ShapeError, match="differ"):
        brier([0.5], [1, 0])


def test_auroc_by_pairs():
    generator = np.random.default_rng(1)
    doubt, wrong = generator.integers(0, 5, 60), generator.random(60) < 0.3  # with ties
    pairs = [(a > b) + 0.5 * (a == b) for a in doubt[wrong] for b in doubt[~wrong]]
    assert error_auroc(doubt, wrong) == pytest.approx(np.mean(pairs))
    assert np.isnan(error_auroc(doubt, np.zeros(60, bool)))
    with pytest.raises(ShapeError, match="go together"):
        error_auroc(doubt, wrong[:5])


def test_diversity_is_the_mean_over_pairs():
    masks = np.zeros((3, 4, 4), np.float32)
    masks[0, 0], masks[1, 0], masks[2, :2] = 1, 1, 1
    assert diversity(masks) == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)
    assert diversity(np.zeros((2, 4, 4))) == 0
    assert np.isnan(diversity(masks[:1]))
