"""What the mask channels of a model mean, and how a truth becomes them.

mask   what is object: what everything is scored and written by
core   the middle of each object: touching objects have one mask, but a core each, so that they can be told apart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.errors import ConfigError

CHANNELS = ("mask", "core")
CORE_DEPTH = 0.5  # a pixel is of the core where it is deeper in its object than this share of the deepest


def check_channels(channels: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple. ConfigError unless they are the mask, or the mask and the core."""
    if tuple(channels) not in (CHANNELS[:1], CHANNELS):
        raise ConfigError(f"channels={list(channels)}: [mask] or [mask, core] is possible")
    return tuple(channels)


def with_channels(sample: Sample, channels: Sequence[str]) -> Sample:
    """The sample with a mask of these channels: uint8 (R, M, H, W).

    Where the data set does not tell objects apart, cores are those of the mask's connected parts: touching objects have
    one core together, and a model learns to tell apart only what does not touch.
    """
    if tuple(channels) == CHANNELS[:1]:
        return sample
    numbered = [sample.instances] * len(sample.mask) if sample.instances is not None else map(_parts, sample.mask[:, 0])
    core = np.stack([cores(labels) for labels in numbered])[:, None]
    return replace(sample, mask=np.concatenate([sample.mask[:, :1], core], axis=1))


def _parts(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    from scipy import ndimage

    return ndimage.label(mask)[0]


def cores(instances: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The middle of each object: the pixels whose depth (Euclidean distance to what is not of it) is more than half its
    greatest. Objects that the picture cuts are taken to go on beyond it.

    instances: (H, W), 0 the background. Returns uint8 (H, W) of 0 and 1.
    """
    from scipy import ndimage

    found = np.zeros(instances.shape, np.uint8)
    for number, place in enumerate(ndimage.find_objects(instances), start=1):
        if place is None:
            continue
        # A ring of background around the box, except where the picture ends.
        ring = [(int(s.start > 0), int(s.stop < n)) for s, n in zip(place, instances.shape, strict=True)]
        own = np.pad(instances[place] == number, ring)
        depth = ndimage.distance_transform_edt(own) if not own.all() else own.astype(float)
        inside = tuple(slice(b, n - a) for (b, a), n in zip(ring, own.shape, strict=True))
        found[place] |= (depth > CORE_DEPTH * depth.max())[inside]
    return found
