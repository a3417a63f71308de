"""A picture and its maps, read and made small: what one row of a report shows."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.images import to_rgb
from segdiff.data.resize import resize_image, truth_to_grid
from segdiff.data.value_range import value_scale
from segdiff.errors import SegdiffError
from segdiff.inference.overlay import draw_overlay
from segdiff.workflows.report.encode import QUALITY, flat_png, map_colours, outline_png, webp
from segdiff.workflows.report.maps import Maps, read_maps
from segdiff.workflows.report.objects import Columns, Crop, crops, measure_labels, read_objects, shortened
from segdiff.workflows.report.rows import Row

THUMBNAIL = 160  # pixels of its longest side: 80 in the page, on a screen of two dots a pixel
LARGE = 2**23  # pixels: with its maps such a picture takes some 100 MB, so that one is prepared at a time
FINER = 4  # times: outlines of small pictures are drawn on so much finer a grid
_ALONE = threading.Lock()


@dataclass
class Shown:
    """What the page shows of a row.

    Attributes:
        row: where it comes from.
        values: numbers by the key of their column; None where there is none.
        thumbnail: WebP; None where there is no picture and no mask.
        layers: kind -> (media type, bytes), all of one size.
        size: (width, height) of the layers.
        scale: of the layers, by the picture's own size.
        objects: columns of at most `objects.MOST` objects.
        areas, areas_um2, confidences: of all objects, for histograms.
        crops: the objects to look at first.
        notes: what could not be shown and why.
        empty, full: whether the mask is.
        truth: whether the truth is among the layers.
    """

    row: Row
    values: dict[str, float | None] = field(default_factory=dict)
    thumbnail: bytes | None = None
    layers: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    scale: float = 1.0
    objects: Columns = field(default_factory=dict)
    areas: list[float] = field(default_factory=list)
    areas_um2: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    empty: bool = False
    full: bool = False
    truth: bool = False


def prepare(row: Row, size: int) -> Shown:
    """Read all that there is of a picture and make it small; what cannot be read becomes a note.

    Safe in threads, and a gain: most of the work leaves Python's lock.

    Args:
        row: of a source.
        size: pixels of the longest side of the layers.
    """
    large = row.shape is not None and row.shape[0] * row.shape[1] > LARGE
    with _ALONE if large else nullcontext():
        return _prepare(row, size)


def _prepare(row: Row, size: int) -> Shown:
    shown = Shown(row, values=dict(row.scores))
    maps = read_maps(row, size)
    labels, mask = maps.arrays.get("labels"), maps.arrays.get("mask")
    if mask is None and labels is not None:
        mask = labels > 0
    try:
        columns = read_objects(row.outputs["objects"]) if "objects" in row.outputs else None
    except (SegdiffError, OSError) as error:
        maps.refuse("objects", error)
        columns = None
    if columns is None and labels is not None:
        columns = measure_labels(labels)
    if columns is not None:
        _measure_objects(shown, columns)
    if mask is not None:
        _measure_mask(shown, mask, maps.arrays)
    if maps.arrays:
        _draw(shown, maps, mask, size)
        picture = maps.arrays.get("picture")
        if columns is not None and picture is not None and not maps.is_overview:
            shown.crops = crops(_bytes(picture), mask if labels is None else labels, columns)
    shown.notes += [f"{', '.join(kinds)}: {why}" for why, kinds in maps.refused.items()]
    return shown


def _measure_objects(shown: Shown, columns: Columns) -> None:
    shown.areas = [value for value in columns.get("area", []) if value is not None]
    shown.areas_um2 = [value for value in columns.get("area_um2", []) if value is not None]
    shown.confidences = [value for value in columns.get("confidence", []) if value is not None]
    shown.values["objects"] = len(columns["id"])
    if shown.areas:
        shown.values["area"] = float(np.median(shown.areas))
    if shown.areas_um2:
        shown.values["area_um2"] = float(np.median(shown.areas_um2))
    if shown.confidences:
        shown.values["confidence"] = float(np.mean(shown.confidences))
    shown.objects = shortened(columns)
    if len(shown.objects["id"]) < len(columns["id"]):
        kept, every = len(shown.objects["id"]), len(columns["id"])
        shown.notes.append(f"the {kept} least sure of {every} objects are in the table of the page")


def _measure_mask(shown: Shown, mask: NDArray[np.bool_], maps: dict[str, NDArray[Any]]) -> None:
    inside = int(mask.sum())
    shown.empty, shown.full = inside == 0, inside == mask.size
    shown.values["share"] = 100 * inside / mask.size
    for kind in ("probability", "uncertainty"):
        if kind in maps and inside:
            shown.values[kind] = float(maps[kind][mask].mean())


def _draw(shown: Shown, maps: Maps, mask: NDArray[np.bool_] | None, longest: int) -> None:
    """Layers and thumbnail."""
    arrays, shape = maps.arrays, maps.shape
    assert shape is not None
    shown.scale = min(1.0, longest / max(shape))
    small = (max(1, round(shape[0] * shown.scale)), max(1, round(shape[1] * shown.scale)))
    shown.size = (small[1], small[0])
    # Lines of a whole pixel hide what they surround where a small picture is shown large.
    finer = max(1, min(FINER, longest // max(small)))
    fine = (small[0] * finer, small[1] * finer)
    ground = arrays.get("picture", arrays.get("overlay"))
    picture = np.zeros((*small, 3), np.uint8) if ground is None else brightened(ground, small)
    if ground is not None:
        shown.layers["picture"] = ("image/webp", webp(picture, QUALITY))
    if mask is not None:
        shown.layers["mask"] = ("image/png", flat_png(truth_to_grid(mask, small), "mask"))
    parts = arrays.get("labels", mask)
    if parts is not None:
        shown.layers["outlines"] = ("image/png", outline_png(truth_to_grid(parts, fine), "outlines"))
    shown.truth = "truth" in arrays
    if shown.truth:
        shown.layers["truth"] = ("image/png", outline_png(truth_to_grid(arrays["truth"], fine), "truth"))
    for kind in ("probability", "uncertainty"):
        if kind in arrays:
            values = resize_image(arrays[kind][..., None], small)[..., 0]
            shown.layers[kind] = ("image/webp", webp(map_colours(values, kind)))
    drawn = mask if mask is not None else arrays.get("truth")
    if ground is None and drawn is None:
        return
    factor = min(1.0, THUMBNAIL / max(small))
    tiny = (max(1, round(small[0] * factor)), max(1, round(small[1] * factor)))
    reduced = resize_image(picture, tiny)
    if drawn is not None and "overlay" not in arrays:  # which has outlines already
        reduced = draw_overlay(reduced, truth_to_grid(drawn, tiny))
    shown.thumbnail = webp(reduced)


def brightened(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture as it was read, made small, and lighter where it is dark, as `inference.overlay` shows it."""
    scale = value_scale(image)
    step = max(1, min(side // (2 * new) for side, new in zip(image.shape[:2], size, strict=True)))
    reduced = resize_image(to_rgb(image[::step, ::step], scale), size)
    return draw_overlay(reduced, np.zeros(size, bool))


def _bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """RGB of 8 bits at full size."""
    rgb = to_rgb(image)
    return rgb if rgb.dtype == np.uint8 else rgb.clip(0, 255).round().astype(np.uint8)
