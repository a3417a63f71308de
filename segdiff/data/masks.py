"""Masks: what a pixel of a mask file means.

Background is 0, or black, or transparent; everything else is object, and PNG, TIFF and JPEG mean the same by it.

grey           several whole numbers are objects or classes (`instances`); many levels that are edges between background
               and objects of one level are cut at half, as are probabilities
colours        each colour but black is a number of its own; with smoothed edges, or as JPEG, they are one foreground,
               cut at half of their brightness
palette        its indices are the numbers, index 0 the background; one of greys that does not begin with black, or that
               rises, is read by its greys; in another that does not begin with black, black is the background
transparency   what is painted is object where it is of one colour; else what is transparent is background
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.images import read_stored
from segdiff.data.mask_levels import above_zero, by_levels, is_smeared, level_of_objects, mostly_of_one_part
from segdiff.data.stored import Stored
from segdiff.errors import DataError

LARGEST_LABEL = 2**20  # larger numbers of instances are made small: tables are as long as the largest
MOST_COLOURS = 4096  # of objects; a photograph has more
CLEAR = 0.6  # of the border's pixels, that one index has, is background
SLIP = 0.02  # of the brightest, that colours of one hue may be off
STRAY = 0.05  # of an object's pixels, that may lie apart from it


def read_mask(path: Path, notes: list[str] | None = None) -> NDArray[Any]:
    """Read a mask file.

    Args:
        path: the file.
        notes: takes sentences on how it was understood, where that is not a matter of course.
    Returns:
        (H, W): bool, or numbers of objects or classes, integers or floats, 0 the background.
    Raises:
        MissingError, DataError: as `read_stored`; a file of which nothing says what is object.
    """
    path, notes = Path(path), [] if notes is None else notes
    stored = read_stored(path, notes=notes)
    channels = stored.values.shape[2] if stored.values.ndim == 3 else 1
    if channels not in (1, 3):
        raise DataError(f"{path} has {channels} channels; a mask has a value or a colour a pixel")
    try:
        if stored.alpha is not None and stored.alpha.min() != stored.alpha.max():
            return _painted(stored, path, notes)
        values = stored.values if stored.palette is None else _by_palette(stored, path, notes)
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    return _meaning(values, stored.lossy, path, notes)


def foreground(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 (H, W) of 0 and 1 from what `read_mask` gives: 1 where any value is above 0."""
    return np.asarray(mask.any(axis=2) if mask.ndim == 3 else mask > 0, dtype=np.uint8)


