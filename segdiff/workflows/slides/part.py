"""Which part of a slide is predicted: a region that was asked for, and tissue that was found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.regions import Region, parse_region
from segdiff.data.sources.base import ImageSource
from segdiff.data.tissue import Tissue, find_tissue
from segdiff.data.windows import Window, tiles
from segdiff.inference.strips import Choice

SIDE = 2048  # of the blocks in which pixels are counted


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
        """Of the tissue in it; None where it was not looked for or a pixel's size is not known."""
        if self.tissue is None or mpp is None:
            return None
        return round(self._counts[1] * mpp**2 * 1e-6, 4)

    @property
    def pixels(self) -> float:
        """How many it has, glass among them."""
        return self._counts[0]

    @cached_property
    def _counts(self) -> tuple[float, float]:
        """Pixels of the region, and of the tissue in it."""
        height, width = self.source.height, self.source.width
        if self.region is None:
            tissue = 0.0 if self.tissue is None else float(self.tissue.mask.sum()) * self.tissue.row_step
            return float(height * width), tissue * (0.0 if self.tissue is None else self.tissue.column_step)
        bounds, pixels, of_tissue = self.region.bounds(height, width), 0, 0
        for tile in tiles(bounds.height, bounds.width, SIDE):
            window = Window(bounds.top + tile.top, bounds.left + tile.left, tile.height, tile.width)
            inside = self.region.mask(window)
            pixels += int(np.count_nonzero(inside))
            if self.tissue is not None:
                of_tissue += int(np.count_nonzero(inside & self.tissue.at(window)))
        return float(pixels), float(of_tissue)

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
