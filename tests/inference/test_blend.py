from __future__ import annotations

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.blend import WEIGHTS, Blend, gaussian_weights, weights_named
from segdiff.inference.windows import Window, plan_windows

HEIGHT, WIDTH = 70, 50


def blended(values, kind="gaussian", order=1, overlap=0.4, layer=None):
    """Cut `values` (H, W) into windows, and put them together again."""
    weight = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    blend = Blend([np.zeros_like(weight) if layer is None else layer], weight)
    for window in plan_windows(HEIGHT, WIDTH, 24, overlap)[::order]:
        part = values[window.rows, window.columns]
        blend.add(window, [part], weights_named(kind)(window.height, window.width))
    return blend.finish()[0]


def test_gaussian_weights_peak_in_the_middle_and_do_not_vanish():
    weights = gaussian_weights(33, 65)
    assert weights.dtype == np.float32 and weights.shape == (33, 65)
    assert weights[16, 32] == 1 and weights.min() == np.float32(1e-6)  # 0.001 along each axis
    assert np.array_equal(weights, weights[::-1]) and np.array_equal(weights, weights[:, ::-1])
    # One standard deviation, an eighth of the window, off the centre: exp(-1/2).
    assert gaussian_weights(17, 17)[8, 8 + 2] == pytest.approx(np.exp(-0.5 * (2 / 2.125) ** 2), rel=1e-6)
    assert gaussian_weights(1, 1) == 1


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_blending_what_agrees_changes_nothing(kind):
    values = np.random.default_rng(0).random((HEIGHT, WIDTH))
    np.testing.assert_allclose(blended(values, kind), values, rtol=3e-7)


def test_a_tie_stays_a_tie():
    assert np.all(blended(np.full((HEIGHT, WIDTH), 0.5)) == np.float32(0.5))


def test_order_of_windows_does_not_matter():
    values = np.random.default_rng(0).random((HEIGHT, WIDTH))
    np.testing.assert_allclose(blended(values), blended(values, order=-1), rtol=3e-7)


def test_weights_decide_between_windows_that_differ():
    blend = Blend([np.zeros((1, 3), np.float32)], np.zeros((1, 3), np.float32))
    blend.add(Window(0, 0, 1, 2), [np.array([[1.0, 1.0]])], np.array([[1, 3]], np.float32))
    blend.add(Window(0, 1, 1, 2), [np.array([[0.0, 0.0]])], np.array([[1, 3]], np.float32))
    assert blend.finish()[0].tolist() == [[1.0, 0.75, 0.0]]


def test_layers_may_lie_on_disk(tmp_path):
    layer = np.memmap(tmp_path / "layer", np.float32, "w+", shape=(HEIGHT, WIDTH))
    values = np.random.default_rng(0).random((HEIGHT, WIDTH))
    assert blended(values, layer=layer) is layer
    np.testing.assert_allclose(layer, values, rtol=3e-7)


def test_errors():
    with pytest.raises(ConfigError, match="gaussian, constant"):
        weights_named("gausian")
    with pytest.raises(ShapeError):
        Blend([np.zeros((2, 3))], np.zeros((3, 2)))
