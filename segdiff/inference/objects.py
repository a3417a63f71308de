"""From a mask to single objects: which touching ones are two, how sure each is, what is to be said of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.flooding import flood
from segdiff.inference.holes import fill_holes

CORE = 0.6  # a pixel is taken to be of a core above this probability
SMOOTH = 0.04  # deviation of the Gaussian that smooths distances, in object diameters
LEAST_AREA = 0.15  # objects of a smaller part of the typical area are taken to be noise
SEVERAL = -1
MATCH = 0.5  # a chain has an object if one of its own overlaps it with a larger IoU


@dataclass(frozen=True)
class FoundObject:
    """One object of a picture.

    Attributes:
        label: its number in the label map.
        x, y: centre of mass in pixels, column and row; the centre of the first pixel is at 0.5.
        area: pixels.
        probability: mean over its pixels.
        uncertainty: likewise; None where there is a single chain.
        confidence: that it is a true one (`Prediction.confidence`); None where nothing is known of it.
    """

    label: int
    x: float
    y: float
    area: int
    probability: float
    uncertainty: float | None
    confidence: float | None


def separate(mask: NDArray[np.bool_], core: NDArray[np.float32] | None) -> NDArray[np.int32]:
    """Number the objects of a mask: watershed (scikit-image) from the objects' cores.

    Args:
        mask: bool (H, W).
        core: of the middles of objects, (H, W). None: the distance to the background says where the middles are, which
            divides objects that are two where they narrow.
    Returns:
        int32 (H, W): 1, 2, ... from the top down, 0 where no object is. Each object hangs together (side by side, not
        by corners) and has no holes but those that hold other objects; specks are left out.
    """
    from scipy import ndimage

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    parts, count = ndimage.label(mask)
    height, seeds, number = _seeds(mask, core, parts)
    inside = np.flatnonzero(mask)  # nothing is to be done elsewhere
    part, seed = parts.take(inside), seeds.take(inside)
    # Labels are the numbers of seeds, and beyond them those of parts without one, which are objects all the same.
    home = np.arange(-number, count + 1, dtype=np.int32)  # the part that a label lies in
    home[seed] = part
    home[0] = 0
    only = only_seed(home[: number + 1], count)
    labels = np.zeros(mask.shape, np.int32)
    np.put(labels, inside, np.where(only == 0, np.arange(number, number + count + 1), only)[part])
    boxes: dict[int, Any] = dict(enumerate(ndimage.find_objects(parts), start=1))
    flood(labels, height, seeds, parts, {int(one): boxes[int(one)] for one in np.flatnonzero(only == SEVERAL)})
    label = labels.take(inside)
    areas = np.bincount(label, minlength=home.size)
    specks = (areas < speck_limit(areas, areas if core is None else areas[1 : number + 1])) & (areas > 0)
    if specks.any():  # what specks held falls to the objects that they touched
        only = only_seed(np.where(specks, 0, home)[: number + 1], count)
        heir = np.where(
            only[home] == SEVERAL, _sole_neighbours(labels, parts, inside[specks[label]], specks), only[home]
        )
        np.put(labels, inside, np.where(specks, heir, np.arange(home.size))[label])
        np.put(seeds, inside, np.where(specks[seed], 0, seed))
        unclear = np.unique(home[specks & (heir == 0) & (only[home] == SEVERAL)])
        flood(labels, height, seeds, parts, {int(one): boxes[int(one)] for one in unclear})
    _in_order(labels, inside)
    fill_holes(labels)
    return labels


def _seeds(
    mask: NDArray[np.bool_], core: NDArray[np.float32] | None, parts: NDArray[np.int32]
) -> tuple[NDArray[np.floating], NDArray[np.int32], int]:
    """Heights, the middles of objects by number, and how many there are."""
    from scipy import ndimage
    from skimage.morphology import h_maxima

    if core is not None:
        return core, *ndimage.label((core > CORE) & mask)
    depth = ndimage.distance_transform_edt(mask)
    height = ndimage.gaussian_filter(depth, max(1.0, SMOOTH * _diameter(parts)))
    return height, *ndimage.label(h_maxima(height, 0.1) & mask)


def only_seed(home: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Find of each part the one seed that lies in it, 0 where none does, or SEVERAL, by the part of each seed."""
    only = np.zeros(count + 1, np.int32)
    only[home] = np.arange(home.size)
    only[np.bincount(home, minlength=count + 1) > 1] = SEVERAL
    only[0] = 0
    return only


def _sole_neighbours(
    labels: NDArray[np.int32], parts: NDArray[np.int32], at: NDArray[np.integer], specks: NDArray[np.bool_]
) -> NDArray[np.integer]:
    """By number, the one object that a speck touches within its part; 0 where it touches several, or another speck.

    Without the speck its pixels could fall to none other, and no other pixel to another object than before: so nothing
    need be flooded again. at: the pixels of specks.
    """
    own, part = labels.take(at), parts.take(at)
    lowest, highest = np.full(specks.size, specks.size), np.zeros(specks.size, np.int64)
    for step in (-1, 1, -labels.shape[1], labels.shape[1]):
        # Across the border of the picture the neighbour is none, which at worst makes one object look like several.
        beside, there = (one.take(at + step, mode="clip") for one in (labels, parts))
        some = (there == part) & (beside != own)
        np.minimum.at(lowest, own[some], beside[some])
        np.maximum.at(highest, own[some], beside[some])
    return np.where((lowest == highest) & ~specks[highest], highest, 0)


