"""Which part of a slide is predicted: a region that was asked for, and tissue that was found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.regions import Region, parse_region
from segdiff.data.sources.base import ImageSource
from segdiff.data.tissue import Tissue, find_tissue
from segdiff.data.windows import Window
from segdiff.inference.strips import Choice


@dataclass(frozen=True, eq=False)
class SlidePart:
    """Which part of a slide is predicted.

    Attributes:
        source: the slide.
        region: that was asked for.
        tissue: that was found.
    """

    source: ImageSource
    region: Region | None
    tissue: Tissue | None

    @classmethod
    def of(cls, source: ImageSource, region: str | None, tissue: bool) -> SlidePart:
        """Read the region, "x,y,w,h" or a file's path, and look for tissue if asked to and the image is a slide."""
        found = None if region is None else parse_region(region, source.height, source.width)
        return cls(source, found, find_tissue(source) if tissue and source.is_slide else None)

    @property
    def is_empty(self) -> bool:
        """Whether tissue was looked for and none was found."""
        return self.tissue is not None and not self.tissue.mask.any()

    @property
    def choice(self) -> Choice:
        """For predictors."""
        aside = None if self.tissue is None or self.is_empty else ~self.tissue.mask
        return Choice(self._wanted, aside=aside)

    def _wanted(self, place: Window) -> bool:
        if self.region is not None and not self.region.touches(place):
            return False
        return self.tissue is None or self.tissue.touches(place)

    def area_mm2(self, mpp: float | None) -> float | None:
        """Of the tissue; None where it was not looked for or a pixel's size is not known."""
        if self.tissue is None or mpp is None:
            return None
        pixels = float(self.tissue.mask.sum()) * self.tissue.row_step * self.tissue.column_step
        return round(pixels * mpp**2 * 1e-6, 4)

    def described(self) -> dict[str, Any]:
        """As plain values that are the same for the same part."""
        shapes = [] if self.region is None else [ring for one in self.region.shapes for p in one.polygons for ring in p]
        bitmaps = [] if self.region is None else [one.bitmap.pixels for one in self.region.shapes if one.bitmap]
        return {
            "region": None if self.region is None else _hash(*shapes, *bitmaps),
            "tissue": None if self.tissue is None else _hash(self.tissue.mask),
        }


def _hash(*arrays: NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
