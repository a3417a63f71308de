"""Arrays on disk, several in a file, packed without loss and read by name; a file appears whole or not at all."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.writers import atomic
from segdiff.errors import DataError

_INDEX = "index.json"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
_LEVEL = 1  # of deflate: higher ones take several times as long for a few per cent


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of plain types; OutputError where that cannot be done."""
    index = {name: {"dtype": array.dtype.str, "shape": list(array.shape)} for name, array in arrays.items()}
    with atomic(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as packed:
        packed.writestr(_INDEX, json.dumps(index))
        for name, array in arrays.items():
            # First bytes of all values, then second ones, ...: exponents lie side by side and pack well.
            planes = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize).T
            packed.writestr(name, planes.tobytes())


def array_names(path: str | Path) -> set[str]:
    """Return the names of the arrays that a file holds; DataError where it is damaged."""
    try:
        with zipfile.ZipFile(path) as packed:
            return set(json.loads(packed.read(_INDEX)))
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def read_arrays(path: str | Path, names: set[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of these names that a file holds; None: all.

    Raises:
        DataError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            index = json.loads(packed.read(_INDEX))
            wanted = index if names is None else names & set(index)
            return {name: _unpacked(packed.read(name), index[name]) for name in wanted}
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: str | Path, error: BaseException) -> DataError:
    return DataError(f"{path} is damaged ({error}): remove its folder, and the work is done anew")


def _unpacked(content: bytes, described: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(described["dtype"])
    planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(described["shape"])


class ArrayFolder(MutableMapping[int, NDArray[Any]]):
    """Numbered arrays in the files of a folder, one each.

    Args:
        folder: made if it does not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __getitem__(self, number: int) -> NDArray[Any]:
        path = self._path(number)
        if not path.is_file():
            raise KeyError(number)
        return read_arrays(path)["array"]

    def __setitem__(self, number: int, array: NDArray[Any]) -> None:
        write_arrays(self._path(number), {"array": array})

    def __delitem__(self, number: int) -> None:
        self._path(number).unlink()

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(int(path.stem) for path in self.folder.glob("*.zip")))

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob("*.zip"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:07d}.zip"
