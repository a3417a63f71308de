"""Formats of scanners that only OpenSlide reads, as image sources; needs segdiff[slides]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.sources.base import ImageSource, Level
from segdiff.data.sources.handles import Reopened
from segdiff.data.sources.pixel_size import UNKNOWN, PixelSize, to_number
from segdiff.data.windows import Window
from segdiff.errors import ConfigError, DataError

SUFFIXES = (".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
_INSTALL = "pip install 'segdiff[slides]'"


def openslide_levels(path: Path) -> int:
    """Count the levels that OpenSlide finds; 0 where it is not installed or does not know the file."""
    try:
        with _library(path).OpenSlide(str(path)) as slide:
            return int(slide.level_count)
    except Exception:  # not installed, or not for OpenSlide
        return 0


class OpenSlideSource(ImageSource):
    """A slide that OpenSlide reads, RGB, uint8. Each process opens it anew, since its handles do not survive a fork.

    Where the slide states bounds (`openslide.bounds-*`) smaller than its canvas in width and in height, the image is
    what lies within them, as in QuPath. What was not scanned is white, or what the file gives as its background.

    Args:
        path: the file.
    Raises:
        ConfigError: OpenSlide is not installed. DataError: it does not read the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.name, self.is_slide = Path(path), str(path), True
        self._slide = _Slide(str(path))
        slide = self._slide.get()
        properties = slide.properties
        self._left, self._top, width, height = _bounds(properties, slide.dimensions)
        self.shape, self.dtype = (height, width, 3), np.dtype(np.uint8)
        canvas = slide.dimensions[::-1]
        self.levels = tuple(_within(Level.of(size[::-1], canvas), height, width) for size in slide.level_dimensions)
        self.mpp = _pixel_size(properties)
        self.tile = (
            int(properties.get("openslide.level[0].tile-height", 256)),
            int(properties.get("openslide.level[0].tile-width", 256)),
        )
        colour = properties.get("openslide.background-color", "ffffff")
        self._background = np.array([int(colour[n : n + 2], 16) for n in (0, 2, 4)], np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenSlideSource, (self.path,)

    def close(self) -> None:
        """Close the slide; reading opens it again."""
        self._slide.close()

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        # Corners are in pixels of the full canvas, whatever the level.
        _, _, row_step, column_step = self.levels[level]
        corner = (self._left + round(window.left * column_step), self._top + round(window.top * row_step))
        try:
            region = self._slide.get().read_region(corner, level, (window.width, window.height))
        except Exception as error:  # OpenSlideError, and what Pillow raises
            raise DataError(f"{self.path} is damaged: {window} of level {level} cannot be read ({error})") from error
        pixels = np.asarray(region)
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        if alpha.min() == 255:
            return np.ascontiguousarray(colours)
        share = alpha.astype(np.float32) / 255
        return np.rint(colours * share + self._background * (1 - share)).astype(np.uint8)


def _within(level: Level, height: int, width: int) -> Level:
    """A level of the canvas as one of what lies within the bounds."""
    size = (max(1, int(height / level.row_step)), max(1, int(width / level.column_step)))
    return Level(*size, level.row_step, level.column_step)


class _Slide(Reopened):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _open(self) -> Any:
        library = _library(Path(self.path))
        try:
            return library.OpenSlide(self.path)
        except Exception as error:  # OpenSlideError and its kin
            raise DataError(f"{self.path} is not a slide that OpenSlide reads ({error})") from error


def _library(path: Path) -> Any:
    try:
        import openslide
    except (ImportError, OSError):
        raise ConfigError(f"{path} needs OpenSlide to be read: {_INSTALL}") from None
    return openslide


def _bounds(properties: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what was scanned: the canvas, unless width and height are both smaller."""
    width, height = size
    names = ("x", "y", "width", "height")
    stated = [properties.get(f"openslide.bounds-{name}") for name in names]
    if all(stated):
        left, top, inner_width, inner_height = (int(value) for value in stated)
        if 0 < inner_width < width and 0 < inner_height < height:
            return left, top, min(inner_width, width - left), min(inner_height, height - top)
    return 0, 0, width, height


def _pixel_size(properties: Any) -> PixelSize:
    x, y = (to_number(properties.get(f"openslide.mpp-{axis}", "")) for axis in "xy")
    if x is None or y is None:
        return UNKNOWN
    return PixelSize.checked(x, y, f"{properties.get('openslide.vendor', 'OpenSlide')} metadata by OpenSlide")
