"""Vaihingen buildings as the published SegDiff reads them: 168 aerial crops of 256 x 256 in two HDF5 files.

    root/full_training_vaih.hdf5, root/full_test_vaih.hdf5      100 and 68 crops
        imgs/building_1          uint8 (256, 256, 3): near infrared, red, green as colours
        mask_single/building_mask_1     uint8 (256, 256), 0 and 1

Validation is one of five folds of the training crops: the published system chooses its weights on the test crops,
which nothing here does. Source: the published code; the ISPRS 2D labelling contest, Vaihingen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.hdf5 import find_array, names_of, open_hdf5, read_array
from segdiff.data.images import to_rgb
from segdiff.data.splits import check_split, of_fold
from segdiff.errors import DataError

FILES = {"train": "full_training_vaih.hdf5", "test": "full_test_vaih.hdf5"}
IMAGES, MASKS = "imgs", "mask_single"


class Vaihingen(Dataset):
    """A split of Vaihingen.

    Args:
        root: the folder of the two files; only the one that the split needs must be there.
        split: "train", "val", "test" or "all" (train + val).
        fold: 0..4, the fold that is "val": the crops whose rank by name is `fold` modulo 5; None: no
            crop is.
    Raises:
        MissingError: the file that this split needs is not there.
        DataError: it is not such a file, or an image in it has no mask, or a mask no image.
    """

    kind = "vaihingen"

    def __init__(self, root: str | Path, split: str, *, fold: int | None = 0) -> None:
        check_split(split)
        self.path = Path(root) / FILES["test" if split == "test" else "train"]
        with open_hdf5(self.path) as file:
            images, masks = names_of(file, IMAGES, self.path), names_of(file, MASKS, self.path)
        self._mask_of = _match(images, masks, self.path)
        super().__init__(split, of_fold(images, split, fold), None)

    def read(self, index: int) -> Sample:
        name = self.names[index]
        with open_hdf5(self.path) as file:
            paths = f"{IMAGES}/{name}", f"{MASKS}/{self._mask_of[name]}"
            image, mask = (read_array(find_array(file, path, self.path), self.path) for path in paths)
        if image.ndim != 3 or mask.ndim != 2:
            raise DataError(f"{self.path}: {name} has an image of shape {image.shape} and a mask of {mask.shape}")
        return Sample(name, to_rgb(image), (mask > 0).astype(np.uint8)[None, None])


def _match(images: list[str], masks: list[str], path: Path) -> dict[str, str]:
    """The mask of each image: building_mask_7 of building_7, or one of the very name."""
    if not images:
        raise DataError(f"{path} holds no image")
    by_name = {mask.replace("_mask", ""): mask for mask in masks}
    if missing := [name for name in images if name not in by_name]:
        raise DataError(f"{path}: {missing[0]} has no mask ({len(missing)} of {len(images)} images)")
    if lonely := [mask for name, mask in by_name.items() if name not in set(images)]:
        raise DataError(f"{path}: {lonely[0]} has no image ({len(lonely)} of {len(masks)} masks)")
    return {name: by_name[name] for name in images}
