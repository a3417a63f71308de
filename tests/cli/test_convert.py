"""`segdiff convert`: every format into every other, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from segdiff.cli import convert as command
from segdiff.cli.main import main
from segdiff.data.annotations import read_annotations
from segdiff.data.datasets import build_dataset
from segdiff.workflows.convert import SUFFIXES

LABELS = np.zeros((20, 24), np.uint16)
LABELS[1:9, 1:9], LABELS[3:5, 3:6] = 1, 0  # with a hole
LABELS[2:12, 9:14], LABELS[15, 15], LABELS[17:19, 20:24] = 2, 3, 3  # beside it; and one of two parts
FORMATS = [name for name in SUFFIXES if name != "labels"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """images/ and masks/ with label maps of two pictures."""
    for stem, labels in {"a": LABELS, "b": np.ascontiguousarray(LABELS[::-1])}.items():
        for kind, array in (("images", np.zeros((*LABELS.shape, 3), np.uint8)), ("masks", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / kind / f"{stem}.png")
    return tmp_path


def run(*argv) -> int:
    return main(["convert", *map(str, argv)])


def one_line(capsys, *argv) -> str:
    assert run(*argv) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("name", FORMATS)
def test_label_maps_to_any_format_and_back(folder, capsys, name):
    there, back = folder / "there", folder / "back"
    assert run(folder / "masks", "--to", name, "--output-dir", there) == 0
    told = capsys.readouterr()
    assert "2 of 2 picture(s), 6 object(s)" in told.out and not told.err
    assert run(there, "--to", "labels", "--output-dir", back, "--images", folder / "images") == 0
    for stem in "ab":
        np.testing.assert_array_equal(
            tifffile.imread(back / f"{stem}.tif"), Image.open(folder / "masks" / f"{stem}.png")
        )


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
def test_any_format_to_any_other(folder, first, second):
    images = ["--images", folder / "images"]
    assert run(folder / "masks" / "a.png", "--to", first, "--output-dir", folder / "1", *images) == 0
    (held,) = (folder / "1").iterdir()
    assert run(held, "--to", second, "--output-dir", folder / "2", *images) == 0
    (held,) = (folder / "2").iterdir()
    (picture,) = read_annotations(held).values()
    assert picture.classes() == {"Nucleus"} and len(picture.annotations) == 3


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_converted_can_be_trained_on(folder, name):
    assert run(folder / "masks", "--to", name, "--output-dir", folder / "data" / "masks") == 0
    (folder / "images").rename(folder / "data" / "images")
    for sample in build_dataset("folder", folder / "data", "train", val_fraction=0):
        np.testing.assert_array_equal(sample.instances, Image.open(folder / "masks" / f"{sample.name}.png"))


def test_labelme_files_point_at_their_picture(folder):
    assert (
        run(folder / "masks", "--to", "labelme", "--output-dir", folder / "x" / "y", "--images", folder / "images") == 0
    )
    content = json.loads((folder / "x" / "y" / "a.json").read_text())
    assert (folder / "x" / "y" / content["imagePath"]).resolve() == (folder / "images" / "a.png").resolve()
    assert (content["imageHeight"], content["imageWidth"]) == LABELS.shape


def test_nothing_is_replaced_unless_it_is_told(folder, capsys):
    argv = [folder / "masks", "--to", "geojson", "--output-dir", folder / "out"]
    assert run(*argv) == 0
    before = (folder / "out" / "a.geojson").read_bytes()
    capsys.readouterr()
    assert "a.geojson exists: choose another output folder, or --overwrite" in one_line(capsys, *argv)
    (folder / "out" / "a.geojson").unlink()
    (folder / "out" / "b.geojson").rename(folder / "out" / "b.geojson.gz")
    assert "b.geojson.gz exists" in one_line(capsys, *argv)
    assert run(*argv, "--overwrite") == 0 and (folder / "out" / "a.geojson").read_bytes() == before
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.geojson", "b.geojson"]
    own = [folder / "out", "--to", "geojson", "--output-dir", folder / "out", "--overwrite"]
    capsys.readouterr()
    assert "inputs are not replaced" in one_line(capsys, *own)


@pytest.mark.parametrize("name", ["labels", "coco", "labelme"])
def test_a_size_that_is_not_known_is_asked_for(folder, capsys, name):
    assert run(folder / "masks" / "a.png", "--to", "geojson", "--output-dir", folder / "out") == 0
    argv = [folder / "out" / "a.geojson", "--to", name, "--output-dir", folder / "other"]
    capsys.readouterr()
    assert run(*argv) == 2
    assert "does not say how large its picture is: give --images" in capsys.readouterr().err
    assert not list(folder.glob("other/*"))


def test_bad_input_does_not_stop_the_others(folder, capsys):
    (folder / "masks" / "c.json").write_text("{")
    (folder / "masks" / "d.geojson").write_text("{}")
    assert run(folder / "masks", "--to", "roi", "--output-dir", folder / "out") == 3
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if "error:" in line]
    assert len(errors) == 2 and "c.json is not a complete JSON file" in errors[0] and "d.geojson" in errors[1]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.zip", "b.zip"]
    assert "c.json" in one_line(capsys, folder / "masks", "--to", "coco", "--output-dir", folder / "coco")
    assert not (folder / "coco").exists() or not list((folder / "coco").iterdir())


def write(path: Path, content) -> Path:
    path.write_text(json.dumps(content))
    return path


def square(left, top, side, **properties):
    right, bottom = left + side, top + side
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def test_what_a_label_map_cannot_hold_is_told(folder, capsys):
    features = [
        square(1, 1, 10, classification={"name": "Tumor"}),
        square(3, 3, 4, classification={"name": "Stroma"}),
        {**square(0, 0, 1), "geometry": {"type": "Point", "coordinates": [3, 3]}},
        square(5.6, 15.6, 0.1),
    ]
    file = write(folder / "a.geojson", {"type": "FeatureCollection", "features": features})
    argv = [file, "--to", "labels", "--images", folder / "images"]
    assert run(*argv, "--output-dir", folder / "out") == 0
    told = capsys.readouterr().err
    for part in ("objects overlap", "no classes: Stroma, Tumor", "shapes without area", "1 objects have no pixel"):
        assert part in told
    labels = tifffile.imread(folder / "out" / "a.tif")
    assert np.bincount(labels.ravel())[1:].tolist() == [100 - 16, 16]
    assert run(*argv, "--output-dir", folder / "only", "--only", "Stroma") == 0
    assert "objects overlap" not in capsys.readouterr().err
    assert (tifffile.imread(folder / "only" / "a.tif") > 0).sum() == 16
    assert run(*argv, "--output-dir", folder / "none", "--only", "Gland") == 0
    assert "no object is of these classes; the file has Stroma, Tumor" in capsys.readouterr().err


def test_invalid_polygons_become_valid_ones(folder):
    bow = [[1, 1], [9, 9], [9, 1], [1, 9], [1, 1]]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 24}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [sum(bow, [])]},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 12, 5, 12, 5, 15], [2, 11, 6, 11, 6, 15]]},
        ],
    }
    assert run(write(folder / "all.json", coco), "--to", "geojson", "--output-dir", folder / "out") == 0
    content = json.loads((folder / "out" / "a.geojson").read_text())
    shapes = [shapely.geometry.shape(one["geometry"]) for one in content["features"]]
    assert all(one.is_valid for one in shapes) and shapes[0].area == 32
    assert {one["properties"]["objectType"] for one in content["features"]} == {"annotation"}
    for source, out in ((folder / "all.json", "1"), (folder / "out" / "a.geojson", "2")):
        argv = ["--to", "labels", "--images", folder / "images", "--output-dir", folder / out]
        assert run(source, *argv) == 0
    np.testing.assert_array_equal(tifffile.imread(folder / "1" / "a.tif"), tifffile.imread(folder / "2" / "a.tif"))


def test_cells_of_qupath_need_a_choice(folder, capsys):
    cell = square(1, 1, 8, objectType="cell")
    cell["nucleusGeometry"] = square(3, 3, 2)["geometry"]
    file = write(folder / "a.json", [cell])
    argv = [file, "--to", "labels", "--images", folder / "images", "--output-dir"]
    assert run(*argv, folder / "0") == 2
    assert "--outline cell (or nucleus)" in capsys.readouterr().err
    for outline, pixels in (("cell", 64), ("nucleus", 4)):
        assert run(*argv, folder / outline, "--outline", outline) == 0
        assert (tifffile.imread(folder / outline / "a.tif") > 0).sum() == pixels


def test_masks_that_number_nothing(folder, capsys):
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).save(folder / "binary.png")
    argv = ["--to", "geojson", "--output-dir"]
    assert run(folder / "binary.png", *argv, folder / "1") == 0
    assert "each connected part is one" in capsys.readouterr().err
    assert len(json.loads((folder / "1" / "binary.geojson").read_text())["features"]) == 3
    assert run(folder / "binary.png", *argv, folder / "2", "--objects", "instances") == 0
    assert len(json.loads((folder / "2" / "binary.geojson").read_text())["features"]) == 1
    classes = np.arange(480, dtype=np.uint8).reshape(20, 24) % 3
    Image.fromarray(classes).save(folder / "classes.png")
    capsys.readouterr()
    assert run(folder / "classes.png", *argv, folder / "3") == 2
    assert "may be classes: --objects instances" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "argv", "part"),
    [
        (None, ["gone.png", "--to", "roi"], "no such file or folder"),
        (None, ["empty", "--to", "roi"], "holds no mask and no annotation"),
        (None, ["notes.txt", "--to", "roi"], "neither a mask nor an annotation"),
        (None, ["masks", "--to", "voc"], "invalid choice: 'voc'"),
        (None, ["masks"], "--to"),
        (None, ["masks", "--to", "coco", "--images", "gone"], "no such image or folder"),
        (None, ["masks", "images", "--to", "roi"], "both hold a"),
        (None, ["masks", "--to", "roi", "--imges", "x"], "did you mean --images?"),
        ([square(100, 100, 5)], ["a.geojson", "--to", "labels", "--images", "images"], "lies outside the image"),
        ([], ["z.geojson", "--to", "labels", "--images", "images"], "there is no image of the stem z"),
    ],
)
def test_mistakes_are_one_line(folder, capsys, monkeypatch, make, argv, part):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("x")
    if make is not None:
        write(folder / argv[0], {"type": "FeatureCollection", "features": make})
    assert run(*argv, "--output-dir", "out") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (folder / "out").exists()


def test_sizes_that_contradict(folder, capsys):
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(folder / "images" / "a.png")
    argv = [folder / "masks" / "a.png", "--to", "coco", "--images", folder / "images", "--output-dir", folder / "out"]
    assert "of a picture of 20 x 24 pixels" in one_line(capsys, *argv)


def test_the_help_knows_every_format():
    assert tuple(SUFFIXES) == command.FORMATS
    said = command.build_parser().format_help()
    assert all(f"  {name} " in said for name in SUFFIXES)
