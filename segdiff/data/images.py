"""Pictures: from files to arrays as stored, and from arrays to RGB on the 0..255 scale by one rule.

What a file holds is what counts: tags about display (orientation, WhiteIsZero) change nothing, a palette gives its
colours, alpha is what the file declares as such. Which values are black and white is decided for the whole picture
(`segdiff.data.value_range`). Channels:

    1   repeated three times          3   RGB                4   RGBA; what is transparent is no data (`nodata`)
    2, 5 and more: a file is refused unless a channel is chosen, an array is refused
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.nodata import has_alpha
from segdiff.data.raster import raster_size, read_raster
from segdiff.data.stored import ReadOptions, Stored
from segdiff.data.tiff import is_tiff, read_tiff, tiff_size
from segdiff.data.value_range import value_range, value_scale
from segdiff.errors import DataError, MissingError, ShapeError

FARTHEST = 1e5  # on the 0..255 scale: as far as 16 bits of which 8 are used
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
# Whole slides, which are not read as a whole (`segdiff.data.sources`); .zarr is a folder, or packed a file.
SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".zarr", ".zarr.zip")


def read_stored(path: str | Path, options: ReadOptions | None = None, notes: list[str] | None = None) -> Stored:
    """Read what a file stores: PNG, JPEG, TIFF, BMP, told apart by their content.

    Args:
        path: the file.
        options: what of it to read; None: the only picture, or the largest.
        notes: takes sentences on what was left out or taken for granted.
    Raises:
        MissingError: there is no such file.
        DataError: not an image, a damaged one, one that would swell beyond all measure, or several pictures or
            channels of which nothing says which is meant.
    """
    path = Path(path)
    options, notes = options or ReadOptions(), [] if notes is None else notes
    if not path.is_file():
        raise MissingError(f"{path} is a folder, not an image" if path.is_dir() else f"no such image: {path}")
    try:
        return (read_tiff if is_tiff(path) else read_raster)(path, options, notes)
    except MemoryError as error:
        raise DataError(f"{path} does not fit the memory") from error
    except OSError as error:  # of the system: no permission, a disk that went away
        raise DataError(f"{path} cannot be opened: {error.strerror or error}") from error


def read_image(path: str | Path, options: ReadOptions | None = None, notes: list[str] | None = None) -> NDArray[Any]:
    """Read a picture as it is stored.

    Args:
        path: the file.
        options: as of `read_stored`.
        notes: likewise.
    Returns:
        (H, W), (H, W, 3) or, with alpha, (H, W, 4); bool, whole numbers or floats. With `options.value_range`, or where
        the file says how many bits a value has and its type has more of them, float32 in 0..1.
    Raises:
        MissingError, DataError: as `read_stored`; values without a rule for black and white (`value_range`).
    """
    path = Path(path)
    options, notes = options or ReadOptions(), [] if notes is None else notes
    stored = read_stored(path, options, notes)
    try:
        values = _values(stored, options)
        if (note := value_range(values).note) is not None:
            notes.append(note)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return values if stored.alpha is None else _with_alpha(values, stored.alpha, notes)


def read_size(path: str | Path) -> tuple[int, int] | None:
    """Return (height, width) from the file's header, without its pixels; None where it cannot be told."""
    try:
        return tiff_size(Path(path)) if is_tiff(Path(path)) else raster_size(Path(path))
    except OSError:  # is said when it is read
        return None


def to_rgb(array: NDArray[Any], scale: float | None = None) -> NDArray[Any]:
    """Turn an array as it was read into RGB on the 0..255 scale.

    Args:
        array: (H, W) or (H, W, C), C of 1, 3 or 4.
        scale: the factor for the values, `value_scale` of the whole image where `array` is a part of it;
            None takes that of `array`.
    Returns:
        (H, W, 3): uint8 if `array` is, else float32. Of colours what overshoots is cut to 0..255.
    Raises:
        ShapeError: not two or three axes, or an empty array.
        DataError: other numbers of channels, or values that the rule does not cover.
    """
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ShapeError(f"an image has shape (H, W) or (H, W, C); this array has {tuple(array.shape)}")
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels not in (1, 3, 4):
        raise DataError(
            f"an image has 1 channel, 3 or, with alpha, 4; this array has the shape {tuple(array.shape)}: choose one "
            "of them, such as array[..., 0]"
        )
    factor = value_scale(array) if scale is None else scale
    if channels == 4:
        array = array[..., :3]
    if array.dtype.kind == "f":  # a hot pixel of 1e40 is no infinity
        array = np.clip(array, -FARTHEST / factor, FARTHEST / factor)
    if array.dtype != np.uint8:
        array = array.astype(np.float32) * np.float32(factor)
        if channels >= 3:
            np.clip(array, 0, 255, out=array)
    if channels >= 3:
        return np.ascontiguousarray(array)
    grey = array if array.ndim == 2 else array[..., 0]
    return np.repeat(grey[..., None], 3, axis=2)


