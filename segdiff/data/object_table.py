"""What there is to measure of each object, as scikit-image's `regionprops` gives it, for all objects at once.

`regionprops_table` looks at one object after another; here whole label maps are counted (a test compares the values,
`benchmarks/objects.py` the time). Lengths in pixels; places in the frame of `segdiff.data.annotations.shapes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.outlines import Outlines, trace

Columns = dict[str, NDArray[Any]]

LENGTHS = (
    *("x", "y", "x_min", "y_min", "x_max", "y_max", "perimeter"),
    *("axis_major_length", "axis_minor_length", "equivalent_diameter_area"),
)
COLOURS = ("red", "green", "blue")
DECIMALS = 4
# Of a border pixel, by 1 + 2 n + 10 m with n border pixels beside it and m at its corners: the length that it adds
# (Benkrid and Crookes 2000), as in `skimage.measure.perimeter`.
_STEPS = np.zeros(50)
_STEPS[[5, 7, 15, 17, 25, 27]] = 1
_STEPS[[21, 33]] = np.sqrt(2)
_STEPS[[13, 23]] = (1 + np.sqrt(2)) / 2


@dataclass(frozen=True, eq=False)
class _Pixels:
    """The pixels of all objects.

    Attributes:
        rows, columns: (n,) in the label map, or in the picture that it is a part of.
        which: (n,) the place of each pixel's object among the numbers.
        count: of objects.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    which: NDArray[np.intp]
    count: int

    def total(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """The sum over each object's pixels."""
        return np.bincount(self.which, weights, self.count).astype(np.float64)


def object_table(
    labels: NDArray[np.integer],
    image: NDArray[Any] | None = None,
    mpp: float | None = None,
    more: Mapping[str, Any] | None = None,
    batches: Iterable[Outlines] | None = None,
) -> Columns:
    """Make the table of a picture's objects: measures, columns of other origin, then the lengths in micrometres.

    Args:
        labels: (H, W), 0 the background.
        image: as `measure_objects` takes it.
        mpp: micrometres per pixel; None leaves the lengths in micrometres out.
        more: columns that are known already, an entry an object by number: probability, confidence, ...
        batches: as `measure_objects` takes them.
    """
    columns = {**measure_objects(labels, image, batches=batches), **(more or {})}
    return columns if mpp is None else {**columns, **in_micrometres(columns, mpp)}


def measure_objects(
    labels: NDArray[np.integer],
    image: NDArray[Any] | None = None,
    *,
    batches: Iterable[Outlines] | None = None,
    origin: tuple[int, int] = (0, 0),
    shape: tuple[int, int] | None = None,
) -> Columns:
    """Measure each object of a label map.

    Args:
        labels: (H, W), 0 the background.
        image: (H, W) or (H, W, C), for mean intensities in its own values; anything that takes fancy indices.
        batches: `trace(labels, origin)` where the caller has it already.
        origin: (row, column) of the first pixel in the picture, where `labels` is a part of it.
        shape: (H, W) of the whole picture then.
    Returns:
        Columns of equal length, one entry an object, by number:
            id: its number;
            x, y: centre of mass;
            x_min, y_min, x_max, y_max: bounding box, from the edge of its first pixel to that of its last;
            area: pixels; perimeter, axis_major_length, axis_minor_length, equivalent_diameter_area: pixels;
            eccentricity: 0 (circle) to 1; solidity: share of its convex hull;
            orientation: of the major axis against the rows, radians, -pi/2 to pi/2;
            touches_border: whether it reaches the border of the picture;
            mean_intensity, or mean_red, mean_green, mean_blue, or mean_channel_1, ...
    """
    count = np.bincount(labels.ravel())
    count[:1] = 0
    numbers = np.flatnonzero(count)
    position = np.zeros(max(count.size, 1), np.intp)
    position[numbers] = np.arange(numbers.size)
    rows, columns = np.nonzero(labels)
    pixels = _Pixels(rows, columns, position[labels[rows, columns]], numbers.size)
    area = count[numbers]
    found: Columns = {"id": numbers}
    # At their places in the whole picture: the sums are then those of the whole, to the last bit.
    placed = _Pixels(rows + origin[0], columns + origin[1], pixels.which, pixels.count)
    found |= _places(placed, area, labels.shape if shape is None else shape)
    touches = found.pop("touches_border")
    found["area"] = area
    found["perimeter"] = _perimeters(labels, pixels)
    found |= _ellipses(placed, area)
    found["solidity"] = area / _convex_areas(numbers, trace(labels, origin) if batches is None else batches)
    found["equivalent_diameter_area"] = np.sqrt(4 * area / np.pi)
    found["touches_border"] = touches
    if image is not None:
        found |= _intensities(pixels, area, image)
    return found


def in_micrometres(columns: Mapping[str, NDArray[Any]], mpp: float) -> Columns:
    """The lengths and the area of a table in micrometres, under names that say so."""
    lengths = {f"{name}_um": columns[name] * mpp for name in LENGTHS}
    return {**lengths, "area_um2": columns["area"] * mpp**2}


def table_rows(columns: Mapping[str, NDArray[Any]], picture: str) -> Iterator[dict[str, Any]]:
    """The rows of a table one by one: the picture's name first, numbers rounded to `DECIMALS`, None for NaN."""
    cells = [[picture] * len(next(iter(columns.values()), ())), *(_cells(values) for values in columns.values())]
    names = ["image", *columns]
    for row in zip(*cells, strict=True):
        yield dict(zip(names, row, strict=True))


def _cells(values: NDArray[Any]) -> list[Any]:
    if values.dtype == np.bool_:
        return ["true" if value else "false" for value in values.tolist()]
    if values.dtype.kind == "f":
        return [None if value != value else value for value in np.round(values, DECIMALS).tolist()]
    return list(values.tolist())


def _places(pixels: _Pixels, area: NDArray[np.intp], shape: tuple[int, ...]) -> Columns:
    top, left = (np.full(pixels.count, np.iinfo(np.intp).max) for _ in range(2))
    bottom, right = (np.zeros(pixels.count, np.intp) for _ in range(2))
    for place, values in ((top, pixels.rows), (left, pixels.columns)):
        np.minimum.at(place, pixels.which, values)
    for place, values in ((bottom, pixels.rows), (right, pixels.columns)):
        np.maximum.at(place, pixels.which, values + 1)
    y, x = pixels.total(pixels.rows) / area + 0.5, pixels.total(pixels.columns) / area + 0.5
    touches = (top <= 0) | (left <= 0) | (bottom >= shape[0]) | (right >= shape[1])
    return {"x": x, "y": y, "x_min": left, "y_min": top, "x_max": right, "y_max": bottom, "touches_border": touches}


def _ellipses(pixels: _Pixels, area: NDArray[np.intp]) -> Columns:
    """Of the ellipse that has the object's second moments."""
    down = pixels.rows - (pixels.total(pixels.rows) / area)[pixels.which]
    across = pixels.columns - (pixels.total(pixels.columns) / area)[pixels.which]
    rr, cc, rc = (pixels.total(product) / area for product in (down * down, across * across, down * across))
    half, spread = (rr + cc) / 2, np.hypot((rr - cc) / 2, rc)
    large, small = half + spread, np.maximum(half - spread, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        eccentricity = np.where(large > 0, np.sqrt(1 - small / large), 0.0)
    turned = 0.5 * np.arctan2(2 * rc, rr - cc)
    diagonal = np.where(rc > 0, np.pi / 4, -np.pi / 4)  # where both variances are the same
    return {
        "axis_major_length": 4 * np.sqrt(large),
        "axis_minor_length": 4 * np.sqrt(small),
        "eccentricity": eccentricity,
        "orientation": np.where(rr == cc, diagonal, turned),
    }


def _perimeters(labels: NDArray[np.integer], pixels: _Pixels) -> NDArray[np.float64]:
    padded = np.pad(labels, 1)
    width = padded.shape[1]
    flat = padded.ravel()
    places = (pixels.rows + 1) * width + pixels.columns + 1
    own = flat[places]
    inner = np.ones(places.size, bool)
    for step in (-width, -1, 1, width):
        inner &= flat[places + step] == own
    outer = np.zeros(flat.size, bool)
    border = places[~inner]
    outer[border] = True
    own, which = own[~inner], pixels.which[~inner]
    kind = np.ones(border.size, np.intp)
    for value, steps in (
        (2, (-width, -1, 1, width)),
        (10, (-width - 1, 1 - width, width - 1, width + 1)),
    ):
        for step in steps:
            kind += value * (outer[border + step] & (flat[border + step] == own))
    return np.bincount(which, _STEPS[kind], pixels.count).astype(np.float64)


def _convex_areas(numbers: NDArray[np.intp], batches: Iterable[Outlines]) -> NDArray[np.float64]:
    """Of each object the pixels whose centres lie in the convex hull of its outline."""
    areas = np.zeros(numbers.size)
    for batch in batches:
        labels, counts = _points_by_label(batch)
        areas[np.searchsorted(numbers, labels)] = _pixels_in_hulls(batch.vertices, counts)
    return areas


def _points_by_label(batch: Outlines) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels of a batch, and how many vertices each has."""
    firsts = np.flatnonzero(np.diff(batch.labels, prepend=-1))
    ends = batch.points[batch.rings[np.append(firsts[1:], batch.labels.size)]]
    return batch.labels[firsts], np.diff(ends, prepend=0)


def _pixels_in_hulls(vertices: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Twice the coordinates are whole numbers and the centres of pixels odd ones: counting is exact."""
    import shapely

    offsets = np.concatenate([[0], np.cumsum(counts)])
    hulls = shapely.convex_hull(shapely.from_ragged_array(shapely.GeometryType.LINESTRING, vertices, (offsets,)))
    points, which = shapely.get_coordinates(hulls, return_index=True)
    points = np.rint(2 * points).astype(np.int64)
    edge = (which[1:] == which[:-1]) & (points[1:, 1] != points[:-1, 1])
    up = points[1:, 1] > points[:-1, 1]
    low = np.where(up[:, None], points[:-1], points[1:])[edge]
    high = np.where(up[:, None], points[1:], points[:-1])[edge]
    first = low[:, 1] | 1  # the odd number at or above
    rows = np.maximum((high[:, 1] - first) // 2 + 1, 0)
    one = np.repeat(np.arange(rows.size), rows)
    y = first[one] + 2 * (np.arange(one.size) - np.repeat(np.cumsum(rows) - rows, rows))
    rise = (high - low)[one]
    along = low[one, 0] * rise[:, 1] + (y - low[one, 1]) * rise[:, 0]
    left, right = -((-along) // rise[:, 1]), along // rise[:, 1]
    left, right = left | 1, right - (right % 2 == 0)
    label = which[1:][edge][one]
    order = np.lexsort((y, label))
    starts = np.flatnonzero((np.diff(label[order], prepend=-1) != 0) | (np.diff(y[order], prepend=-1) != 0))
    across = (np.maximum.reduceat(right[order], starts) - np.minimum.reduceat(left[order], starts)) // 2 + 1
    return np.bincount(label[order][starts], across, counts.size).astype(np.float64)


def _intensities(pixels: _Pixels, area: NDArray[np.intp], image: NDArray[Any]) -> Columns:
    channels = image.shape[2] if len(image.shape) == 3 else 1
    if channels == 1:
        names = ["mean_intensity"]
    elif channels == 3:
        names = [f"mean_{colour}" for colour in COLOURS]
    else:
        names = [f"mean_channel_{number}" for number in range(1, channels + 1)]
    values = np.asarray(image[pixels.rows, pixels.columns]).reshape(len(pixels.rows), channels)
    return {name: pixels.total(values[:, i]) / area for i, name in enumerate(names)}
