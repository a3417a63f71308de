"""Shares of files, runs that go on, and parts made one."""

import argparse
import contextlib
import json

import numpy as np
import pytest
import torch
from fakes import make_predictor, noisy, picture
from PIL import Image

from segdiff.cli.main import main
from segdiff.cli.options import device_from
from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import NATIVE
from segdiff.data.writers import write_json, write_mask
from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.metrics import Scoring
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.join import join
from segdiff.workflows.outputs import DEFAULT_OUTPUTS, OBJECT_OUTPUTS
from segdiff.workflows.parts import Part, parse_part, part_of_environment
from segdiff.workflows.predict_files import predict_files


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(picture(40, 50, seed=number)).save(folder / f"{number}.png")
    return folder


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix != ".json" and "summary" not in path.name
    }


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_divide_a_list(count):
    items = list("abcde")
    parts = [Part(index, count).of(items) for index in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parts_are_read():
    assert parse_part("2/4") == Part(2, 4) and str(Part(2, 4)) == "2/4" and Part(2, 4).suffix == "_2of4"
    for text in ("0/4", "5/4", "2", "a/b", "2/4/8", "-1/2"):
        with pytest.raises(ConfigError, match="i/n"):
            parse_part(text)
    assert part_of_environment({}) == part_of_environment({"RANK": "3"}) == Part()
    assert part_of_environment({"RANK": "1", "WORLD_SIZE": "4"}) == Part(2, 4)
    for rank, world in (("4", "4"), ("x", "4")):
        with pytest.raises(ConfigError, match="RANK"):
            part_of_environment({"RANK": rank, "WORLD_SIZE": world})


def test_parts_together_predict_what_one_run_does(slides, tmp_path):
    predictor = make_predictor(noisy, chains=2)
    predict_files(predictor, [slides], tmp_path / "whole")
    for index in (2, 1):
        predict_files(predictor, [slides], tmp_path / "parts", part=Part(index, 2))
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    records = [json.loads((tmp_path / "parts" / f"prediction_{i}of2.json").read_text()) for i in (1, 2)]
    assert [[image["stem"] for image in record["images"]] for record in records] == [["0", "2", "4"], ["1", "3"]]


def test_a_run_that_was_cut_goes_on(slides, tmp_path, monkeypatch):
    predictor = make_predictor(noisy, chains=2)
    predict_files(predictor, [slides], tmp_path / "whole")
    out, real, count = tmp_path / "out", type(predictor).predict, []

    def cut(self, *arguments, **options):
        count.append(None)
        if len(count) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(predictor), "predict", cut)
        with pytest.raises(KeyboardInterrupt):
            predict_files(predictor, [slides], out)
    (out / "1_overlay.png").unlink()  # done, but not whole any more
    (out / "2_mask.png").write_bytes(b"half")
    before = (out / "0_mask.png").stat().st_mtime_ns
    record = predict_files(predictor, [slides], out, resume=True)
    assert [image["status"] for image in record["images"]] == ["done"] * 5
    assert (out / "0_mask.png").stat().st_mtime_ns == before
    assert contents(out) == contents(tmp_path / "whole")
    assert len(predictor.segmenter.calls) > 0
    predictor.segmenter.calls.clear()
    predict_files(predictor, [slides], out, resume=True)
    assert predictor.segmenter.calls == []


def test_what_failed_is_tried_again(slides, tmp_path):
    whole = (slides / "3.png").read_bytes()
    (slides / "3.png").write_bytes(whole[:300])
    predictor, out = make_predictor(), tmp_path / "out"
    assert predict_files(predictor, [slides], out)["images"][3]["status"] == "failed"
    (slides / "3.png").write_bytes(whole)
    assert predict_files(predictor, [slides], out, resume=True)["images"][3]["status"] == "done"


def test_a_run_goes_on_with_its_own_settings_only(slides, tmp_path):
    predictor, out = make_predictor(), tmp_path / "out"
    predict_files(predictor, [slides / "0.png"], out, seed=1)
    with pytest.raises(ConfigError, match="seed=1 there, 0 here"):
        predict_files(predictor, [slides], out, resume=True)
    with pytest.raises(ConfigError, match="inference.threshold=0.5 there, 0.1 here"):
        predict_files(predictor, [slides], out, seed=1, threshold=0.1, resume=True)
    assert predict_files(predictor, [slides], out, seed=1, resume=True)["images"][4]["status"] == "done"
    (out / "prediction.json").write_text("[]")
    with pytest.raises(DataError, match="not a record"):
        predict_files(predictor, [slides], out, seed=1, resume=True)


def as_before(record):
    """A record as the first version wrote it: options side by side with the rest, no choice of outputs."""
    options = record.pop("options")
    names = ("mpp", "scale", "diameter")
    inference = {key: value for key, value in record["inference"].items() if key not in ("class_name", "conformal")}
    beside = {name: options["prediction"][name] for name in names} | {"objects_mpp": options["objects_mpp"]}
    instances = "labels" in options["outputs"]
    return {**record, "format_version": 1, "inference": inference, **beside, "instances": instances}


