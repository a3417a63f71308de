"""Small pictures and masks for tests of reading, and what they are written with."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SHAPES = {"square": (24, 24), "wide": (20, 34)}
TYPES = ("bool", "uint8", "uint16", "uint32", "int16", "int32", "int64", "float16", "float32", "float64")
COMPRESSIONS = (None, "zlib", "lzw", "packbits", "zstd")
LAYOUTS = {"strip": {}, "strips": {"rowsperstrip": 7}, "tiles": {"tile": (16, 16)}, "big": {"bigtiff": True}}
ORIENTATION = 274
TAGS = {
    "none": {},
    **{f"orientation {k}": {"extratags": [(ORIENTATION, "H", 1, k, False)]} for k in (3, 6, 8)},
    "white is zero": {"photometric": "miniswhite"},
}


def grey(shape: tuple[int, int]) -> np.ndarray:
    """Values 0 to 255, with a corner that tells any turn."""
    values = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    values[:3, :5], values[-1, -1] = 0, 255
    return values


def colour(shape: tuple[int, int]) -> np.ndarray:
    return np.dstack([grey(shape), grey(shape)[::-1], 255 - grey(shape)])


def of_type(values: np.ndarray, kind: str) -> np.ndarray:
    return (
        values > 99 if kind == "bool" else values / np.dtype(kind).type(255) if "float" in kind else values.astype(kind)
    )


def write(path: Path, array: np.ndarray, **options: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(path, array, **options)


def brightfield(shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Stained tissue: dark violet on pale pink, uint8."""
    rng = np.random.default_rng(2)
    image = np.empty((*shape, 3), np.uint8)
    image[:] = (225, 195, 215)
    image[rng.random(shape) < 0.3] = (95, 60, 140)
    return (image.astype(int) + rng.integers(-12, 13, image.shape)).clip(1, 254).astype(np.uint8)


LABELS = np.zeros((96, 128), np.uint16)
for _number, (_y, _x) in enumerate(itertools.product(range(12, 90, 24), range(14, 120, 25)), start=1):
    _rows, _columns = np.mgrid[:96, :128]
    LABELS[(_rows - _y) ** 2 + (_columns - _x) ** 2 < 81] = _number
BINARY = LABELS > 0
N = int(LABELS.max())


def palette(colours: list[tuple[int, int, int]], indices: np.ndarray) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8)).convert("P")
    picture.putdata(indices.astype(np.uint8).ravel().tolist())
    picture.putpalette([value for one in colours for value in one])
    return picture


def random_colours() -> np.ndarray:
    colours = np.random.default_rng(3).integers(30, 256, (N + 1, 3)).astype(np.uint8)
    colours[0] = 0
    return colours


def rgba(colours: np.ndarray) -> np.ndarray:
    return np.dstack([colours, np.where(BINARY, 255, 0).astype(np.uint8)])


def same_objects(ours: np.ndarray, theirs: np.ndarray) -> None:
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(theirs)) == len(np.unique(ours))
