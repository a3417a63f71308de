"""Strips of a slide's result on disk: what a run that was cut goes on with."""

from __future__ import annotations

import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.array_files import array_names, read_arrays, write_arrays
from segdiff.data.windows import Window
from segdiff.data.writers import write_json
from segdiff.errors import ConfigError
from segdiff.inference.prediction import Prediction
from segdiff.inference.strips import COLUMNS, Strip
from segdiff.settings import differences

FIELDS = ("probability", "uncertainty", "core", "raw_probability")  # of a `Prediction` that are kept
FORMAT = 2
_KEPT = 2**26  # bytes of tiles that are kept unpacked
_NAME = re.compile(r"strip_(\d+)_(\d+)_(\d+)\.zip")


def open_folder(folder: Path, settings: Mapping[str, Any], go_on: bool) -> None:
    """Make the folder of a run, or go on in that of an earlier one.

    Strips of an image that was replaced since are removed, whatever `go_on` says.

    Args:
        folder: of the strips of all models.
        settings: what decides the result, plain values; of them "image" with a "name" and the file's "version".
        go_on: False removes what an earlier run left.
    Raises:
        ConfigError: it was begun with other settings, or for an image of another name.
    """
    manifest = folder / "manifest.json"
    if not go_on and folder.exists():
        shutil.rmtree(folder)
    wanted = json.loads(json.dumps({"format": FORMAT, **settings}))
    try:
        there = json.loads(manifest.read_text(encoding="utf-8"))
        there = None if _was_replaced(there, wanted) else there
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that was never finished
        there = None
    if there is None:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(manifest, wanted)
    elif changes := list(differences(there, wanted)):
        raise ConfigError(
            f"{folder} was begun with other settings ({', '.join(changes[:3])}): repeat them, choose another output "
            "folder, or --overwrite"
        )


def check_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError where the run in a folder has other settings than these, or there is none.

    Processes that share the work on a slide would mix two results: of two precisions, say, or of two versions of it.
    """
    try:
        there = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is gone or damaged: give the command again, with --resume") from error
    wanted = json.loads(json.dumps({"format": FORMAT, **settings}))
    if changes := list(differences(there, wanted)):
        raise ConfigError(f"what is at work in {folder} has other settings than this process: {', '.join(changes[:3])}")


def _was_replaced(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is of a file that lay where another one lies now."""
    then, now = there["image"], here["image"]
    return bool(then["name"] == now["name"] and then["version"] != now["version"])


class StripStore:
    """The strips of one model.

    Args:
        folder: made when the first is written.
        size: (height, width) of the image.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, (self.height, self.width) = folder, size
        self._strips: dict[int, tuple[Window, Path]] = {}
        for path in folder.glob("strip_*.zip") if folder.is_dir() else ():
            if found := _NAME.fullmatch(path.name):
                row, top, height = map(int, found.groups())
                self._strips[row] = (Window(top, 0, height, self.width), path)
        self._lefts: dict[int, frozenset[int]] = {}
        self._tiles: OrderedDict[tuple[int, int], dict[str, NDArray[Any]]] = OrderedDict()

    @property
    def missing(self) -> int | None:
        """The first row of windows whose strip is not there; None where all are."""
        row = 0
        while row in self._strips:
            if self._strips[row][0].rows.stop == self.height:
                return None
            row += 1
        return row

    def __len__(self) -> int:
        return len(self._strips)

    def gaps(self, rows: int, most: int | None) -> list[tuple[int, int]]:
        """List first and last of the rows of windows without a strip, of `rows` in all, at most `most` of them each."""
        found: list[tuple[int, int]] = []
        for row in range(rows):
            if row in self._strips:
                continue
            if found and found[-1][1] == row - 1 and (most is None or row - found[-1][0] < most):
                found[-1] = (found[-1][0], row)
            else:
                found.append((row, row))
        return found

    def write(self, strip: Strip) -> None:
        """Keep a strip; OutputError where it cannot be written."""
        arrays = {
            f"{name}_{left}": array
            for left, prediction in strip.predictions.items()
            for name in FIELDS
            if (array := getattr(prediction, name)) is not None
        }
        path = self.folder / f"strip_{strip.row:05d}_{strip.window.top:07d}_{strip.window.height:05d}.zip"
        write_arrays(path, arrays)
        self._strips[strip.row] = (strip.window, path)
        self._lefts.pop(strip.row, None)

    def read(self, window: Window, empty: Prediction) -> Prediction:
        """Return the prediction of a window, background where nothing is stored.

        empty: one of the same options without a pixel.
        """
        size = (window.height, window.width)
        found: dict[str, NDArray[np.float32]] = {"probability": np.zeros(size, np.float32)}
        for name in ("core", "raw_probability"):
            if getattr(empty, name) is not None:
                found[name] = np.zeros(size, np.float32)
        for row, (strip, _) in self._strips.items():
            if strip.top >= window.rows.stop or strip.rows.stop <= window.top:
                continue
            for left in range(window.left // COLUMNS * COLUMNS, window.columns.stop, COLUMNS):
                place = Window(strip.top, left, strip.height, min(COLUMNS, self.width - left))
                for name, array in self._tile(row, left).items():
                    target = found.setdefault(name, np.zeros(size, np.float32))
                    _copy(target, window, array, place)
        return replace(empty, **found)  # type: ignore[arg-type]

    def holds(self, window: Window) -> bool:
        """Tell whether anything is stored of a window: of glass there is not."""
        lefts = range(window.left // COLUMNS * COLUMNS, window.columns.stop, COLUMNS)
        return any(
            not self._stored(row).isdisjoint(lefts)
            for row, (strip, _) in self._strips.items()
            if strip.top < window.rows.stop and strip.rows.stop > window.top
        )

    def _stored(self, row: int) -> frozenset[int]:
        """The left columns of a strip's tiles."""
        if row not in self._lefts:
            names = array_names(self._strips[row][1])
            self._lefts[row] = frozenset(int(name.rpartition("_")[2]) for name in names)
        return self._lefts[row]

    def _tile(self, row: int, left: int) -> dict[str, NDArray[Any]]:
        """The arrays of a tile; those read last are kept."""
        key = (row, left)
        tile = self._tiles.pop(key, None)
        if tile is None:
            named = read_arrays(self._strips[row][1], {f"{name}_{left}" for name in FIELDS})
            tile = {name.rpartition("_")[0]: array for name, array in named.items()}
        self._tiles[key] = tile
        while len(self._tiles) > 1 and sum(_bytes(one) for one in self._tiles.values()) > _KEPT:
            self._tiles.popitem(last=False)
        return tile


def _bytes(tile: Mapping[str, NDArray[Any]]) -> int:
    return sum(array.nbytes for array in tile.values())


def _copy(target: NDArray[Any], window: Window, array: NDArray[Any], place: Window) -> None:
    """Copy what an array at `place` shares with the window of `target`."""
    top, left = max(window.top, place.top), max(window.left, place.left)
    bottom = min(window.rows.stop, place.rows.stop)
    right = min(window.columns.stop, place.columns.stop)
    target[top - window.top : bottom - window.top, left - window.left : right - window.left] = array[
        top - place.top : bottom - place.top, left - place.left : right - place.left
    ]
