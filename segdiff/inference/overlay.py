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
STRONG = 0.75  # of a pixel of a thumbnail that is covered wholly
LINE_SHARE = 700  # one pixel of line for so many of the picture, so that it is seen in the whole
STRIP = 512  # rows
DARK = 96.0  # pictures whose brightest part is darker than this are brightened for display


def draw_overlay(
    image: NDArray[Any], mask: NDArray[np.bool_], labels: NDArray[np.integer] | None = None
) -> NDArray[np.uint8]:
    """Draw a mask over its picture.

    Args:
        image: (H, W) or (H, W, C) as it was read.
        mask: bool (H, W).
        labels: of the mask's objects, (H, W), 0 where none is: each gets an outline of its own, also where two touch.
    Returns:
        uint8 (H, W, 3). A dark picture (16-bit cameras that use 12) is brightened; an empty mask leaves it as
        it is.
    Raises:
        ShapeError: mask and image differ in size.
    """
    rgb, gain = _ground(image, mask.shape)
    colour = _standing_out(rgb, mask, gain)
    line = outline(mask if labels is None else labels, max(1, round(max(mask.shape) / LINE_SHARE)))
    picture = np.empty(rgb.shape, np.uint8)
    for row in range(0, len(rgb), STRIP):  # a slide in float32 takes more memory than its prediction
        rows = slice(row, row + STRIP)
        part, inside = rgb[rows].astype(np.float32) * gain, mask[rows]
        part[inside] += TINT * (colour - part[inside])
        part[line[rows]] = colour
        picture[rows] = part.clip(0, 255).round()
    return picture


def draw_shares(image: NDArray[Any], shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Tint each pixel of a thumbnail as strongly as a mask covers it, for objects too small to be outlined.

    Args:
        image: (H, W) or (H, W, C) as it was read.
        shares: of each pixel that the mask covers, (H, W), 0 to 1.
    Returns:
        uint8 (H, W, 3). A dark picture is brightened, as by `draw_overlay`.
    Raises:
        ShapeError: shares and image differ in size.
    """
    rgb, gain = _ground(image, shares.shape)
    colour = _standing_out(rgb, shares > shares.max(initial=0) / 2, gain)
    part = rgb.astype(np.float32) * gain
    part += (STRONG * shares.astype(np.float32))[..., None] * (colour - part)
    return np.asarray(part.clip(0, 255).round(), np.uint8)


def _ground(image: NDArray[Any], size: tuple[int, ...]) -> tuple[NDArray[Any], np.float32]:
    """A picture as RGB, and the factor that makes it bright enough to be seen."""
    rgb = to_rgb(np.asarray(image))
    if size != rgb.shape[:2]:
        raise ShapeError(f"the mask is {size}, the image {rgb.shape[:2]}: they must be of one size")
    brightest = np.percentile(rgb[:: -(-rgb.shape[0] // 512), :: -(-rgb.shape[1] // 512)], 99.8)
    return rgb, np.float32(255 / brightest if 0 < brightest < DARK else 1)


def outline(labels: NDArray[Any], width: int = 1) -> NDArray[np.bool_]:
    """Find the pixels of objects that are at most `width` steps from what is not of their object.

    The picture's border is no background: an object that it cuts stays open there.

    Args:
        labels: (H, W), bool of a mask, or a number for each object; 0 the background.
    Returns:
        bool (H, W).
    """
    present = labels != 0
    inside = present.copy()
    same_row, same_column = labels[1:] == labels[:-1], labels[:, 1:] == labels[:, :-1]
    for _ in range(width):
        core = inside.copy()
        core[1:] &= inside[:-1] & same_row
        core[:-1] &= inside[1:] & same_row
        core[:, 1:] &= inside[:, :-1] & same_column
        core[:, :-1] &= inside[:, 1:] & same_column
        inside = core
    return present & ~inside


def _standing_out(rgb: NDArray[Any], mask: NDArray[np.bool_], gain: np.float32) -> NDArray[np.float32]:
    """The colour whose least distance to the mean of the objects and of the rest is largest."""
    means = [rgb[part].mean(axis=0) * gain for part in (mask, ~mask) if part.any()]
    distances = [np.linalg.norm(COLOURS - mean, axis=1) for mean in means]
    return COLOURS[int(np.min(distances, axis=0).argmax())]
