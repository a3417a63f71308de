"""Which pixels of a picture hold no data: transparent ones, and margins that a scanner or a program filled.

Exact black and exact white are values like others: a fluorescence picture may have a ground of exact 0, and saturated
objects. They are no data where they form an area of some size that reaches the border of the picture, and

- what is left is stained tissue (coloured, on a bright ground). Black may then lie inside, too, and need not be exact:
  nothing in tissue is as dark as the ink and the holders at a slide's border. White has to be exact: near-white glass
  is data; or
- what is left, of any kind, has no such pixels in itself and is a rectangle, or more than half of the picture and
  bounded by a few straight lines: a mosaic with missing tiles, a turned scan, a frame. A nucleus or an embryo on a
  ground of 0 is neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATTICE = 256  # positions along a side that are looked at
LEAST = 0.001  # share of these that an area at the border has
LEAST_INK = 0.01  # the same of an area that is not exactly black, or that lies within tissue
# Brightest channel of ink, of 255 and of the tissue's median: nuclei have 60 and more, in thick sections 25 of 100.
INK, INK_SHARE = 32.0, 0.15
WHITE = 254.99  # of 255, darkest channel: exact, but for rounding
BRIGHT = 64.0  # brightest channel, median: stained tissue has 175 and more (as `models.normalisation`)
WHITISH, COLOURED = 0.25, 0.02  # darkest by brightest channel, their difference by the brightest: of stained tissue
LEAST_DIM, ONE_PIECE = 0.1, 0.5  # of what is bright: dim pixels that say nothing; its largest piece, in tissue
STRAY = 0.001  # of the data, pixels of the same black or white that may lie within
RECTANGLE, HALF = 0.99, 0.5  # of its box, that a rectangle fills; of the picture, that another polygon does
LEAST_CUT = 0.02  # of the picture, that is not of such a polygon
CORNERS = 8  # that a rectangle has, turned and cut by the picture, at most; a round outline has more
FILM = 0.5  # of the values of an alpha channel that are 0 or the largest: of fewer, it is a picture itself

Convert = Callable[[Any], NDArray[Any]]


@dataclass(frozen=True)
class NoData:
    """Where a picture holds no data.

    Attributes:
        region: bool, over a lattice of positions.
        steps: pixels from one position to the next, along rows and columns.
        kinds: what it is filled with: "black", "white", "transparent".
        darkest: what counts as black at most, brightest channel on the 0..255 scale.
    """

    region: NDArray[np.bool_]
    steps: tuple[int, int]
    kinds: tuple[str, ...]
    darkest: float

    @property
    def share(self) -> float:
        """Of the picture."""
        return float(self.region.mean())

    @property
    def note(self) -> str:
        """A sentence for people."""
        share = f"{self.share:.0%}" if self.share >= 0.01 else "less than 1 %"
        return f"{share} of it is {' or '.join(self.kinds)} without data: left out of its statistics and of the mask"

    def within(
        self, part: NDArray[Any], rows: slice, columns: slice, convert: Convert = np.asarray
    ) -> NDArray[np.bool_]:
        """Bool (h, w): which pixels of a part of the picture hold no data.

        part: image[rows, columns], of which `convert` makes (h, w, C) on the 0..255 scale.
        """
        from scipy import ndimage

        near = ndimage.binary_dilation(self.region, np.ones((3, 3)))
        places = [
            np.minimum((one.start + np.arange(length)) // step, cells - 1)
            for one, length, step, cells in zip((rows, columns), part.shape, self.steps, near.shape, strict=False)
        ]
        found = near[places[0][:, None], places[1]]
        if found.any():
            found &= _extremes(part, convert, self.darkest, self.kinds)
        if "transparent" in self.kinds:
            found |= part[..., 3] == 0
        return found


class DataOnly:
    """A picture for statistics: where a lattice of it holds no data, it repeats values that are data.

    Args:
        image: as of `find_no_data`, or the same picture at another scale.
        no_data: what `find_no_data` found; None where all are data.
        aside: bool over a lattice of the picture: what is left out as well, such as the glass of a slide.
    """

    def __init__(self, image: Any, no_data: NoData | None, aside: NDArray[np.bool_] | None = None) -> None:
        self.image = image
        self.regions = [one for one in (None if no_data is None else no_data.region, aside) if one is not None]
        self.shape = image.shape

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Rows and columns by two slices with strides."""
        part = np.asarray(self.image[key])
        empty = np.zeros(part.shape[:2], bool)
        for region in self.regions:
            places = [
                np.arange(length)[one] * cells // length
                for one, length, cells in zip(key, self.shape, region.shape, strict=False)
            ]
            empty |= region[places[0][:, None], places[1]]
        values = part[~empty]
        if not len(values) or not empty.any():
            return part
        filled = part.copy()
        filled[empty] = values[np.linspace(0, len(values) - 1, int(empty.sum())).astype(int)]
        return filled


def fill_no_data(part: NDArray[Any], empty: NDArray[np.bool_], ground: NDArray[Any]) -> NDArray[Any]:
    """Return a part of a picture as if data went on: what a network sees there changes what it says of the rest.

    Each pixel without data takes the value of its mirror image across the nearest one with data; where that is none
    either, the ground.

    Args:
        part: (h, w, C). empty: bool (h, w). ground: (C,), a typical value of the picture.
    """
    from scipy import ndimage

    filled = part.copy()
    filled[empty] = ground
    if empty.all():
        return filled
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    places = np.argwhere(empty)
    mirrored = 2 * nearest[:, empty].T - places
    inside = ((mirrored >= 0) & (mirrored < empty.shape)).all(axis=1)
    places, mirrored = places[inside], mirrored[inside]
    data = ~empty[tuple(mirrored.T)]
    filled[tuple(places[data].T)] = part[tuple(mirrored[data].T)]
    return filled


