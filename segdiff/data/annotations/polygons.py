"""Objects as polygons that every tool takes: bitmaps traced, rings grouped, crossings resolved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.outlines import outlines
from segdiff.data.annotations.rasterise import is_degenerate
from segdiff.data.annotations.shapes import Annotation, Polygon


def as_polygons(annotation: Annotation) -> tuple[Polygon, ...]:
    """An object as polygons alone: a bitmap becomes its outline; what has no area is left out."""
    polygons = tuple(polygon for polygon in annotation.polygons if not is_degenerate(Annotation((polygon,))))
    if annotation.bitmap is None:
        return polygons
    traced = outlines(annotation.bitmap.pixels.astype(np.int32), (annotation.bitmap.top, annotation.bitmap.left))
    return polygons + tuple(polygon for _, parts in traced for polygon in parts)


def valid_polygons(annotation: Annotation) -> tuple[Polygon, ...]:
    """The same, valid by shapely's rules, as QuPath from 0.6 on demands.

    Lines that cross themselves are resolved by the even-odd rule, parts that overlap are united; polygons that are
    valid stay as they are.
    """
    import shapely

    polygons = as_polygons(annotation)
    parts = [shapely.Polygon(polygon[0], [ring for ring in polygon[1:] if len(ring) >= 3]) for polygon in polygons]
    if shapely.is_valid(shapely.MultiPolygon(parts)):
        return polygons
    return _polygons_in(shapely.union_all([shapely.make_valid(part) for part in parts]))


def simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """Leave out vertices of a valid polygon without moving its lines by more than a tolerance (Douglas and Peucker).

    It stays valid, and none of its parts disappears; where that cannot be had it is returned as it is.
    """
    import shapely

    if tolerance <= 0:
        return polygon
    found = shapely.simplify(shapely.Polygon(polygon[0], polygon[1:]), tolerance, preserve_topology=True)
    if found.geom_type != "Polygon" or found.is_empty or not shapely.is_valid(found):
        return polygon
    return (shapely.get_coordinates(found.exterior), *(shapely.get_coordinates(ring) for ring in found.interiors))


def grouped(rings: list[NDArray[np.float64]]) -> tuple[Polygon, ...]:
    """Polygons with holes from the rings of a composite region, of which every other one from outside in is a hole."""
    import shapely

    rings = [ring for ring in rings if not is_degenerate(Annotation(((ring,),)))]
    areas = np.array([shapely.Polygon(ring) for ring in rings])
    if not areas.size:
        return ()
    if not shapely.is_valid(areas).all() or shapely.overlaps(areas[:, None], areas).any():
        return _alternating(areas)
    holds = shapely.contains(areas[:, None], areas) & ~np.eye(len(areas), dtype=bool)
    depth = holds.sum(axis=0)
    polygons = {i: [rings[i]] for i in np.flatnonzero(depth % 2 == 0).tolist()}
    for hole in np.flatnonzero(depth % 2).tolist():
        around = np.flatnonzero(holds[:, hole] & (depth == depth[hole] - 1))
        polygons[int(around[0])].append(rings[hole])
    return tuple(tuple(found) for found in polygons.values())


def _alternating(areas: NDArray[np.object_]) -> tuple[Polygon, ...]:
    """Likewise where rings cross."""
    import shapely

    found = shapely.make_valid(areas[0])
    for one in areas[1:]:
        found = shapely.symmetric_difference(found, shapely.make_valid(one))
    return _polygons_in(found)


def _polygons_in(geometry: Any) -> tuple[Polygon, ...]:
    """The polygons of a geometry of any kind."""
    import shapely

    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return tuple(
        (shapely.get_coordinates(part.exterior), *(shapely.get_coordinates(ring) for ring in part.interiors))
        for part in parts
    )
