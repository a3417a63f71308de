"""Outlines of objects: reading Aperio ImageScope XML, and filling polygons into a map of instances."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from segdiff.errors import DataError, MissingError

# What `rasterise` does, as a number: raised when its output changes, so that cached masks are made anew.
RASTERISER_VERSION = 1
MOST_BYTES = 2**29  # of XML; a slide with a million outlines has as much


def read_annotations(path: str | Path) -> list[np.ndarray]:
    """Read the outlines of an Aperio ImageScope file, `.xml` or `.xml.gz`.

    Returns:
        One float64 array (n, 2) for each Region, in the order of the file, n >= 0; columns are x (the pixel's
        column) and y (its row), in pixels, with pixel centres at integers. Regions may leave the picture.
    Raises:
        MissingError: there is no such file.
        DataError: not XML of this kind, truncated, or a vertex without numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such annotation: {path}")
    return parse_annotations(path.read_bytes(), path)


def parse_annotations(content: bytes, path: Path) -> list[np.ndarray]:
    """The same from the bytes of the file; `path` names it in errors, and .gz tells to unpack them."""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"{path} holds more than {MOST_BYTES // 2**20} MB of XML, as no annotation does")
        root = ElementTree.fromstring(content)
    except (OSError, EOFError, zlib.error, ElementTree.ParseError) as error:
        raise DataError(f"{path} is not a complete XML file ({error})") from error
    if root.tag != "Annotations":
        raise DataError(f"{path} is no ImageScope annotation: its root is <{root.tag}>, not <Annotations>")
    try:
        return [_vertices(region) for region in root.iter("Region")]
    except ValueError as error:
        raise DataError(f"{path} has a vertex whose X and Y are not numbers ({error})") from error


def rasterise(polygons: Sequence[np.ndarray], height: int, width: int) -> tuple[np.ndarray, dict[str, int]]:
    """Fill polygons into a map of instances.

    A pixel is inside a polygon when its centre, at integer coordinates, is inside (`skimage.draw.polygon`).
    Where polygons overlap the earlier one keeps the pixel, as in the challenge's own instance masks. Polygons
    that reach over the border are clipped.

    Args:
        polygons: arrays (n, 2) of x and y.
        height, width: of the picture.
    Returns:
        labels: int32 (height, width), 0 the background, 1..drawn the polygons in their order, without gaps.
        report: counts. polygons = drawn + degenerate + hidden.
            drawn: have at least one pixel of their own;
            degenerate: fewer than 3 different vertices, no area, or a coordinate that is not finite;
            hidden: no pixel left, being too small, outside the picture, or covered by earlier ones;
            clipped: those of `drawn` that reach over the border.
    """
    from skimage.draw import polygon as pixels_inside

    labels = np.zeros((height, width), dtype=np.int32)
    report = {"polygons": len(polygons), "drawn": 0, "degenerate": 0, "clipped": 0, "hidden": 0}
    for outline in polygons:
        if _is_degenerate(outline):
            report["degenerate"] += 1
            continue
        rows, columns = pixels_inside(outline[:, 1], outline[:, 0], shape=(height, width))
        free = labels[rows, columns] == 0
        if not free.any():
            report["hidden"] += 1
            continue
        report["drawn"] += 1
        report["clipped"] += _reaches_over(outline, height, width)
        labels[rows[free], columns[free]] = report["drawn"]
    return labels, report


def _vertices(region: ElementTree.Element) -> np.ndarray:
    points = [(vertex.get("X", ""), vertex.get("Y", "")) for vertex in region.iter("Vertex")]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _is_degenerate(outline: np.ndarray) -> bool:
    if len(outline) < 3 or not np.isfinite(outline).all():
        return True
    # All vertices on one line (or point). A bow tie's signed area may be 0, too, but it has an inside.
    return bool(np.linalg.matrix_rank(outline - outline[0], tol=1e-9) < 2)


def _reaches_over(outline: np.ndarray, height: int, width: int) -> bool:
    """Whether a vertex lies outside the picture's pixels, which reach from -0.5 to size - 0.5."""
    return bool((outline < -0.5).any() or (outline > np.array([width, height]) - 0.5).any())
