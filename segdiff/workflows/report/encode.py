"""Arrays to the small files that a page shows: JPEG of pictures, indexed PNG of masks, outlines and maps."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 64  # of a map's colours: no step is seen, and a map is a third of what 256 levels take
COLOURS = {"probability": ("viridis", 1.0), "uncertainty": ("magma", 0.5)}  # colour map, value of its last colour
FLAT = {"mask": (0, 190, 200), "outlines": (255, 225, 60), "truth": (255, 120, 220)}
CASING = (10, 12, 16, 170)  # around outlines, so that they are seen on any ground


def jpeg(rgb: NDArray[np.uint8], quality: int = 85) -> bytes:
    """A picture, uint8 (H, W, 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=quality, optimize=True)
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


def map_png(values: NDArray[np.floating], kind: str) -> bytes:
    """Numbers as colours. values: (H, W) from 0; kind: a key of `COLOURS`, whose range is the same for all pictures."""
    top = COLOURS[kind][1]
    steps = np.nan_to_num(values.astype(np.float32), nan=0.0).clip(0, top) * ((LEVELS - 1) / top)
    return _indexed(np.rint(steps).astype(np.uint8), palette(kind))


@cache
def palette(kind: str, levels: int = LEVELS) -> list[tuple[int, int, int, int]]:
    """Colours of a map from its least value to its greatest, RGBA of 0 to 255.

    Where there is no uncertainty the picture is to be seen: there the map is transparent.
    """
    from matplotlib import colormaps

    table = colormaps[COLOURS[kind][0]](np.linspace(0, 1, levels), bytes=True)
    alphas = np.linspace(0, 4, levels).clip(0, 1) * 255 if kind == "uncertainty" else np.full(levels, 255)
    return [(int(r), int(g), int(b), round(a)) for (r, g, b, _), a in zip(table, alphas, strict=True)]


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
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(indices), mode="P")
    picture.putpalette([channel for colour in colours for channel in colour[:3]])
    file = io.BytesIO()
    alphas = bytes(colour[3] for colour in colours)
    more = {} if set(alphas) == {255} else {"transparency": alphas}
    bits = 1 if len(colours) <= 2 else 2 if len(colours) <= 4 else 8
    picture.save(file, format="PNG", bits=bits, **more)
    return file.getvalue()
