"""The two scores of the published evaluation beside F1 and IoU, with their quirks, for comparison with its tables.

Source: the published code, as measured on recorded cases; see docs/metrics.md. Neither is what its name says elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.metrics.masks import plane_pair

RADII = (1, 2, 3, 4, 5)


def wcov_published(pred: ArrayLike, target: ArrayLike) -> float:
    """min(area) / max(area) of the two masks, wherever they lie: two disjoint masks of one size score 1.

    Args:
        pred, target: binary (H, W).
    Returns:
        In [0, 1]; 0 where one is empty; nan where both are (the published code divides by zero).
    Raises:
        ShapeError: the shapes differ, or are not (H, W).
    """
    areas = sorted(int(mask.sum()) for mask in plane_pair(pred, target))
    return areas[0] / areas[1] if areas[1] else float("nan")


def fbound_published(pred: ArrayLike, target: ArrayLike) -> float:
    """The boundary F at tolerances of 1, 2, 3, 4 and 5 pixels, averaged.

    A pixel belongs to the boundary where it differs from its right, lower or lower-right neighbour, so that the
    boundary lies half inside and half outside of an object. The last row is compared to the right only, the last column
    downwards only, and the last corner never; the picture's border is no boundary, so that a mask of ones has none.

    Args:
        pred, target: binary (H, W).
    Returns:
        In [0, 1]; 1 where neither mask has a boundary, 0 where only one has.
    Raises:
        ShapeError: the shapes differ, or are not (H, W).
    """
    p, t = (published_boundary(mask) for mask in plane_pair(pred, target))
    if not (p.any() and t.any()):
        return float(p.any() == t.any())
    from scipy.ndimage import distance_transform_edt

    # The square of a distance between pixels is a whole number; half a one guards against rounding.
    to_target, to_pred = distance_transform_edt(~t)[p] ** 2, distance_transform_edt(~p)[t] ** 2
    scores = []
    for radius in RADII:
        precision, recall = (np.mean(squares <= radius**2 + 0.5) for squares in (to_target, to_pred))
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(scores))


def published_boundary(mask: ArrayLike) -> NDArray[np.bool_]:
    """The boundary as `fbound_published` takes it: bool (H, W)."""
    m = np.asarray(mask) != 0
    edges = np.zeros_like(m)
    right, below = m[:, :-1] != m[:, 1:], m[:-1] != m[1:]
    edges[:, :-1] |= right
    edges[:-1] |= below
    edges[:-1, :-1] |= m[:-1, :-1] != m[1:, 1:]
    return edges
