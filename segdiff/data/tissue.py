"""Where a slide holds tissue, found on a thumbnail.

Stained tissue is more colourful or darker than the glass around it: Otsu's threshold on that, held within bounds, so
that a slide without glass is not cut in two, one without tissue holds none, and a vivid pen mark does not hide pale
tissue. It is meant to find too much rather than too little: what it leaves out is not segmented.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data import writers
from segdiff.data.annotations.geojson import write_features
from segdiff.data.annotations.outlines import outlines
from segdiff.data.annotations.polygons import simplified
from segdiff.data.annotations.shapes import Polygon
from segdiff.data.images import to_rgb
from segdiff.data.regions import Region
from segdiff.data.sources.base import ImageSource
from segdiff.data.value_range import value_scale
from segdiff.data.windows import Window

THUMBNAIL = 2048  # pixels of the longer side
LEAST, MOST = 0.04, 0.10  # of the threshold, as a fraction of the light of the glass
VIVID = 0.4  # what is more colourful or darker counts as this much
DARK_GROUND = 64.0  # median brightness, 0 to 255, below which it is no slide seen in transmitted light
GREEN, BLUE, BLACK = 0.08, 0.45, 0.6  # of pens: by how much green exceeds red and blue, blue exceeds red; darkness
SMALLEST = 9  # pixels of the thumbnail: dust
MARGIN = 2  # pixels of the thumbnail around what is found
TOLERANCE = 1.0  # pixels of the thumbnail
DECIMALS = 2  # of outlines, in pixels of the full image
NEVER = 2**62  # bytes: its outlines are few


@dataclass(frozen=True)
class Tissue:
    """What a search for tissue found.

    Attributes:
        mask: bool, over the thumbnail.
        row_step, column_step: pixels of the full image in a pixel of it.
        threshold: above which light is taken to be lost to tissue; None where the image is no slide in transmitted
            light, and all of it counts.
    """

    mask: NDArray[np.bool_]
    row_step: float
    column_step: float
    threshold: float | None

    def touches(self, window: Window) -> bool:
        """Tell whether any pixel of a window of the full image lies in it."""
        rows = slice(int(window.top / self.row_step), int((window.rows.stop - 1) / self.row_step) + 1)
        columns = slice(int(window.left / self.column_step), int((window.columns.stop - 1) / self.column_step) + 1)
        return bool(self.mask[rows, columns].any())

    def at(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window of the full image lie in it: bool (height, width)."""
        rows = (np.arange(window.top, window.rows.stop) / self.row_step).astype(int)
        columns = (np.arange(window.left, window.columns.stop) / self.column_step).astype(int)
        return np.asarray(self.mask[rows[:, None], columns])

    def region(self, tolerance: float = TOLERANCE) -> Region:
        """Return it as valid polygons in pixels of the full image; holes are kept.

        tolerance: pixels of the thumbnail by which a polygon may leave the outline of the mask; 0: by none.
        """
        from scipy import ndimage

        parts = outlines(ndimage.label(self.mask)[0])
        traced = (polygon for _, polygons in parts for polygon in polygons)
        return Region.of(self._in_full(simplified(polygon, tolerance)) for polygon in traced)

    def _in_full(self, polygon: Polygon) -> Polygon:
        """A polygon of the thumbnail in pixels of the full image."""
        steps = np.array([self.column_step, self.row_step])
        return tuple(np.round(ring * steps, DECIMALS) for ring in polygon)

    def save(self, folder: str | Path, stem: str) -> dict[str, Path]:
        """Write the thumbnail's mask, <stem>_tissue.png, and <stem>_tissue.geojson, in pixels of the full image."""
        paths = {
            "tissue": Path(folder) / f"{stem}_tissue.png",
            "tissue_region": Path(folder) / f"{stem}_tissue.geojson",
        }
        writers.write_mask(paths["tissue"], self.mask)
        write_features(paths["tissue_region"], self.region().features("Tissue"), zipped_above=NEVER)
        return paths


