"""Pictures that are there twice, also mirrored, turned, brightened or compressed again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.resize import resize_image

COARSE, FINE = 16, 64  # sides of the thumbnails: one to search, one to be sure
SURROUND = 9  # pixels of the fine thumbnail: what varies more slowly is taken away, since many pictures share it
# Correlations above which pictures are alike; tests/workflows/test_duplicates.py shows what they divide.
COARSE_LIKENESS, FINE_LIKENESS = 0.85, 0.75
BLOCK = 512


@dataclass(frozen=True)
class Signature:
    """What remains of a picture to recognise it.

    Attributes:
        exact: hash of shape and pixels.
        coarse: float32 (COARSE, COARSE), grey, of mean 0 and norm 1; all 0 for an even picture.
        fine: float32 (FINE, FINE), its details, likewise.
    """

    exact: str
    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]


def signature(image: NDArray[Any]) -> Signature:
    """The signature of (H, W, 3) on the 0..255 scale."""
    from scipy.ndimage import uniform_filter

    digest = hashlib.sha256(f"{image.shape}{image.dtype}".encode() + np.ascontiguousarray(image).tobytes())
    grey = np.repeat(image.astype(np.float32).mean(axis=2)[..., None], 3, axis=2)
    thumbnail = resize_image(grey, (FINE, FINE))[..., 0]
    step = FINE // COARSE
    coarse = thumbnail.reshape(COARSE, step, COARSE, step).mean(axis=(1, 3))
    return Signature(digest.hexdigest(), _unit(coarse), _unit(thumbnail - uniform_filter(thumbnail, SURROUND)))


def duplicates(signatures: Sequence[Signature]) -> list[tuple[int, int, bool]]:
    """Pairs of the same picture: (first, second, whether to the last bit), first < second, sorted.

    Pictures are alike when their grey thumbnails and the details in these correlate, in one of the eight dihedral
    views. Even pictures are alike only when they are equal.
    """
    if len(signatures) < 2:
        return []
    stack, fine = (np.stack([getattr(s, name) for s in signatures]) for name in ("coarse", "fine"))
    coarse = stack.reshape(len(stack), -1)
    found: dict[tuple[int, int], bool] = {}
    for view in range(8):
        seen = _view(stack, view).reshape(len(stack), -1)
        for start in range(0, len(stack), BLOCK):
            likeness = coarse[start : start + BLOCK] @ seen.T
            for row, column in np.argwhere(likeness > COARSE_LIKENESS):
                i, j = sorted((start + int(row), int(column)))
                if i == j or (i, j) in found:
                    continue
                if float((fine[start + row] * _view(fine[column][None], view)[0]).sum()) > FINE_LIKENESS:
                    found[i, j] = signatures[i].exact == signatures[j].exact
    by_hash: dict[str, int] = {}
    for j, one in enumerate(signatures):  # even pictures have no thumbnail to correlate
        i = by_hash.setdefault(one.exact, j)
        if i != j:
            found[i, j] = True
    return [(i, j, exact) for (i, j), exact in sorted(found.items())]


def _view(stack: NDArray[np.float32], view: int) -> NDArray[np.float32]:
    """One of the eight dihedral views of (N, s, s)."""
    turned = np.rot90(stack, view % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if view >= 4 else turned)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of mean 0 and norm 1; 0 where there is nothing but rounding."""
    centred = values - values.mean()
    norm = float(np.linalg.norm(centred))
    return (centred / norm if norm > 1e-3 else np.zeros_like(centred)).astype(np.float32)
