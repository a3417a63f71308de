"""What the grey levels of a mask mean: numbers of objects or classes, soft edges, or nothing that can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import DataError

CLASSES = 3  # levels above 0 that are taken as they are: smoothed edges have more
MANY = 16  # levels of a gradual map at least; of fewer, each may be a class
# Shares of the level of an object:
DARK, BRIGHT = 0.25, 0.75  # below: background that JPEG touched; above: object
SPREAD = 0.05  # what even objects are off
GROUND = 0.1  # what half of the background is darker than
# Shares of pixels, parts or levels:
LEAST_GROUND = 0.01  # background in a picture
MOST_BETWEEN = 0.02  # pixels between dark and bright, two and more from both, beside the bright: more is another class
MOST_LEAD = 0.9  # pixels between that have a brighter neighbour: those of edges
MOST_PLATEAU = 0.3  # pixels of the background, not 0, in even areas: those of classes, not of what JPEG made
MOST_OBJECTS = 0.8  # parts that become bright, of all that are not dark
GRADUAL = 0.95  # pixels beside the background that are darker than half, in a map that rises from it
FAINT = 24.0  # of 255: a JPEG whose brightest object is darker keeps nothing of it
SPECK = 4  # pixels of a part that may be what JPEG made
# dim pixels in even parts without anything bright, or far from all that is, and dim ones beside the bright: those of
# other objects
STRAY, LEAST_STRAY = 0.5, 0.1
FAR = 16  # pixels: two blocks of a JPEG
STEP = 0.1  # what the lowest neighbour keeps, where a gradual map crosses the half, and the parts of such a map exceed
ROWS = 1024  # looked at in one go
OVERSHOOT = 1.25  # what floats of 0..1 reach


def by_levels(values: NDArray[Any], lossy: bool, path: Path, notes: list[str]) -> NDArray[Any]:
    """Return (H, W) numbers as they are, or bool where levels are soft edges: cut at half.

    Raises:
        DataError: negative or non-finite values; levels that are neither numbers nor soft edges.
    """
    if values.dtype == np.bool_:
        return values
    check_values(values, path)
    levels = above_zero(values)
    if levels.size <= 1:
        return values if values.dtype.kind != "f" else np.asarray(values > 0)
    if values.dtype.kind == "f" and (np.floor(levels) != levels).any() and levels[-1] <= OVERSHOOT:
        notes.append("its values are taken for probabilities: object is what is above 0.5")
        return np.asarray(values > 0.5)
    _check_precision(values, levels, path)
    values = values.astype(np.float32) if values.dtype == np.float16 else values  # which scipy's filters do not take
    if not lossy and levels.size <= CLASSES:
        return values
    top = level_of_objects(values, levels.size, lossy)
    if top is not None:
        if levels.size > CLASSES:
            notes.append(f"its {levels.size} grey levels are soft edges: object is what is above half ({top / 2:g})")
        return np.asarray(values > top / 2)
    if lossy:
        raise DataError(
            f"{path} is a JPEG or the like, which keeps no numbers, and has objects of more than one grey level: save "
            "it anew as PNG or TIFF, from its source"
        )
    gradual = levels.size >= MANY and _rises(values, levels)
    if gradual and _reaches(values, float(levels[-1]) / 2):
        notes.append(f"it rises from the background like a map of probability, cut at half ({levels[-1] / 2:g})")
        return np.asarray(values > levels[-1] / 2)
    if gradual or (values.dtype.kind == "f" and (np.floor(levels) != levels).any()) or is_smeared(values, levels):
        raise DataError(
            f"{path} has {levels.size} grey levels, which are neither numbers of objects nor soft edges of objects of "
            "one level: a mask is resized by nearest neighbour, and saved without loss"
        )
    return values


def check_values(values: NDArray[Any], path: Path) -> None:
    """Refuse values that no mask has, each by its name."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{path} has values that are NaN or infinite: background is 0, objects are above")
    if values.dtype.kind in "if" and values.min() < 0:
        raise DataError(f"{path} has negative values, {values.min():g} the least: background is 0, objects are above")


def _check_precision(values: NDArray[Any], levels: NDArray[Any], path: Path) -> None:
    """Refuse whole numbers so large that two of them may be the same float."""
    if values.dtype.kind != "f":
        return
    kept = 2 ** (np.finfo(values.dtype).nmant + 1)
    if levels[-1] > kept and (np.floor(levels) == levels).all():
        raise DataError(
            f"{path} has numbers up to {levels[-1]:.0f}, and {values.dtype} keeps whole numbers up to {kept} only: "
            "save them as integers"
        )


