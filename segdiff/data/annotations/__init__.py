"""Annotations: objects that people drew, in the formats of QuPath, COCO, Labelme and ImageJ; which file is which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segdiff.data.annotations.coco import CocoFile, is_coco
from segdiff.data.annotations.files import is_zip, parse_json, unzipped
from segdiff.data.annotations.geojson import is_geojson, read_geojson
from segdiff.data.annotations.imagej import read_rois
from segdiff.data.annotations.labelme import is_labelme, read_labelme
from segdiff.data.annotations.shapes import AnnotatedPicture
from segdiff.errors import DataError, MissingError

__all__ = ["SUFFIXES", "is_annotation", "read_annotations"]

JSON = (".geojson", ".geojson.gz", ".json", ".json.gz")
ROIS = (".zip", ".roi")
SUFFIXES = JSON + ROIS


def is_annotation(path: Path) -> bool:
    """Whether the name is that of an annotation file."""
    return path.name.lower().endswith(SUFFIXES)


def read_annotations(path: str | Path, outline: str | None = None) -> Mapping[str | None, AnnotatedPicture]:
    """Read an annotation file of any known format, by its content.

    Args:
        path: GeoJSON, COCO or Labelme (`.geojson`, `.json`, packed with `.gz` or not), regions of ImageJ (`.zip`,
            `.roi`), or GeoJSON as QuPath packs it (`.zip`).
        outline: "cell" or "nucleus": which outline of QuPath's cells is the object; None refuses cells.
    Returns:
        The objects of each picture: under None for a file of a single one; by the stem of the picture's file for COCO.
    Raises:
        MissingError: there is no such file.
        DataError: it is damaged, or of no known format.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such annotation: {path}")
    content = path.read_bytes()
    packed = unzipped(content, path, ".geojson") if is_zip(content) else []
    if len(packed) > 1:
        raise DataError(f"{path} holds {len(packed)} GeoJSON files; unpack them")
    if path.name.lower().endswith(ROIS) and not packed:
        return {None: read_rois(content, path)}
    parsed = parse_json(packed[0][1] if packed else content, path)
    if is_coco(parsed):
        return CocoFile(parsed, path)
    if is_labelme(parsed):
        return {None: read_labelme(parsed, path)}
    if is_geojson(parsed) or parsed == []:
        return {None: read_geojson(parsed, path, outline)}
    raise DataError(f"{path} is neither GeoJSON nor of COCO or Labelme")