def find_tissue(source: ImageSource, longest: int = THUMBNAIL) -> Tissue:
    """Find the tissue of a slide on its thumbnail of at most `longest` pixels a side."""
    thumbnail = source.thumbnail(longest)
    mask, threshold = tissue_mask(thumbnail)
    height, width = mask.shape
    return Tissue(mask, source.height / height, source.width / width, threshold)


def tissue_mask(thumbnail: NDArray[Any]) -> tuple[NDArray[np.bool_], float | None]:
    """Find the tissue in a small image (H, W) or (H, W, C).

    Returns:
        bool (H, W), and the threshold that was used; everything that holds data, and None, for an image on a dark
        ground.
    """
    from scipy import ndimage

    light = to_rgb(thumbnail, value_scale(thumbnail)).astype(np.float32)
    data = _holds_data(thumbnail, light)
    if not data.any():
        return np.zeros(data.shape, bool), LEAST
    if float(np.median(light.max(axis=2)[data])) < DARK_GROUND:
        return data, None
    light = np.clip(light / _glass(light[data]), 0, 1)
    colour, dark = light.max(axis=2) - light.min(axis=2), 1 - light.mean(axis=2)
    usable = data & ~_pen(light, colour, dark)
    lost = _smoothed(np.maximum(colour, dark), usable)  # ink beside glass must not darken it
    threshold = _threshold(lost[usable])
    found = usable & (lost > threshold)
    found = ndimage.binary_closing(np.pad(found, MARGIN), iterations=MARGIN)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    found = _without_dust(found)
    return ndimage.binary_dilation(found, iterations=MARGIN) & data, threshold


def _holds_data(thumbnail: NDArray[Any], light: NDArray[np.float32]) -> NDArray[np.bool_]:
    """All but exact black, exact white and what is transparent: padding of scanners and of exports."""
    extreme = (light.max(axis=2) == 0) | (light.min(axis=2) == 255)
    if thumbnail.ndim == 3 and thumbnail.shape[2] == 4:
        extreme |= thumbnail[..., 3] == 0
    return ~extreme


def _glass(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of the glass: the median of the twentieth that is brightest in its darkest channel; never below 1.

    Where even these are coloured there is no glass to be seen, and white of their brightness takes its place.
    """
    darkest = pixels.min(axis=1)
    glass = np.maximum(np.median(pixels[darkest >= np.percentile(darkest, 95)], axis=0), 1)
    if glass.max() - glass.min() > MOST * glass.max():
        glass[:] = glass.max()
    return np.asarray(glass, np.float32)


def _smoothed(values: NDArray[np.float32], data: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values smoothed by a pixel, those aside that are none of `data`; 0 there."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(data.astype(np.float32), 1.0)
    total = ndimage.gaussian_filter(np.where(data, values, np.float32(0)), 1.0)
    return np.where(data, total / np.maximum(weight, np.float32(1e-6)), np.float32(0))


def _pen(light: NDArray[np.float32], colour: NDArray[np.float32], dark: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Marks of green, blue and black pens; red ones look like blood."""
    red, green, blue = (light[..., channel] for channel in range(3))
    is_green = (green - red > GREEN) & (green - blue > -GREEN)
    # In purple stains red exceeds green, in blue ink it does not.
    is_blue = (blue - red > BLUE) & (blue - green > GREEN) & (green > red)
    return is_green | is_blue | ((dark > BLACK) & (colour < LEAST * 2))


def _threshold(lost: NDArray[np.float32]) -> float:
    from skimage.filters import threshold_otsu

    values = np.minimum(lost, VIVID)
    if not values.size or values.max() - values.min() < LEAST:
        return LEAST if not values.size or values.max() < LEAST else MOST
    return float(np.clip(threshold_otsu(values), LEAST, MOST))


def _without_dust(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    parts = ndimage.label(found, np.ones((3, 3)))[0]
    large = np.bincount(parts.ravel()) >= SMALLEST
    large[0] = False
    return np.asarray(large[parts])
