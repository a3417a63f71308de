"""ImageJ's regions of interest: one in a `.roi` file, several in a `.zip`; read and written by roifile."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.files import is_zip, unzipped
from segdiff.data.annotations.polygons import as_polygons, grouped
from segdiff.data.annotations.rasterise import is_degenerate
from segdiff.data.annotations.shapes import NO_AREA, AnnotatedPicture, Annotation, Polygon, ellipse
from segdiff.errors import DataError

if TYPE_CHECKING:
    from roifile import ImagejRoi

MOST_COORDINATE = 60535  # roifile's largest; ImageJ has 16 bits for the box of a region
CLASS = "class"  # the property that holds a class's name: ImageJ itself has none


def read_rois(content: bytes, path: Path) -> AnnotatedPicture:
    """Read the bytes of a `.roi` file or of a `.zip` of such.

    Raises:
        DataError: neither, damaged, or regions on several planes of a stack.
    """
    entries = unzipped(content, path, ".roi") if is_zip(content) else [(path.name, content)]
    if not entries:
        raise DataError(f"{path} holds no region of ImageJ (.roi)")
    found: list[Annotation] = []
    left_out: Counter[str] = Counter()
    planes = set()
    for name, data in entries:
        where = str(path) if name == path.name else f"{path}: {name}"
        roi = _parsed(data, where)
        annotation = _annotation(roi, where)
        if annotation is None:
            left_out[NO_AREA] += 1
            continue
        found.append(annotation)
        planes |= {(roi.position, roi.z_position, roi.t_position)} - {(0, 0, 0)}
    if len(planes) > 1:
        raise DataError(f"{path} has regions on {len(planes)} planes of a stack; save those of one")
    return AnnotatedPicture(found, left_out=dict(left_out))


def roi_zip(annotations: Sequence[Annotation], where: str) -> bytes:
    """The bytes of a zip with a region for each object; objects of several parts or with holes are composite regions.

    Raises:
        DataError: coordinates that ImageJ's format does not hold.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, one in enumerate(annotations, start=1):
            if is_degenerate(one):
                continue
            polygons = as_polygons(one)
            if not polygons:
                continue
            roi = _roi(polygons, f"{number:06d}", where)
            if one.class_name is not None:
                roi.props = f"{CLASS}: {''.join(c if ord(c) < 2**16 else '?' for c in one.class_name)}\n"
            # A fixed date: the same objects give the same bytes.
            packed.writestr(zipfile.ZipInfo(f"{number:06d}.roi", (1980, 1, 1, 0, 0, 0)), roi.tobytes())
    return file.getvalue()


def _parsed(data: bytes, where: str) -> ImagejRoi:
    from roifile import ImagejRoi

    try:
        return ImagejRoi.frombytes(data)
    except Exception as error:  # of struct and numpy, in many kinds
        raise DataError(f"{where} is no region of ImageJ, or damaged") from error


def _annotation(roi: ImagejRoi, where: str) -> Annotation | None:
    """None for what has no area: points, lines, texts, pictures."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    name = _class_name(roi)
    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        return None
    try:
        if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
            ring = np.array(roi.coordinates(), np.float64).reshape(-1, 2)
            return Annotation(((_finite(ring),),), class_name=name)
        if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL) and not roi.composite:
            return _box(roi, where, name)
        if roi.composite:
            rings = [_finite(np.array(ring, np.float64)) for ring in roi.coordinates(multi=True)]
            return Annotation(grouped(rings), class_name=name)
    except NotImplementedError:
        raise DataError(f"{where} has curves, which cannot be read: in ImageJ, make it a polygon") from None
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{where} is a damaged region of ImageJ") from error
    return None


def _box(roi: ImagejRoi, where: str, name: str | None) -> Annotation:
    from roifile import ROI_TYPE

    left, top = float(roi.left), float(roi.top)
    across, down = float(roi.right - roi.left), float(roi.bottom - roi.top)
    if roi.subpixelrect:
        left, top, across, down = roi.xd, roi.yd, roi.widthd, roi.heightd
    corners = _finite(np.array([[left, top], [left + across, top], [left + across, top + down], [left, top + down]]))
    if roi.roitype == ROI_TYPE.OVAL:
        bitmap = ellipse(left + across / 2, top + down / 2, across / 2, down / 2)
        return Annotation(bitmap=bitmap, class_name=name)
    if roi.rounded_rect_arc_size > 0:
        raise DataError(f"{where} is a rectangle with round corners: in ImageJ, make it a polygon")
    return Annotation(((corners,),), class_name=name)


def _finite(points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(points).all():
        raise ValueError("a coordinate that is not finite")
    return points


def _class_name(roi: ImagejRoi) -> str | None:
    for line in roi.props.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == CLASS:
            return value.strip() or None
    return None


def _roi(polygons: tuple[Polygon, ...], name: str, where: str) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring[:-1] if len(ring) > 3 and (ring[0] == ring[-1]).all() else ring for one in polygons for ring in one]
    points = np.concatenate(rings)
    if points.min() < 0 or points.max() > MOST_COORDINATE:
        raise DataError(f"{where} has coordinates outside 0 to {MOST_COORDINATE}, which regions of ImageJ do not hold")
    if len(rings) == 1:
        roi = ImagejRoi.frompoints(rings[0], name=name)
        roi.roitype = ROI_TYPE.POLYGON
        return roi
    path: list[float] = []
    for ring in rings:
        steps = np.column_stack([np.ones(len(ring)), ring])
        steps[0, 0] = 0  # to the first point without a line, to the others with one, then back
        path += [*steps.ravel().tolist(), 4.0]
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return ImagejRoi(
        roitype=ROI_TYPE.RECT,
        name=name,
        left=int(low[0]),
        top=int(low[1]),
        right=int(high[0]),
        bottom=int(high[1]),
        shape_roi_size=len(path),
        multi_coordinates=np.array(path, np.float32),
    )
