"""Which version of a file lies at a path: what a picture or slide that was replaced is known by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Slides whose tiles lie in a folder of the same stem beside the file that is named.
WITH_FOLDER = (".mrxs", ".vms", ".vmu")


def version_of(image: str | Path) -> dict[str, int]:
    """Return bytes and time of the latest change of an image.

    An image in several files, a Zarr folder or a slide with a folder of tiles beside it, has the sum of their bytes and
    the latest of their times.

    Raises:
        OSError: there is no such file.
    """
    found = [file.stat() for file in _files(Path(image))]
    return {"bytes": sum(one.st_size for one in found), "modified_ns": max(one.st_mtime_ns for one in found)}


def _files(image: Path) -> Iterator[Path]:
    yield image
    beside = image.with_suffix("") if image.suffix.lower() in WITH_FOLDER else image
    if beside.is_dir():
        yield from (path for path in beside.rglob("*") if path.is_file())
