"""What of a file is predicted, and what is said of the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import make_predictor, noisy, red
from pictures import brightfield, grey, write
from PIL import Image

from segdiff.cli import predict
from segdiff.data.stored import ReadOptions
from segdiff.errors import ConfigError
from segdiff.workflows.predict_files import failures, predict_files


def options(*given: str):
    return predict.options_from(predict.build_parser().parse(["--image", "a.png", *given])).read


def test_options_of_the_command_line():
    assert options() == ReadOptions()
    chosen = options("--page", "2", "--channel", "3", "--z", "middle", "--range", "-5", "4095")
    assert chosen == ReadOptions(2, 3, "middle", (-5.0, 4095.0))
    assert options("--z", "4").z == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--page", "0"], "0 is not a whole number of 1 or more"),
        (["--channel", "red"], "red is not a whole number"),
        (["--z", "mean"], "mean is not max, middle or a whole number of 1 or more"),
        (["--range", "1"], "expected 2 arguments"),
        (["--range", "9", "3"], "the first must be below the second"),
        (["--range", "0", "nan"], "both finite"),
    ],
)
def test_mistakes_are_one_line(wrong, said):
    with pytest.raises(ConfigError) as error:
        options(*wrong)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"page": 0}, {"channel": 1.5}, {"z": "mean"}, {"value_range": (2, 2)}, {"z": True}])
def test_choices_that_cannot_be(wrong):
    with pytest.raises(ConfigError):
        ReadOptions(**wrong)


def test_choices_reach_the_file_and_the_record(tmp_path):
    planes = np.stack([grey((24, 40)) // (k + 1) for k in range(3)])
    write(tmp_path / "x.tif", planes, photometric="minisblack")
    predictor = make_predictor(red)
    record = predict_files(predictor, [tmp_path / "x.tif"], tmp_path / "out")
    assert "is a stack of 3 pictures: choose one" in failures(record)[0]["error"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["prediction.json", "summary.csv"]
    read = ReadOptions(z=1)
    record = predict_files(predictor, [tmp_path / "x.tif"], tmp_path / "out", read=read, overwrite=True)
    assert record["options"]["read"] == {"page": None, "channel": None, "z": 1, "value_range": None}
    mask = np.array(Image.open(tmp_path / "out" / "x_mask.png"))
    np.testing.assert_array_equal(mask > 0, planes[0] > 127.5)
    with pytest.raises(ConfigError, match="other settings.*read.z=1 there, 2 here"):
        predict_files(predictor, [tmp_path / "x.tif"], tmp_path / "out", read=ReadOptions(z=2), resume=True)
    again = predict_files(predictor, [tmp_path / "x.tif"], tmp_path / "out", read=read, resume=True)
    assert again["done_before"] == 1


def test_a_record_of_before_there_were_such_choices_is_gone_on_with(tmp_path):
    Image.fromarray(brightfield()).save(tmp_path / "x.png")
    predictor, out = make_predictor(red), tmp_path / "out"
    record = predict_files(predictor, [tmp_path / "x.png"], out)
    del record["options"]["read"]
    (out / "prediction.json").write_text(json.dumps(record))
    assert predict_files(predictor, [tmp_path / "x.png"], out, resume=True)["done_before"] == 1


def test_what_was_left_out_is_a_note(tmp_path):
    image = brightfield((80, 100)).astype(np.uint16) * 16
    image[:, :50] = 0
    write(tmp_path / "x.tif", image, photometric="rgb")
    record = predict_files(make_predictor(noisy, chains=2), [tmp_path / "x.tif"], tmp_path / "out")
    notes = record["images"][0]["remarks"]
    assert "taken for 12 bits" in notes[0] and "50% of it is black without data" in notes[1]
    assert not np.array(Image.open(tmp_path / "out" / "x_mask.png"))[:, :50].any()


def test_objects_and_chains_stay_out_of_what_holds_no_data():
    image = brightfield((80, 100))
    image[:, :50] = 255
    found = make_predictor(red, chains=3).predict(image, keep_chains=True, keep_raw=True)
    for layer in (found.probability, found.uncertainty, found.raw_probability, found.chains):
        assert not layer[..., :50].any()
    assert found.mask[:, 50:].any()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_no_data_at_another_scale(scale):
    image = brightfield((80, 100))
    image[:, :50] = 0
    found = make_predictor(red).predict(image, scale=scale)
    assert not found.mask[:, :50].any() and found.mask[:, 60:].any() and "without data" in found.remarks[0]
