"""A folder whose truths were drawn: annotations in the place of masks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdiff.cli.main import main
from segdiff.data.annotations.coco import coco_parts
from segdiff.data.annotations.geojson import feature
from segdiff.data.annotations.imagej import roi_zip
from segdiff.data.annotations.labelme import labelme_file
from segdiff.data.annotations.outlines import outlines
from segdiff.data.annotations.shapes import AnnotatedPicture, Annotation
from segdiff.data.datasets import build_dataset, dataset_from_config
from segdiff.errors import UserError
from segdiff.training.configs import compose

LABELS = np.zeros((12, 14), np.int32)
LABELS[1:6, 1:7], LABELS[2:4, 3:5], LABELS[8:11, 2:13], LABELS[0, 13] = 1, 0, 2, 3
OTHER = np.rot90(LABELS).copy()


def picture(labels=LABELS, name="a.png", classes=("Tumor", "Stroma", "Tumor")) -> AnnotatedPicture:
    found = [Annotation(polygons, class_name=classes[number - 1]) for number, polygons in outlines(labels)]
    return AnnotatedPicture(found, labels.shape, name)


def geojson(shown: AnnotatedPicture) -> bytes:
    found = [feature(one.polygons, one.class_name, str(i)) for i, one in enumerate(shown.annotations)]
    return json.dumps({"type": "FeatureCollection", "features": found}).encode()


def write_images(folder: Path, stems="a", shape=LABELS.shape) -> Path:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for stem in stems:
        Image.fromarray(np.full((*shape, 3), 90, np.uint8)).save(folder / "images" / f"{stem}.png")
    return folder / "masks"


def train(root: Path, **options):
    return build_dataset("folder", root, "train", **{"val_fraction": 0, **options})


def one_line(root: Path, **options) -> str:
    with pytest.raises(UserError) as error:
        train(root, **options)[0]
    message = str(error.value)
    assert "\n" not in message
    return message


FILES = {
    "a.geojson": geojson(picture()),
    "a.geojson.gz": gzip.compress(geojson(picture())),
    "a.json": labelme_file(picture()),
    "a.zip": roi_zip(picture().annotations, "x"),
    "all.json": b"".join(coco_parts([picture()])),
}


@pytest.mark.parametrize("name", FILES)
def test_annotations_lie_where_masks_lie(tmp_path, name):
    (write_images(tmp_path) / name).write_bytes(FILES[name])
    data = train(tmp_path)
    sample = data[0]
    assert data.names == ["a"] and data.files(0)[1] == tmp_path / "masks" / name
    np.testing.assert_array_equal(sample.instances, LABELS)
    assert sample.instances.dtype == np.int32 and sample.mask.dtype == np.uint8
    np.testing.assert_array_equal(sample.mask[0, 0], LABELS > 0)
    assert train(tmp_path, objects="none")[0].instances is None
    assert main(["check-data", "--dataset", "folder", "--root", str(tmp_path), "--option", "val_fraction=0"]) == 0


def test_one_coco_file_stands_for_all_images(tmp_path):
    masks = write_images(tmp_path, "ab")
    Image.fromarray(np.zeros((*OTHER.shape, 3), np.uint8)).save(tmp_path / "images" / "b.png")
    shown = [picture(name="some/where/a.tif"), picture(OTHER, "b.png")]
    (masks / "instances.json").write_bytes(b"".join(coco_parts(shown)))
    data = train(tmp_path)
    assert data.names == ["a", "b"]
    np.testing.assert_array_equal(data[0].instances, LABELS)
    present = np.unique(OTHER[OTHER > 0])
    assert np.array_equal(data[1].instances > 0, OTHER > 0) and data[1].instances.max() == present.size
    (tmp_path / "images" / "b.png").unlink()
    assert "instances.json has no image of the same stem (b)" in one_line(tmp_path)


def test_masks_and_annotations_may_be_mixed(tmp_path):
    masks = write_images(tmp_path, "ab")
    (masks / "a.geojson").write_bytes(FILES["a.geojson"])
    Image.fromarray(LABELS.astype(np.uint8)).save(masks / "b.png")
    first, second = train(tmp_path)
    np.testing.assert_array_equal(first.mask, second.mask)
    (masks / "a.png").write_bytes((masks / "b.png").read_bytes())
    assert "a.geojson have the same stem (a)" in one_line(tmp_path)


@pytest.mark.parametrize("layout", ["train/{}", "{}/train"])
def test_in_folders_of_splits(tmp_path, layout):
    for kind in ("images", "masks"):
        (tmp_path / layout.format(kind)).mkdir(parents=True)
    Image.fromarray(np.zeros((*LABELS.shape, 3), np.uint8)).save(tmp_path / layout.format("images") / "a.png")
    (tmp_path / layout.format("masks") / "a.json").write_bytes(FILES["a.json"])
    np.testing.assert_array_equal(build_dataset("folder", tmp_path, "train")[0].instances, LABELS)


def test_other_json_and_zip_files_are_no_truths(tmp_path):
    masks = write_images(tmp_path)
    (masks / "a.geojson").write_bytes(FILES["a.geojson"])
    for name, content in {
        "classes.json": b'{"1": "x"}',
        "broken.json": b"{",
        "backup.zip": b"PK",
        ".a.json": b"",
    }.items():
        (masks / name).write_bytes(content)
    np.testing.assert_array_equal(train(tmp_path)[0].instances, LABELS)
    (masks / "z.geojson").write_bytes(FILES["a.geojson"])
    assert "z.geojson has no image" in one_line(tmp_path)


def test_classes_choose_objects(tmp_path):
    (write_images(tmp_path) / "a.geojson").write_bytes(FILES["a.geojson"])
    tumor = train(tmp_path, classes=["Tumor"])[0]
    np.testing.assert_array_equal(tumor.instances, np.select([LABELS == 1, LABELS == 3], [1, 2]))
    np.testing.assert_array_equal(train(tmp_path, classes="Stroma")[0].mask[0, 0], LABELS == 2)
    np.testing.assert_array_equal(train(tmp_path, classes=["Tumor", "Stroma"])[0].instances, LABELS)
    message = one_line(tmp_path, classes=["Tumour"])
    assert "'Tumour'" in message and "have Stroma, Tumor" in message
    assert "classes" in one_line(tmp_path, classes=5)


def test_a_region_does_not_hide_the_objects_within(tmp_path):
    region = feature([(np.array([[0, 0], [14, 0], [14, 12], [0, 12]], float),)], "Region", "r")
    content = json.loads(FILES["a.geojson"])
    content["features"].insert(0, region)
    (write_images(tmp_path) / "a.geojson").write_text(json.dumps(content))
    labels = train(tmp_path)[0].instances
    assert labels.max() == 4
    np.testing.assert_array_equal(np.where(labels > 1, labels - 1, 0), LABELS)


def test_crowds_are_not_told_apart(tmp_path):
    content = json.loads(FILES["all.json"])
    content["annotations"][1]["iscrowd"] = 1
    (write_images(tmp_path) / "all.json").write_text(json.dumps(content))
    sample = train(tmp_path)[0]
    assert sample.instances is None and np.array_equal(sample.mask[0, 0], LABELS > 0)
    assert train(tmp_path, objects="instances")[0].instances.max() == 3


def test_an_image_without_objects_is_empty(tmp_path):
    masks = write_images(tmp_path)
    for content in (b'{"type": "FeatureCollection", "features": []}', b"[]"):
        (masks / "a.geojson").write_bytes(content)
        sample = train(tmp_path)[0]
        assert not sample.mask.any() and not sample.instances.any()


def shifted(**change) -> bytes:
    content = json.loads(FILES["a.geojson"])
    moved = np.array(content["features"][1]["geometry"]["coordinates"]) * change["scale"] + change["by"]
    content["features"][1]["geometry"]["coordinates"] = moved.tolist()
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        (
            "a.geojson",
            shifted(scale=2, by=0),
            "object 2 lies outside the image, 12 x 14 (height x width), at x 4, y 16",
        ),
        ("a.geojson", shifted(scale=1, by=-40), "object 2 lies outside"),
        ("a.json", labelme_file(picture(OTHER)), "a picture of 14 x 12 pixels, the image a is 12 x 14"),
        ("all.json", b"".join(coco_parts([picture(OTHER)])), "a picture of 14 x 12 pixels, the image a is 12 x 14"),
        ("a.json", b"".join(coco_parts([picture(name="b.png")])), "does not list the image a"),
        ("a.json", b"{}", "neither GeoJSON nor of COCO or Labelme"),
        (
            "a.geojson",
            b'{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}',
            "holds points or lines only",
        ),
    ],
)
def test_annotations_that_do_not_fit_are_refused(tmp_path, name, content, part):
    (write_images(tmp_path) / name).write_bytes(content)
    message = one_line(tmp_path)
    assert part in message and str(tmp_path) in message


def test_unknown_options_name_the_known_ones(tmp_path):
    write_images(tmp_path)
    message = one_line(tmp_path, clases=["x"])
    known = "fold, val_fraction, seed, mpp, objects, classes, bits, group, use_split, lenient"
    assert f"takes the options {known}, not val_fraction, clases" in message


def test_classes_come_from_a_configuration(tmp_path):
    (write_images(tmp_path) / "a.geojson").write_bytes(FILES["a.geojson"])
    given = ["dataset=folder", f"dataset.root={tmp_path}", "dataset.val_fraction=0"]
    for classes, count in (("[Tumor]", 2), ("Stroma", 1), ("null", 3)):
        config = compose([*given, f"dataset.classes={classes}"])
        assert dataset_from_config(config["dataset"], "train")[0].instances.max() == count
