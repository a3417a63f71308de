"""A slide's mask over its thumbnail: what is looked at before anything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segdiff.data.sources.base import ImageSource
from segdiff.data.windows import Window, tiles
from segdiff.inference.overlay import draw_shares

LONGEST = 2048  # pixels of its longer side
SIDE = 1024  # of the blocks in which the mask is read


def draw_overview(
    source: ImageSource, read_mask: Callable[[Window], NDArray[np.bool_]], longest: int = LONGEST
) -> NDArray[np.uint8]:
    """Draw a mask over the thumbnail of its slide, block by block: uint8 (h, w, 3), h and w at most `longest`.

    Each pixel is tinted as strongly as the mask covers it, so that many small objects are seen as what they are.

    Args:
        source: the slide.
        read_mask: gives the mask, bool, of a window of the slide.
    """
    picture = source.thumbnail(longest)
    return draw_shares(picture, covered_shares((source.height, source.width), picture.shape[:2], read_mask))


def covered_shares(
    size: tuple[int, int], small: tuple[int, ...], read_mask: Callable[[Window], NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """Find the share of each pixel of a smaller grid that a mask covers: float32 of the shape `small`, 0 to 1.

    A pixel of the mask counts for the one in which its centre lies.
    """
    rows, columns = (((2 * np.arange(n) + 1) * m) // (2 * n) for n, m in zip(size, small, strict=True))
    found = np.zeros(small, np.int64)
    for window in tiles(*size, SIDE):
        mask = read_mask(window)
        if not mask.any():
            continue
        at_row, at_column = rows[window.rows], columns[window.columns]
        first_row, first_column = (
            np.flatnonzero(np.diff(at_row, prepend=-1)),
            np.flatnonzero(np.diff(at_column, prepend=-1)),
        )
        sums = np.add.reduceat(np.add.reduceat(mask, first_row, axis=0, dtype=np.int64), first_column, axis=1)
        found[at_row[0] : at_row[-1] + 1, at_column[0] : at_column[-1] + 1] += sums
    pixels = np.bincount(rows, minlength=small[0])[:, None] * np.bincount(columns, minlength=small[1])
    return (found / pixels).astype(np.float32)
