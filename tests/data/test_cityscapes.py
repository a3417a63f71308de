"""Cityscapes' objects, made up."""

import json

import numpy as np
import pytest
from made import SIZE, make_cityscapes, polygon
from pycocotools import mask as coco

from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.cityscapes import CLASSES
from segdiff.errors import ConfigError, DataError, MissingError


@pytest.fixture
def root(tmp_path):
    make_cityscapes(tmp_path)
    return tmp_path


def change(root, part="train", number=0, **values):
    """Change an object in the file of a part."""
    path = root / part / "all_classes_instances.json"
    content = json.loads(path.read_text())
    content["data"]["train"][number].update(values)
    path.write_text(json.dumps(content))


def test_a_sample_is_the_box_of_an_object(root):
    train = build_dataset("cityscapes", root, "train")
    assert train.names == ["a_0_0", "a_0_1", "a_1_2", "a_1_3"]
    first, second = train[0], train[1]
    assert first.image.shape == (35, 20, 3) and first.mask.shape == (1, 1, 35, 20)
    # Both parts of the first object; between them is background. The picture is bright where the masks are.
    assert first.mask[0, 0, :20].all() and first.mask[0, 0, 25:].all() and not first.mask[0, 0, 20:25].any()
    assert (first.image[..., 0] > 127).tolist() == (first.mask[0, 0] > 0).tolist()
    assert second.mask.shape == (1, 1, 30, 30) and second.mask.all() and (second.image == 220).all()


def test_splits_and_classes(root):
    count = {split: len(build_dataset("cityscapes", root, split)) for split in ("train", "val", "test", "all")}
    assert count == {"train": 4, "val": 4, "test": 4, "all": 8}
    assert build_dataset("cityscapes", root, "val").names[0] == "b_0_0"
    assert build_dataset("cityscapes", root, "test").names[0] == "c_0_0"
    assert len(build_dataset("cityscapes", root, "test", class_name="car")) == 1
    with pytest.raises(DataError, match="no bicycle in the split 'train'"):
        build_dataset("cityscapes", root, "train", class_name="bike")
    with pytest.raises(ConfigError, match="person, rider"):
        build_dataset("cityscapes", root, "train", class_name="tram")
    assert len(CLASSES) == 8
    with pytest.raises(ConfigError, match="expansion is 'tight'; choose true or false"):
        build_dataset("cityscapes", root, "train", expansion="tight")
    with pytest.raises(ConfigError, match="seed is -1"):
        build_dataset("cityscapes", root, "train", seed=-1)


def test_a_fold_of_the_training_pictures_stands_in_for_train_val(root):
    (root / "train_val" / "all_classes_instances.json").unlink()
    parts = {split: build_dataset("cityscapes", root, split, fold=1) for split in ("train", "val", "test", "all")}
    # Two pictures with two objects each: the objects of one picture stay together.
    assert {split: data.names for split, data in parts.items()} == {
        "train": ["a_0_0", "a_0_1"],
        "val": ["a_1_2", "a_1_3"],
        "test": ["c_0_0", "c_0_1", "c_1_2", "c_1_3"],
        "all": ["a_0_0", "a_0_1", "a_1_2", "a_1_3"],
    }
    for seed in range(20):  # boxes of validation grow by 15 % whatever the seed, 30 rows and columns by 2.25 an end
        for split in ("val", "all"):
            data = build_dataset("cityscapes", root, split, fold=1, expansion=True, seed=seed)
            assert data.instances[-1].box == (18, 52, 38, 72)
    with pytest.raises(DataError, match="2 training image.* leave none for the split 'val'"):
        build_dataset("cityscapes", root, "val", fold=2)
    for split in ("train", "test"):
        with pytest.raises(ConfigError, match="fold is 5"):
            build_dataset("cityscapes", root, split, fold=5)
    with pytest.raises(MissingError, match="train_val.*; fold=0 takes a fifth"):
        build_dataset("cityscapes", root, "val")


def test_a_class_by_its_other_name(root):
    path = root / "train" / "all_classes_instances.json"
    found = json.loads(path.read_text())["data"]["car"]
    for spelling in ("bike", "bicycle"):
        path.write_text(json.dumps({"data": {spelling: found}}))
        for asked in ("bike", "bicycle"):
            assert len(build_dataset("cityscapes", root, "train", class_name=asked)) == 1


