"""A mask and a marker: what is object, and the middle of each object, so that touching ones can be told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.targets.base import Decoded
from segdiff.targets.mask import MaskTarget

CORE_DEPTH = 0.5  # a pixel is of the core where it is deeper in its object than this share of the deepest


@dataclass(frozen=True)
class InstancesTarget(MaskTarget):
    """The mask, by which everything is scored and written as of `MaskTarget`, and the cores of its objects."""

    kind: ClassVar[str] = "instances"

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Name the M channels of x_0, in order."""
        return ("mask", "core")

    def encode(self, sample: Sample) -> Sample:
        """Put the cores beside the mask: uint8 (R, 2, H, W).

        Where the data set does not tell objects apart, cores are those of the mask's connected parts: touching objects
        have one core together, and a model learns to tell apart only what does not touch.
        """
        known = sample.instances
        numbered = [known] * len(sample.mask) if known is not None else map(_parts, sample.mask[:, 0])
        core = np.stack([cores(labels) for labels in numbered])[:, None]
        return replace(sample, mask=np.concatenate([sample.mask[:, :1], core], axis=1))

    def decode(self, probability: Any, uncertainty: Any, chains: NDArray[Any] | None = None) -> Decoded:
        """Tell the mask from the cores."""
        return Decoded(
            probability[0],
            None if uncertainty is None else uncertainty[0],
            None if chains is None else chains[:, 0],
            core=probability[1],
            core_chains=None if chains is None else chains[:, 1],
        )


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