def list_images(paths: Sequence[str | Path], recursive: bool = False) -> list[Path]:
    """List the image files, slides among them, that files, folders and patterns stand for, each path once.

    Two links to one file are two images: their names differ, and so do their results.

    Args:
        paths: a file stands for itself, whatever its suffix; a folder for the images in it; a pattern such as
            "slides/*.png" for the images that match. Order: as given, and by name within a folder or a pattern.
        recursive: of folders, those in their subfolders too, hidden ones left out.
    Raises:
        MissingError: one of them is not there or holds no image; or the list is empty.
    """
    if not paths:
        raise MissingError("no image given: name files, folders or patterns")
    found: dict[Path, Path] = {}
    for given in paths:
        for path in _expand(given, recursive):
            found.setdefault(Path(os.path.abspath(path)), path)  # noqa: PTH100  a link is not followed
    return list(found.values())


def subfolder_of(image: Path, paths: Sequence[str | Path]) -> Path:
    """Return where an image lies below the folder that it was found in; "." for any other."""
    for folder in map(Path, paths):
        if folder.is_dir() and image != folder and image.is_relative_to(folder):
            return image.parent.relative_to(folder)
    return Path()


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, not of its subfolders, by name; hidden files are left out."""
    return sorted(path for path in folder.iterdir() if _is_image(path))


def _within(folder: Path, recursive: bool) -> list[Path]:
    """The images and slides of a folder, and of its subfolders; a slide that is a folder is not looked into."""
    found = {*images_in(folder), *(one for one in folder.iterdir() if _is_slide(one))}
    if recursive:
        for one in sorted(folder.iterdir()):
            if one.is_dir() and not one.name.startswith(".") and not one.is_symlink() and one not in found:
                found |= set(_within(one, True))
    return sorted(found)


def _expand(given: str | Path, recursive: bool) -> list[Path]:
    path = Path(given)
    if path.is_file() or _is_slide(path):
        return [path]
    if path.is_dir():
        if found := _within(path, recursive):
            return found
        if (path / "zarr.json").is_file() or (path / ".zattrs").is_file():  # an image within a file of several
            return [path]
        deeper = not recursive and _within(path, True)
        hint = f"; {len(deeper)} lie in its subfolders: --recursive takes them" if deeper else ""
        raise MissingError(f"the folder {path} holds no image ({' '.join(IMAGE_SUFFIXES)}){hint}")
    if glob.has_magic(str(given)):
        matches = [Path(name) for name in glob.glob(str(given))]  # noqa: PTH207  pathlib's is never absolute
        if found := sorted(match for match in matches if _is_image(match) or _is_slide(match)):
            return found
        raise MissingError(f"no image matches {given}")
    raise MissingError(f"no such image or folder: {given}")


def _is_slide(path: Path) -> bool:
    name = path.name.lower()
    is_there = path.is_dir() if name.endswith(".zarr") else path.is_file()
    return name.endswith(SLIDE_SUFFIXES) and not name.startswith(".") and is_there


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _values(stored: Stored, options: ReadOptions) -> NDArray[Any]:
    """The values of a picture without alpha, (H, W) or (H, W, 3)."""
    values = stored.colours()
    if options.value_range is not None:
        low, high = options.value_range
        if not np.isfinite(values).all():
            raise DataError("some of its values are NaN or infinite: give them a number first")
        return ((values.astype(np.float64) - low) / (high - low)).clip(0, 1).astype(np.float32)
    if stored.bits is None or stored.palette is not None:
        return values
    top = 2**stored.bits - 1
    if values.dtype == np.uint8:  # as 1, 2 and 4 bits are in PNG
        return np.rint(np.minimum(values, top) * (255 / top)).astype(np.uint8)
    return (values.astype(np.float32) / top).clip(0, 1)


def _with_alpha(values: NDArray[Any], alpha: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    """(H, W, 4) from values and what is declared as alpha."""
    if alpha.dtype != values.dtype:  # of palettes, ranges
        alpha = (alpha > 0).astype(values.dtype) * (255 if values.dtype == np.uint8 else 1)
    array = np.dstack([values, values, values, alpha] if values.ndim == 2 else [values, alpha])
    if not has_alpha(array):
        notes.append("its last channel, said to be alpha, is a picture itself and left out (--channel N chooses one)")
    return array
