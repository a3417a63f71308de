"""COCO: objects of one or of many pictures in one JSON file, as polygons or as run-length codes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segdiff.data.annotations.rasterise import cover
from segdiff.data.annotations.shapes import AnnotatedPicture, Annotation, Bitmap, Polygon
from segdiff.errors import DataError

MOST_PIXELS = 2**36  # of a picture
MOST_DECODED = 2**26  # pixels of an object that is a run-length code


def is_coco(content: Any) -> bool:
    """Whether parsed JSON looks like COCO."""
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


class CocoFile(Mapping[str | None, AnnotatedPicture]):
    """The pictures of a parsed COCO file by the stem of their file name; objects are decoded when asked for.

    Args:
        content: parsed JSON.
        path: named in errors.
    Raises:
        DataError: not COCO, an object of a picture or a category that is not listed, two pictures of one stem; when
            asked for a picture: a segmentation that cannot be read.
    """

    def __init__(self, content: Any, path: Path) -> None:
        if not is_coco(content) or not isinstance(content["annotations"], list):
            raise DataError(f"{path} is no COCO file: it lacks lists of images and annotations")
        self._classes = _classes(content.get("categories"), path)
        self._path = path
        self._pictures: dict[str | None, tuple[str, tuple[int, int]]] = {}
        objects: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
        self._objects: dict[str | None, list[tuple[int, dict[str, Any]]]] = {}
        for number, one in enumerate(content["images"], start=1):
            identity, picture = _picture(one, f"{path}: image {number}")
            stem = PurePosixPath(picture[0]).stem
            if identity in objects:
                raise DataError(f"{path}: the image id {identity!r} is there twice")
            if stem in self._pictures:
                raise DataError(f"{path} lists two images of the stem {stem}: {self._pictures[stem][0]}, {picture[0]}")
            self._pictures[stem] = picture
            self._objects[stem] = objects[identity] = []
        for number, one in enumerate(content["annotations"], start=1):
            if not isinstance(one, dict) or not _hashable(one.get("image_id")) or one["image_id"] not in objects:
                raise DataError(f"{path}: annotation {number} is of an image that is not listed")
            objects[one["image_id"]].append((number, one))

    def __getitem__(self, stem: str | None) -> AnnotatedPicture:
        name, size = self._pictures[stem]
        found = [
            _annotation(one, self._classes, size, f"{self._path}: annotation {number}")
            for number, one in self._objects[stem]
        ]
        return AnnotatedPicture(found, size, name)

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)


def decode(code: Mapping[str, Any], size: tuple[int, int], where: str) -> Bitmap:
    """Decode a run-length code.

    pycocotools decodes only what is sound: of runs that end too early it returns whatever lay in memory.

    Args:
        code: "counts", a list (down the columns, the background first) or compressed text, and "size".
        size: (height, width) that it must have.
        where: names the object in errors.
    Raises:
        DataError: not a run-length code of this size.
    """
    counts = code.get("counts")
    try:
        stored = tuple(int(length) for length in code.get("size", size))
        if isinstance(counts, str):
            counts = _unpacked_runs(counts)
        elif not isinstance(counts, list):
            raise DataError(f"{where}: its segmentation is neither polygons nor a run-length code")
        runs = np.array(counts, dtype=np.int64)
        if runs.ndim != 1 or (runs != np.array(counts)).any():
            raise ValueError("counts that are no whole numbers")
    except DataError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: its segmentation cannot be read ({error})") from error
    if runs.min(initial=0) < 0 or runs.max(initial=0) > size[0] * size[1] or int(runs.sum()) != size[0] * size[1]:
        raise DataError(f"{where}: its run lengths do not add up to {size[0]} x {size[1]} pixels")
    if stored != size:
        raise DataError(f"{where}: its run-length code is of {' x '.join(map(str, stored))} pixels")
    if runs[1::2].sum() > MOST_DECODED:
        raise DataError(f"{where}: its run-length code is of {runs[1::2].sum():,} pixels; give it as polygons")
    starts, lengths = (np.cumsum(runs) - runs)[1::2], runs[1::2]
    places = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    columns, rows = np.divmod(places, size[0])
    if not places.size:
        return Bitmap(0, 0, np.zeros((0, 0), bool))
    top, left = int(rows.min()), int(columns[0])
    pixels = np.zeros((int(rows.max()) - top + 1, int(columns[-1]) - left + 1), bool)
    pixels[rows - top, columns - left] = True
    return Bitmap(top, left, pixels)


def _unpacked_runs(text: str) -> list[int]:
    """Run lengths from COCO's compressed text.

    A character from "0" on has six bits: five of the number, the least first, and one that says whether more follow.
    The highest bit of a number is its sign. From the fourth on, numbers are differences to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("no compressed counts")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("compressed counts that are cut")
    return runs


def is_polygon(points: Any) -> bool:
    """Whether this is a COCO polygon: x, y, x, y, ... of three points or more."""
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in points)
    )


