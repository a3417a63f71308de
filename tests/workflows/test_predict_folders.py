"""Folders of images as people have them: links, subfolders, names, results among the inputs, pictures replaced."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture
from PIL import Image

from segdiff.errors import ConfigError, MissingError
from segdiff.workflows.predict_files import predict_files


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(20, 24, seed=seed)).save(path)
    return path


def states(record):
    return {image["stem"]: image["status"] for image in record["images"]}


def test_a_name_that_is_not_utf_8_stops_one_file(tmp_path):
    good = save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / os.fsdecode(b"b\xff.png")).write_bytes(good.read_bytes())
    record = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out")
    assert sorted(states(record).values()) == ["done", "failed"] and states(record)["a"] == "done"
    [error] = [image["error"] for image in record["images"] if image["status"] == "failed"]
    assert "is not a name in UTF-8" in error and "rename" in error
    assert record == json.loads((tmp_path / "out" / "prediction.json").read_text(encoding="utf-8"))
    again = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", resume=True)
    assert again["done_before"] == 1


def test_two_links_to_one_file_are_two_results(tmp_path):
    save(tmp_path / "real" / "a.png")
    (tmp_path / "in").mkdir()
    for name in ("one.png", "two.png"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "real" / "a.png")
    record = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out")
    assert states(record) == {"one": "done", "two": "done"}
    again = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", resume=True)
    assert again["done_before"] == 2


def test_results_among_the_inputs_are_no_inputs(tmp_path):
    save(tmp_path / "a.png")
    first = predict_files(make_predictor(noisy, chains=2), [tmp_path], tmp_path)
    before = set(tmp_path.iterdir())
    assert states(first) == {"a": "done"} and tmp_path / "a_overlay.png" in before
    again = predict_files(make_predictor(noisy, chains=2), [tmp_path], tmp_path, resume=True)
    assert states(again) == {"a": "done"} and set(tmp_path.iterdir()) == before
    save(tmp_path / "b.png", seed=1)
    more = predict_files(make_predictor(noisy, chains=2), [tmp_path], tmp_path, resume=True)
    assert states(more) == {"a": "done", "b": "done"} and more["done_before"] == 1
    named = predict_files(make_predictor(), [tmp_path / "a_mask.png"], tmp_path / "out")  # named by itself, it is meant
    assert states(named) == {"a_mask": "done"}
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    with pytest.raises(MissingError, match="results of earlier runs"):
        predict_files(make_predictor(), [tmp_path], tmp_path)


@pytest.mark.parametrize("kind", ["another size", "the same size"])
def test_a_picture_that_was_replaced_is_predicted_anew(tmp_path, kind):
    for name in "ab":
        save(tmp_path / "in" / f"{name}.png")
    first = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out")
    path = tmp_path / "in" / "a.png"
    if kind == "another size":
        save(path, seed=5)
    else:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("a_mask.png", "b_mask.png")}
    again = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", resume=True)
    assert again["done_before"] == 1 and states(again) == {"a": "done", "b": "done"}
    assert (tmp_path / "out" / "a_mask.png").stat().st_mtime_ns > times["a_mask.png"]
    assert (tmp_path / "out" / "b_mask.png").stat().st_mtime_ns == times["b_mask.png"]
    assert again["images"][0]["file"] != first["images"][0]["file"]
    assert predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", resume=True)["done_before"] == 2


def test_a_record_of_before_it_told_of_files_is_gone_on_with(tmp_path):
    save(tmp_path / "in" / "a.png")
    predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out")
    path = tmp_path / "out" / "prediction.json"
    content = json.loads(path.read_text())
    del content["images"][0]["file"]
    path.write_text(json.dumps(content))
    assert predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", resume=True)["done_before"] == 1


def test_subfolders_are_taken_when_asked_for_and_kept(tmp_path):
    for number, name in enumerate(("a.png", "x/a.png", "x/y/b.png", ".hidden/c.png")):
        save(tmp_path / "in" / name, seed=number)
    predictor = make_predictor(noisy, chains=2)
    outputs = ("mask", "objects")
    record = predict_files(predictor, [tmp_path / "in"], tmp_path / "out", recursive=True, outputs=outputs)
    assert states(record) == {"a": "done", "x/a": "done", "x/y/b": "done"}
    for image in record["images"]:
        assert image["outputs"]["mask"] == f"{image['stem']}_mask.png"
        assert (tmp_path / "out" / image["outputs"]["mask"]).is_file()
        alone = predict_files(predictor, [image["image"]], tmp_path / "alone" / image["stem"], outputs=outputs)
        mine, theirs = (
            np.array(Image.open(folder / one["outputs"]["mask"]))
            for folder, one in (
                (tmp_path / "out", image),
                (tmp_path / "alone" / image["stem"], alone["images"][0]),
            )
        )
        assert np.array_equal(mine, theirs)
    with (tmp_path / "out" / "x" / "a_objects.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file))[0] == "image"
    again = predict_files(predictor, [tmp_path / "in"], tmp_path / "out", recursive=True, resume=True, outputs=outputs)
    assert again["done_before"] == 3
    with pytest.raises(ConfigError, match="exists"):
        predict_files(predictor, [tmp_path / "in"], tmp_path / "out", recursive=True, outputs=outputs)


def test_a_folder_of_folders_says_how_they_are_taken(tmp_path):
    save(tmp_path / "in" / "x" / "a.png")
    with pytest.raises(MissingError, match="1 lie in its subfolders: --recursive"):
        predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out")
