"""Boundary scores against definitions spelled out pixel by pixel."""

import numpy as np
import pytest
import torch

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics import boundary_f, hausdorff_95, surface_dice

RNG = np.random.default_rng(0)


def blob(seed, size=(40, 50)):
    rows, columns = np.mgrid[: size[0], : size[1]]
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, bool)
    for _ in range(4):
        r, c, radius = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(3, 9)
        mask |= (rows - r) ** 2 + (columns - c) ** 2 < radius**2
    return mask


def one_pixel(row, column, size=(40, 50)):
    mask = np.zeros(size, bool)
    mask[row, column] = True
    return mask


PAIRS = {
    "objects, some at the border": (blob(0), blob(1)),
    "nearly the same": (blob(2), np.roll(blob(2), 1, axis=0)),
    "the same": (blob(3), blob(3)),
    "single pixels": (one_pixel(0, 0), one_pixel(3, 4)),
    "a pixel and objects": (one_pixel(39, 49), blob(4)),
    "all foreground": (np.ones((40, 50), bool), blob(5)),
    "both all foreground": (np.ones((6, 7), bool), np.ones((6, 7), bool)),
    "noise": (RNG.random((20, 30)) > 0.5, RNG.random((20, 30)) > 0.7),
}


def slow_boundary(mask):
    """Foreground pixels with a background neighbour; outside of the picture is background."""
    padded = np.pad(mask, 1)
    return [
        (r, c)
        for r, c in np.argwhere(mask)
        if not (padded[r, c + 1] and padded[r + 2, c + 1] and padded[r + 1, c] and padded[r + 1, c + 2])
    ]


def slow_distances(pred, target):
    p, t = np.array(slow_boundary(pred)), np.array(slow_boundary(target))
    table = np.sqrt(((p[:, None] - t[None]) ** 2).sum(2))
    return table.min(1), table.min(0)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("tolerance", "spacing"), [(0, 1), (1, 1), (2, 1), (5, 1), (0.5, 0.25), (0.3, 0.1)])
def test_shares_within_a_tolerance(name, tolerance, spacing):
    there, back = (distances * spacing <= tolerance + 1e-9 for distances in slow_distances(*PAIRS[name]))
    precision, recall = there.mean(), back.mean()
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert boundary_f(*PAIRS[name], tolerance, spacing) == pytest.approx(f, abs=1e-12)
    pooled = (there.sum() + back.sum()) / (there.size + back.size)
    assert surface_dice(*PAIRS[name], tolerance, spacing) == pytest.approx(pooled, abs=1e-12)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("spacing", [1, 0.25])
def test_hausdorff_distance(name, spacing):
    expected = max(np.percentile(distances, 95) for distances in slow_distances(*PAIRS[name])) * spacing
    assert hausdorff_95(*PAIRS[name], spacing) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["objects, some at the border", "a pixel and objects", "noise"])
def test_agrees_with_monai(name):
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    pred, target = (torch.from_numpy(mask)[None, None] for mask in PAIRS[name])
    distance = compute_hausdorff_distance(pred, target, include_background=True, percentile=95)
    assert hausdorff_95(*PAIRS[name]) == pytest.approx(distance.item(), rel=1e-5)
    share = compute_surface_dice(pred, target, class_thresholds=[2.0], include_background=True)
    assert surface_dice(*PAIRS[name]) == pytest.approx(share.item(), rel=1e-5)


def test_empty_masks():
    nothing, something = np.zeros((30, 40), bool), blob(0, (30, 40))
    for metric in (boundary_f, surface_dice):
        assert metric(nothing, nothing) == 1
        assert metric(nothing, something) == metric(something, nothing) == 0
    assert hausdorff_95(nothing, nothing) == 0
    assert hausdorff_95(nothing, something) == hausdorff_95(something, nothing) == 50
    assert hausdorff_95(nothing, something, spacing=0.5) == 25


@pytest.mark.parametrize("metric", [boundary_f, surface_dice, hausdorff_95])
def test_arguments_that_cannot_be(metric):
    mask = blob(0)
    with pytest.raises(ShapeError, match="differ"):
        metric(mask, mask.T)
    with pytest.raises(ShapeError, match="height, width"):
        metric(mask[None], mask[None])
    with pytest.raises(ConfigError, match="spacing=0"):
        metric(mask, mask, spacing=0)
    if metric is not hausdorff_95:
        with pytest.raises(ConfigError, match="tolerance=-1"):
            metric(mask, mask, tolerance=-1)
