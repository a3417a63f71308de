"""Reading HDF5 files. They are opened for each read and closed again: an open file does not survive a fork."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.errors import DataError, MissingError


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        MissingError: there is no such file. DataError: it is no HDF5 file, or a damaged one.
    """
    import h5py

    if not path.is_file():
        raise MissingError(f"no such file: {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} is not an HDF5 file that can be read") from error
    with file:
        yield file


def find_array(file: Any, name: str, path: Path) -> Any:
    """The array of that name in an open file, not read yet: it has `shape` and `dtype`.

    Raises:
        DataError: there is none.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path} holds no array {name!r}")
    return found


def read_array(array: Any, path: Path, part: tuple[slice, ...] = ()) -> np.ndarray:
    """The values of what `find_array` gave, or those in `part`; nothing else is read.

    Raises:
        DataError: they cannot be read.
    """
    try:
        return np.asarray(array[part])
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {array.name} cannot be read ({error})") from error


def names_of(file: Any, group: str, path: Path) -> list[str]:
    """The sorted names in a group of an open file. DataError where there is no such group."""
    import h5py

    found = file.get(group)
    if not isinstance(found, h5py.Group):
        raise DataError(f"{path} holds no group {group!r}")
    return sorted(found)
