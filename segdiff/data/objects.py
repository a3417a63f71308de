"""The objects in a truth: instances, or what hangs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample


def object_areas(sample: Sample) -> NDArray[np.int64]:
    """The pixels of each object of a sample, of all raters.

    Objects are the instances; where there are none, the connected components of each rater's mask, of all channels
    together (pixels that touch at a corner are connected).
    """
    counts = [np.bincount(labels.ravel())[1:] for labels in _labels(sample)]
    areas = np.concatenate(counts) if counts else np.zeros(0, np.int64)
    return areas[areas > 0]


def median_diameter(areas: NDArray[np.integer]) -> float | None:
    """Median diameter in pixels of the circles that have these areas; None without any."""
    return float(np.median(2 * np.sqrt(areas / np.pi))) if areas.size else None


def object_diameter(samples: Iterable[Sample]) -> float | None:
    """`median_diameter` of the objects of all samples."""
    areas = [object_areas(sample) for sample in samples]
    return median_diameter(np.concatenate(areas)) if areas else None


def numbered(sample: Sample) -> NDArray[np.int32] | None:
    """The objects of a truth by number; None where it does not tell them apart.

    A truth of no object, or of one connected part, tells them apart whatever its numbers.
    """
    from skimage.measure import label

    if sample.instances is not None:
        return sample.instances
    parts = label(sample.mask.any(axis=(0, 1)), connectivity=2).astype(np.int32)
    return parts if parts.max() <= 1 else None


def _labels(sample: Sample) -> Iterator[np.ndarray]:
    from skimage.measure import label

    if sample.instances is not None:
        yield sample.instances
        return
    for rater in sample.mask:
        yield label(rater.any(axis=0), connectivity=2)
