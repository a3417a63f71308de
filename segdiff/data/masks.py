"""Masks: what a pixel of a mask file means.

palette       the index, not its colour
RGB, RGBA     object where any colour is above 0; alpha is ignored (grey + alpha alike)
JPEG          object above 127: compression leaves small values in the background and makes up others,
              so that a JPEG holds no indices
otherwise     object above 0, and the values may be indices of instances
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segdiff.data.images import read_image
from segdiff.errors import DataError

_JPEG_SUFFIXES = (".jpg", ".jpeg")


LARGEST_LABEL = 2**20  # larger numbers of instances are made small: tables are as long as the largest


def read_mask(path: Path) -> np.ndarray:
    """Read a mask file: (H, W) of bool, integers or floats; (H, W, C) of colours, alpha taken away.

    Raises:
        MissingError, DataError: as `read_image`; more than 4 channels, negative or non-finite values.
    """
    array = read_image(path, expand_palette=False)
    if array.ndim == 3:
        if array.shape[2] > 4:
            raise DataError(f"{path} has {array.shape[2]} channels; a mask has a value or a colour a pixel")
        colours = array[..., :3] if array.shape[2] >= 3 else array[..., :1]
        array = colours[..., 0] if colours.shape[2] == 1 else colours
    if array.dtype.kind in "if" and not (np.isfinite(array).all() and array.min() >= 0):
        raise DataError(f"{path} has negative or non-finite values; background is 0, objects are above")
    return array > 127 if path.suffix.lower() in _JPEG_SUFFIXES else array


def foreground(mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W) of 0 and 1 from what `read_mask` gives: 1 where any value is above 0."""
    return np.asarray(mask.any(axis=2) if mask.ndim == 3 else mask > 0, dtype=np.uint8)


def instances(mask: np.ndarray, sure: bool = False) -> np.ndarray | None:
    """int32 (H, W) if `read_mask` gave numbers of objects, else None (a binary mask).

    These are several different whole numbers above 0, most of which are of one connected part: those of classes, or the
    grey levels along smoothed edges, are of many. `sure`: whatever their parts.
    """
    if mask.ndim == 3 or mask.dtype == np.bool_:
        return None
    if mask.dtype.kind == "f" and (np.floor(mask) != mask).any():
        return None
    if mask.max() > max(mask.size, LARGEST_LABEL):
        values, places = np.unique(mask, return_inverse=True)
        labels = (places.reshape(mask.shape) + int(values[0] > 0)).astype(np.int32)
    else:
        labels = mask.astype(np.int32)
    objects = labels[labels > 0]
    if not objects.size or objects.min() == objects.max():
        return None
    return labels if sure or _mostly_of_one_part(labels) else None


def _mostly_of_one_part(labels: np.ndarray) -> bool:
    from skimage.measure import label

    parts = label(labels, background=0, connectivity=2)
    number = np.zeros(parts.max() + 1, labels.dtype)
    number[parts.ravel()] = labels.ravel()  # of each part
    counts = np.bincount(number[1:])
    return bool(np.median(counts[counts > 0]) < 2)
