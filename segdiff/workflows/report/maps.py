"""The arrays of one picture: itself, its mask and maps, whole or, where it is very large, as an overview."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.images import read_image, read_size, read_stored
from segdiff.data.masks import foreground, read_mask
from segdiff.data.sources.open import open_source
from segdiff.errors import DataError, SegdiffError, ShapeError
from segdiff.workflows.report.rows import DONE, Row

MOST_PIXELS = 2**27  # of a larger picture an overview is read, tile by tile
TOO_LARGE = "it is too large to be read as a whole: a tiled TIFF would be shown as an overview"
GONE = "the file is no longer there"
_READING = threading.Lock()  # what libraries of pictures set while they read is of all threads


@dataclass
class Maps:
    """Arrays of one picture, those that could be read; all of one size.

    Attributes:
        shape: (height, width) of the picture itself; None: not known yet.
        longest: pixels of the longest side of an overview.
        arrays: kind -> array; of an overview at most `longest` pixels a side.
        refused: why a kind is not there -> the kinds.
    """

    shape: tuple[int, int] | None
    longest: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_overview(self) -> bool:
        """Whether arrays are made small."""
        return self.shape is not None and self.shape[0] * self.shape[1] > MOST_PIXELS

    def refuse(self, kind: str, error: BaseException | str) -> None:
        """Remember why a kind is not shown."""
        known = isinstance(error, SegdiffError | str)
        why = " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())
        self.refused.setdefault(why, []).append(kind)

    def read(self, kind: str, path: Path | None, reader: Callable[[Path], NDArray[Any]]) -> None:
        """Take a map, or remember why it cannot be shown."""
        if path is None:
            return
        try:
            with _READING:
                if self._is_large(path):
                    self._take_overview(kind, path)
                else:
                    self.take(kind, reader(path))
        except (SegdiffError, OSError, MemoryError, ValueError) as error:
            self.refuse(kind, error)

    def take(self, kind: str, array: NDArray[Any], size: tuple[int, int] | None = None) -> None:
        """Take an array of a picture of this size, by default its own. ShapeError unless it is that of the others."""
        found = size or (array.shape[0], array.shape[1])
        if self.shape is not None and found != self.shape:
            here, there = (" x ".join(map(str, shape)) for shape in (found, self.shape))
            raise ShapeError(f"it is {here} pixels (height x width), not {there}, and so is not of this picture")
        self.shape = found
        self.arrays[kind] = array

    def _is_large(self, path: Path) -> bool:
        size = self.shape or read_size(path)
        return size is not None and size[0] * size[1] > MOST_PIXELS

    def _take_overview(self, kind: str, path: Path) -> None:
        """A thumbnail of what can be read tile by tile; of a label map and a mask where there is an object."""
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp"):
            raise DataError(TOO_LARGE)
        source = open_source(path)
        small = source.thumbnail(self.longest)
        size = (source.height, source.width)
        if (close := getattr(source, "close", None)) is not None:  # those of files have it
            close()
        if kind in ("mask", "truth"):
            self.take(kind, small > small.max() / 2, size)
        elif kind != "labels":
            self.take(kind, small.astype(np.float32) if small.dtype.kind == "f" else small, size)
        elif "mask" not in self.arrays:
            self.take("mask", small > 0, size)


def read_maps(row: Row, longest: int) -> Maps:
    """Read what there is of a picture.

    Args:
        row: of a source.
        longest: pixels of the longest side of an overview of a very large picture.
    """
    maps = Maps(row.shape, longest)
    if row.sample is not None:
        try:
            with _READING:
                sample = row.sample()
            maps.take("picture", sample.image)
            maps.take("truth", np.asarray(sample.mask.any(axis=(0, 1))))
        except (SegdiffError, OSError, ValueError) as error:
            maps.refuse("data set", error)
    if "picture" not in maps.arrays:
        maps.read("picture", row.picture, read_image)
    if row.status != DONE:
        maps.refused.clear()  # what is wrong with it the record says
        return maps
    if row.picture is None and row.image is not None and "picture" not in maps.arrays:
        maps.refuse("picture", f"{row.image} was not found from here; --images DIR says where it lies now")
    for kind in row.missing:
        maps.refuse(kind, GONE)
    if "picture" not in maps.arrays:
        maps.read("overlay", row.outputs.get("overlay"), read_image)
    maps.read("mask", row.outputs.get("mask"), _read_foreground)
    maps.read("truth", row.truth, _read_foreground)
    maps.read("labels", row.outputs.get("labels"), _read_labels)
    for kind in ("probability", "uncertainty"):
        maps.read(kind, row.outputs.get(kind), _read_map)
    return maps


def _read_foreground(path: Path) -> NDArray[np.bool_]:
    return np.asarray(foreground(read_mask(path)) > 0)


def _read_labels(path: Path) -> NDArray[np.integer]:
    array = read_stored(path).values  # numbers as they are, whatever they look like
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise DataError(f"{path} is not a label map: it holds {array.dtype} {array.shape}")
    return array


def _read_map(path: Path) -> NDArray[np.float32]:
    array = read_stored(path).values
    if array.ndim != 2:
        raise DataError(f"{path} is not a map of numbers (H, W): it holds {array.shape}")
    if array.dtype.kind != "f":  # whole numbers of 8 or 16 bits stand for 0 to 1
        return (array / np.iinfo(array.dtype).max).astype(np.float32)
    return array.astype(np.float32)
