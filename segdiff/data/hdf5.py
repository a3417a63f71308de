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


def read_array(file: Any, name: str, path: Path) -> np.ndarray:
    """The array of that name in an open file.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path} holds no array {name!r}")
    try:
        return np.asarray(found[()])
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {name} cannot be read ({error})") from error


def names_of(file: Any, group: str, path: Path) -> list[str]:
    """The sorted names in a group of an open file. DataError where there is no such group."""
    import h5py

    found = file.get(group)
    if not isinstance(found, h5py.Group):
        raise DataError(f"{path} holds no group {group!r}")
    return sorted(found)
