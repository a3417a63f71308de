"""Vaihingen's two files, made up."""

import h5py
import numpy as np
import pytest
from made import blob, make_vaihingen

from segdiff.data.datasets import build_dataset
from segdiff.errors import ConfigError, DataError, MissingError


@pytest.fixture
def root(tmp_path):
    make_vaihingen(tmp_path)
    return tmp_path


def test_crops_and_masks_of_one_number_go_together(root):
    for split in ("all", "test"):
        for sample in build_dataset("vaihingen", root, split):
            image, mask = blob(int(sample.name.removeprefix("building_")))
            np.testing.assert_array_equal(sample.image, image)
            np.testing.assert_array_equal(sample.mask, mask[None, None])
            assert sample.mask.dtype == np.uint8 and sample.instances is None


def test_splits(root):
    names = {split: build_dataset("vaihingen", root, split).names for split in ("train", "val", "test", "all")}
    assert names["test"] == ["building_13", "building_14", "building_15"]
    assert names["all"] == sorted(f"building_{i}" for i in range(1, 13))  # by letters, as published
    assert names["val"] == names["all"][::5] and sorted(names["train"] + names["val"]) == names["all"]
    assert build_dataset("vaihingen", root, "val", fold=1).names == names["all"][1::5]
    with pytest.raises(ConfigError, match="fold is 5"):
        build_dataset("vaihingen", root, "val", fold=5)


def test_only_the_file_of_the_split_is_needed(root):
    (root / "full_test_vaih.hdf5").unlink()
    assert len(build_dataset("vaihingen", root, "all")) == 12
    with pytest.raises(MissingError, match=r"full_test_vaih\.hdf5"):
        build_dataset("vaihingen", root, "test")


def test_damaged_files(root):
    path = root / "full_training_vaih.hdf5"
    with h5py.File(path, "a") as file:
        del file["mask_single/building_mask_3"]
    with pytest.raises(DataError, match=r"building_3 has no mask \(1 of 12 images\)"):
        build_dataset("vaihingen", root, "train")
    with h5py.File(path, "a") as file:
        file["mask_single/building_mask_3"] = np.zeros((255, 256), np.uint8)
    with pytest.raises(DataError, match="building_3: the image is 256 x 256"):
        list(build_dataset("vaihingen", root, "all"))
    with h5py.File(path, "a") as file:
        file["mask_single/building_mask_99"] = np.zeros((256, 256), np.uint8)
    with pytest.raises(DataError, match=r"building_mask_99 has no image \(1 of 13 masks\)"):
        build_dataset("vaihingen", root, "train")
    with h5py.File(path, "a") as file:
        del file["mask_single"]
    with pytest.raises(DataError, match="no group 'mask_single'"):
        build_dataset("vaihingen", root, "train")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not an HDF5 file") as error:
        build_dataset("vaihingen", root, "train")
    assert "\n" not in str(error.value)
