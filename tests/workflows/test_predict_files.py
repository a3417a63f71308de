from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture, red
from PIL import Image

from segdiff.errors import ConfigError, MissingError
from segdiff.inference.options import PredictOptions
from segdiff.workflows import record as record_module
from segdiff.workflows.jobs import Job, check_jobs
from segdiff.workflows.predict_files import failures, predict_files


@pytest.fixture
def slides(tmp_path):
    """A folder of three pictures; the one in the middle is cut off."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for n, name in enumerate("abc"):
        Image.fromarray(picture(40, 50, seed=n)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:900])
    return folder


def states(record):
    return {image["stem"]: image["status"] for image in record["images"]}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_broken_file_does_not_stop_the_others(slides, tmp_path):
    out, before = tmp_path / "out", contents(slides)
    record = predict_files(make_predictor(noisy, chains=2), [slides], out, seed=3, command=["segdiff", "predict"])
    assert states(record) == {"a": "done", "b": "failed", "c": "done"}
    [failure] = failures(record)
    assert "b.png" in failure["error"] and "\n" not in failure["error"]
    kinds = ("mask.png", "probability.tif", "uncertainty.tif", "overlay.png")
    expected = {f"{stem}_{kind}" for stem in "ac" for kind in kinds} | {"prediction.json", "summary.csv"}
    assert set(contents(out)) == expected
    assert record == json.loads((out / "prediction.json").read_text())
    assert contents(slides) == before


def test_the_record_tells_how_to_repeat_the_run(slides, tmp_path):
    predictor = make_predictor(noisy, chains=2)
    record = predict_files(predictor, [slides / "a.png"], tmp_path / "out", seed=3, threshold=0.25, scale=0.5)
    assert record["model"] == "fake@0" and record["seed"] == 3 and record["threshold"] == 0.25
    assert record["sampling"]["chains"] == 2 and record["sampling"]["sampler"] == "ddpm"
    options = record["options"]["prediction"]
    assert options["scale"] == 0.5 and options["mpp"] is None and options["threshold"] == 0.25
    given = PredictOptions(**{name: value for name, value in options.items() if name != "keep_chains"})
    assert np.array_equal(
        predictor.predict(picture(40, 50, seed=0), given).mask,
        predictor.predict(picture(40, 50, seed=0), seed=3, threshold=0.25, scale=0.5).mask,
    )
    assert record["precision"] == "float32" and record["device"] == "cpu"
    assert {"segdiff", "torch", "numpy", "python"} <= set(record["versions"])
    [image] = record["images"]
    assert image["image"] == str(slides / "a.png") and image["shape"] == [40, 50, 3] and image["seconds"] >= 0
    assert image["outputs"]["mask"] == "a_mask.png"
    mask = np.array(Image.open(tmp_path / "out" / "a_mask.png"))
    again = predictor.predict(picture(40, 50, seed=0), seed=3, threshold=0.25, scale=0.5).mask
    assert np.array_equal(mask > 0, again)


def test_one_chain_writes_no_uncertainty(slides, tmp_path):
    record = predict_files(make_predictor(), [slides / "a.png"], tmp_path / "out")
    assert "uncertainty" not in record["images"][0]["outputs"]
    assert not (tmp_path / "out" / "a_uncertainty.tif").exists()


def test_existing_outputs_are_an_error_before_any_work(slides, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "c_overlay.png").write_bytes(b"mine")
    predictor = make_predictor()
    with pytest.raises(ConfigError, match="c_overlay.png exists.*--overwrite"):
        predict_files(predictor, [slides], out)
    assert contents(out) == {"c_overlay.png": b"mine"} and not predictor.segmenter.calls
    predict_files(predictor, [slides], out, overwrite=True)
    assert contents(out)["c_overlay.png"] != b"mine"


def test_inputs_are_never_replaced(tmp_path):
    for name in ("slide.png", "slide_mask.png"):
        Image.fromarray(picture(20, 20)).save(tmp_path / name)
    before = contents(tmp_path)
    for folder in (tmp_path, tmp_path / "." / "x" / ".."):
        with pytest.raises(ConfigError, match="is an input"):
            predict_files(make_predictor(), [tmp_path], folder, overwrite=True)
    link = tmp_path / "elsewhere"
    link.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is an input"):
        predict_files(make_predictor(), [tmp_path / "slide.png", link / "slide_mask.png"], tmp_path, overwrite=True)
    assert contents(tmp_path) == before


def test_results_may_lie_beside_their_image(tmp_path):
    Image.fromarray(picture(20, 20)).save(tmp_path / "slide.png")
    before = contents(tmp_path)["slide.png"]
    predict_files(make_predictor(), [tmp_path / "slide.png"], tmp_path)
    assert contents(tmp_path)["slide.png"] == before and (tmp_path / "slide_mask.png").exists()


@pytest.mark.parametrize("other", ["a/slide.tif", "b/slide.png", "a/SLIDE.bmp"])
def test_two_inputs_of_one_name_are_refused(tmp_path, other):
    jobs = [Job(tmp_path / name, tmp_path / "out") for name in ("a/slide.png", other)]
    with pytest.raises(ConfigError, match="the same files"):
        check_jobs(jobs, overwrite=True)


def test_no_image_and_a_file_for_a_folder(slides, tmp_path):
    with pytest.raises(MissingError):
        predict_files(make_predictor(), [tmp_path / "none.png"], tmp_path / "out")
    with pytest.raises(ConfigError, match="is a file"):
        predict_files(make_predictor(), [slides], slides / "a.png")
    assert not (tmp_path / "out").exists()


def test_settings_that_cannot_be_are_found_before_any_work(slides, tmp_path):
    with pytest.raises(ConfigError, match="--scale"):
        predict_files(make_predictor(), [slides], tmp_path / "out", mpp=0.5)
    assert not (tmp_path / "out").exists()


def test_the_record_is_there_while_the_run_goes_on(slides, tmp_path):
    """What is cut leaves a record that says what is done and what is not."""

    def cut(image, noise, chain):
        if record.exists() and states(json.loads(record.read_text())).get("a") == "done":
            raise KeyboardInterrupt
        return red(image, noise, chain)

    record = tmp_path / "out" / "prediction.json"
    with pytest.raises(KeyboardInterrupt):
        predict_files(make_predictor(cut), [slides], tmp_path / "out")
    assert states(json.loads(record.read_text())) == {"a": "done", "b": "failed", "c": "pending"}
    assert not list((tmp_path / "out").glob(".*"))


def test_an_earlier_record_of_other_images_is_kept(slides, tmp_path):
    out = tmp_path / "out"
    predict_files(make_predictor(identity="first@1"), [slides / "a.png", slides / "c.png"], out)
    record = predict_files(make_predictor(identity="second@2"), [slides / "c.png"], out, overwrite=True)
    assert record["model"] == "second@2" and states(record) == {"c": "done"}
    [earlier] = record["earlier_runs"]
    assert earlier["model"] == "first@1" and states(earlier) == {"a": "done"}
    record = predict_files(make_predictor(), [slides / "a.png", slides / "c.png"], out, overwrite=True)
    assert "earlier_runs" not in record
    (out / "prediction.json").write_text("[not ours")
    assert states(predict_files(make_predictor(), [slides / "a.png"], out, overwrite=True)) == {"a": "done"}


def test_progress_goes_from_0_to_all(slides, tmp_path):
    told = []
    predict_files(
        make_predictor(chains=2),
        [slides],
        tmp_path / "out",
        batch_size=1,
        progress=lambda *at: told.append(at),
    )
    assert told[0] == (0, 3, "a.png") and told[-1] == (3, 3, "c.png")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert any(0 < done < 1 for done, _, _ in told)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(slides, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        predict_files(make_predictor(), [slides], out)


def test_a_long_record_is_written_seldom_and_in_the_end(slides, tmp_path, monkeypatch):
    (slides / "b.png").unlink()
    for n in range(6):
        Image.fromarray(picture(20, 20, seed=n)).save(slides / f"d{n}.png")
    written, path = [], tmp_path / "out" / "prediction.json"

    def slowly(where, content, real=record_module.write_json):
        written.append(sum(image["status"] == "done" for image in content["images"]))
        real(where, content)
        time.sleep(0.06)

    monkeypatch.setattr(record_module, "write_json", slowly)
    monkeypatch.setattr(record_module, "SELDOM", 1000)
    record = predict_files(make_predictor(red), [slides], tmp_path / "out")
    assert written == [0, 8] and json.loads(path.read_text()) == record
    written.clear()

    def interrupt(done, total, name):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(make_predictor(red), [slides], tmp_path / "out", overwrite=True, progress=interrupt)
    assert written == [0, 2] and list(states(json.loads(path.read_text())).values()).count("done") == 2
