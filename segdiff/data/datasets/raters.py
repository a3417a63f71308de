"""Masks of several raters of one image: a folder of masks for each rater, or files whose bits are the raters.

masks/<rater>/<stem>.png     a rater who has no mask of an image did not see it: the image has fewer raters
masks/<stem>.png             whole numbers: bit i (value 2^i) is set where rater i marked object; who marked nothing
                             has an empty mask
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations import is_annotation
from segdiff.data.datasets.drawn import DrawnTruths
from segdiff.data.datasets.pairs import without_ending
from segdiff.data.images import images_in, read_stored
from segdiff.errors import DataError

MOST_BITS = 32


def read_bits(path: Path, raters: int) -> NDArray[np.uint8]:
    """Read a file whose bits are raters.

    Args:
        path: of a grey PNG or TIFF of whole numbers.
        raters: how many there are.
    Returns:
        uint8 (raters, H, W) of 0 and 1.
    Raises:
        MissingError, DataError: as `read_stored`; no whole numbers, or one that has a bit of a further rater.
    """
    if is_annotation(path):
        raise DataError(f"{path} holds outlines, and bits={raters} says that masks are bit fields: choose one")
    stored = read_stored(path)
    values = stored.values
    if values.ndim != 2 or values.dtype.kind not in "ub" or stored.lossy:
        raise DataError(f"{path} is no bit field of raters: a grey PNG or TIFF of whole numbers is needed")
    field = values.astype(np.uint64)
    if (largest := int(field.max(initial=0))) >= 2**raters:
        raise DataError(f"{path} holds {largest}: the bits of {raters} raters go up to {2**raters - 1} (--option bits)")
    return np.stack([(field >> np.uint64(rater)) & np.uint64(1) for rater in range(raters)]).astype(np.uint8)


class RaterTruths:
    """Finds the truths of images, of one rater or of several.

    Args:
        drawn: reads annotations.

    Attributes:
        folders: names of the raters' folders that were found, in order.
    """

    def __init__(self, drawn: DrawnTruths) -> None:
        self.drawn = drawn
        self.folders: list[str] = []
        self._raters: dict[tuple[str, Path], tuple[Path, ...]] = {}

    def truths_in(self, folder: Path, images: Mapping[str, Path]) -> Mapping[str, Path]:
        """Find the truths of a folder by the stem of their image; where raters have folders, that of the first of them.

        Args:
            folder: of masks, or of raters' folders.
            images: by stem.
        Raises:
            DataError: as `DrawnTruths.truths_in`.
        """
        places = rater_folders(folder)
        if not places:
            return self.drawn.truths_in(folder, images)
        self.folders += [place.name for place in places if place.name not in self.folders]
        found: dict[str, tuple[Path, ...]] = {}
        for place in places:
            for stem, path in without_ending(images, self.drawn.truths_in(place, images)).items():
                found[stem] = (*found.get(stem, ()), path)
        self._raters |= {(stem, paths[0]): paths for stem, paths in found.items()}
        return {stem: paths[0] for stem, paths in found.items()}

    def of(self, stem: str, first: Path) -> tuple[Path, ...]:
        """Give the truths of all raters of an image; `first` is what `truths_in` gave."""
        return self._raters.get((stem, first), (first,))


def rater_folders(masks: Path) -> list[Path]:
    """List the raters' folders: the subfolders with masks in them of a folder that holds no mask itself."""
    if not masks.is_dir() or _holds_truths(masks):
        return []
    inside = (path for path in masks.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(path for path in inside if _holds_truths(path))


def stack_raters(name: str, masks: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack masks (H, W) of raters as (R, 1, H, W). DataError where they are of several sizes."""
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        listed = " and ".join(" x ".join(map(str, size)) for size in sorted(sizes))
        raise DataError(f"{name}: its raters' masks are {listed} (height x width); they must be of one size")
    return np.stack(masks)[:, None]


def _holds_truths(folder: Path) -> bool:
    annotated = (is_annotation(path) and not path.name.startswith(".") for path in folder.iterdir())
    return bool(images_in(folder)) or any(annotated)
