"""Objects as files: a label map, a table, outlines that QuPath opens."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.writers import atomic, write_tiff

COLOUR = (0, 200, 83)  # of outlines in QuPath


def write_labels(path: str | Path, labels: NDArray[np.integer]) -> None:
    """A label map (H, W) as TIFF, compressed without loss: uint16, or uint32 where there are more than 65535
    objects."""
    kind = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
    write_tiff(path, labels.astype(kind))


def write_table(path: str | Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """CSV with a header, also where there is no row; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path) as file:
        file.write(text.getvalue().encode())


def write_geojson(
    path: str | Path, labels: NDArray[np.integer], measurements: Mapping[int, Mapping[str, float | None]], name: str
) -> None:
    """The outline of each object as a detection, in pixels of the picture, written one by one.

    Args:
        labels: (H, W); each object is connected by sides.
        measurements: of each object by its number.
        name: of the class of all of them.
    """
    with atomic(path) as file:
        file.write(b'{"type": "FeatureCollection", "features": [')
        for count, (label, ring) in enumerate(outlines(labels)):
            feature = {
                "type": "Feature",
                "id": str(label),
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "objectType": "detection",
                    "name": str(label),
                    "classification": {"name": name, "color": list(COLOUR)},
                    "measurements": {key: value for key, value in measurements[label].items() if value is not None},
                },
            }
            file.write((",\n" if count else "\n").encode() + json.dumps(feature, allow_nan=False).encode())
        file.write(b"\n]}\n")


def outlines(labels: NDArray[np.integer]) -> Iterator[tuple[int, list[list[float]]]]:
    """The outline of each object: its number, and the closed ring of its corners [x, y], the first one again at the
    end.

    Pixel (row, column) covers [column, column + 1) x [row, row + 1). An outline runs between the centres of pixels that
    are of the object and of those that are not, so that exactly the centres of the object's pixels lie within; it does
    not touch itself, whatever the shape. Holes are not cut out.
    """
    from scipy import ndimage
    from skimage.measure import find_contours

    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        shape = np.pad(ndimage.binary_fill_holes(labels[place] == label), 1)
        # "low" takes corners for no connection: an object of one piece has one outer contour, the longest.
        ring = max(find_contours(shape.astype(np.uint8), 0.5, fully_connected="low"), key=len)
        top, left = (s.start for s in place)
        points = np.column_stack([ring[:, 1] + left - 0.5, ring[:, 0] + top - 0.5])  # the pad, and half a pixel
        yield label, points.tolist()
