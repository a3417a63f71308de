"""Where objects narrow: seeds by the distance to the background, in a part of a mask, exactly as in the whole.

Three things reach beyond a component. Its distances do not: the pixel outside of it that is nearest is background,
never another component, which would have to touch it by a side. Smoothing does: it sees other components within the
reach of the Gaussian. And a peak counts only if no higher one is reached without descending by `DEPTH`, over whatever
lies between. So the part is grown until nothing that is outside of it can change a seed: peaks are sought twice, as if
there were only low ground outside, and as if there were nothing but higher peaks; where both agree, they are those of
the whole.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.windows import Window

DEPTH = 0.1  # by which the ground falls around a peak, in pixels of distance
_TRUNCATE = 4.0  # deviations after which scipy's Gaussian ends
_FIRST_MARGIN = 32


def distance_seeds(
    mask: Any, window: Window, own: NDArray[np.bool_], smooth: float
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Find the seeds of components of a mask from their smoothed distance to the background.

    Args:
        mask: bool (H, W), the whole; anything with `shape` that slices.
        window: a rectangle that holds the components.
        own: their pixels in it.
        smooth: deviation of the Gaussian in pixels.
    Returns:
        The smoothed distance, right at the components' pixels, and the seeds, numbered from 1, 0 elsewhere.
    """
    from scipy import ndimage

    height, width = mask.shape
    reach = int(_TRUNCATE * smooth + 0.5)
    margin = reach + math.ceil(math.sqrt(2) * reach) + _FIRST_MARGIN
    while True:
        part = window.grown(margin).clipped(height, width)
        heights, exact = _smoothed_distance(
            np.asarray(mask[part.rows, part.columns]).astype(bool), part, (height, width), smooth
        )
        inner = (
            slice(window.top - part.top, window.top - part.top + window.height),
            slice(window.left - part.left, window.left - part.left + window.width),
        )
        peaks = _certain_peaks(heights, exact, inner, own)
        if peaks is not None:
            return heights[inner], ndimage.label(peaks & own)[0].astype(np.int32, copy=False)
        margin *= 2


def _smoothed_distance(
    mask: NDArray[np.bool_], part: Window, size: tuple[int, int], smooth: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The smoothed distance in a part, and where it is that of the whole."""
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(mask)
    # A distance is right if nothing outside of the part is nearer.
    rows, columns = np.arange(mask.shape[0])[:, None], np.arange(mask.shape[1])[None]
    outside = np.full(mask.shape, np.inf)
    for there, away in (
        (part.top > 0, rows + 1),
        (part.rows.stop < size[0], mask.shape[0] - rows),
        (part.left > 0, columns + 1),
        (part.columns.stop < size[1], mask.shape[1] - columns),
    ):
        if there:
            outside = np.minimum(outside, away)
    right = distance <= outside
    reach = int(_TRUNCATE * smooth + 0.5)
    right &= outside > 0
    exact = ndimage.minimum_filter(right, 2 * reach + 1, mode="nearest") & (outside > reach)
    return ndimage.gaussian_filter(distance, smooth), exact


def _certain_peaks(
    heights: NDArray[np.float64], exact: NDArray[np.bool_], inner: tuple[slice, slice], own: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """The peaks in the inner part if they are certain to be those of the whole, else None."""
    from skimage.morphology import h_maxima

    if exact.all():  # the part is the whole
        return h_maxima(heights, DEPTH)[inner] > 0
    if not exact[inner][own].all():
        return None
    highest = float(heights[exact].max())
    if highest - float(heights[exact].min()) < 2 * DEPTH:
        return None  # whether there is any peak at all depends on how high the others are
    least = h_maxima(np.where(exact, heights, highest + 1), DEPTH)[inner] > 0
    most = h_maxima(np.where(exact, heights, 0), DEPTH)[inner] > 0
    return least if np.array_equal(least[own], most[own]) else None
