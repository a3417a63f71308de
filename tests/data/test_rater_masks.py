"""Several masks of one image: folders of raters, bit fields, LIDC; what training draws of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data.augment import Augmentation, Settings
from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.raters import read_bits
from segdiff.data.loader import TrainingSamples, batches
from segdiff.errors import ConfigError, DataError, UserError


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def rows(first: int, last: int) -> np.ndarray:
    """A mask (16, 16) of these rows."""
    mask = np.zeros((16, 16), np.uint8)
    mask[first:last] = 1
    return mask


def with_folders(root: Path, ending: str = "", stems: str = "abcdef") -> Path:
    """Images with masks of the raters x, y and z; z has none of the first image, and marks nothing in the second."""
    for number, stem in enumerate(stems):
        save(root / "images" / f"{stem}.png", np.full((16, 16), 10 * number, np.uint8))
        for rater, mask in {"x": rows(2, 8), "y": rows(4, 10), "z": rows(0, 0) if number == 1 else rows(8, 9)}.items():
            if (rater, number) != ("z", 0):
                save(root / "masks" / rater / f"{stem}{ending}.png", 255 * mask)
    return root


@pytest.mark.parametrize("ending", ["", "_mask"])
def test_folders_of_raters(tmp_path, ending):
    data = build_dataset("folder", with_folders(tmp_path, ending), "all")
    assert data.raters == 3 and data.report["masks_of_raters"] == {"x": 6, "y": 6, "z": 5}
    two, three = data[0], data[1]
    assert two.mask.shape == (2, 1, 16, 16) and three.mask.shape == (3, 1, 16, 16) and three.instances is None
    assert np.array_equal(three.mask[:, 0], [rows(2, 8), rows(4, 10), rows(0, 0)])
    assert not np.array_equal(data[2].mask[2], three.mask[2]) and two.mask.max() == 1


def test_a_single_rater_is_read_as_ever(tmp_path):
    for stem in "ab":
        save(tmp_path / "images" / f"{stem}.png", np.zeros((16, 16), np.uint8))
        save(tmp_path / "masks" / "anna" / f"{stem}.png", rows(2, 8) + 2 * rows(10, 12))
    data = build_dataset("folder", tmp_path, "all")
    assert data.raters == 1 and data[0].mask.shape == (1, 1, 16, 16) and data[0].instances.max() == 2


def test_masks_beside_subfolders_are_not_of_raters(tmp_path):
    with_folders(tmp_path)
    for stem in "abcdef":
        save(tmp_path / "masks" / f"{stem}.png", rows(1, 3))
    data = build_dataset("folder", tmp_path, "all")
    assert data.raters == 1 and data[0].mask.sum() == 32


def test_what_cannot_be_of_folders(tmp_path):
    with_folders(tmp_path)
    with pytest.raises(ConfigError, match="bits=3: the masks .* lie in folders of raters"):
        build_dataset("folder", tmp_path, "all", bits=3)
    with pytest.raises(ConfigError, match="several raters do not number"):
        build_dataset("folder", tmp_path, "all", objects="instances")
    save(tmp_path / "masks" / "y" / "c.png", np.zeros((16, 12), np.uint8))
    with pytest.raises(DataError, match="must be of one size"):
        build_dataset("folder", tmp_path, "all")
    save(tmp_path / "masks" / "y" / "c.png", rows(2, 3))
    save(tmp_path / "masks" / "z" / "h.png", rows(2, 3))
    with pytest.raises(DataError, match=r"h\.png has no image"):
        build_dataset("folder", tmp_path, "all")
    assert len(build_dataset("folder", tmp_path, "all", lenient=True).unmatched) == 1


@pytest.mark.parametrize(
    ("suffix", "dtype", "raters"), [("png", np.uint8, 4), ("png", np.uint16, 10), ("tif", np.uint32, 20)]
)
def test_bits_are_raters(tmp_path, suffix, dtype, raters):
    masks = np.random.default_rng(0).integers(0, 2, (raters, 9, 7))
    masks[1] = 0
    field = (masks << np.arange(raters)[:, None, None]).sum(0).astype(dtype)
    path = tmp_path / f"a.{suffix}"
    tifffile.imwrite(path, field) if suffix == "tif" else Image.fromarray(field).save(path)
    assert np.array_equal(read_bits(path, raters), masks)
    with pytest.raises(DataError, match=f"the bits of {raters - 1} raters go up to {2 ** (raters - 1) - 1}"):
        read_bits(path, raters - 1)


def test_no_bit_fields(tmp_path):
    save(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    Image.fromarray(rows(1, 5)).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float32))
    for name in ("a.png", "a.jpg", "a.tif"):
        with pytest.raises(DataError, match="no bit field of raters"):
            read_bits(tmp_path / name, 4)
    (tmp_path / "a.geojson").write_text("{}")
    with pytest.raises(DataError, match="holds outlines"):
        read_bits(tmp_path / "a.geojson", 4)
    with pytest.raises(ConfigError, match="bits is 1"):
        build_dataset("folder", tmp_path, "train", bits=1)


def lidc(root: Path, patients: int = 10) -> Path:
    """Two crops of each patient, with an index as of LIDC."""
    lines = ["stem,patient,nodule,split"]
    for patient in range(patients):
        for crop in range(2):
            stem = f"{patient:02d}_{crop}"
            save(root / "images" / f"{stem}.png", np.full((16, 16), 9 * patient, np.uint8))
            save(root / "masks" / f"{stem}.png", rows(2, 8) | rows(3, 8) << 1 | rows(3, 9) << 3)
            lines.append(f"{stem},P{patient},n{crop},{'train' if patient < 6 else 'val' if patient < 8 else 'test'}")
    (root / "index.csv").write_text("\n".join(lines) + "\n")
    return root


def test_lidc_by_its_index_and_by_folds_of_patients(tmp_path):
    lidc(tmp_path)
    assert [len(build_dataset("lidc", tmp_path, split)) for split in ("train", "val", "test")] == [12, 4, 4]
    sample = build_dataset("lidc", tmp_path, "val")[0]
    assert np.array_equal(sample.mask[:, 0], [rows(2, 8), rows(3, 8), rows(0, 0), rows(3, 9)])
    folds = [build_dataset("lidc", tmp_path, "val", fold=fold).names for fold in range(5)]
    assert sorted(sum(folds, [])) == build_dataset("folder", tmp_path, "all", use_split=False).names
    for fold, names in enumerate(folds):
        trained = build_dataset("lidc", tmp_path, "train", fold=fold).names
        assert not {name[:2] for name in names} & {name[:2] for name in trained} and len(trained) == 16
    with pytest.raises(UserError, match="no image for the split 'test'"):
        build_dataset("lidc", tmp_path, "test", fold=0)
    with pytest.raises(ConfigError, match="takes the options fold, lenient, not bits"):
        build_dataset("lidc", tmp_path, "train", bits=3)
    with pytest.raises(DataError, match="no column 'person' of groups"):
        build_dataset("folder", tmp_path, "train", group="person")


def test_the_real_crops(shared_data):
    data = [build_dataset("lidc", shared_data / "data/lidc_nodules", split) for split in ("train", "val", "test")]
    assert [len(one) for one in data] == [315, 45, 90] and data[0].raters == 4
    areas = np.stack([data[0][index].mask.sum((1, 2, 3)) for index in range(2)])
    assert areas.tolist() == [[929, 900, 895, 891], [15, 15, 32, 44]]  # as its index.csv says
    cells = build_dataset("folder", shared_data / "data/bu_bil", "all", bits=10, use_split=False)
    assert len(cells) == 116 and cells[0].mask.any(axis=(1, 2, 3)).all()
    vessels = build_dataset("folder", shared_data / "data/chase_db1", "test")
    assert len(vessels) == 8 and vessels.raters == 2


def identity(image: np.ndarray) -> np.ndarray:
    return np.asarray(image, np.float32)


def samples(root: Path, draws: int, **augmentation: object) -> TrainingSamples:
    data = build_dataset("lidc", lidc(root), "train")
    return TrainingSamples(data, identity, Augmentation(Settings(**augmentation)), seed=5, draws=draws)


def test_each_draw_has_a_rater_of_its_own(tmp_path):
    four, one, many = (samples(tmp_path, draws) for draws in (4, 1, 6))
    expected = sorted(mask.tobytes() for mask in (four.dataset[0].mask[:, 0].astype(np.float32) * 2 - 1))
    for n in range(6):
        mask = four[n]["mask"].numpy()
        assert mask.shape == (4, 1, 16, 16) and sorted(m.tobytes() for m in mask[:, 0]) == expected
        assert np.array_equal(one[n]["mask"], mask[0]) and np.array_equal(many[n]["mask"][:4], mask)
        assert np.array_equal(many[n]["mask"][4:], mask[:2])  # begins again
    firsts = {four[n]["mask"][0].numpy().tobytes() for n in range(40)}
    assert len(firsts) == 4  # every rater comes first now and then
    batch = next(batches(four, 2, start=1))
    assert batch["mask"].shape == (2, 4, 1, 16, 16) and np.array_equal(batch["mask"][1], four[3]["mask"])


def test_raters_are_turned_with_their_image(tmp_path):
    turned = samples(tmp_path, 4, rotate90=True, horizontal_flip=True, rotation=20.0, scale=(0.8, 1.2))
    for n in range(6):
        mask = turned[n]["mask"].numpy()
        assert np.array_equal(
            mask, samples(tmp_path, 4, rotate90=True, horizontal_flip=True, rotation=20.0, scale=(0.8, 1.2))[n]["mask"]
        )
        areas = sorted((mask > 0).sum((1, 2, 3)))
        assert areas[0] == 0 and areas[1] < areas[2] <= areas[3]  # nested as before


def test_one_rater_is_drawn_as_before(tmp_path):
    for stem in "ab":
        save(tmp_path / "images" / f"{stem}.png", np.zeros((16, 16), np.uint8))
        save(tmp_path / "masks" / f"{stem}.png", rows(2, 8))
    data = build_dataset("folder", tmp_path, "all")
    drawn = TrainingSamples(data, identity, Augmentation(Settings()), seed=0, draws=4)[0]
    assert drawn["mask"].shape == (1, 16, 16)
