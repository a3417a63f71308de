"""Labelme: a JSON file for each picture.

Its coordinates are in the frame of `shapes`. Labelme itself drew outlines of its automatic tools up to one pixel to the
right and below until 2026; what was drawn by hand is not affected.
"""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.rasterise import cover, is_degenerate
from segdiff.data.annotations.shapes import NO_AREA, AnnotatedPicture, Annotation, Bitmap, ellipse
from segdiff.errors import DataError

FORMAT = "5.5.0"  # of Labelme, whose files have had this form from 5.3 (masks) on
POLYGONS = ("polygon", "oriented_rectangle")
WITHOUT_AREA = ("point", "points", "line", "linestrip")
MOST_PIXELS = 2**28  # of the bitmap of one shape


def is_labelme(content: Any) -> bool:
    """Whether parsed JSON looks like Labelme's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(content: Any, path: Path) -> AnnotatedPicture:
    """Read the objects of a parsed Labelme file.

    Shapes of one label and one `group_id` are parts of one object.

    Raises:
        DataError: not Labelme's, a shape of an unknown type, or points that are no numbers.
    """
    if not is_labelme(content):
        raise DataError(f"{path} is no Labelme file: it has no list of shapes")
    left_out: Counter[str] = Counter()
    objects: dict[Any, Annotation] = {}
    for number, shape in enumerate(content["shapes"], start=1):
        where = f"{path}: shape {number}"
        try:
            kind = shape.get("shape_type") or "polygon"
            label, group = shape.get("label"), shape.get("group_id")
            if kind in WITHOUT_AREA:
                left_out[NO_AREA] += 1
                continue
            part = _annotation(kind, shape, where)
        except DataError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where} has no points as Labelme has them") from error
        key = (number, None) if group is None else (str(label), str(group))
        name = None if label is None else str(label)
        objects[key] = _united(objects.get(key), part, name, where)
    return AnnotatedPicture(list(objects.values()), _size(content, path), _picture(content), dict(left_out))


def labelme_file(picture: AnnotatedPicture) -> bytes:
    """The bytes of a Labelme file. Objects with holes, which Labelme's polygons cannot have, become masks; parts of one
    object share a `group_id`.

    Args:
        picture: with size and file name.
    """
    assert picture.size is not None and picture.picture is not None
    height, width = picture.size
    shapes: list[dict[str, Any]] = []
    for number, one in enumerate(picture.annotations, start=1):
        if is_degenerate(one):
            continue
        parts = _shapes(one, height, width)
        group = number if len(parts) > 1 else None
        label = one.class_name or "object"
        shapes += [{"label": label, "group_id": group, "description": "", "flags": {}, **part} for part in parts]
    content: dict[str, Any] = {
        "version": FORMAT,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture.picture,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def _shapes(one: Annotation, height: int, width: int) -> list[dict[str, Any]]:
    if one.bitmap is None and all(len(polygon) == 1 for polygon in one.polygons):
        return [
            {"shape_type": "polygon", "points": _open(polygon[0]).tolist(), "mask": None}
            for polygon in one.polygons
            if len(polygon[0]) >= 3
        ]
    own = cover(one, height, width)
    if not own.pixels.any():
        return []
    bottom, right = own.top + own.pixels.shape[0] - 1, own.left + own.pixels.shape[1] - 1
    corners = [[float(own.left), float(own.top)], [float(right), float(bottom)]]
    return [{"shape_type": "mask", "points": corners, "mask": _png(own.pixels)}]


def _open(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return ring[:-1] if len(ring) > 3 and (ring[0] == ring[-1]).all() else ring


def _annotation(kind: str, shape: dict[str, Any], where: str) -> Annotation:
    points = np.array(shape["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError
    needed = {"rectangle": 2, "circle": 2, "oriented_rectangle": 4}.get(kind)
    if needed is not None and len(points) != needed:
        raise DataError(f"{where} is a {kind} of {len(points)} points, not of {needed}")
    if kind in POLYGONS:
        return Annotation(((points,),))
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        return Annotation(((np.array([[left, top], [right, top], [right, bottom], [left, bottom]]),),))
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return Annotation(bitmap=ellipse(float(points[0, 0]), float(points[0, 1]), radius, radius))
    if kind == "mask":
        left, top = (int(value) for value in points[0])
        return Annotation(bitmap=Bitmap(top, left, _pixels(shape["mask"], where)))
    raise DataError(f"{where} is of the type {kind!r}, which is not known")


def _united(known: Annotation | None, part: Annotation, name: str | None, where: str) -> Annotation:
    if known is None:
        return Annotation(part.polygons, part.bitmap, name)
    if known.bitmap is not None and part.bitmap is not None:
        raise DataError(f"{where} is a second mask or circle of one group: draw the parts of an object as polygons")
    return Annotation(known.polygons + part.polygons, known.bitmap or part.bitmap, name)


def _pixels(text: str, where: str) -> NDArray[np.bool_]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise DataError(f"{where} has a mask of {picture.height} x {picture.width} pixels")
            array = np.array(picture)
    except DataError:
        raise
    except Exception as error:  # of base64, and the many kinds that Pillow raises
        raise DataError(f"{where} has a mask that is no PNG in base64") from error
    return np.asarray(array > 0 if array.ndim == 2 else array.any(axis=2))


def _png(pixels: NDArray[np.bool_]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * 255).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _size(content: dict[str, Any], path: Path) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None or width is None:
        return None
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise DataError(f"{path} gives the size of its picture as {height!r} x {width!r}")
    return height, width


def _picture(content: dict[str, Any]) -> str | None:
    name = content.get("imagePath")
    return PurePosixPath(name.replace("\\", "/")).name or None if isinstance(name, str) else None
