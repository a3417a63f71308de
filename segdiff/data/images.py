"""Pictures: from files to arrays as stored, and from arrays to RGB on the 0..255 scale by one rule.

What a value means is decided by the type of the whole array, never by a part of it:

    bool      x 255                          uint8     as it is (the only type that stays uint8)
    uint16    / 257 (65535 becomes 255)      integers  as they are; outside 0..255 an error
    floats    x 255 if all lie in [0, 1]; as they are if all lie in [0, 255]; otherwise an error
    channels  1: repeated three times; 2: grey and alpha, alpha dropped; 3: RGB; 4: RGBA, alpha dropped
"""

from __future__ import annotations

import contextlib
import glob
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segdiff.errors import DataError, MissingError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

# Pillow's modes that are arrays already; the others (CMYK, YCbCr, LAB, ...) are turned into RGB.
_ARRAY_MODES = {"1", "L", "LA", "RGB", "RGBA", "I", "F"}
_TIFF_BITS_PER_SAMPLE, _TIFF_SAMPLES_PER_PIXEL, _TIFF_SEPARATE_PLANES = 258, 277, 2
# Pixels that take more memory than this, and than so many times their file: a bomb. A photograph is compressed 20
# times at most, a nearly empty mask of 8 bits 1000 times, but that of 30000 x 30000 pixels is refused, too.
BOMB_BYTES, BOMB_RATIO = 2**30, 500
_STRIP_ROWS = 1024  # rows looked at in one go: arrays on disk are larger than memory


def read_image(path: str | Path, *, expand_palette: bool = True) -> np.ndarray:
    """Read a PNG, JPEG, TIFF or BMP file as it is stored.

    Args:
        path: the file. Orientation tags of cameras are ignored, so that masks drawn on the stored pixels fit.
        expand_palette: turn palette pictures into RGB (RGBA if they have transparency); False gives the
            indices, which is what masks mean by them.
    Returns:
        (H, W) or (H, W, C); bool, uint8, uint16, int32 or a float type.
    Raises:
        MissingError: there is no such file.
        DataError: not an image, a truncated one, a stack of several pictures, or one that would swell beyond all
            measure.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path} is a folder, not an image" if path.is_dir() else f"no such image: {path}")
    try:
        with _without_pixel_limit(), Image.open(path) as picture:
            _refuse_bombs(path, picture.width * picture.height * len(picture.getbands()))
            _refuse_stacks(path, picture)
            if _pillow_would_lose(path, picture):
                return _read_deep_tiff(path) if picture.format == "TIFF" else _read_deep_png(path)
            return _to_array(picture, expand_palette)
    except UnidentifiedImageError:
        if path.suffix.lower() in (".tif", ".tiff"):  # kinds of TIFF that only tifffile reads
            return _read_deep_tiff(path)
        raise DataError(f"{path} is not an image that can be read ({' '.join(IMAGE_SUFFIXES)})") from None
    except DataError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, zlib.error, ...
        raise DataError(f"{path} cannot be read, it may be truncated ({_one_line(error)})") from error


def read_size(path: str | Path) -> tuple[int, int] | None:
    """(height, width) from the file's header, without its pixels; None where Pillow cannot tell."""
    from PIL import Image

    try:
        with _without_pixel_limit(), Image.open(path) as picture:
            return picture.height, picture.width
    except Exception:  # whatever is wrong with the file is said when it is read
        return None


def value_scale(source: Any) -> float:
    """The factor that brings the values of an array to the 0..255 scale (the module's table).

    Args:
        source: anything with `shape`, `dtype` and slices. Only types whose values must be looked at are read,
            a strip of rows at a time. For a window of a large array, take the factor of the whole array: a
            dark window of floats in 0..255 looks like one in 0..1.
    Raises:
        DataError: a type or values that the rule does not cover; NaN and infinity among them.
    """
    dtype = np.dtype(source.dtype)
    if dtype == np.uint8:
        return 1.0
    if dtype == np.bool_:
        return 255.0
    if dtype == np.uint16:
        return 1 / 257
    if dtype.kind not in "iuf":
        raise DataError(f"image values are {dtype}; give uint8, uint16, bool or floats")
    low, high = _extremes(source)
    if not (low >= 0 and high <= 255):  # also false for NaN
        raise DataError(
            f"image values of type {dtype} go from {low:g} to {high:g}; give uint8, uint16, "
            "or numbers within 0..1 or 0..255"
        )
    return 255.0 if dtype.kind == "f" and high <= 1 else 1.0


def to_rgb(array: np.ndarray, scale: float | None = None) -> np.ndarray:
    """Turn an array as it was read into RGB on the 0..255 scale.

    Args:
        array: (H, W) or (H, W, C), C from 1 to 4.
        scale: the factor for the values, `value_scale` of the whole image where `array` is a part of it;
            None takes that of `array`.
    Returns:
        (H, W, 3): uint8 if `array` is, else float32.
    Raises:
        ShapeError: not two or three axes, or an empty array.
        DataError: more than 4 channels, or values that the rule does not cover.
    """
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ShapeError(f"an image has shape (H, W) or (H, W, C); this array has {tuple(array.shape)}")
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels > 4:
        raise DataError(f"an image has at most 4 channels; this array has the shape {tuple(array.shape)}")
    factor = value_scale(array) if scale is None else scale
    if array.dtype != np.uint8:
        array = array.astype(np.float32) * np.float32(factor)
    if channels >= 3:
        return np.ascontiguousarray(array[..., :3])
    grey = array if array.ndim == 2 else array[..., 0]
    return np.repeat(grey[..., None], 3, axis=2)


