"""TIFF, OME-TIFF and SVS as image sources: tiles are decoded one by one, by tifffile and imagecodecs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.sources.base import ImageSource, Level
from segdiff.data.sources.handles import FileBytes
from segdiff.data.sources.pixel_size import tiff_pixel_size
from segdiff.data.sources.tiff_layout import image_levels
from segdiff.data.windows import Window
from segdiff.errors import DataError

MOST_SEGMENT = 2**28  # bytes of a tile or strip when it is decoded: more than is held for a window
_STRIP_BYTES = 2**20  # in which a single uncompressed strip is read
_COLOURS = (2, 6)  # RGB, YCbCr
REMEDY = (
    "save it with tiles, for example: vips tiffsave IN.tif OUT.tif --tile --pyramid --bigtiff --compression deflate"
)


@dataclass(frozen=True)
class Segments:
    """How a page of a TIFF is cut: tiles, or strips as wide as the image.

    Attributes:
        height, width: of a segment.
        across: segments in a row.
        offsets, counts: where the bytes of each lie; those of one sample plane after another.
        per_plane: segments of one sample plane.
        decoder: of tifffile; None where bytes are values.
    """

    page: Any
    height: int
    width: int
    across: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    per_plane: int
    decoder: Any

    @classmethod
    def of(cls, page: Any, name: str) -> Segments:
        """Describe a page of tifffile.

        Raises:
            DataError: a single segment is too large to be decoded for a window.
        """
        height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        height = min(height, page.imagelength) if not page.is_tiled else height
        samples = page.samplesperpixel if int(page.planarconfig) == 1 else 1
        size = height * width * samples * page.dtype.itemsize
        if size > MOST_SEGMENT and page.is_memmappable and int(page.planarconfig) == 1:
            return cls._rows(page, page.imagewidth * samples * page.dtype.itemsize)
        if size > MOST_SEGMENT:
            kind = "tiles" if page.is_tiled else "strips"
            raise DataError(
                f"{name} is compressed in {kind} of {height} x {width} pixels, {size / 1e9:.1f} GB each, which "
                f"cannot be read in parts; {REMEDY}"
            )
        across = -(-page.imagewidth // width)
        down = -(-page.imagelength // height)
        offsets, counts = (np.asarray(n, np.int64) for n in (page.dataoffsets, page.databytecounts))
        # tifffile looks into the file for its decoder, which is possible while it is open.
        return cls(page, height, width, across, offsets, counts, across * down, page.decode)

    @classmethod
    def _rows(cls, page: Any, row: int) -> Segments:
        """Divide one uncompressed strip into smaller ones."""
        height = max(1, _STRIP_BYTES // row)
        down = -(-page.imagelength // height)
        starts = np.arange(down, dtype=np.int64) * height
        counts = (np.minimum(starts + height, page.imagelength) - starts) * row
        offsets = page.dataoffsets[0] + starts * row
        return cls(page, height, page.imagewidth, 1, offsets, counts, down, None)

    def decode(self, data: bytes, index: int) -> NDArray[Any]:
        """Turn the bytes of a segment into (h, w, samples)."""
        if self.decoder is None:
            stored = self.page.dtype.newbyteorder(self.page.parent.byteorder)
            return np.frombuffer(data, stored).reshape(-1, self.width, self.page.samplesperpixel)
        decoded, _, _ = self.decoder(data, index, jpegtables=self.page.jpegtables, jpegheader=self.page.jpegheader)
        return np.asarray(decoded[0])

    def covering(self, window: Window) -> Iterator[tuple[int, int, int]]:
        """List the segments of the first plane that a window needs: number, top, left."""
        for row in range(window.top // self.height, (window.top + window.height - 1) // self.height + 1):
            for column in range(window.left // self.width, (window.left + window.width - 1) // self.width + 1):
                yield row * self.across + column, row * self.height, column * self.width


class TiffSource(ImageSource):
    """A TIFF of any size, in tiles or strips, with or without a pyramid.

    Args:
        path: the file.
    Raises:
        DataError: not a TIFF that can be read window by window (a stack, colours other than grey and RGB, strips too
            large to be decoded), with what to do.
    """

    def __init__(self, path: str | Path) -> None:
        import tifffile

        self.path = Path(path)
        self.name = str(path)
        try:
            with tifffile.TiffFile(self.path) as file:
                levels = image_levels(file, self.name)
                self.mpp = tiff_pixel_size(file)
                self._segments = [[Segments.of(page, self.name) for page in pages] for pages in levels]
                self.is_slide = len(levels) > 1 or bool(file.is_svs)
        except DataError:
            raise
        except Exception as error:  # tifffile raises many kinds
            raise DataError(f"{path} is not a TIFF that can be read ({_one_line(error)})") from error
        page = levels[0][0]
        size = (page.imagelength, page.imagewidth)
        self._separate = int(page.planarconfig) == 2 and page.samplesperpixel > 1
        self._samples = page.samplesperpixel
        channels = self._samples * len(levels[0])
        self.shape = size if channels == 1 else (*size, channels)
        self.dtype = np.dtype(page.dtype)
        self.levels = tuple(Level.of((one[0].imagelength, one[0].imagewidth), size) for one in levels)
        self.tile = (self._segments[0][0].height, self._segments[0][0].width)
        # What a scanner did not store is glass, not black; of other images it is what the file says.
        bright = self.dtype == np.uint8 and int(page.photometric) in _COLOURS
        self._missing = 255 if bright else page.nodata
        self._bytes = FileBytes(str(self.path))

    def __reduce__(self) -> tuple[Any, ...]:
        return TiffSource, (self.path,)

    @property
    def nbytes(self) -> int:
        """Bytes of the full image in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def close(self) -> None:
        """Close the file; reading opens it again."""
        self._bytes.close()

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        planes = self._segments[level]
        found = np.full((window.height, window.width, self._samples * len(planes)), self._missing, self.dtype)
        for number, segments in enumerate(planes):
            self._fill(found[..., number * self._samples : (number + 1) * self._samples], segments, window)
        return found[..., 0] if len(self.shape) == 2 else found

    def _fill(self, found: NDArray[Any], segments: Segments, window: Window) -> None:
        for index, top, left in segments.covering(window):
            for sample in range(self._samples if self._separate else 1):
                tile = self._decode(segments, index + sample * segments.per_plane)
                if tile is None:
                    continue
                target = found[..., sample : sample + 1] if self._separate else found
                first_row, first_column = max(top, window.top), max(left, window.left)
                rows = slice(first_row - window.top, min(top + tile.shape[0] - window.top, window.height))
                columns = slice(first_column - window.left, min(left + tile.shape[1] - window.left, window.width))
                if rows.stop <= rows.start or columns.stop <= columns.start:
                    continue
                part = tile[first_row - top :, first_column - left :]
                target[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]

    def _decode(self, segments: Segments, index: int) -> NDArray[Any] | None:
        """The values of a segment; None where the file has none."""
        offset, count = int(segments.offsets[index]), int(segments.counts[index])
        if not offset or not count:
            return None
        data = self._bytes.read(offset, count)
        try:
            if len(data) < count:
                raise ValueError("the file ends before it")
            return segments.decode(data, index)
        except Exception as error:  # each codec has errors of its own
            text = _one_line(error)
            if "imagecodecs" in text:
                raise DataError(
                    f"{self.name} needs a decoder that is not installed: pip install imagecodecs"
                ) from error
            kind = "tile" if segments.page.is_tiled else "strip"
            raise DataError(f"{self.name} is damaged: {kind} {index} cannot be decoded ({text})") from error


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
