"""Arrays to the small files that a page shows: WebP of pictures and maps, indexed PNG of masks and outlines."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUALITY, SMALL = 92, 80  # of WebP: of what is looked at closely, and of the rest
METHOD = 2  # slower ones make files that are a twentieth smaller
LEVELS = 256
COLOURS = {"probability": ("viridis", 1.0), "uncertainty": ("magma", 0.25)}  # colour map, value of its last colour
FLAT = {"mask": (0, 190, 200), "outlines": (255, 225, 60), "truth": (255, 120, 220)}
CASING = (10, 12, 16, 170)  # around outlines, so that they are seen on any ground


def webp(rgb: NDArray[np.uint8], quality: int = SMALL) -> bytes:
    """A picture or a map in colours, uint8 (H, W, 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="WEBP", quality=quality, method=METHOD)
    return file.getvalue()


def flat_png(mask: NDArray[np.bool_], kind: str) -> bytes:
    """One colour where the mask is, transparent elsewhere. mask: bool (H, W); kind: a key of `FLAT`."""
    return _indexed(mask.astype(np.uint8), [(0, 0, 0, 0), (*FLAT[kind], 255)])


def outline_png(labels: NDArray[Any], kind: str) -> bytes:
    """The borders of objects, with a dark line around them.

    Args:
        labels: (H, W) numbers of objects, or bool.
        kind: a key of `FLAT`.
    """
    border = borders(labels)
    ground = ~border & (labels == 0) & _beside(border)
    return _indexed(np.where(border, np.uint8(1), ground * np.uint8(2)), [(0, 0, 0, 0), (*FLAT[kind], 255), CASING])


def map_colours(values: NDArray[np.floating], kind: str) -> NDArray[np.uint8]:
    """Numbers (H, W) as colours (H, W, 3).

    kind: a key of `COLOURS`, whose range is the same for all pictures; what is above it has its last colour.
    """
    top = COLOURS[kind][1]
    steps = np.nan_to_num(values.astype(np.float32), nan=0.0).clip(0, top) * ((LEVELS - 1) / top)
    return palette(kind)[np.rint(steps).astype(np.uint8)]


@cache
def palette(kind: str, levels: int = LEVELS) -> NDArray[np.uint8]:
    """Colours of a map from its least value to its greatest: (levels, 3)."""
    from matplotlib import colormaps

    return np.ascontiguousarray(colormaps[COLOURS[kind][0]](np.linspace(0, 1, levels), bytes=True)[:, :3])


def borders(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """The pixels of objects that touch background or another object by a side; the picture's edge is neither."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border & (labels != 0)


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What touches a mask by a side."""
    found = np.zeros_like(mask)
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
    return found


def _indexed(indices: NDArray[np.uint8], colours: list[tuple[int, int, int, int]]) -> bytes:
    """A PNG of two bits a pixel, or of one."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(indices), mode="P")
    picture.putpalette([channel for colour in colours for channel in colour[:3]])
    file = io.BytesIO()
    bits = 1 if len(colours) <= 2 else 2
    picture.save(file, format="PNG", bits=bits, transparency=bytes(colour[3] for colour in colours))
    return file.getvalue()