def typical_diameter(mask: NDArray[np.bool_], core: NDArray[np.float32] | None) -> float | None:
    """Of the circle that has the area of a typical object, in pixels; None without any.

    Without looking at each: the mask's area divided by the number of cores and of parts without one, or the median area
    of its connected parts.
    """
    from scipy import ndimage

    if not mask.any():
        return None
    if core is None:
        return _diameter(ndimage.label(mask)[0])
    middles = (core > CORE) & mask
    parts, count = ndimage.label(mask)
    without = np.ones(count + 1, bool)  # parts without a core are objects all the same
    without[0] = without[parts[middles]] = False
    return float(2 * np.sqrt(mask.sum() / (ndimage.label(middles)[1] + without.sum()) / np.pi))


def _diameter(parts: NDArray[np.integer]) -> float:
    areas = np.bincount(parts.ravel())[1:]
    return float(2 * np.sqrt(np.median(areas) / np.pi))


def speck_limit(areas: NDArray[np.integer], judges: NDArray[np.integer]) -> float:
    """Find the area below which an object is too small to be one.

    What is typical is said by the areas `judges`, if any: objects with a core, so that a fold or a pen mark does not
    make specks of all nuclei. It is said by the pixels: half of them belong to objects that are as large or larger, so
    that many specks do not pass for what is usual.
    """
    return LEAST_AREA * typical_area(judges if judges.any() else areas)


def typical_area(areas: NDArray[np.integer]) -> float:
    """Return the area that objects have which are as large or larger, and hold half of all pixels; some are needed."""
    ordered = np.sort(areas)
    return float(ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)])


def _in_order(labels: NDArray[np.int32], inside: NDArray[np.integer]) -> None:
    """Number labels without gaps in the order in which rows meet them, in place; `inside`: pixels that may have one."""
    old = labels.take(inside)
    first = np.full(int(old.max()) + 1, old.size)
    first[old[::-1]] = np.arange(old.size - 1, -1, -1)  # of equal places the last one written stays: the first pixel
    first[0] = old.size
    ordered = np.argsort(first, kind="stable")[: np.count_nonzero(first < old.size)]
    new = np.zeros(first.size, np.int32)
    new[ordered] = np.arange(1, ordered.size + 1)
    np.put(labels, inside, new[old])


def shares_of_chains(labels: NDArray[np.int32], chains: Iterable[NDArray[np.int32]]) -> NDArray[np.float64]:
    """For each object 1, 2, ... the share of the chains' label maps that have an object of an IoU above 0.5 with it."""
    count = int(labels.max(initial=0))
    found = np.zeros(count)
    inside = np.flatnonzero(labels)
    ours = labels.ravel()[inside]
    areas = np.bincount(ours, minlength=count + 1)
    counted = 0
    for chain in chains:
        counted += 1
        own, other, shared = _overlaps(ours, chain.ravel()[inside])
        united = areas[own] + np.bincount(chain.ravel())[other] - shared
        found[own[shared > MATCH * united] - 1] += 1
    return found / max(counted, 1)


def _overlaps(ours: NDArray[np.int32], theirs: NDArray[np.int32]) -> tuple[NDArray[np.integer], ...]:
    """The pairs of labels that share pixels: labels of either, and how many pixels; pixels where theirs is 0 aside."""
    from scipy.sparse import coo_matrix

    both = np.flatnonzero(theirs)
    if not both.size:
        return (both, both, both)
    ours, theirs = ours[both], theirs[both]
    # Rows of pixels of the same pair are counted at once.
    starts = np.flatnonzero(np.diff(ours, prepend=-1) | np.diff(theirs, prepend=-1))
    lengths = np.diff(starts, append=ours.size)
    pairs = coo_matrix((lengths, (ours[starts], theirs[starts]))).tocsr().tocoo()  # adds up what is of the same pair
    return pairs.row, pairs.col, pairs.data


def means_and_areas(
    labels: NDArray[np.int32], values: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """Return the mean of a map over each object 1, 2, ... and how many pixels it has: (n,) each."""
    inside = np.flatnonzero(labels)
    label, count = labels.take(inside), int(labels.max(initial=0))
    areas = np.bincount(label, minlength=count + 1)[1:]
    return np.bincount(label, values.take(inside), minlength=count + 1)[1:] / areas.clip(1), areas


def describe_objects(
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    uncertainty: NDArray[np.float32] | None,
    confidence: NDArray[np.float64] | None,
) -> list[FoundObject]:
    """What there is to say of each object, in the order of their numbers."""
    count = int(labels.max(initial=0))
    if not count:
        return []
    inside = np.flatnonzero(labels)
    label = labels.take(inside)
    rows, columns = np.divmod(inside, labels.shape[1])
    areas = np.bincount(label, minlength=count + 1)

    def means(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(label, values, minlength=count + 1) / areas.clip(1)

    y, x = means(rows) + 0.5, means(columns) + 0.5
    sure = means(probability.take(inside))
    doubt = None if uncertainty is None else means(uncertainty.take(inside))
    return [
        FoundObject(
            label=number,
            x=float(x[number]),
            y=float(y[number]),
            area=int(areas[number]),
            probability=float(sure[number]),
            uncertainty=None if doubt is None else float(doubt[number]),
            confidence=None if confidence is None else float(confidence[number - 1]),
        )
        for number in range(1, count + 1)
    ]
