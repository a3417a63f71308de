"""TIFF as stored, whatever its tags say about display: one reader for every type, depth, compression and layout.

Orientation and WhiteIsZero change nothing: masks are drawn on the pixels as they lie, and programs that write arrays
write what the numbers say (tifffile calls a bool array WhiteIsZero).
"""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.stored import ReadOptions, Stored, damaged, pick_channel, refuse_bombs
from segdiff.data.tiff_planes import Plane, choose_plane, picture_size
from segdiff.errors import DataError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# By their numbers, as in the specification (photometric interpretation).
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, SEPARATED, YCBCR = range(7)
UNREADABLE = {8: "CIELAB", 9: "ICC LAB", 10: "ITU LAB", 32803: "raw mosaic", 32844: "LogL", 32845: "LogLuv"}
UNREADABLE |= {34892: "linear raw", 51177: "depth map"}
ASSOCIATED, UNASSOCIATED = 1, 2  # extra samples that are alpha
# Compressions that decode to RGB by themselves: JPEG, Aperio's JPEG 2000, WebP, JPEG XL, ...
DECODED_TO_RGB = {6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 22610, 34934, 50001, 50002, 52546}
JPEG = {6, 7}
NO_DATA = 42113  # GDAL's tag


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF does, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def read_tiff(path: Path, options: ReadOptions, notes: list[str]) -> Stored:
    """Read the picture of a TIFF that the options choose; without a choice the largest one, where there is one.

    Raises:
        DataError: damaged, a bomb, colours that cannot be turned into RGB, or several pictures or channels of which
            nothing says which is meant.
    """
    try:
        with _opened(path) as file:
            plane = choose_plane(path, file, options, notes)
            page = plane.page
            _check(path, file, plane)
            return _stored(path, page, plane.read(), plane.channel_chosen, options, notes)
    except (DataError, MemoryError):
        raise
    except (Exception, RecursionError) as error:  # tifffile raises many kinds, imagecodecs' among them
        raise damaged(path) from error


def tiff_size(path: Path) -> tuple[int, int] | None:
    """Return (height, width) from the header; None where it cannot be told."""
    try:
        with _opened(path) as file:
            return picture_size(choose_plane(path, file, ReadOptions(), []).series)
    except Exception:  # whatever is wrong with the file is said when it is read
        return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """tifffile's view of this file alone, with its remarks on odd tags kept quiet."""
    import tifffile

    _refuse_ring(path)
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        with tifffile.TiffFile(path) as file:
            # Files of one OME set all describe the whole set: this one's planes are wanted, not those of the first.
            if file.is_ome and (file.ome_metadata or "").count("FileName=") > 1 and _of_several_files(file):
                file.is_ome = False
            yield file
    finally:
        logger.disabled = before


def _refuse_ring(path: Path) -> None:
    """Refuse directories that lead back to one of them: tifffile would go round and round."""
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:1] == b"I" else ">"
        big = struct.unpack(order + "H", head[2:4])[0] == 43
        count, entry, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
        place = struct.unpack_from(order + offset, head, 8 if big else 4)[0]
        seen: set[int] = set()
        while place and place not in seen:
            seen.add(place)
            file.seek(place)
            tags = file.read(struct.calcsize(count))
            if len(tags) < struct.calcsize(count):
                return
            file.seek(struct.unpack(order + count, tags)[0] * entry, 1)
            following = file.read(struct.calcsize(offset))
            if len(following) < struct.calcsize(offset):
                return
            place = struct.unpack(order + offset, following)[0]
    if place:
        raise damaged(path)


def _of_several_files(file: Any) -> bool:
    import re

    return len(set(re.findall(r'FileName="([^"]*)"', file.ome_metadata))) > 1


def _check(path: Path, file: Any, plane: Plane) -> None:
    """Refuse, before any decoding, what is not there, what would swell, and colours without a way to RGB."""
    page = plane.page
    refuse_bombs(path, plane.nbytes)
    size = file.filehandle.size
    ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if max(ends, default=0) > size:
        raise DataError(f"{path} cannot be read: it is truncated, at {size} of {max(ends)} bytes or more")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else min(page.bitspersample)
    stored = page.size * bits // 8
    if int(page.compression) == 1 and all(page.databytecounts) and stored > size:  # none: tiles may be left out
        raise DataError(f"{path} cannot be read: it is truncated, at {size} of {stored} bytes or more")
    colours = int(page.photometric or 0)
    if colours in UNREADABLE:
        raise DataError(f"{path} holds {UNREADABLE[colours]} colours: open it elsewhere and save it as RGB")
    if page.dtype is None or page.dtype.kind not in "biuf":
        raise DataError(f"{path} holds values of type {page.dtype}: whole numbers, bool or floats can be read")


