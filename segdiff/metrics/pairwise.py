"""Similarity of every mask of one set with every mask of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError, ShapeError

KINDS = ("dice", "iou")
BLOCK = 2**20  # pixels multiplied at a time: bounds memory, and counts stay exact in float32


def pairwise_similarity(
    first: ArrayLike, second: ArrayLike, kind: str = "dice", both_empty: float = 1.0
) -> NDArray[np.float64]:
    """Compute Dice or IoU of each pair of masks.

    Args:
        first, second: (A, H, W) and (B, H, W), binary; other shapes after the first axis are flattened alike.
        kind: "dice" or "iou".
        both_empty: what two empty masks count.
    Returns:
        (A, B), in [0, 1]; 1 less it is a distance.
    Raises:
        ShapeError: masks of two sizes, or a set without masks.
        ConfigError: another kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"similarity {kind!r} is not known; known: {', '.join(KINDS)}")
    a, b = mask_set(first), mask_set(second)
    if a.shape[1:] != b.shape[1:]:
        raise ShapeError(f"sets of masks of {a.shape[1:]} and of {b.shape[1:]} do not go together")
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    common = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        common += a[:, part].astype(np.float32) @ b[:, part].astype(np.float32).T
    sizes = a.sum(1, dtype=np.int64)[:, None] + b.sum(1, dtype=np.int64)[None]
    top, bottom = (2 * common, sizes) if kind == "dice" else (common, sizes - common)
    return np.divide(top, bottom, out=np.full(common.shape, float(both_empty)), where=sizes > 0)


def mean_of_pairs(square: NDArray[np.float64]) -> float:
    """Average a symmetric (K, K) matrix over all pairs of two different entries; nan of a single one."""
    if len(square) < 2:
        return float("nan")
    return float(square[np.triu_indices(len(square), 1)].mean())


def mask_set(masks: ArrayLike) -> NDArray[np.bool_]:
    """Read a set of masks as bool (K, ...). ShapeError for a single mask without its axis, or none."""
    array = np.asarray(masks)
    if array.ndim < 2 or not len(array):
        raise ShapeError(f"a set of masks is (number, height, width), at least one of them; got {array.shape}")
    return array != 0
