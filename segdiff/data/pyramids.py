"""Writing OME-TIFF pyramids tile by tile: images that do not fit memory."""

from __future__ import annotations

import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segdiff.data.windows import tiles as tile_windows
from segdiff.data.writers import CLASSIC_TIFF, atomic
from segdiff.errors import ShapeError

TILE = 512
_FILES = uuid.uuid5(uuid.NAMESPACE_URL, "https://segdiff/pyramids")
Shrink = Callable[[NDArray[Any]], NDArray[Any]]


def nearest(tile: NDArray[Any]) -> NDArray[Any]:
    """Halve a tile by its upper left pixels: for label maps, whose numbers have no mean."""
    return tile[::2, ::2]


def mean(tile: NDArray[Any]) -> NDArray[Any]:
    """Halve a tile by the means of squares of four pixels, border pixels repeated where a side is odd."""
    padded = np.pad(tile, [(0, n % 2) for n in tile.shape], mode="edge")
    height, width = padded.shape
    return padded.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3), dtype=np.float64).astype(tile.dtype)


@dataclass(frozen=True)
class Pyramid:
    """What an image pyramid is to be like.

    Args:
        height, width: of the full image.
        dtype: of its values.
        shrink: makes a level from the one before: `nearest` or `mean`.
        mpp: micrometres per pixel of the full image, where they are known.
        tile: side of the tiles, a multiple of 16.
    """

    height: int
    width: int
    dtype: Any = np.uint32
    shrink: Shrink = nearest
    mpp: float | None = None
    tile: int = TILE

    def sizes(self) -> list[tuple[int, int]]:
        """List (height, width) of all levels, down to one that is a single tile."""
        found = [(self.height, self.width)]
        while max(found[-1]) > self.tile:
            found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
        return found


def write_pyramid(path: str | Path, pyramid: Pyramid, tiles: Iterable[NDArray[Any]]) -> None:
    """Write a tiled, pyramidal OME-TIFF, compressed without loss (zlib), from its tiles.

    Memory is that of a row of tiles; smaller levels wait, compressed, in a file without a name beside the new one.

    Args:
        tiles: of the full image, row by row, as `segdiff.data.windows.tiles(height, width, pyramid.tile)` lists them;
            each (height, width) of its window.
    Raises:
        OutputError: the file cannot be written. ShapeError: a tile of another size.
    """
    import tifffile

    sizes = pyramid.sizes()
    large = pyramid.height * pyramid.width * np.dtype(pyramid.dtype).itemsize * 4 // 3 > CLASSIC_TIFF
    with atomic(path) as file, tempfile.TemporaryFile(dir=Path(path).parent) as waiting:
        levels = _Levels(pyramid, waiting)
        options: dict[str, Any] = {
            "dtype": pyramid.dtype,
            "tile": (pyramid.tile, pyramid.tile),
            "compression": "zlib",
            "photometric": "minisblack",
            "maxworkers": 1,  # more would hold tiles of the future
        }
        resolution = None if pyramid.mpp is None else 1e4 / pyramid.mpp
        with tifffile.TiffWriter(file, bigtiff=large, ome=True) as writer:
            for number, size in enumerate(sizes):
                tag = None if resolution is None else (resolution / 2**number, resolution / 2**number)
                if tag is not None:
                    options |= {"resolution": tag, "resolutionunit": "CENTIMETER"}
                if number == 0:
                    content = levels.passing(tiles)
                    metadata = _metadata(pyramid, Path(path).name)
                    writer.write(content, shape=size, subifds=len(sizes) - 1, metadata=metadata, **options)
                else:
                    writer.write(levels.waiting(number), shape=size, subfiletype=1, metadata=None, **options)


def _metadata(pyramid: Pyramid, name: str) -> dict[str, Any]:
    # An id of its own that is no accident: the same image gives the same bytes.
    identity = f"{name} {pyramid.height} {pyramid.width} {np.dtype(pyramid.dtype)} {pyramid.mpp}"
    metadata: dict[str, Any] = {"axes": "YX", "UUID": f"urn:uuid:{uuid.uuid5(_FILES, identity)}"}
    if pyramid.mpp is not None:
        for axis in "XY":
            metadata |= {f"PhysicalSize{axis}": pyramid.mpp, f"PhysicalSize{axis}Unit": "µm"}
    return metadata


class _Levels:
    """Makes the tiles of smaller levels while those of the full image pass by."""

    def __init__(self, pyramid: Pyramid, file: BinaryIO) -> None:
        self.pyramid, self.file = pyramid, file
        self.sizes = pyramid.sizes()
        self.across = [-(-width // pyramid.tile) for _, width in self.sizes]
        self._begun: dict[tuple[int, int, int], NDArray[Any]] = {}
        self._lacking: dict[tuple[int, int, int], int] = {}
        self._places: list[dict[tuple[int, int], tuple[int, int]]] = [{} for _ in self.sizes]

    def passing(self, tiles: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Pass the tiles of the full image on, padded with zeros, and keep what smaller levels need of them."""
        side, given = self.pyramid.tile, iter(tiles)
        for window in tile_windows(self.pyramid.height, self.pyramid.width, side):
            tile = next(given, None)
            if tile is None or tile.shape != (window.height, window.width):
                shape = None if tile is None else tile.shape
                raise ShapeError(f"the tile of {window} has the shape {shape}")
            tile = tile.astype(self.pyramid.dtype, copy=False)
            self._add(0, window.top // side, window.left // side, tile)
            yield self._padded(tile)

    def waiting(self, level: int) -> Iterator[NDArray[Any]]:
        """The tiles of a smaller level, row by row."""
        for window in tile_windows(*self.sizes[level], self.pyramid.tile):
            row, column = window.top // self.pyramid.tile, window.left // self.pyramid.tile
            offset, count = self._places[level][row, column]
            self.file.seek(offset)
            values = np.frombuffer(zlib.decompress(self.file.read(count)), self.pyramid.dtype)
            yield self._padded(values.reshape(window.height, window.width))

    def _padded(self, tile: NDArray[Any]) -> NDArray[Any]:
        side = self.pyramid.tile
        return np.pad(tile, [(0, side - n) for n in tile.shape]) if tile.shape != (side, side) else tile

    def _add(self, level: int, row: int, column: int, tile: NDArray[Any]) -> None:
        """Take a finished tile of a level: keep it, and put it small into one of the next level."""
        if level:
            content = zlib.compress(np.ascontiguousarray(tile).tobytes(), 1)
            self._places[level][row, column] = (self.file.seek(0, 2), len(content))
            self.file.write(content)
        if level + 1 == len(self.sizes):
            return
        key, side = (level + 1, row // 2, column // 2), self.pyramid.tile
        if key not in self._begun:
            height, width = self.sizes[level + 1]
            size = (min(side, height - key[1] * side), min(side, width - key[2] * side))
            self._begun[key] = np.zeros(size, self.pyramid.dtype)
            below = -(-self.sizes[level][0] // side)
            self._lacking[key] = min(2, below - 2 * key[1]) * min(2, self.across[level] - 2 * key[2])
        small = self.pyramid.shrink(tile)
        top, left = row % 2 * (side // 2), column % 2 * (side // 2)
        self._begun[key][top : top + small.shape[0], left : left + small.shape[1]] = small
        self._lacking[key] -= 1
        if not self._lacking[key]:
            del self._lacking[key]
            self._add(*key, self._begun.pop(key))