def test_samples_hold_no_more_than_their_crop(root, tmp_path):
    make_cityscapes(tmp_path / "other", hdf5=True)
    for place in (root, tmp_path / "other"):
        sample = build_dataset("cityscapes", place, "train")[0]
        for array in (sample.image, sample.mask):
            owner = array if array.base is None else array.base
            assert owner.nbytes == array.nbytes


def test_pictures_may_lie_in_an_hdf5_file(root, tmp_path):
    make_cityscapes(tmp_path / "other", hdf5=True)
    for one, other in zip(
        build_dataset("cityscapes", root, "all"), build_dataset("cityscapes", tmp_path / "other", "all"), strict=True
    ):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_boxes_grow_by_15_percent_where_nothing_is_trained(root):
    sample = build_dataset("cityscapes", root, "test", expansion=True)[0]
    # Rows 5 to 40 grow by 2.625 at either end, columns 10 to 30 by 1.5; halves are rounded to even.
    assert sample.image.shape == (round(42.625) - round(2.375), round(31.5) - round(8.5), 3)
    assert sample.mask[0, 0, 3:23, 2:22].all() and sample.mask.sum() == 20 * 20 + 10 * 20


def test_boxes_of_training_grow_by_a_draw_that_stays(root):
    widths = []
    for seed in range(40):
        data = build_dataset("cityscapes", root, "train", expansion=True, seed=seed)
        assert data.instances == build_dataset("cityscapes", root, "train", expansion=True, seed=seed).instances
        widths += [box[1] - box[0] for box in (data.instances[n].box for n in (1, 3))]
    expected = {round(50 + 0.15 * percent) - round(20 - 0.15 * percent) for percent in range(10, 21)}
    assert set(widths) == expected and len(expected) > 1


def test_a_grown_box_stays_in_the_picture(root):
    change(root, "val", bbox=[0, 0, SIZE[1], SIZE[0]])
    assert build_dataset("cityscapes", root, "test", expansion=True)[0].image.shape == (*SIZE, 3)


def test_compressed_run_lengths(root):
    mask = np.zeros(SIZE, np.uint8)
    mask[5:40, 10:30] = np.random.default_rng(0).random((35, 20)) > 0.5
    code = coco.encode(np.asfortranarray(mask))
    change(root, segmentation={"size": list(SIZE), "counts": code["counts"].decode()})
    np.testing.assert_array_equal(build_dataset("cityscapes", root, "train")[0].mask[0, 0], mask[5:40, 10:30])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bbox": [10, 5, 0, 35]}, "box of object 0 holds no pixel"),
        ({"bbox": [90, 5, 20, 35]}, "box of object 0 holds no pixel"),
        ({"bbox": "large"}, "object 0 lacks"),
        ({"bbox": [1, 2, float("inf"), 4]}, "object 0 lacks"),
        ({"img": {}}, "object 0 lacks"),
        ({"segmentation": []}, "three points"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "three points"),
        ({"segmentation": "all"}, "neither polygons"),
        ({"segmentation": {"counts": [5], "size": [1, 1]}}, "add up to 60 x 80"),
        ({"segmentation": {"counts": ["x"]}}, "cannot be read"),
        ({"segmentation": {"counts": "05", "size": [6, 8]}}, "a_0_0"),
        ({"img": {"file_name": "train/a/a_0.png", "height": 61, "width": 80}}, "is 60 x 80, its objects say 61 x 80"),
        ({"img": {"file_name": "train/a/gone.png", "height": 60, "width": 80}}, "no picture train/a/gone.png"),
    ],
)
def test_objects_that_cannot_be(values, said, root):
    change(root, **values)
    with pytest.raises((DataError, MissingError), match=said) as error:
        build_dataset("cityscapes", root, "train")[0]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": []}', '{"data": {"train": 3}}'])
def test_files_that_are_none(text, root):
    (root / "train" / "all_classes_instances.json").write_text(text)
    with pytest.raises(DataError, match="all_classes_instances"):
        build_dataset("cityscapes", root, "train")


def test_a_part_is_missed_only_when_it_is_asked_for(root):
    (root / "train_val" / "all_classes_instances.json").unlink()
    assert len(build_dataset("cityscapes", root, "train")) == 4
    with pytest.raises(MissingError, match="train_val"):
        build_dataset("cityscapes", root, "val")


def test_polygons_by_hand_are_what_pycocotools_fills():
    mask = coco.decode(coco.merge(coco.frPyObjects([polygon(1, 1, 4, 3)], 6, 6)))
    assert mask.sum() == 6 and mask[1:3, 1:4].all()
