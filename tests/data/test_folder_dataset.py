"""Anybody's folder: layouts, splits, kinds of masks, and the mistakes that are named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data.datasets import build_dataset
from segdiff.errors import ConfigError, DataError, MissingError, UserError

BINARY = np.zeros((4, 6), np.uint8)
BINARY[1:3, 2:5] = 1


def write_pair(folder: Path, stem: str, mask: np.ndarray = BINARY, suffix: str = ".png") -> None:
    for kind, array in {"images": np.full((*mask.shape[:2], 3), 90, np.uint8), "masks": mask}.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{stem}{suffix if kind == 'masks' else '.png'}")


def write_pairs(folder: Path, stems: Iterable[str]) -> None:
    for stem in stems:
        write_pair(folder, stem)


def write_patients(folder: Path, repeat: bool = False) -> dict[str, str]:
    """Twenty pictures of six patients, by an index.csv; those of p3 are shown twice. The patient of each stem."""
    patient = {f"s{i:02d}": f"p{i % 6}" for i in range(20)}
    write_pairs(folder, patient)
    rows = [f"{stem},{group}" + (f",{1 + (group == 'p3')}" if repeat else "") for stem, group in patient.items()]
    (folder / "index.csv").write_text("\n".join(["stem,group" + ",repeat" * repeat, *rows]) + "\n")
    return patient


def one_line_error(root: Path, split: str = "train", **options: object) -> str:
    with pytest.raises(UserError) as error:
        build_dataset("folder", root, split, **options)[0]
    assert "\n" not in str(error.value)
    return str(error.value)


def read_single(tmp_path: Path, **options: object):
    """The sample `a`, which subfolders put into train."""
    return build_dataset("folder", tmp_path, "train", **options)[0]


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_subfolders_are_the_split(tmp_path, layout):
    for split, stems in {"train": "ab", "val": "c", "test": "d"}.items():
        for stem in stems:
            for kind in ("images", "masks"):
                folder = tmp_path / layout.format(split=split, kind=kind)
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(BINARY).save(folder / f"{stem}.png")
    found = {split: build_dataset("folder", tmp_path, split).names for split in ("train", "val", "test", "all")}
    assert found == {"train": ["a", "b"], "val": ["c"], "test": ["d"], "all": ["a", "b", "c"]}


def test_a_split_that_is_not_there_says_which_are(tmp_path):
    write_pairs(tmp_path / "train", "ab")
    assert build_dataset("folder", tmp_path, "all").names == ["a", "b"]
    assert "no image for the split 'test'; it has train (2 images)" in one_line_error(tmp_path, "test")


def test_the_index_decides_the_split(tmp_path):
    write_pairs(tmp_path, "abcd")
    (tmp_path / "index.csv").write_text(
        "\ufeffstem,group,split\r\na,1,val\r\nb,2,Train\r\nc,3, test\r\nd,2,train\r\n", encoding="utf-8"
    )
    found = {split: build_dataset("folder", tmp_path, split).names for split in ("train", "val", "test", "all")}
    assert found == {"train": ["b", "d"], "val": ["a"], "test": ["c"], "all": ["a", "b", "d"]}


def test_groups_without_splits_stay_whole(tmp_path):
    patient = write_patients(tmp_path)
    stems = sorted(patient)
    for seed in range(5):
        train, val = (build_dataset("folder", tmp_path, split, seed=seed).names for split in ("train", "val"))
        assert sorted(train + val) == stems and val
        assert not {patient[name] for name in train} & {patient[name] for name in val}
    assert "no image for the split 'test'" in one_line_error(tmp_path, "test")


def test_folds_of_whole_groups_and_repeats(tmp_path):
    patient = write_patients(tmp_path, repeat=True)
    stems = sorted(patient)
    seen = []
    for fold in range(5):
        train, val = (build_dataset("folder", tmp_path, split, fold=fold) for split in ("train", "val"))
        assert sorted(train.names + val.names) == stems
        assert not {patient[name] for name in train.names} & {patient[name] for name in val.names}
        assert train.repeats == [1 + (patient[name] == "p3") for name in train.names]
        seen += val.names
    assert sorted(seen) == stems
    assert "there are folds 0 to 4" in one_line_error(tmp_path, fold=5)


def test_a_fold_where_the_split_is_given_is_refused(tmp_path):
    write_pairs(tmp_path / "train", "ab")
    assert "who is in which split" in one_line_error(tmp_path, fold=0)
    write_pairs(tmp_path / "flat", "ab")
    (tmp_path / "flat" / "index.csv").write_text("stem,split\na,train\nb,val\n")
    assert "use_split=false leaves that out" in one_line_error(tmp_path / "flat", fold=0)


def test_without_an_index_the_split_is_seeded(tmp_path):
    write_pairs(tmp_path, "abcdefghij")
    val = build_dataset("folder", tmp_path, "val", val_fraction=0.3).names
    assert len(val) == 3 and build_dataset("folder", tmp_path, "val", val_fraction=0.3).names == val
    assert not set(val) & set(build_dataset("folder", tmp_path, "train", val_fraction=0.3).names)
    assert len({tuple(build_dataset("folder", tmp_path, "val", seed=seed).names) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    ("index", "part"),
    [
        ("stem,split\na,train\nb,val\nb,val\n", "line 4: the stem 'b' is there twice"),
        ("stem,split\na,train\nb,val\nz,val\n", "line 4: there is no image 'z'"),
        ("stem,split\na,train\nb,dev\n", "line 3: the split is 'dev'"),
        ("stem,split\na,train\nb\n", "line 3: the split is ''"),
        ("stem,split\na,train\n", "no line for 'b' (1 of 2 images)"),
        ("file,split\na,train\nb,val\n", "needs the columns stem"),
        ("stem\na\nb\n", "needs the columns stem"),
        ("", "needs the columns stem"),
        ("stem,split,repeat\na,train,0\nb,val,1\n", "line 2: repeat is '0'"),
        ("stem,split,group\na,train,g\nb,val,g\n", "group 'g' into train and into val"),
    ],
)
def test_an_index_at_fault_is_named_with_its_line(tmp_path, index, part):
    write_pairs(tmp_path, "ab")
    (tmp_path / "index.csv").write_text(index)
    message = one_line_error(tmp_path)
    assert part in message and "index.csv" in message


def test_an_index_that_is_no_text_is_named(tmp_path):
    write_pairs(tmp_path, "ab")
    (tmp_path / "index.csv").write_bytes(b"stem,split\n\xff\xfe,train\n")
    assert "UTF-8" in one_line_error(tmp_path)


def test_files_that_do_not_pair_are_named(tmp_path):
    write_pairs(tmp_path, "abc")
    (tmp_path / "masks" / "b.png").unlink()
    assert "b.png has no mask" in one_line_error(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "c.png").unlink()
    assert "c.png has no image" in one_line_error(tmp_path)


def test_one_stem_twice_names_both_files(tmp_path):
    write_pairs(tmp_path, "ab")
    Image.fromarray(BINARY).save(tmp_path / "images" / "a.tif")
    message = one_line_error(tmp_path)
    assert "a.png" in message and "a.tif" in message and "same stem" in message


def test_one_stem_in_two_splits_is_an_error_for_their_union_only(tmp_path):
    write_pair(tmp_path / "train", "a")
    write_pair(tmp_path / "val", "a")
    assert build_dataset("folder", tmp_path, "val").names == ["a"]
    message = one_line_error(tmp_path, "all")
    assert "train" in message and "val" in message and "same stem" in message


def test_sizes_that_differ_are_found_before_anything_is_read(tmp_path):
    write_pairs(tmp_path / "train", "ab")
    Image.fromarray(np.zeros((6, 4), np.uint8)).save(tmp_path / "train" / "masks" / "b.png")
    with pytest.raises(DataError) as error:
        build_dataset("folder", tmp_path, "train")
    assert "images/b.png is 4 x 6" in str(error.value) and "masks/b.png is 6 x 4" in str(error.value)


def test_folders_that_are_not_there(tmp_path):
    assert "must hold images/ and masks/" in one_line_error(tmp_path)
    assert "is not a folder" in one_line_error(tmp_path / "gone")
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    assert "holds no image" in one_line_error(tmp_path)
    with pytest.raises(MissingError):
        build_dataset("folder", tmp_path, "train")


INDEX = np.arange(24, dtype=np.uint8).reshape(4, 6) % 5  # 0 the background, 1..4
OBJECTS = np.repeat([[1, 0, 2, 2, 0, 4], [3, 3, 0, 2, 4, 4]], 2, axis=0).astype(np.uint8)
COLOURS = np.zeros((4, 6, 3), np.uint8)
COLOURS[1, 1] = (0, 0, 1)
COLOURS[2, 2] = (255, 255, 255)
LIT = COLOURS.any(axis=2)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (BINARY * 255, BINARY),
        (BINARY > 0, BINARY),
        (INDEX, INDEX > 0),
        (INDEX.astype(np.uint16) * 1000, INDEX > 0),
        (COLOURS, LIT),
        (np.dstack([COLOURS, np.full((4, 6), 255, np.uint8)]), LIT),  # opaque background is background
        (np.dstack([BINARY, np.full((4, 6), 255, np.uint8)]), BINARY),
    ],
    ids=["0/255", "bilevel", "index", "16-bit index", "RGB", "RGBA", "grey+alpha"],
)
def test_any_mask_gives_its_foreground(tmp_path, stored, expected):
    write_pair(tmp_path / "train", "a", stored)
    mask = read_single(tmp_path).mask
    assert mask.dtype == np.uint8 and mask.shape == (1, 1, 4, 6)
    np.testing.assert_array_equal(mask[0, 0], expected)


def test_palette_masks_are_their_indices(tmp_path):
    write_pair(tmp_path / "train", "a")
    picture = Image.fromarray(BINARY * 2)
    picture.putpalette([0, 0, 0, 9, 9, 9, 0, 0, 40])  # the object is of the third colour, whatever that is
    picture.save(tmp_path / "train" / "masks" / "a.png")
    np.testing.assert_array_equal(read_single(tmp_path).mask[0, 0], BINARY)


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_jpeg_masks_is_not_foreground(tmp_path, channels):
    mask = np.zeros((32, 32), np.uint8)
    mask[10:19, 5:24] = 255  # across the blocks of 8 x 8 pixels
    stored = mask if channels == 1 else np.repeat(mask[..., None], 3, axis=2)
    write_pair(tmp_path / "train", "a", stored, suffix=".jpg")
    written = np.array(Image.open(tmp_path / "train" / "masks" / "a.jpg"))
    assert (written[stored == 0] > 0).sum() > 20  # the noise is there
    sample = read_single(tmp_path)
    np.testing.assert_array_equal(sample.mask[0, 0], mask > 0)
    assert sample.instances is None


@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_other_formats_hold_masks_too(tmp_path, suffix):
    write_pair(tmp_path / "train", "a", BINARY * 255, suffix=suffix)
    np.testing.assert_array_equal(read_single(tmp_path).mask[0, 0], BINARY)


def test_instances_are_told_apart_as_the_option_says(tmp_path):
    write_pair(tmp_path / "train", "a", OBJECTS.astype(np.uint16) * 10000)
    instances = read_single(tmp_path).instances
    assert instances.dtype == np.int32
    np.testing.assert_array_equal(instances, OBJECTS.astype(np.int32) * 10000)
    assert read_single(tmp_path, objects="none").instances is None
    write_pair(tmp_path / "train", "a", BINARY * 9)
    assert read_single(tmp_path).instances is None
    assert read_single(tmp_path, objects="instances").instances.max() == 1
    write_pair(tmp_path / "train", "a", INDEX)  # numbers all over the picture: of classes
    assert read_single(tmp_path).instances is None
    np.testing.assert_array_equal(read_single(tmp_path, objects="instances").instances, INDEX)
    with pytest.raises(ConfigError, match="choose auto"):
        read_single(tmp_path, objects="some")


def test_float_masks(tmp_path):
    write_pair(tmp_path / "train", "a")
    path = tmp_path / "train" / "masks" / "a.tif"
    (tmp_path / "train" / "masks" / "a.png").unlink()
    tifffile.imwrite(path, OBJECTS.astype(np.float32))
    np.testing.assert_array_equal(read_single(tmp_path).instances, OBJECTS)
    tifffile.imwrite(path, BINARY * np.float32(0.3) + np.float32(0.1) * (OBJECTS == 4))
    assert read_single(tmp_path).instances is None
    tifffile.imwrite(path, np.full((4, 6), -1, np.float32))
    assert "negative" in one_line_error(tmp_path)


def test_images_of_every_kind_become_rgb(tmp_path):
    folder = tmp_path / "train"
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for stem, array in {
        "bool": grey > 9, "deep": grey.astype(np.uint16) * 257, "grey": grey, "rgba": np.dstack([grey] * 4)
    }.items():  # fmt: skip
        write_pair(folder, stem)
        Image.fromarray(array).save(folder / "images" / f"{stem}.png")
    samples = {sample.name: sample.image for sample in build_dataset("folder", tmp_path, "train", mpp=0.5)}
    assert list(samples) == ["bool", "deep", "grey", "rgba"]
    for name, image in samples.items():
        expected = (grey > 9) * 255 if name == "bool" else grey
        np.testing.assert_allclose(image, np.repeat(expected[..., None], 3, axis=2), rtol=1e-6)


def test_the_report_counts_files_and_mpp_is_checked(tmp_path):
    write_pairs(tmp_path / "train", "ab")
    dataset = build_dataset("folder", tmp_path, "train", mpp=0.5)
    assert dataset.mpp == 0.5
    assert dataset.report == {"kind": "folder", "split": "train", "images": 2, "suffixes": {".png": 2}}
    assert "mpp is 0" in one_line_error(tmp_path, mpp=0)
    assert "val_fraction" in one_line_error(_flat(tmp_path / "flat"), val_fraction=1.5)


def _flat(folder: Path) -> Path:
    write_pairs(folder, "ab")
    return folder


def test_the_shared_set_keeps_its_index_split(shared_data):
    root = shared_data / "data" / "dsb2018_he"
    train, val = (build_dataset("folder", root, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (107, 12)
    sample = val[0]
    assert sample.name == "0121d6759c5adb29" and sample.instances.max() == 86
    assert sample.mask.mean() == pytest.approx(0.1778, abs=5e-5)  # nuclei and foreground as its index.csv says
