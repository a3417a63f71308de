"""From a path to an image source."""

from __future__ import annotations

from pathlib import Path

from segdiff.data.images import read_image
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.base import ImageSource
from segdiff.data.sources.ome_zarr import ZarrSource, is_zarr
from segdiff.data.sources.pixel_size import read_pixel_size
from segdiff.data.sources.tiff import TiffSource
from segdiff.data.sources.vendor import SUFFIXES, OpenSlideSource, openslide_levels
from segdiff.data.tiff import is_tiff
from segdiff.errors import DataError, MissingError

MOST_IN_MEMORY = 2**28  # bytes: plain pictures up to this size are read as a whole


def open_source(path: str | Path) -> ImageSource:
    """Open an image of any size and container.

    What `open_slide` does not open is read as a whole, as `segdiff.data.images.read_image` reads it.

    Raises:
        MissingError: there is no such file.
        DataError: it cannot be read; ConfigError: it needs a package that is not installed. Both say what to do.
    """
    path = Path(path)
    slide = open_slide(path)
    return ArraySource(read_image(path), read_pixel_size(path), str(path)) if slide is None else slide


def open_slide(path: str | Path) -> ImageSource | None:
    """Open what is not to be read as a whole; None for all other images.

    Slides (a pyramid, SVS), and TIFFs of more than 256 MB of pixels, are read tile by tile; OME-Zarr chunk by chunk
    (segdiff[zarr]); formats of scanners by OpenSlide (segdiff[slides]), also TIFFs in which it finds levels that are
    not there as pages.

    Raises:
        As `open_source`.
    """
    path = Path(path)
    if is_zarr(path):
        return ZarrSource(path)
    if not path.is_file():
        raise MissingError(f"{path} is a folder, not an image" if path.is_dir() else f"no such image: {path}")
    suffix = path.suffix.lower()
    if suffix == ".vsi":
        raise DataError(f"{path}: .vsi is read by neither tifffile nor OpenSlide; export it as OME-TIFF from QuPath")
    if suffix in SUFFIXES:
        return OpenSlideSource(path)
    return _open_tiff(path) if is_tiff(path) else None


def _open_tiff(path: Path) -> ImageSource | None:
    """A TIFF to be read tile by tile; None for one that is read as a whole."""
    try:
        source = TiffSource(path)
    except DataError:
        if openslide_levels(path) > 1:
            return OpenSlideSource(path)
        if _decoded_bytes(path) > MOST_IN_MEMORY:
            raise
        return None  # what is small is read by other means, and refused by them where it must be
    large = source.nbytes > MOST_IN_MEMORY
    if len(source.levels) == 1 and large and openslide_levels(path) > 1:
        source.close()
        return OpenSlideSource(path)
    if source.is_slide or large:
        return source
    source.close()
    return None


def _decoded_bytes(path: Path) -> int:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return max(int(page.nbytes) for page in file.pages)
    except Exception:  # no TIFF at all: `read_image` says so
        return 0