def find_no_data(image: Any, convert: Convert = np.asarray) -> NoData | None:
    """Find the pixels without data, by the rule of this module.

    Args:
        image: (H, W) or (H, W, C), anything with `shape` that slices with a stride; of four channels the last is alpha.
        convert: makes (h, w, C) on the 0..255 scale of what it gives.
    Returns:
        None where all are data, or none can be.
    """
    height, width = image.shape[:2]
    steps = (-(-height // LATTICE), -(-width // LATTICE))
    stored = np.asarray(image[:: steps[0], :: steps[1]])
    lattice = convert(stored).astype(np.float32)
    lattice = lattice[..., None] if lattice.ndim == 2 else lattice[..., :3]
    clear = stored[..., 3] == 0 if has_alpha(stored) else np.zeros(stored.shape[:2], bool)
    brightest, darkest = lattice.max(axis=-1), lattice.min(axis=-1)
    white = _areas((darkest >= WHITE) & ~clear, clear)
    black = _areas((brightest <= 0) & ~clear, clear)
    tissue = ~(clear | white) & (brightest > INK)
    dim = ~(clear | tissue) & (brightest > 0)
    limit = 0.0
    if tissue.any() and _is_stained(brightest[tissue], darkest[tissue]) and _hangs_together(tissue, dim):
        limit = min(INK, INK_SHARE * float(np.median(brightest[tissue])))
        black |= _areas((brightest <= limit) & ~clear, clear, inside=True)
    else:
        black, white = (
            area if _is_frame(area | clear, like & ~clear) else np.zeros_like(clear)
            for area, like in ((black, brightest <= 0), (white, darkest >= WHITE))
        )
    region = clear | black | white
    if not region.any() or region.all():
        return None
    kinds = tuple(k for k, a in (("black", black), ("white", white), ("transparent", clear)) if a.any())
    return NoData(region, steps, kinds, limit)


def has_alpha(array: NDArray[Any]) -> bool:
    """Whether the fourth channel of an array is one of transparency: opaque or transparent for the most part."""
    if array.ndim != 3 or array.shape[2] != 4:
        return False
    alpha = array[..., 3]
    return bool(np.isin(alpha, (0, alpha.max())).mean() >= FILM)


def _extremes(part: NDArray[Any], convert: Convert, darkest: float, kinds: tuple[str, ...]) -> NDArray[np.bool_]:
    """Pixels as black or white as the picture's areas without data."""
    values = convert(part)
    values = values[..., None] if values.ndim == 2 else values[..., :3]
    found = np.zeros(values.shape[:2], bool)
    if "black" in kinds:
        found |= values.max(axis=-1) <= darkest
    if "white" in kinds:
        found |= values.min(axis=-1) >= WHITE
    return found


def _areas(like: NDArray[np.bool_], clear: NDArray[np.bool_], inside: bool = False) -> NDArray[np.bool_]:
    """The parts of some size that reach the border or what is transparent; with `inside`, larger ones anywhere."""
    from scipy import ndimage

    parts, count = ndimage.label(like)
    if not count:
        return like
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    if inside:
        kept = sizes >= LEAST_INK * like.size
    else:
        edge = ndimage.binary_dilation(clear)
        edge[[0, -1]] = edge[:, [0, -1]] = True
        kept = np.bincount(parts[edge], minlength=count + 1) > 0
        kept &= sizes >= LEAST * like.size
    kept[0] = False
    return kept[parts]


def _is_stained(brightest: NDArray[np.float32], darkest: NDArray[np.float32]) -> bool:
    """Whether these pixels are of light through stained tissue: bright, whitish, not grey."""
    if np.median(brightest) <= BRIGHT:
        return False
    colour = float((brightest - darkest).mean() / brightest.mean())
    return colour > COLOURED and float(np.median(darkest / np.maximum(brightest, 1))) > WHITISH


def _hangs_together(tissue: NDArray[np.bool_], dim: NDArray[np.bool_]) -> bool:
    """Whether hardly anything is dim without being black, or what is bright is one piece for the most part.

    Objects that fluoresce in a colour lie apart on a dark ground, which is data.
    """
    from scipy import ndimage

    if dim.sum() <= LEAST_DIM * tissue.sum():
        return True
    parts, _ = ndimage.label(tissue, np.ones((3, 3)))
    return bool(np.bincount(parts.ravel())[1:].max() >= ONE_PIECE * tissue.sum())


def _is_frame(area: NDArray[np.bool_], like: NDArray[np.bool_]) -> bool:
    """Whether an area surrounds data that has no such pixels itself and is a rectangle, or polygonal and large."""
    data = ~area
    if not area.any() or not data.any() or (like & data).sum() > STRAY * data.sum():
        return False
    rows, columns = np.flatnonzero(data.any(axis=1)), np.flatnonzero(data.any(axis=0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return bool(data.sum() >= RECTANGLE * box or (HALF < data.mean() < 1 - LEAST_CUT and _is_polygon(data)))


def _is_polygon(data: NDArray[np.bool_]) -> bool:
    """Whether a shape is convex, but for half a pixel along its outline, and of few corners."""
    from scipy.spatial import ConvexHull, QhullError
    from skimage.measure import approximate_polygon

    corners = np.argwhere(data)[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    try:
        hull = ConvexHull(corners.reshape(-1, 2))
    except QhullError:  # a line
        return False
    outline = hull.points[hull.vertices]
    few = approximate_polygon(np.concatenate([outline, outline[:1]]), tolerance=1.0)
    sides = sum(int((shape[1:] != shape[:-1]).sum()) for shape in (data, data.T))  # of pixels, within the picture
    return bool(len(few) - 1 <= CORNERS and hull.volume - data.sum() <= sides / 2)
