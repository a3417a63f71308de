"""GeoJSON as QuPath writes and reads it.

Read: a FeatureCollection, a list of features, one feature or bare geometries; Polygon, MultiPolygon and
GeometryCollection with holes; nested `childObjects`. Left out and counted: points and lines, containers (TMA cores, the
root), and classes that end in `*`, which QuPath itself ignores (`Ignore*`).
"""

from __future__ import annotations

import gzip
import json
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.shapes import NO_AREA, AnnotatedPicture, Annotation, Polygon
from segdiff.data.writers import atomic
from segdiff.errors import DataError, OutputError

CONTAINERS = ("root", "tmaCore", "tma_core", "TMACoreObject", "PathRootObject")
OUTLINES = ("cell", "nucleus")  # of a QuPath cell, which has both
# Ids of objects are UUIDs of version 5 in this name space: the same object gets the same id in every run.
_OBJECTS = uuid.uuid5(uuid.NAMESPACE_URL, "https://segdiff/objects")
ZIPPED_ABOVE = 2**25  # bytes: a larger file is written as .geojson.gz
COLOURS = {"Nucleus": (0, 200, 83)}  # of classes in QuPath; others get one of `OTHERS` by their name
OTHERS = ((230, 81, 0), (41, 98, 255), (170, 0, 255), (255, 214, 0), (0, 184, 212), (213, 0, 0), (93, 64, 55))


def read_geojson(content: Any, path: Path, outline: str | None = None) -> AnnotatedPicture:
    """Read the objects of a parsed GeoJSON file.

    Args:
        content: parsed JSON.
        path: named in errors.
        outline: "cell" or "nucleus": which outline of QuPath's cells, which have both, is the object; None refuses
            them.
    Raises:
        DataError: no GeoJSON, coordinates that are no numbers, objects on several planes of a stack, cells without
            `outline`.
    """
    reader = _Reader(path, outline)
    try:
        for feature in _features(content, path):
            reader.add(feature)
    except RecursionError as error:
        raise DataError(f"{path} is nested deeper than any annotation") from error
    if len(reader.planes) > 1:
        raise DataError(f"{path} has objects on {len(reader.planes)} planes of a stack; export those of one")
    return AnnotatedPicture(reader.found, left_out=dict(reader.left_out))


def is_geojson(content: Any) -> bool:
    """Whether parsed JSON looks like GeoJSON."""
    if isinstance(content, list):
        return bool(content) and isinstance(content[0], dict) and content[0].get("type") == "Feature"
    kinds = ("FeatureCollection", "Feature", "Polygon", "MultiPolygon", "GeometryCollection")
    return isinstance(content, dict) and content.get("type") in kinds


class _Reader:
    """What was found so far."""

    def __init__(self, path: Path, outline: str | None) -> None:
        self.path, self.outline = path, outline
        self.found: list[Annotation] = []
        self.left_out: Counter[str] = Counter()
        self.planes: set[tuple[Any, Any]] = set()
        self.number = 0

    def add(self, feature: Any) -> None:
        """Take a feature and those nested in it."""
        self.number += 1
        if not isinstance(feature, dict):
            raise DataError(f"{self.path}: feature {self.number} is no GeoJSON feature")
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        self._add_own(feature, properties)
        children = properties.get("childObjects", properties.get("children"))
        for child in children if isinstance(children, list) else []:
            self.add(child)

    def _add_own(self, feature: dict[str, Any], properties: dict[str, Any]) -> None:
        class_name = _class_name(properties.get("classification"))
        kind = properties.get("objectType", properties.get("object_type"))
        geometry = feature.get("geometry", feature)
        if kind in CONTAINERS:
            self.left_out["containers"] += 1
        elif class_name is not None and class_name.endswith("*"):
            self.left_out[f"objects of the class {class_name}"] += 1
        elif geometry is None:
            self.left_out[NO_AREA] += 1
        else:
            if isinstance(feature.get("nucleusGeometry"), dict):
                geometry = self._chosen(feature)
            polygons = self._polygons(geometry)
            if polygons:
                self.found.append(Annotation(tuple(polygons), class_name=class_name))
            else:
                self.left_out[NO_AREA] += 1

    def _chosen(self, feature: dict[str, Any]) -> Any:
        if self.outline is None:
            raise DataError(
                f"{self.path} holds cells, which have two outlines each: segdiff convert --outline cell (or nucleus) "
                "writes the one that is meant"
            )
        return feature["geometry" if self.outline == "cell" else "nucleusGeometry"]

    def _polygons(self, geometry: Any) -> list[Polygon]:
        where = f"{self.path}: feature {self.number}"
        try:
            if plane := geometry.get("plane"):
                self.planes.add((plane.get("z", 0), plane.get("t", 0)))
            else:
                self.planes.add((0, 0))
            kind = geometry["type"]
            if kind == "Polygon":
                return [_polygon(geometry["coordinates"])] if geometry["coordinates"] else []
            if kind == "MultiPolygon":
                return [_polygon(rings) for rings in geometry["coordinates"] if rings]
            if kind == "GeometryCollection":
                return [polygon for part in geometry["geometries"] for polygon in self._polygons(part)]
        except DataError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise DataError(f"{where} has no geometry of numbers as GeoJSON has them") from error
        if kind not in ("Point", "MultiPoint", "LineString", "MultiLineString"):
            raise DataError(f"{where} has a geometry of the type {kind!r}, which GeoJSON does not have")
        return []