def instances(mask: NDArray[Any], sure: bool = False) -> NDArray[np.int32] | None:
    """int32 (H, W) if `read_mask` gave numbers of objects, else None (a binary mask).

    These are several different whole numbers above 0, most of which are of one connected part: those of classes are of
    many. `sure`: whatever their parts. Numbers may go up to 2^63; those beyond `LARGEST_LABEL` are made small.
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
    return labels if sure or mostly_of_one_part(labels) else None


def single_object(mask: NDArray[Any]) -> NDArray[np.int32] | None:
    """int32 (H, W) of 0 and 1 where a binary mask has one object, stray pixels apart from it included; else None."""
    from skimage.measure import label

    parts = label(foreground(mask), connectivity=2)
    areas = np.bincount(parts.ravel())[1:]
    if areas.size > 1 and areas.max() < (1 - STRAY) * areas.sum():
        return None
    return (parts > 0).astype(np.int32)


def _meaning(values: NDArray[Any], lossy: bool, path: Path, notes: list[str]) -> NDArray[Any]:
    if values.ndim == 2:
        return by_levels(values, lossy, path, notes)
    if (values == values[..., :1]).all():
        return by_levels(np.ascontiguousarray(values[..., 0]), lossy, path, notes)
    return _by_colours(values, lossy, path, notes)


def _by_colours(values: NDArray[Any], lossy: bool, path: Path, notes: list[str]) -> NDArray[Any]:
    """Numbers from colours, or bool where they have soft edges."""
    strength = values.max(axis=2)
    levels = above_zero(strength)
    typical = values[strength > levels[-1] / 2].mean(axis=0)
    along = values @ (typical / np.linalg.norm(typical))
    if not lossy and _is_one_hue(values, along, typical):
        return by_levels(strength, lossy, path, notes)
    top = level_of_objects(along, levels.size, lossy) if levels.size > 3 else None
    if top is not None:
        notes.append(f"its colours have soft edges: object is what is brighter than half ({top / 2:.0f})")
        return np.asarray(along > top / 2)
    if lossy:
        raise DataError(
            f"{path} is a JPEG or the like with objects of several colours, which run into each other: save it anew as "
            "PNG or TIFF, from its source"
        )
    colours, numbers = np.unique(values.reshape(-1, 3), axis=0, return_inverse=True)
    labels = numbers.reshape(values.shape[:2]).astype(np.int32)
    if len(colours) > MOST_COLOURS or is_smeared(labels + 1, np.arange(1, len(colours) + 1)):
        raise DataError(
            f"{path} has {len(colours)} colours, as a photograph or drawing with soft edges: give each object a colour "
            "of its own on black, or a number, without smoothing"
        )
    if colours[0].any():  # they are sorted: black would be the first
        often = ", ".join(f"{v:g}" for v in colours[np.bincount(labels.ravel()).argmax()])
        raise DataError(f"{path} is coloured and has no black: the background must be black; most of it is ({often})")
    notes.append(f"its {len(colours) - 1} colours beside black are read as numbers of objects or classes")
    return labels


def _is_one_hue(values: NDArray[Any], along: NDArray[Any], typical: NDArray[Any]) -> bool:
    """Whether all colours are lighter and darker ones of one, so that they say no more than grey levels."""
    off = np.abs(values - along[..., None] * (typical / np.linalg.norm(typical))).max()
    return bool(off <= max(1.5, SLIP * along.max()))


def _by_palette(stored: Stored, path: Path, notes: list[str]) -> NDArray[Any]:
    """Indices, or the greys of a palette of greys."""
    assert stored.palette is not None
    colours, used = stored.colours(), np.unique(stored.values)
    palette = stored.palette[used]
    begins_black = not stored.palette[0].any()
    if (palette == palette[:, :1]).all():
        rises = (np.diff(palette[:, 0].astype(int)) > 0).all()
        return np.ascontiguousarray(colours[..., 0]) if rises or not begins_black else stored.values
    if begins_black and 0 in used:
        return stored.values
    black = used[~palette.any(axis=1)]
    if begins_black and len(black) != 1:
        return stored.values  # all of it is object
    background = _background(stored.values, 0 in used, black)
    if background is None:
        raise DataError(
            f"{path} has a palette that does not begin with black, and nothing else says which colour is background: "
            "make it black, and index 0"
        )
    if background != 0 or not begins_black:
        notes.append(f"the background is the index {background} of its palette")
    return np.where(stored.values == background, 0, stored.values.astype(np.int32) + 1)


def _background(indices: NDArray[Any], zero: bool, black: NDArray[Any]) -> int | None:
    """Index 0 or the only black one, whichever most of the picture's border has; None where that is not clear."""
    border = np.concatenate([indices[0], indices[-1], indices[:, 0], indices[:, -1]])
    candidates = [0] * zero + [int(index) for index in black]
    if len(candidates) == 1 and black.size:
        return candidates[0]
    clear = [index for index in candidates if (border == index).mean() > CLEAR]
    return clear[0] if clear else None


def _painted(stored: Stored, path: Path, notes: list[str]) -> NDArray[Any]:
    """A mask that is partly transparent."""
    assert stored.alpha is not None
    opaque = stored.alpha.astype(np.float64) > stored.alpha.max() / 2
    colours = stored.colours()
    painted = colours[opaque]
    if (painted == painted[0]).all():
        notes.append("object is what is painted, background what is transparent")
        return opaque
    notes.append("what is transparent is background")
    if stored.palette is None:
        hidden = opaque if colours.ndim == 2 else opaque[..., None]
        return _meaning(np.where(hidden, colours, np.zeros((), colours.dtype)), stored.lossy, path, notes)
    numbers = stored.values.astype(np.int32)
    numbers = numbers if not stored.palette[0].any() else numbers + 1
    return np.where(opaque, numbers, 0)
