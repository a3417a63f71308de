"""PNG, JPEG, BMP and the like as stored: what files other than TIFF hold."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from segdiff.data.stored import ReadOptions, Stored, count, damaged, pick_channel, refuse_bombs
from segdiff.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# No format that runs another program, or that draws: of those a file would need more than its pixels.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM")
LOSSY = ("JPEG", "MPO")  # the others may be without loss: their masks are judged by what they hold
_PNG = b"\x89PNG\r\n\x1a\n"
# How files begin that are brought as pictures, from which byte on, and what to do with them.
_OTHERS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS: git lfs pull fetches the picture"),
    (0, b"<", "a web page or other markup: fetch the picture anew"),
    (0, b"{", "JSON"),
    (0, b"%PDF", "a PDF: save its picture as PNG"),
    (0, b"\x93NUMPY", "an array of numpy: write it with tifffile.imwrite"),
    (0, b"\x89HDF", "HDF5: write its array with tifffile.imwrite"),
    (0, b"PK\3\4", "a ZIP archive: unpack it"),
    (0, b"\x1f\x8b", "packed by gzip: unpack it"),
    (4, b"ftyp", "HEIC, AVIF or a film: save the picture as PNG"),
    (128, b"DICM", "DICOM: save it as TIFF elsewhere"),
)
# Pillow's modes that are arrays already; the others (CMYK, YCbCr, LAB, ...) are turned into RGB.
_ARRAY_MODES = {"1", "L", "RGB", "I", "F"}


def read_raster(path: Path, options: ReadOptions, notes: list[str]) -> Stored:
    """Read a file that is no TIFF: orientation and other tags about display change nothing.

    Raises:
        DataError: not a picture, a damaged one, a bomb, an animation, or a choice that the file does not have.
    """
    try:
        with _opened(path) as (stream, picture):
            if picture is None:
                raise DataError(f"{path} is not an image that can be read (PNG, JPEG, TIFF or BMP){_what_else(path)}")
            refuse_bombs(path, picture.width * picture.height * len(picture.getbands()))
            _choose_frame(path, picture, options, notes)
            stored = _deep(stream, picture) or _stored(picture)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, zlib.error, ...
        raise damaged(path) from error
    if options.z is not None:
        raise DataError(f"{path} is a single picture: there is no --z to choose")
    return stored if options.channel is None else pick_channel(stored, options.channel, path)


def raster_size(path: Path) -> tuple[int, int] | None:
    """Return (height, width) from the header; None where it cannot be told."""
    try:
        with _opened(path) as (_, picture):
            return None if picture is None else (picture.height, picture.width)
    except Exception:  # whatever is wrong with the file is said when it is read
        return None


def _what_else(path: Path) -> str:
    """Say what a file is that is no picture, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        return ": it is empty"
    return next((f": it is {said}" for at, begin, said in _OTHERS if head.lstrip()[at:].startswith(begin)), "")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Picture | None]]:
    """The bytes that decide pixels, and Pillow's picture of them; None where it is none."""
    from PIL import Image, UnidentifiedImageError

    with path.open("rb") as file, _without_pixel_limit():
        stream: BinaryIO = _without_text(path, file) if file.read(8) == _PNG else file
        stream.seek(0)
        try:
            picture = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            if stream is not file:
                raise  # a PNG, but for its content
            yield stream, None
            return
        with picture:
            yield stream, picture


def _without_text(path: Path, file: BinaryIO) -> BinaryIO:
    """A PNG less the chunks that say nothing of its pixels: text may be larger than readers take.

    Raises:
        DataError: an animation.
    """
    size, kept = path.stat().st_size, io.BytesIO()
    kept.write(_PNG)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"acTL" and length >= 4:
            frames = struct.unpack(">I", file.read(4))[0]
            if frames > 1:
                raise DataError(f"{path} is an animation of {frames} pictures: save the one that you mean as a file")
            file.seek(-4, io.SEEK_CUR)
        if length > size:
            break  # of a damaged file
        if kind == b"tRNS" or not kind[0] & 0x20:  # a small first letter says that it may be left out
            kept.write(head + file.read(length + 4))
        else:
            file.seek(length + 4, io.SEEK_CUR)
    return kept


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


def _choose_frame(path: Path, picture: Picture, options: ReadOptions, notes: list[str]) -> None:
    """Seek the frame that is meant: the page asked for, else the largest where there is one."""
    frames = getattr(picture, "n_frames", 1)
    if options.page is not None:
        if options.page > frames:
            raise DataError(f"{path} has {count(frames, 'page')}: there is no --page {options.page}")
        picture.seek(options.page - 1)
        return
    if frames == 1:
        return
    sizes = []
    for number in range(frames):
        picture.seek(number)
        sizes.append(picture.size)
    areas = [width * height for width, height in sizes]
    largest = areas.index(max(areas))
    if areas.count(areas[largest]) > 1:
        raise DataError(f"{path} holds {frames} pictures: choose one (segdiff predict --page N)")
    picture.seek(largest)
    others = ", ".join(f"{height} x {width}" for n, (width, height) in enumerate(sizes) if n != largest)
    notes.append(f"the largest of its {frames} pictures is read; the others ({others}) are left out (--page chooses)")


def _deep(stream: BinaryIO, picture: Picture) -> Stored | None:
    """What Pillow would cut to 8 bits: PNG of 16 bits and JPEG 2000; None for all others."""
    if picture.format == "PNG":
        stream.seek(0)
        head = stream.read(26)
        if head[24] != 16:
            return None
    elif picture.format != "JPEG2000" or picture.mode in ("L", "RGB"):
        return None
    import imagecodecs

    stream.seek(0)
    content = stream.read()
    if picture.format == "JPEG2000":
        return _split(imagecodecs.jpeg2k_decode(content))
    return _split(imagecodecs.png_decode(content))


def _split(array: np.ndarray, lossy: bool = False) -> Stored:
    """Values and alpha of an array of which two and four channels have one."""
    if array.ndim == 3 and array.shape[2] in (2, 4):
        values = array[..., 0] if array.shape[2] == 2 else array[..., :3]
        return Stored(np.ascontiguousarray(values), np.ascontiguousarray(array[..., -1]), lossy=lossy)
    return Stored(array, lossy=lossy)


def _stored(picture: Picture) -> Stored:
    picture.load()
    lossy = picture.format in LOSSY
    transparent = "transparency" in picture.info
    if picture.mode in ("P", "PA"):
        alpha = np.array(picture.convert("RGBA"))[..., 3] if transparent or picture.mode == "PA" else None
        indices = np.array(picture)
        colours = np.array(picture.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
        return Stored(indices[..., 0] if indices.ndim == 3 else indices, alpha, colours, lossy=lossy)
    if picture.mode in ("LA", "RGBA") or (transparent and picture.mode in ("1", "L", "RGB")):
        target = "LA" if picture.mode in ("1", "L", "LA") else "RGBA"
        return _split(np.array(picture.convert(target)), lossy)
    if picture.mode.startswith("I;16"):
        return Stored(np.array(picture).astype(np.uint16), lossy=lossy)
    return Stored(np.array(picture if picture.mode in _ARRAY_MODES else picture.convert("RGB")), lossy=lossy)