@pytest.mark.parametrize("outputs", [DEFAULT_OUTPUTS, (*DEFAULT_OUTPUTS, *OBJECT_OUTPUTS)])
def test_a_run_of_the_version_before_is_gone_on_with(slides, tmp_path, outputs):
    # Outlines were of a "Nucleus" whatever the model was.
    predictor, out = make_predictor(noisy, chains=2, class_name="Nucleus"), tmp_path / "out"
    predict_files(predictor, [slides / "0.png"], out, seed=1, scale=0.5, outputs=outputs)
    record = out / "prediction.json"
    record.write_text(json.dumps(as_before(json.loads(record.read_text()))))
    settings = {"scale": 0.5, "outputs": outputs, "resume": True}
    for changed, said in (({"seed": 2}, "seed=1 there, 2 here"), ({"scale": 0.25}, "scale=0.5 there, 0.25 here")):
        with pytest.raises(ConfigError, match=said) as error:
            predict_files(predictor, [slides], out, **{**settings, "seed": 1, **changed})
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="inference.class_name=Nucleus there, Object here"):
        predict_files(make_predictor(noisy, chains=2), [slides], out, seed=1, **settings)
    assert predict_files(predictor, [slides], out, seed=1, **settings)["done_before"] == 1


@pytest.fixture
def dataset(tmp_path):
    for number in range(5):
        for split in ("train", "test"):
            image = picture(40, 50, seed=number)
            (tmp_path / "data" / split / "images").mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / split / "masks").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "data" / split / "images" / f"{split}{number}.png")
            mask = np.roll(image[..., 0] > 127, number, axis=1)
            write_mask(tmp_path / "data" / split / "masks" / f"{split}{number}.png", mask)
    return build_dataset("folder", tmp_path / "data", "test")


def scored(dataset, tmp_path, count, **options):
    paths = []
    for index in range(1, count + 1):
        part = Part(index, count)
        scores = evaluate(make_predictor(noisy, chains=2), dataset, NATIVE, part=part, **options)
        paths.append(tmp_path / f"scores{part.suffix}.json")
        write_json(paths[-1], scores)
    return paths


def test_parts_make_the_scores_of_the_whole(dataset, tmp_path, capsys):
    scoring = Scoring(("dice", "boundary_f"), 1.0)
    whole = evaluate(make_predictor(noisy, chains=2), dataset, NATIVE, scoring=scoring)
    paths = scored(dataset, tmp_path, 3, scoring=scoring)
    joined = join(paths[::-1])
    assert joined["metrics"] == whole["metrics"] and joined["tolerance"] == 1.0
    assert [row["name"] for row in joined["per_image"]] == [row["name"] for row in whole["per_image"]]
    assert {key: joined[key] for key in ("n", "protocol", "model", "seed", "part")} == {
        key: whole[key] for key in ("n", "protocol", "model", "seed", "part")
    }
    assert main(["join", *map(str, paths), "--json", str(tmp_path / "all.json")]) == 0
    assert "5 image(s)" in capsys.readouterr().out
    assert json.loads((tmp_path / "all.json").read_text())["n"] == 5


def test_parts_that_make_no_whole(dataset, tmp_path):
    paths = scored(dataset, tmp_path, 3)
    with pytest.raises(ConfigError, match="1/3, 2/3 are not those of a whole"):
        join(paths[:2])
    with pytest.raises(ConfigError, match="not those of a whole"):
        join([paths[0], *paths])
    write_json(paths[1], {**json.loads(paths[1].read_text()), "seed": 7})
    with pytest.raises(ConfigError, match="not parts of one evaluation: seed"):
        join(paths)
    write_json(paths[1], {"format_version": 2, "part": None})
    with pytest.raises(DataError):
        join(paths)
    with pytest.raises(MissingError):
        join([tmp_path / "gone.json"])
    with pytest.raises(ConfigError, match="cannot be divided among 9 parts"):
        evaluate(make_predictor(), dataset, NATIVE, part=Part(9, 9))


def test_inputs_of_other_parts_and_of_what_is_done_are_not_replaced(slides):
    """a_mask.png is a picture of its own here, which another part or an earlier call predicts."""
    (slides / "0_mask.png").write_bytes((slides / "1.png").read_bytes())
    before = (slides / "0_mask.png").read_bytes()
    for part in (Part(1, 2), Part(2, 2), Part(1, 3), Part(2, 3), Part(3, 3)):
        with contextlib.suppress(ConfigError):
            predict_files(make_predictor(), [slides], slides, overwrite=True, part=part)
        assert (slides / "0_mask.png").read_bytes() == before


def test_resume_replaces_nothing_that_no_run_began(slides, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "0_mask.png").write_bytes(b"drawn by hand")
    with pytest.raises(ConfigError, match="0_mask.png exists"):
        predict_files(make_predictor(), [slides], out, resume=True)
    assert (out / "0_mask.png").read_bytes() == b"drawn by hand"


def test_resume_with_another_number_of_parts(slides, tmp_path):
    out = tmp_path / "out"
    predict_files(make_predictor(), [slides], out, part=Part(1, 2))
    made = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    record = predict_files(make_predictor(), [slides], out, resume=True)
    assert record["done_before"] == len(made) // 2 and {i["status"] for i in record["images"]} == {"done"}
    assert {name: (out / name).stat().st_mtime_ns for name in made} == made
    with pytest.raises(ConfigError, match="seed=0 there, 3 here"):
        predict_files(make_predictor(), [slides], out, resume=True, seed=3, part=Part(2, 4))


def test_each_process_predicts_on_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(name, value)
    assert device_from(argparse.Namespace(part=None, device="auto")) == "cuda:3"
    assert device_from(argparse.Namespace(part="1/2", device="auto")) == "auto"
