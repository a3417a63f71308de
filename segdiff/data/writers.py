"""Writing results: each file appears whole or not at all."""

from __future__ import annotations

import codecs
import csv
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import OutputError, ShapeError

CLASSIC_TIFF = 2**32 - 2**25  # bytes: places in the ordinary kind are numbers of 32 bits


@contextmanager
def atomic(path: str | Path, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which takes its name when the block ends without an error; else nothing is left.

    The folder is made if it is not there. A link of that name is replaced, not followed.

    Args:
        durable: wait until the disk has it, so that not even a loss of power leaves half a file.
    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{uuid.uuid4().hex}.tmp")  # of the same folder: a rename cannot cross disks
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError.of(path, error) from error


def write_mask(path: str | Path, mask: NDArray[Any]) -> None:
    """A binary mask (H, W) as a grey PNG: 0 where it is zero, 255 elsewhere."""
    if mask.ndim != 2:
        raise ShapeError(f"a mask of shape (H, W) is written; this one has {mask.shape}")
    _write_png(path, np.where(mask != 0, np.uint8(255), np.uint8(0)))


def write_overlay(path: str | Path, picture: NDArray[np.uint8]) -> None:
    """An RGB picture, uint8 (H, W, 3), as PNG."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ShapeError(f"uint8 (H, W, 3) is written; this is {picture.dtype} {picture.shape}")
    _write_png(path, picture)


def write_float_tiff(path: str | Path, array: NDArray[Any]) -> None:
    """Numbers (H, W) as a TIFF of float32, compressed without loss (deflate)."""
    write_tiff(path, array.astype(np.float32))


def write_tiff(path: str | Path, array: NDArray[Any]) -> None:
    """Numbers (H, W) as a TIFF of their own type, compressed without loss (deflate); BigTIFF where 4 GiB may not do."""
    import tifffile

    large = array.nbytes > CLASSIC_TIFF  # tifffile does not look at this by itself where it compresses
    with atomic(path) as file:
        tifffile.imwrite(file, array, compression="deflate", photometric="minisblack", bigtiff=large)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write plain values as indented JSON; names of files that are no UTF-8 are written so that they are read alike.

    Raises:
        ValueError: NaN and infinity, which JSON does not have.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV (UTF-8) under a header, one after the other; None and what a row lacks are empty cells.

    Args:
        columns: the header; a row may have no others.
    Raises:
        OutputError: the file cannot be written.
    """
    with atomic(path) as file:
        writer = csv.DictWriter(codecs.getwriter("utf-8")(file), columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_png(path: str | Path, array: NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic(path) as file:
        Image.fromarray(array).save(file, format="PNG")
