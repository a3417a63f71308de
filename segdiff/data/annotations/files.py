"""Bytes of annotation files: unpacked and parsed, or refused in one line."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from segdiff.errors import DataError

MOST_BYTES = 2**30  # unpacked; the outlines of a million nuclei have as much


def unpacked(content: bytes, path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz.

    Raises:
        DataError: not a complete gzip file, or larger than any annotation.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a complete gzip file ({error})") from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{path} holds more than {MOST_BYTES // 2**20} MB of text, as no annotation does")
    return content


def is_zip(content: bytes) -> bool:
    """Whether these are the bytes of a zip file."""
    return zipfile.is_zipfile(io.BytesIO(content))


def unzipped(content: bytes, path: Path, suffix: str) -> list[tuple[str, bytes]]:
    """Name and content of the files in a zip file whose names end in `suffix`.

    Raises:
        DataError: damaged, or larger than any annotation.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            named = [one for one in file.infolist() if one.filename.lower().endswith(suffix)]
            entries = [one for one in named if not one.filename.startswith("__MACOSX/")]
            if sum(one.file_size for one in entries) > MOST_BYTES:
                raise DataError(f"{path} holds more than {MOST_BYTES // 2**20} MB, as no annotation does")
            return [(one.filename, file.read(one)) for one in entries]
    except DataError:
        raise
    except Exception as error:  # of zipfile, zlib and struct, in many kinds
        raise DataError(f"{path} is not a complete zip file ({error})") from error


def parse_json(content: bytes, path: Path) -> Any:
    """JSON, UTF-8 with or without a mark of byte order.

    Raises:
        DataError: not JSON, or nested beyond all measure.
    """
    try:
        return json.loads(unpacked(content, path).decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is not a complete JSON file ({error})") from error
    except RecursionError as error:
        raise DataError(f"{path} is nested deeper than any annotation") from error