def _features(content: Any, path: Path) -> list[Any]:
    if not is_geojson(content) and content != []:
        raise DataError(f"{path} is no GeoJSON: it holds neither a FeatureCollection nor features")
    if isinstance(content, dict) and content["type"] == "FeatureCollection":
        features = content.get("features")
        if not isinstance(features, list):
            raise DataError(f"{path} is a FeatureCollection without a list of features")
        return features
    return content if isinstance(content, list) else [content]


def _class_name(classification: Any) -> str | None:
    if isinstance(classification, str):
        return classification
    if not isinstance(classification, dict):
        return None
    names = classification.get("names")
    if isinstance(names, list) and names:
        return ": ".join(map(str, names))  # as QuPath shows classes that are derived from others
    name = classification.get("name")
    return name if isinstance(name, str) else None


def _polygon(rings: Any) -> Polygon:
    found = []
    for ring in rings:
        points = np.asarray(ring, dtype=np.float64)
        if points.size == 0:
            points = points.reshape(0, 2)
        if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points).all():
            raise ValueError
        found.append(np.ascontiguousarray(points[:, :2]))
    return tuple(found)


def feature(
    polygons: Iterable[Polygon],
    class_name: str | None,
    identity: str,
    measurements: Mapping[str, float | None] | None = None,
    name: str | None = None,
    kind: str = "detection",
) -> dict[str, Any]:
    """Make a GeoJSON feature as QuPath takes it.

    Args:
        polygons: one or several, with holes.
        class_name: None: without a class.
        identity: text that is this object's own, such as picture and number; its hash becomes the id.
        measurements: by the names that QuPath shows; None and what is not finite is left out.
        name: shown beside the object.
        kind: QuPath's type of the object: "detection", or "annotation", which can be edited by hand.
    """
    parts = [[_numbers(ring) for ring in polygon] for polygon in polygons]
    one = len(parts) == 1
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["name"] = name
    if class_name is not None:
        properties["classification"] = {"name": class_name, "color": list(colour_of(class_name))}
    if measurements:
        properties["measurements"] = {
            key: value for key, value in measurements.items() if value is not None and np.isfinite(value)
        }
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_OBJECTS, identity)),
        "geometry": {"type": "Polygon" if one else "MultiPolygon", "coordinates": parts[0] if one else parts},
        "properties": properties,
    }


def colour_of(class_name: str) -> tuple[int, int, int]:
    """Red, green, blue of a class; the same in every run."""
    return COLOURS.get(class_name) or OTHERS[zlib.crc32(class_name.encode()) % len(OTHERS)]


def write_features(path: str | Path, features: Iterable[Mapping[str, Any]], zipped_above: int = ZIPPED_ABOVE) -> Path:
    """Write features as they come; memory holds at most `zipped_above` bytes of them.

    Args:
        path: ends in .geojson. A larger file gets .gz appended; the one of the two that an earlier run left is
            removed.
        features: plain values.
        zipped_above: bytes.
    Returns:
        The path of the file.
    Raises:
        OutputError: it cannot be written.
    """
    plain, zipped_path = Path(path), packed(path)
    chunks, held = [], 0
    stream = _chunks(features)
    for chunk in stream:
        chunks.append(chunk)
        held += len(chunk)
        if held > zipped_above:
            break
    else:
        with atomic(plain) as file:
            file.writelines(chunks)
        _remove(zipped_path)
        return plain
    # Without name and date: the same objects give the same bytes.
    with atomic(zipped_path) as file, gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as zipped:
        zipped.writelines(chunks)
        chunks.clear()
        zipped.writelines(stream)
    _remove(plain)
    return zipped_path


def packed(path: str | Path) -> Path:
    """Where `write_features` writes what is too large for `path`."""
    return Path(f"{path}.gz")


def _chunks(features: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b'{"type":"FeatureCollection","features":['
    for number, one in enumerate(features):
        text = json.dumps(one, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        yield (",\n" if number else "\n").encode() + text.encode()
    yield b"\n]}\n"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError.of(path, error) from error


def _numbers(ring: NDArray[np.float64]) -> list[list[float | int]]:
    """Closed; whole numbers as integers, which are two bytes shorter each."""
    if len(ring) and (ring[0] != ring[-1]).any():
        ring = np.concatenate([ring, ring[:1]])
    return [[int(v) if v.is_integer() else v for v in point] for point in ring.tolist()]