def _stored(path: Path, page: Any, array: NDArray[Any], chosen: bool, options: ReadOptions, notes: list[str]) -> Stored:
    """What (H, W) or (H, W, S) samples mean."""
    # JPEG of more than 8 bits, and the other kinds, may be without loss: what they hold tells.
    photometric, lossy = int(page.photometric or 0), int(page.compression) in JPEG and array.dtype == np.uint8
    bits = _bits(page, array.dtype)
    if array.ndim == 2:
        palette = _palette(page, array) if photometric == PALETTE else None
        if palette is not None and array.dtype == np.bool_:
            array = array.astype(np.uint8)  # indices
        stored = Stored(array, _no_data(page, array), palette, None if palette is not None else bits, lossy)
    else:
        values, alpha = _samples(page, array, photometric)
        stored = Stored(values, alpha if alpha is not None else _no_data(page, values), None, bits, lossy)
    if options.channel is not None and not chosen:
        return pick_channel(stored, options.channel, path)
    return _plain(path, stored, photometric, notes)


def _samples(page: Any, array: NDArray[Any], photometric: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Colours in RGB, and what is declared as alpha."""
    extra = [int(kind) for kind in page.extrasamples]
    alpha = None
    if extra and extra[-1] in (ASSOCIATED, UNASSOCIATED) and array.shape[2] > 1:
        alpha, array = np.ascontiguousarray(array[..., -1]), array[..., :-1]
    if photometric == SEPARATED and array.shape[2] == 4:
        top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
        light = 1 - array.astype(np.float32) / top  # what the inks leave
        array = (light[..., :3] * light[..., 3:] * top).round().astype(array.dtype)
    elif photometric == YCBCR and int(page.compression) not in DECODED_TO_RGB and array.dtype == np.uint8:
        from PIL import Image

        array = np.array(Image.frombytes("YCbCr", array.shape[1::-1], array.tobytes()).convert("RGB"))
    return array[..., 0] if array.shape[2] == 1 else array, alpha


def _plain(path: Path, stored: Stored, photometric: int, notes: list[str]) -> Stored:
    """Refuse channels of which nothing says which is meant; say what was left out or taken for granted."""
    channels = stored.values.shape[2] if stored.values.ndim == 3 else 1
    if channels in (1, 3):
        if channels == 3 and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            notes.append("its three channels are read as red, green and blue (--channel N chooses one)")
        return stored
    if channels == 4 and photometric == RGB:
        notes.append("its fourth channel, which is not said to be alpha, is left out (--channel 4 chooses it)")
        return Stored(np.ascontiguousarray(stored.values[..., :3]), stored.alpha, bits=stored.bits, lossy=stored.lossy)
    raise DataError(f"{path} has {channels} channels: choose one (segdiff predict --channel N, 1 to {channels})")


def _bits(page: Any, dtype: np.dtype[Any]) -> int | None:
    """Significant bits, where the file says that they are fewer than its type has."""
    if dtype.kind != "u":
        return None
    stated = page.bitspersample[0] if isinstance(page.bitspersample, tuple) else page.bitspersample
    highest = page.tags.get(281)  # MaxSampleValue: of the picture with some writers, of the camera with others
    if highest is not None and stated == 16:
        top = highest.value[0] if isinstance(highest.value, tuple) else highest.value
        stated = {1023: 10, 4095: 12, 16383: 14}.get(top, stated)
    return int(stated) if 0 < stated < 8 * dtype.itemsize else None


def _palette(page: Any, array: NDArray[Any]) -> NDArray[np.uint8]:
    colours = np.asarray(page.colormap).T
    return (colours >> 8 if colours.max(initial=0) > 255 else colours).astype(np.uint8)


def _no_data(page: Any, values: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Alpha from the value that GDAL's tag calls no data; None without the tag, or where no pixel has it."""
    tag = page.tags.get(NO_DATA)
    try:
        value = float(str(tag.value).strip("\0 ")) if tag is not None else np.nan
    except ValueError:
        return None
    empty = values == value
    empty = empty.all(axis=2) if empty.ndim == 3 else empty
    return np.where(empty, np.uint8(0), np.uint8(255)) if empty.any() else None