def above_zero(values: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct values above 0, ascending."""
    strips = [np.unique(values[row : row + ROWS]) for row in range(0, len(values), ROWS)]
    levels = np.unique(np.concatenate(strips))
    return levels[levels > 0]


def level_of_objects(values: NDArray[Any], levels: int, lossy: bool) -> float | None:
    """Return the one level that objects have, where all others are of edges or of what JPEG made; None where none is.

    Nothing of some size lies between background and objects then, and all parts that are not dark become bright.

    levels: how many there are above 0, at least one.
    """
    from scipy import ndimage

    image = values.astype(np.float64)
    if lossy and image.max() < FAINT:
        return None
    top = float(np.median(image[image > image.max() / 2]))
    dark, bright = image < DARK * top, image > BRIGHT * top
    between = ~dark & ~bright
    if dark.mean() < LEAST_GROUND or np.median(image[dark]) > GROUND * top:
        return None
    if ndimage.binary_erosion(between, np.ones((5, 5))).sum() > MOST_BETWEEN * bright.sum():
        return None
    if _is_of_others(image, dark, bright) or (not lossy and not _is_of_edges(image, dark, between)):
        return None
    if not lossy and levels < MANY and 2 * (np.abs(image - top) < SPREAD * top).sum() < (image > 0).sum():
        return None  # of few levels one has most pixels, unless they are classes
    parts, count = ndimage.label(~dark, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    brightest = np.asarray(ndimage.maximum(image, parts, np.arange(1, count + 1)))
    of_size = brightest[sizes > SPECK] if (sizes > SPECK).any() else brightest
    return top if (of_size >= BRIGHT * top).mean() >= MOST_OBJECTS else None


def _is_of_edges(image: NDArray[np.float64], dark: NDArray[np.bool_], between: NDArray[np.bool_]) -> bool:
    """Whether the levels of a file without loss are of edges, or of a JPEG that it was made of: not of numbers."""
    from scipy import ndimage

    highest, lowest = ndimage.maximum_filter(image, 3), ndimage.minimum_filter(image, 3)
    if between.any() and (highest > image)[between].mean() < MOST_LEAD:
        return False
    touched = dark & (image > 0)
    if not between.any() and not touched.any():
        return False
    return not touched.any() or bool((highest == lowest)[touched].mean() < MOST_PLATEAU)


def _is_of_others(image: NDArray[np.float64], dark: NDArray[np.bool_], bright: NDArray[np.bool_]) -> bool:
    """Whether most of what is dim is of objects of its own: one number far above the others leaves all of them dim."""
    from scipy import ndimage

    dim = dark & (image > 0)
    if dim.sum() <= LEAST_STRAY * bright.sum():
        return False
    if (ndimage.distance_transform_edt(~bright)[dim] > FAR).mean() > STRAY:
        return True
    parts, count = ndimage.label(image > 0, np.ones((3, 3)))
    numbers = np.arange(count + 1)
    even = np.asarray(ndimage.maximum(image, parts, numbers) == ndimage.minimum(image, parts, numbers))
    even &= np.bincount(parts.ravel(), minlength=count + 1) >= SPECK
    even[np.unique(parts[bright])] = False
    return bool(even[parts[dim]].mean() > STRAY)


def _rises(values: NDArray[Any], levels: NDArray[Any]) -> bool:
    """Whether nearly all pixels beside the background are darker than half, and it gets brighter step by step.

    Numbers of objects do not: each is an even part, and the next number is anywhere.
    """
    from scipy import ndimage

    half = float(levels[-1]) / 2
    beside = ndimage.binary_dilation(values == 0, np.ones((3, 3))) & (values > 0)
    if not beside.any() or (values[beside] < half).mean() <= GRADUAL:
        return False
    lowest, highest = ndimage.minimum_filter(values, 3), ndimage.maximum_filter(values, 3)
    crossing = (values > half) & (lowest <= half)
    if crossing.any() and np.median(lowest[crossing].astype(np.float64)) < STEP * 2 * half:
        return False
    even = np.isin(levels, np.unique(values[lowest == highest])).mean() > 0.5
    return not (even and mostly_of_one_part(values))


def _reaches(values: NDArray[Any], half: float) -> bool:
    """Whether most parts of some size have something brighter than half."""
    from scipy import ndimage

    parts, count = ndimage.label(values > STEP * 2 * half, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    brightest = np.asarray(ndimage.maximum(values, parts, np.arange(1, count + 1)))
    of_size = brightest[sizes > SPECK] if (sizes > SPECK).any() else brightest
    return bool((of_size > half).mean() >= MOST_OBJECTS)


def is_smeared(values: NDArray[Any], levels: NDArray[Any]) -> bool:
    """Whether most of many levels are of several parts without an inside: what smoothing makes of numbers."""
    from scipy import ndimage

    if levels.size < MANY:
        return False
    same = ndimage.maximum_filter(values, 3) == ndimage.minimum_filter(values, 3)
    inside = np.isin(levels, np.unique(values[same]))
    if levels.size < 2 * MANY and not inside.any():  # specks with numbers
        return False
    return bool((~inside & (parts_of_levels(values, levels) > 1)).mean() > 0.5)


def mostly_of_one_part(values: NDArray[Any]) -> bool:
    """Whether most values above 0 are of one connected part each: of numbers of objects, not of classes."""
    return bool(np.median(parts_of_levels(values, above_zero(values))) < 2)


def parts_of_levels(values: NDArray[Any], levels: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many connected parts (corners connect) the pixels of each level have."""
    from skimage.measure import label

    numbers = np.where(values > 0, np.searchsorted(levels, values) + 1, 0)
    parts = label(numbers, background=0, connectivity=2)
    number = np.zeros(parts.max() + 1, np.int64)
    number[parts.ravel()] = numbers.ravel()  # of each part
    return np.bincount(number[1:], minlength=levels.size + 1)[1:]