def coco_parts(pictures: Iterable[AnnotatedPicture]) -> Iterator[bytes]:
    """Write pictures as one COCO file, in pieces as they come.

    Polygons stay polygons; objects with holes, which COCO's polygons cannot have, and bitmaps become run-length codes.

    Args:
        pictures: with size and file name.
    """
    images: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    yield b'{"annotations": ['
    number = 0
    for image_id, picture in enumerate(pictures, start=1):
        assert picture.size is not None and picture.picture is not None
        height, width = picture.size
        images.append({"id": image_id, "file_name": picture.picture, "width": width, "height": height})
        for one in picture.annotations:
            own = cover(one, height, width)
            if not own.pixels.any():
                continue
            category = categories.setdefault(one.class_name or "object", len(categories) + 1)
            number += 1
            entry = {"id": number, "image_id": image_id, "category_id": category, **_entry(one, own, picture.size)}
            yield (",\n" if number > 1 else "\n").encode() + json.dumps(entry, separators=(",", ":")).encode()
    named = [{"id": identity, "name": name, "supercategory": ""} for name, identity in categories.items()]
    yield b'],\n"images": ' + json.dumps(images, ensure_ascii=False).encode()
    yield b',\n"categories": ' + json.dumps(named, ensure_ascii=False).encode() + b"}\n"


def _entry(one: Annotation, own: Bitmap, size: tuple[int, int]) -> dict[str, Any]:
    """Segmentation, area in pixels and box of an object."""
    holes = any(len(polygon) > 1 for polygon in one.polygons)
    segmentation: Any
    if one.bitmap is None and not holes:
        segmentation = [_flat(polygon) for polygon in one.polygons if len(polygon[0]) >= 3]
    else:
        segmentation = _encode(own, size)
    rows, columns = np.flatnonzero(own.pixels.any(axis=1)), np.flatnonzero(own.pixels.any(axis=0))
    top, left = own.top + int(rows[0]), own.left + int(columns[0])
    return {
        "segmentation": segmentation,
        "area": int(own.pixels.sum()),
        "bbox": [left, top, int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1],
        "iscrowd": int(one.crowd),
    }


def _flat(polygon: Polygon) -> list[float]:
    ring = polygon[0]
    points = ring[:-1] if (ring[0] == ring[-1]).all() and len(ring) > 3 else ring
    return [float(value) for value in points.ravel()]


def _encode(own: Bitmap, size: tuple[int, int]) -> dict[str, Any]:
    """Compressed run-length code of a bitmap in a picture, without making a mask of the picture's size."""
    from pycocotools import mask as coco

    columns, rows = np.nonzero(own.pixels.T)
    places = (columns + own.left) * size[0] + rows + own.top
    starts = places[np.diff(places, prepend=-2) > 1]
    ends = places[np.diff(places, append=places[-1] + 2) > 1] + 1
    edges = np.column_stack([starts, ends]).ravel()
    counts = np.diff(edges, prepend=0, append=size[0] * size[1])
    counts = counts[: counts.size - (counts[-1] == 0)]
    packed = coco.frPyObjects({"counts": counts.tolist(), "size": list(size)}, *size)
    return {"size": list(size), "counts": packed["counts"].decode()}


def _classes(categories: Any, path: Path) -> dict[Any, str]:
    if not isinstance(categories, list):
        return {}
    try:
        return {one["id"]: str(one["name"]) for one in categories}
    except (TypeError, KeyError) as error:
        raise DataError(f"{path} has a category without id or name") from error


def _picture(one: Any, where: str) -> tuple[Any, tuple[str, tuple[int, int]]]:
    try:
        name = str(one["file_name"]).replace("\\", "/")
        size = int(one["height"]), int(one["width"])
        identity = one["id"]
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise DataError(f"{where} lacks id, file_name, height or width") from error
    if not _hashable(identity) or not PurePosixPath(name).name or min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
        raise DataError(f"{where} is no picture: {name!r}, {size[0]} x {size[1]} pixels")
    return identity, (name, size)


def _hashable(value: Any) -> bool:
    return isinstance(value, (int, str))


def _annotation(one: dict[str, Any], classes: Mapping[Any, str], size: tuple[int, int], where: str) -> Annotation:
    category = one.get("category_id")
    if classes and (not _hashable(category) or category not in classes):
        raise DataError(f"{where} has the category {category!r}, which is not listed")
    name = classes.get(category) if classes else None
    crowd = bool(one.get("iscrowd", 0))
    segmentation = one.get("segmentation")
    if isinstance(segmentation, Mapping):
        return Annotation(bitmap=decode(segmentation, size, where), class_name=name, crowd=crowd)
    if not isinstance(segmentation, list) or not segmentation or not all(map(is_polygon, segmentation)):
        hint = "; boxes alone are no outlines" if not segmentation else ""
        raise DataError(f"{where} has neither polygons of three points or more nor a run-length code{hint}")
    polygons = tuple((np.array(points, np.float64).reshape(-1, 2),) for points in segmentation)
    return Annotation(polygons, class_name=name, crowd=crowd)
