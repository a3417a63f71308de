"""Arrays that are slow to make, kept as files. A cache that cannot be read or written stops no work."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segdiff.data.writers import atomic

log = logging.getLogger(__name__)


def default_cache_dir() -> Path | None:
    """$SEGDIFF_CACHE if set, else the platform's folder for caches; None for a user without a home."""
    if chosen := os.environ.get("SEGDIFF_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        folder = "~/Library/Caches"
    else:
        folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(folder).expanduser() / "segdiff"
    except RuntimeError:  # no home folder can be found
        return None


def cached(folder: Path | None, key: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of `make()`, from `folder`/`key`.npz if they are there, else made and stored there.

    Args:
        folder: made if need be; None makes the arrays every time.
        key: a file name that changes whenever the arrays would.
    """
    if folder is None:
        return make()
    path = folder / f"{key}.npz"
    try:
        # Opened here: of a damaged file numpy would leave its own handle open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except FileNotFoundError:
        pass
    except Exception as error:  # a damaged file: zipfile, zlib and numpy raise many kinds
        log.info("cache file %s is made anew: %s", path, error)
    arrays = make()
    try:
        with atomic(path) as new:
            np.savez_compressed(new, **arrays)  # type: ignore[arg-type]  # its stub wants a bool among them
    except OSError as error:
        log.info("not cached in %s: %s", folder, error)
    return arrays
