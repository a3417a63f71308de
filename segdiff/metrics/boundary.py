"""How far two boundaries are apart.

The boundary of a mask are its pixels with a neighbour (left, right, above, below) in the background; beyond the picture
lies background. Distances go from each boundary pixel to the nearest boundary pixel of the other mask, between
centres. Boundaries and distances are MONAI's (`monai.metrics.utils`), in pixels; comparing them with a tolerance is
done here, because MONAI's distances are float32: three pixels of 0.1 um would lie outside 0.3 um.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError
from segdiff.metrics.masks import plane_pair

ROUNDING = 1 + 1e-6  # of a distance that equals the tolerance


def boundary_f(pred: ArrayLike, target: ArrayLike, tolerance: float = 2.0, spacing: float = 1.0) -> float:
    """The harmonic mean of boundary precision and recall (Csurka et al. 2013, BMVC).

    Precision is the share of the prediction's boundary within `tolerance` of the target's, recall the reverse.

    Args:
        pred, target: binary (H, W).
        tolerance: in the unit of `spacing`, 0 or more.
        spacing: side of a pixel: 1 measures in pixels, micrometres per pixel in micrometres.
    Returns:
        In [0, 1]; 1 where both masks are empty, 0 where one is.
    Raises:
        ShapeError: the shapes differ, or are not (H, W).
        ConfigError: a tolerance or spacing that cannot be.
    """
    near = _near(pred, target, tolerance, spacing)
    if near is None:
        return _empty(pred, target)
    precision, recall = float(near[0].mean()), float(near[1].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def surface_dice(pred: ArrayLike, target: ArrayLike, tolerance: float = 2.0, spacing: float = 1.0) -> float:
    """The share of both boundaries, taken together, that lies within `tolerance` of the other one.

    Source: Nikolov et al. 2021 (arXiv:1809.04430), in whole pixels as MONAI's `compute_surface_dice`. Arguments, empty
    masks and errors as `boundary_f`.
    """
    near = _near(pred, target, tolerance, spacing)
    return _empty(pred, target) if near is None else float(np.concatenate(near).mean())


def hausdorff_95(pred: ArrayLike, target: ArrayLike, spacing: float = 1.0) -> float:
    """The 95th percentile of the distances between two boundaries, the larger of both directions.

    As MONAI's `compute_hausdorff_distance(percentile=95)`, but for empty masks, where that gives nan and infinity.

    Args:
        pred, target: binary (H, W).
        spacing: side of a pixel: 1 measures in pixels, micrometres per pixel in micrometres.
    Returns:
        0 or more, in the unit of `spacing`; 0 where both masks are empty; the picture's diagonal where one is, so
        that a mean over images exists and does not reward empty masks.
    Raises:
        ShapeError, ConfigError: as `boundary_f`.
    """
    _check("spacing", spacing, 0 < spacing < np.inf)
    distances = _distances(pred, target)
    if distances is None:
        return 0.0 if _empty(pred, target) else float(np.hypot(*np.shape(target))) * spacing
    return max(float(np.percentile(d, 95)) for d in distances) * spacing


def _near(
    pred: ArrayLike, target: ArrayLike, tolerance: float, spacing: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Which boundary pixels of each mask are within the tolerance of the other's; None where a mask is empty."""
    _check("tolerance", tolerance, 0 <= tolerance < np.inf)
    _check("spacing", spacing, 0 < spacing < np.inf)
    distances = _distances(pred, target)
    if distances is None:
        return None
    limit = tolerance / spacing * ROUNDING
    return distances[0] <= limit, distances[1] <= limit


def _distances(pred: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """In pixels, of each boundary pixel of the prediction, and of the target; None where a mask is empty."""
    p, t = plane_pair(pred, target)
    if not (p.any() and t.any()):
        return None
    from monai.metrics.utils import get_mask_edges, get_surface_distance  # some seconds to import

    edges_p, edges_t = get_mask_edges(p, t, crop=False)
    there, back = get_surface_distance(edges_p, edges_t), get_surface_distance(edges_t, edges_p)
    return np.asarray(there, np.float64), np.asarray(back, np.float64)


def _empty(pred: ArrayLike, target: ArrayLike) -> float:
    """1 where both masks are empty, else 0."""
    return float(not (np.any(pred) or np.any(target)))


def _check(name: str, value: float, holds: bool) -> None:
    if not holds:
        raise ConfigError(f"{name}={value}: it cannot be")
