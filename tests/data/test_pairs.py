"""Images and truths, matched by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.pairs import match_pairs
from segdiff.errors import DataError, MissingError


def paths(folder, names):
    return [Path(folder) / name for name in names]


@pytest.mark.parametrize("ending", ["_mask", "-labels", "_cp_masks", ".ome"])
def test_masks_may_all_have_one_ending(ending):
    images, masks = paths("images", ["1.png", "10.png", "1a.png"]), ["1", "10", "1a"]
    found = match_pairs(images, paths("masks", [f"{stem}{ending}.tif" for stem in masks]))
    assert [(stem, image.stem, truth.name) for stem, image, truth in found] == [
        (stem, stem, f"{stem}{ending}.tif") for stem in sorted(masks)
    ]


@pytest.mark.parametrize(
    "masks",
    [
        ["a_mask.png", "b_label.png"],  # two endings
        ["a.png", "b_mask.png"],  # one is called as its image
        ["a_mask.png", "c_mask.png"],  # one is of no image
    ],
)
def test_nothing_is_guessed_of_other_names(masks):
    with pytest.raises(DataError, match="of the same stem"):
        match_pairs(paths("images", ["a.png", "b.png"]), paths("masks", masks))


def folder(root, images, masks):
    for kind, names in (("images", images), ("masks", masks)):
        (root / kind).mkdir()
        for name in names:
            Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(root / kind / name)
    return root


def test_a_folder_of_masks_with_an_ending_is_read(tmp_path):
    dataset = build_dataset("folder", folder(tmp_path, ["a.png", "b.png"], ["a_mask.png", "b_mask.png"]), "all")
    assert dataset.names == ["a", "b"] and dataset[0].mask.sum() == 16


@pytest.mark.parametrize(
    ("images", "masks", "said"),
    [
        ([], ["a.png"], "images holds no image"),
        (["a.png"], [], "masks holds no mask for the 1 image"),
        (["a.png"], ["b.png"], "b.png does not go with a.png"),
    ],
)
def test_why_there_is_no_pair_is_told(tmp_path, images, masks, said):
    with pytest.raises(MissingError, match=said):
        build_dataset("folder", folder(tmp_path, images, masks), "all", lenient=True)


@pytest.mark.parametrize(
    ("images", "masks", "found"),
    [
        (["a_image", "b_image"], ["a_mask", "b_mask"], True),
        (["a.raw-im", "b.raw-im"], ["a.raw-labels", "b.raw-labels"], True),
        (["a_image", "b_image"], ["a_masks_1", "b_masks_1"], True),
        (["a_image", "b_image"], ["a_mask", "b_label"], False),
        (["a_image", "b_image"], ["a_mask", "c_mask"], False),
        (["image", "b_image"], ["mask", "b_mask"], False),
    ],
)
def test_images_and_masks_with_an_ending_each(images, masks, found):
    images, masks = [Path(f"i/{one}.png") for one in images], [Path(f"m/{one}.png") for one in masks]
    if found:
        pairs = match_pairs(images, masks)
        assert [(image, mask) for _, image, mask in pairs] == list(zip(images, masks, strict=True))
    else:
        with pytest.raises(DataError, match="of the same stem"):
            match_pairs(images, masks)
