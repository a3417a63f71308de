from __future__ import annotations

import pytest

from segdiff.cli import options, predict
from segdiff.diffusion.sampling import SAMPLERS
from segdiff.errors import ConfigError
from segdiff.models.device import PRECISIONS

NEEDED = ["--image", "a.png", "--model", "m"]


def parse(*extra):
    return predict.build_parser().parse([*NEEDED, *extra])


def test_defaults_leave_sampling_to_the_model():
    args = parse()
    assert args.chains is args.steps is args.sampler is args.threshold is args.mpp is args.scale is None
    assert (args.seed, args.device, args.precision, args.batch_size) == (0, "auto", "auto", "auto")
    assert args.output_dir == "out" and args.overwrite is False


def test_options_are_read():
    args = parse("--image", "b.png", "c", "--chains", "3", "--steps", "5", "--sampler", "ddim", "--seed", "7")
    assert args.image == ["a.png", "b.png", "c"]
    assert (args.chains, args.steps, args.sampler, args.seed) == (3, 5, "ddim", 7)
    assert parse("--batch-size", "4").batch_size == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--chain", "3"], "unknown option --chain, did you mean --chains?"),
        (["--tile=3"], "unknown option --tile"),
        (["--chains", "0"], "0 is not a whole number of 1 or more"),
        (["--steps", "2.5"], "2.5 is not a whole number"),
        (["--threshold", "1.5"], "1.5 is not a number from 0 to 1"),
        (["--mpp", "-1"], "-1 is not a number above 0"),
        (["--scale", "nan"], "nan is not a number above 0"),
        (["--diameter", "1", "--scale", "2"], "not allowed with"),
        (["--sampler", "euler"], "ddim"),
        (["--batch-size", "big"], "big is not a whole number"),
        (["--seed", "x"], "--seed"),
    ],
)
def test_mistakes_are_one_line(wrong, said):
    with pytest.raises(ConfigError) as error:
        parse(*wrong)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert "segdiff predict --help" in str(error.value)


@pytest.mark.parametrize("missing", [["--model", "m"], []])
def test_an_image_is_required_and_a_model_is_not(missing):
    with pytest.raises(ConfigError, match="required"):
        predict.build_parser().parse(missing)
    assert predict.build_parser().parse(["--image", "a.png"]).model is None


def test_choices_are_those_of_the_library():
    assert options.SAMPLERS == SAMPLERS and options.PRECISIONS == PRECISIONS


def test_options_of_a_data_set():
    assert options.key_values(["fold=1", "cache_dir=null", "objects=none"]) == {
        "fold": 1,
        "cache_dir": None,
        "objects": "none",
    }
    for wrong in ("fold", "=1", "a=[1"):
        with pytest.raises(ConfigError, match="--option"):
            options.key_values([wrong])