def list_images(paths: Sequence[str | Path]) -> list[Path]:
    """The image files that a list of files, folders and patterns stands for, each once.

    Args:
        paths: a file stands for itself, whatever its suffix; a folder for the images in it (not in its
            subfolders); a pattern such as "slides/*.png" for the images that match. Order: as given, and by
            name within a folder or a pattern.
    Raises:
        MissingError: one of them is not there or holds no image; or the list is empty.
    """
    if not paths:
        raise MissingError("no image given: name files, folders or patterns")
    found: dict[Path, Path] = {}
    for given in paths:
        for path in _expand(given):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, not of its subfolders, by name; hidden files are left out."""
    return sorted(path for path in folder.iterdir() if _is_image(path))


def _expand(given: str | Path) -> list[Path]:
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        if found := images_in(path):
            return found
        raise MissingError(f"the folder {path} holds no image ({' '.join(IMAGE_SUFFIXES)})")
    if glob.has_magic(str(given)):
        matches = [Path(name) for name in glob.glob(str(given))]  # noqa: PTH207  pathlib's is never absolute
        if found := sorted(match for match in matches if _is_image(match)):
            return found
        raise MissingError(f"no image matches {given}")
    raise MissingError(f"no such image or folder: {given}")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


@contextlib.contextmanager
def _without_pixel_limit() -> Iterator[None]:
    """Lift Pillow's guard against huge pictures (a slide is one); keep its remarks on odd files quiet."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _refuse_bombs(path: Path, size: int) -> None:
    """Refuse a file whose pixels, `size` bytes or more, are far more than what so few bytes can honestly hold."""
    there = path.stat().st_size
    if size > BOMB_BYTES and size > BOMB_RATIO * there:
        raise DataError(
            f"{path} holds {there} bytes and would take {size / 1e9:.1f} GB of memory, as no picture does: a "
            "decompression bomb? (if it is yours, save it without compression)"
        )


def _refuse_stacks(path: Path, picture: Picture) -> None:
    """Refuse several pictures of one size, a stack; of a pyramid, which shrinks, the first picture counts."""
    frames = getattr(picture, "n_frames", 1)
    if picture.format == "TIFF" and frames > 1:
        first = picture.size
        picture.seek(1)
        same = picture.size == first
        picture.seek(0)
        if same:
            raise DataError(f"{path} is a stack of {frames} pictures; save the one you mean as a file")


def _pillow_would_lose(path: Path, picture: Picture) -> bool:
    """Whether these are colours of 16 bits, of which Pillow keeps 8, or more bands than 4, of which it keeps 3."""
    if picture.format == "PNG":
        with path.open("rb") as file:
            header = file.read(26)
        return header[24] == 16 and header[25] != 0  # bit depth; colour type, 0 for grey
    if picture.format != "TIFF":
        return False
    tags = picture.tag_v2  # type: ignore[attr-defined]
    if tags.get(_TIFF_SAMPLES_PER_PIXEL, 1) > 4:
        return True
    deep_already = picture.mode in ("F", "I") or picture.mode.startswith("I;16")
    return not deep_already and max(tags.get(_TIFF_BITS_PER_SAMPLE, (8,))) > 8


def _read_deep_png(path: Path) -> np.ndarray:
    from torchvision.io import ImageReadMode
    from torchvision.io import read_image as read_png

    return read_png(str(path), mode=ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy().astype(np.uint16)


def _read_deep_tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            _refuse_bombs(path, page.nbytes)
            array = page.asarray()
            separate = array.ndim == 3 and getattr(page, "planarconfig", 0) == _TIFF_SEPARATE_PLANES
    except DataError:
        raise
    except Exception as error:  # tifffile raises many kinds, imagecodecs' among them
        raise DataError(f"{path} is not an image that can be read ({_one_line(error)})") from error
    array = np.moveaxis(array, 0, -1) if separate else array
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DataError(f"{path} holds no picture of (H, W) or (H, W, C) pixels, but {array.shape}")
    return array


def _to_array(picture: Picture, expand_palette: bool) -> np.ndarray:
    if picture.mode in ("P", "PA"):
        if not expand_palette:
            indices = np.array(picture)
            return indices[..., 0] if indices.ndim == 3 else indices
        transparent = picture.mode == "PA" or "transparency" in picture.info
        return np.array(picture.convert("RGBA" if transparent else "RGB"))
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        return np.array(picture).astype(np.uint16)  # older Pillows read 16-bit PNG as 32-bit integers
    return np.array(picture if picture.mode in _ARRAY_MODES else picture.convert("RGB"))


def _extremes(source: Any) -> tuple[float, float]:
    """Smallest and largest value; both NaN as soon as one value is."""
    lows, highs = [], []
    for row in range(0, source.shape[0], _STRIP_ROWS):
        strip = np.asarray(source[row : row + _STRIP_ROWS])
        lows.append(strip.min())
        highs.append(strip.max())
    return float(np.min(lows)), float(np.max(highs))


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
