"""A mask drawn over its picture, for people: objects lightly tinted, outlines in a colour that stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.images import to_rgb
from segdiff.errors import ShapeError

# Outlines take the one of these that is farthest from the colours of the picture.
COLOURS = np.array([(255, 230, 0), (0, 255, 255), (0, 230, 60), (255, 0, 255)], dtype=np.float32)
TINT = 0.18
LINE_SHARE = 700  # one pixel of line for so many of the picture, so that it is seen in the whole
DARK = 96.0  # pictures whose brightest part is darker than this are brightened for display


def draw_overlay(image: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture with a mask over it.

    Args:
        image: (H, W) or (H, W, C) as it was read.
        mask: bool (H, W).
    Returns:
        uint8 (H, W, 3). A dark picture (16-bit cameras that use 12) is brightened; an empty mask leaves it as
        it is.
    Raises:
        ShapeError: mask and image differ in size.
    """
    rgb = to_rgb(np.asarray(image))
    if mask.shape != rgb.shape[:2]:
        raise ShapeError(f"the mask is {mask.shape}, the image {rgb.shape[:2]}: they must be of one size")
    picture = rgb.astype(np.float32)
    brightest = np.percentile(picture[:: -(-picture.shape[0] // 512), :: -(-picture.shape[1] // 512)], 99.8)
    if 0 < brightest < DARK:
        picture *= 255 / brightest
    if mask.any():
        colour = _standing_out(picture, mask)
        picture[mask] += TINT * (colour - picture[mask])
        picture[outline(mask, max(1, round(max(mask.shape) / LINE_SHARE)))] = colour
    return picture.clip(0, 255).round().astype(np.uint8)


def outline(mask: NDArray[np.bool_], width: int = 1) -> NDArray[np.bool_]:
    """The pixels of a mask that are at most `width` steps from its background (bool, same shape).

    The picture's border is no background: an object that it cuts stays open there.
    """
    inside = mask.copy()
    for _ in range(width):
        core = inside.copy()
        core[1:] &= inside[:-1]
        core[:-1] &= inside[1:]
        core[:, 1:] &= inside[:, :-1]
        core[:, :-1] &= inside[:, 1:]
        inside = core
    return mask & ~inside


def _standing_out(picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The colour whose least distance to the mean of the objects and of the rest is largest."""
    means = [picture[part].mean(axis=0) for part in (mask, ~mask) if part.any()]
    distances = [np.linalg.norm(COLOURS - mean, axis=1) for mean in means]
    return COLOURS[int(np.min(distances, axis=0).argmax())]
