"""Objects told apart as it was done at first, over the whole picture and object by object: slow, and easy to follow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from segdiff.inference.objects import CORE, LEAST_AREA, MATCH, SMOOTH


def separate(mask: NDArray[np.bool_], core: NDArray[np.floating] | None, ties: bool) -> NDArray[np.int32]:
    """As `segdiff.inference.objects.separate`.

    ties: break those between pixels of seeds in the order of rows, without which the result is the queue's whim.
    """
    if not mask.any():
        return np.zeros(mask.shape, np.int32)

    def flooded(seeds, where):
        marks = np.where(where, seeds, 0)
        return watershed(-(_untied(height, marks) if ties else height), marks, mask=where)

    parts = ndimage.label(mask)[0]
    if core is None:
        height = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), max(1.0, SMOOTH * _diameter(parts)))
        seeds = ndimage.label(h_maxima(height, 0.1) & mask)[0]
    else:
        height = core
        middles = (core > CORE) & mask
        seeds = ndimage.label(middles)[0]
    lonely = np.ones(parts.max() + 1, dtype=bool)
    lonely[parts[seeds > 0]] = False
    lonely[0] = False
    seeds = np.where(lonely[parts], parts + seeds.max(), seeds)
    labels = flooded(seeds, mask)
    specks = _specks(labels, labels if core is None else labels[middles])
    shared = np.zeros(parts.max() + 1, dtype=bool)
    shared[parts[specks[labels]]] = True
    seeds[specks[seeds]] = 0
    labels[specks[labels]] = 0
    held = np.zeros_like(shared)
    held[parts[seeds > 0]] = True
    again = (shared & held)[parts]
    if again.any():
        labels = np.where(again, flooded(seeds, again), labels)
    return _tidied(labels)


def _untied(height, seeds):
    levels = np.unique(height, return_inverse=True)[1].reshape(height.shape).astype(float)
    at = np.flatnonzero(seeds)
    levels.ravel()[at] += np.arange(at.size, 0, -1) / (at.size + 1)
    return levels


def _diameter(parts):
    return float(2 * np.sqrt(np.median(np.bincount(parts.ravel())[1:]) / np.pi))


def _specks(labels, sure):
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    judges = areas[np.unique(sure)]
    ordered = np.sort(judges if judges.any() else areas)
    typical = ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)]
    return (areas < LEAST_AREA * typical) & (areas > 0)


def _tidied(labels):
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


def shares_of_chains(labels: NDArray[np.int32], chains: Iterable[NDArray[np.int32]]) -> list[float]:
    """As `segdiff.inference.objects.shares_of_chains`, object by object."""
    chains = list(chains)
    found = []
    for number in range(1, labels.max() + 1):
        own = labels == number
        overlaps = [max(_iou(own, chain == other) for other in np.unique(chain[own])) for chain in chains]
        found.append(sum(overlap > MATCH for overlap in overlaps) / len(chains))
    return found


def _iou(one, other):
    return (one & other).sum() / (one | other).sum()
