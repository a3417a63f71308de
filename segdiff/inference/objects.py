"""From a mask to single objects: which touching ones are two, how sure each is, what is to be said of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CORE = 0.6  # a pixel is taken to be of a core above this probability
SMOOTH = 0.04  # deviation of the Gaussian that smooths distances, in object diameters
LEAST_AREA = 0.15  # objects of a smaller part of the typical area are taken to be noise
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
        confidence: share of the chains that have it; None unless chains were kept.
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
    from skimage.segmentation import watershed

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    parts = ndimage.label(mask)[0]
    if core is None:
        depth = ndimage.distance_transform_edt(mask)
        height = ndimage.gaussian_filter(depth, max(1.0, SMOOTH * _diameter(parts)))
        seeds = _peaks(height, mask)
    else:
        height = core
        middles = (core > CORE) & mask
        seeds = ndimage.label(middles)[0]
    # Parts without a core of their own are objects all the same.
    lonely = np.ones(parts.max() + 1, dtype=bool)
    lonely[parts[seeds > 0]] = False
    lonely[0] = False
    seeds = np.where(lonely[parts], parts + seeds.max(), seeds)
    labels = watershed(-height, seeds, mask=mask)
    specks = _specks(labels, labels if core is None else labels[middles])
    shared = np.zeros(parts.max() + 1, dtype=bool)
    shared[parts[specks[labels]]] = True
    seeds[specks[seeds]] = 0
    labels[specks[labels]] = 0
    held = np.zeros_like(shared)
    held[parts[seeds > 0]] = True
    again = (shared & held)[parts]
    if again.any():  # what specks held falls to the objects that they touched
        labels = np.where(again, watershed(-height, seeds, mask=again), labels)
    return _tidied(labels)


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
    alone = count - np.unique(parts[middles]).size  # parts without a core are objects all the same
    return float(2 * np.sqrt(mask.sum() / (ndimage.label(middles)[1] + alone) / np.pi))


def _peaks(height: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    from scipy import ndimage
    from skimage.morphology import h_maxima

    return ndimage.label(h_maxima(height, 0.1) & mask)[0]


def _diameter(parts: NDArray[np.integer]) -> float:
    areas = np.bincount(parts.ravel())[1:]
    return float(2 * np.sqrt(np.median(areas) / np.pi))


def _specks(labels: NDArray[np.integer], sure: NDArray[np.integer]) -> NDArray[np.bool_]:
    """By number, whether an object is too small to be one.

    What is typical is said by those that hold the numbers `sure`, if any: objects with a core, so that a fold or a pen
    mark does not make specks of all nuclei. It is said by the pixels: half of them belong to objects that are as large
    or larger, so that many specks do not pass for what is usual.
    """
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    judges = areas[np.unique(sure)]
    ordered = np.sort(judges if judges.any() else areas)
    typical = ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)]
    return (areas < LEAST_AREA * typical) & (areas > 0)


def _tidied(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Holes filled, numbered without gaps in the order in which rows meet them."""
    from scipy import ndimage

    found = np.zeros(labels.shape, np.int32)
    present, first = np.unique(labels, return_index=True)
    places = ndimage.find_objects(labels)
    kept = [label for label in present[np.argsort(first)] if label > 0]
    for number, label in enumerate(kept, start=1):
        place = places[label - 1]
        own = ndimage.binary_fill_holes(labels[place] == label)
        inside = found[place]
        inside[own & ((labels[place] == 0) | (labels[place] == label))] = number
    return found


def shares_of_chains(labels: NDArray[np.int32], chains: Iterable[NDArray[np.int32]]) -> NDArray[np.float64]:
    """For each object 1, 2, ... the share of the chains' label maps that have an object of an IoU above 0.5 with it."""
    count = int(labels.max())
    found = np.zeros(count)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    counted = 0
    for chain in chains:
        counted += 1
        width = int(chain.max()) + 1
        pairs, shared = np.unique(labels.ravel().astype(np.int64) * width + chain.ravel(), return_counts=True)
        ours, theirs = np.divmod(pairs, width)
        united = areas[ours] + np.bincount(chain.ravel(), minlength=width)[theirs] - shared
        has = (ours > 0) & (theirs > 0) & (shared > MATCH * united)
        found[ours[has] - 1] += 1
    return found / max(counted, 1)


def describe_objects(
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    uncertainty: NDArray[np.float32] | None,
    confidence: NDArray[np.float64] | None,
) -> list[FoundObject]:
    """What there is to say of each object, in the order of their numbers."""
    from scipy import ndimage

    numbers = np.arange(1, int(labels.max()) + 1)
    if not numbers.size:
        return []
    areas = np.bincount(labels.ravel(), minlength=numbers.size + 1)[1:]
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)) + 0.5
    sure = ndimage.mean(probability, labels, numbers)
    doubt = None if uncertainty is None else ndimage.mean(uncertainty, labels, numbers)
    return [
        FoundObject(
            label=int(numbers[i]),
            x=float(centres[i, 1]),
            y=float(centres[i, 0]),
            area=int(areas[i]),
            probability=float(sure[i]),
            uncertainty=None if doubt is None else float(doubt[i]),
            confidence=None if confidence is None else float(confidence[i]),
        )
        for i in range(numbers.size)
    ]
