from __future__ import annotations

import numpy as np
import pytest
import torch

from segdiff.inference.rescale import Grids
from segdiff.inference.windows import Window, plan_windows


@pytest.mark.parametrize("model", [(31, 40), (64, 90), (20, 20), (47, 1), (1, 60)])
def test_whole_image_equals_bilinear_interpolation(model):
    values = np.random.default_rng(0).random((2, *model)).astype(np.float32)
    size = (47, 60)
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None].double(), size, mode="bilinear")[0]
    got = Grids(size, model).to_image(values, Window(0, 0, *model))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("scale", [0.3, 0.512, 0.99, 1.7, 3.0])
@pytest.mark.parametrize("overlap", [0.0, 0.4])
def test_places_of_windows_cover_the_image(scale, overlap):
    grids = Grids.at_scale(53, 71, scale)
    count = np.zeros((53, 71), int)
    for window in plan_windows(*grids.model, 16, overlap):
        place = grids.place(window)
        assert place.top >= 0 and place.top + place.height <= 53 and place.left + place.width <= 71
        count[place.rows, place.columns] += 1
    assert count.min() >= 1
    if overlap == 0 and all(side % 16 == 0 for side in grids.model):
        assert count.max() == 1


@pytest.mark.parametrize("scale", [0.5, 0.512, 1.9])
def test_a_ramp_keeps_its_place(scale):
    """Window by window, to the model's grid and back, each pixel keeps its position (away from borders)."""
    height, width = 60, 80
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    grids = Grids.at_scale(height, width, scale)
    seen = grids.to_model(np.stack([rows, columns], axis=2))
    border = int(np.ceil(1 / scale)) + 1
    for window in plan_windows(*grids.model, 24, 0.5):
        part = seen[window.rows, window.columns].transpose(2, 0, 1)
        place = grids.place(window)
        back = grids.to_image(part, window)[:, border:-border, border:-border]
        at = np.mgrid[place.rows, place.columns][:, border:-border, border:-border]
        # Few antialiasing taps miss a ramp by some hundredths; half a pixel off would be 0.25 or more.
        np.testing.assert_allclose(back, at, atol=0.05)


def test_padding_is_cut_off():
    grids = Grids((10, 12), (10, 12))
    values = np.arange(16 * 16, dtype=np.float32).reshape(16, 16)
    assert np.array_equal(grids.to_image(values, Window(0, 0, 10, 12)), values[:10, :12])


def test_shrinking_averages():
    stripes = np.tile([0.0, 255.0, 255.0, 0.0], 10) * np.ones((40, 1))  # two of four columns are bright
    shrunk = Grids.at_scale(40, 40, 0.25).to_model(stripes[..., None])
    assert np.all(np.abs(shrunk[:, 1:-1] - 127.5) < 40)  # taking single columns would give 255 throughout


def test_a_grid_has_at_least_one_pixel():
    assert Grids.at_scale(3, 500, 0.01).model == (1, 5)
    assert Grids.at_scale(30, 500, 1.0).same
