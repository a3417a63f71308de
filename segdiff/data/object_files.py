"""Objects as files: a label map, a table, outlines that QuPath opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.geojson import ZIPPED_ABOVE, feature, write_features
from segdiff.data.annotations.outlines import Outlines, trace
from segdiff.data.annotations.shapes import Polygon
from segdiff.data.writers import write_tiff

CLASS_NAME = "Nucleus"  # of objects where no other name is given
# Columns of the table (`segdiff.data.object_table`) that go with an outline, and what QuPath calls such a measurement.
# The others can be had from the table, or from QuPath's own "Add shape features": they would double the file.
MEASUREMENTS = {"probability": "Probability", "uncertainty": "Uncertainty", "confidence": "Confidence"}
AREA, AREA_UM = "Area px^2", "Area µm^2"


def write_labels(path: str | Path, labels: NDArray[np.integer]) -> None:
    """A label map (H, W) as TIFF, compressed without loss: uint16, or uint32 where there are more than 65535
    objects."""
    kind = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
    write_tiff(path, labels.astype(kind))


def write_geojson(
    path: str | Path,
    labels: NDArray[np.integer],
    measurements: Mapping[int, Mapping[str, float | None]],
    name: str = CLASS_NAME,
    picture: str = "",
    batches: Iterable[Outlines] | None = None,
    zipped_above: int = ZIPPED_ABOVE,
) -> Path:
    """Write the outline of each object as a detection of QuPath, in pixels of the picture, one by one.

    Args:
        path: ends in .geojson; .gz is appended where the file is larger than `zipped_above` bytes.
        labels: (H, W).
        measurements: of each object by its number, under the names that QuPath shows (`measurements_of`).
        name: of the class of all of them.
        picture: name of the picture's file: with an object's number it makes the object's id, the same in every run.
        batches: `trace(labels)` where the caller has it already.
        zipped_above: bytes.
    Returns:
        The path of the file.
    """
    found = object_features(trace(labels) if batches is None else batches, measurements, name, picture)
    return write_features(path, found, zipped_above)


def object_features(
    batches: Iterable[Iterable[tuple[int, tuple[Polygon, ...]]]],
    measurements: Mapping[int, Mapping[str, float | None]],
    name: str,
    picture: str,
) -> Iterator[dict[str, Any]]:
    """The GeoJSON feature of each object, as `write_geojson` writes them."""
    for batch in batches:
        for label, polygons in batch:
            yield feature(polygons, name, f"{picture}#{label}", measurements.get(label), str(label))


def measurements_of(columns: Mapping[str, NDArray[Any]], mpp: float | None) -> dict[int, dict[str, float | None]]:
    """Measurements for `write_geojson` from a table of objects (`segdiff.data.object_table`).

    Args:
        columns: those of `MEASUREMENTS` that there are, "id" and "area".
        mpp: micrometres per pixel; None: the area is in pixels.
    """
    area = columns["area"] if mpp is None else np.round(columns["area"] * mpp**2, 3)
    values = {AREA if mpp is None else AREA_UM: area.tolist()}
    for column, shown in MEASUREMENTS.items():
        if column in columns:
            known = np.round(np.asarray(columns[column], np.float64), 4)
            values[shown] = known.tolist()
    rows = zip(columns["id"].tolist(), zip(*values.values(), strict=True), strict=True)
    return {number: dict(zip(values, row, strict=True)) for number, row in rows}
