"""Options that commands share, and a parser whose errors are one line."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from segdiff.errors import ConfigError

if TYPE_CHECKING:
    from segdiff.data.stored import ReadOptions
    from segdiff.inference.options import PredictOptions
    from segdiff.inference.protocol import Predictor
    from segdiff.workflows.parts import Part

T = TypeVar("T")
DEFAULT_MODEL = "nuclei"

# As segdiff.diffusion.sampling, segdiff.models.device and segdiff.models.export know them (a test compares):
# importing them for a help text would import torch.
SAMPLERS = ("ddpm", "ddim", "dpmpp_2m", "heun", "mean")
PRECISIONS = ("auto", "bf16", "bfloat16", "float32")
RUNTIMES = ("auto", "torch", "onnx", "openvino")


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are a ConfigError: one line, no usage text."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} ({self.prog} --help tells the options)")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse; an unknown option is answered with the nearest known one."""
        known = [name for action in self._actions for name in action.option_strings]
        options = [argument.partition("=")[0] for argument in argv if argument.startswith("--") and argument != "--"]
        slips = [option for option in options if option not in known]  # before what is missing because of them
        found, unknown = (None, slips) if slips else self.parse_known_args(list(argv))
        if found is not None and not unknown:
            return found
        close = difflib.get_close_matches(unknown[0], known, n=1)
        self.error(f"unknown option {unknown[0]}" + (f", did you mean {close[0]}?" if close else ""))


def _number(kind: Callable[[str], T], fits: Callable[[T], bool], said: str) -> Callable[[str], T]:
    """A type of argparse: text to a number that fits, or an error that says what would."""

    def read(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            fitting = False
        else:
            fitting = fits(value)
        if not fitting:
            raise argparse.ArgumentTypeError(f"{text} is not {said}")
        return value

    return read


positive_int = _number(int, lambda value: value >= 1, "a whole number of 1 or more")
positive_float = _number(float, lambda value: 0 < value < float("inf"), "a number above 0")
views = _number(int, lambda value: 1 <= value <= 8, "a whole number from 1 to 8")
share = _number(float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
seed = _number(int, lambda value: 0 <= value < 2**63, "a whole number from 0 to 2^63 - 1")


def batch_size(text: str) -> int | str:
    """ "auto" or a whole number of 1 or more."""
    return text if text == "auto" else positive_int(text)


def add_model_options(parser: argparse.ArgumentParser, default: bool = False) -> None:
    """The model, how it samples and where it runs: what predict and evaluate have in common.

    default: the model need not be given.
    """
    parser.add_argument(
        "--model",
        required=not default,
        action="append",
        metavar="NAME",
        help="a name (segdiff models lists them), a folder of a trained model, or owner/name on the Hugging Face hub; "
        f"given several times: an ensemble{f' (default: {DEFAULT_MODEL})' if default else ''}",
    )
    sampling = parser.add_argument_group("sampling (what is not given comes with the model)")
    sampling.add_argument("--chains", type=positive_int, metavar="N", help="chains that are averaged")
    sampling.add_argument("--steps", type=positive_int, metavar="N", help="steps of a chain")
    sampling.add_argument("--sampler", choices=SAMPLERS, help="ddpm draws noise in every step, the others none")
    sampling.add_argument("--views", type=views, metavar="N", help="dihedral views (1 to 8); each is encoded")
    sampling.add_argument("--seed", type=seed, default=0, metavar="N", help="of the noise (default: 0)")
    sampling.add_argument("--threshold", type=share, metavar="T", help="object is what is more probable than T")
    sampling.add_argument(
        "--temperature", type=positive_float, metavar="T", help="log-odds are divided by T (1: as they are)"
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    machine.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the network (default: auto)")
    machine.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="what runs the network (default: auto; see segdiff export)"
    )
    machine.add_argument(
        "--compile", action="store_true", help="compile the network first: a minute, for many pictures of one size"
    )
    machine.add_argument(
        "--batch-size",
        type=batch_size,
        default="auto",
        metavar="N",
        help="windows x chains at a time (default: auto)",
    )


def depth(text: str) -> int | str:
    """ "max", "middle" or a whole number of 1 or more."""
    if text in ("max", "middle"):
        return text
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text} is not max, middle or a whole number of 1 or more") from None


def add_read_options(parser: argparse.ArgumentParser) -> None:
    """What of a file is read: `read_options_from` reads them."""
    group = parser.add_argument_group("reading (of files that hold several pictures, or values without a known white)")
    group.add_argument("--page", type=positive_int, metavar="N", help="picture of the file, counted from 1")
    group.add_argument("--channel", type=positive_int, metavar="N", help="read this channel alone, counted from 1")
    group.add_argument("--z", type=depth, metavar="max|middle|N", help="plane of a stack, or its largest values")
    group.add_argument(
        "--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="values that are black and white, such as 0 4095"
    )


def read_options_from(args: argparse.Namespace) -> ReadOptions:
    """What the options of `add_read_options` ask for. ConfigError of a range that is none."""
    from segdiff.data.stored import ReadOptions

    return ReadOptions(args.page, args.channel, args.z, None if args.range is None else tuple(args.range))


def add_part_option(parser: argparse.ArgumentParser) -> None:
    """A share of the files, for several processes or array jobs."""
    parser.add_argument(
        "--part",
        metavar="I/N",
        help="only this share of the images, such as 2/4; under torchrun each process takes its own without",
    )


def part_from(args: argparse.Namespace) -> Part:
    """The part that the option or else the environment (torchrun's) asks for."""
    from segdiff.workflows.parts import parse_part, part_of_environment

    return part_of_environment() if args.part is None else parse_part(args.part)


def predictor_from(args: argparse.Namespace) -> Predictor:
    """The model, or the ensemble of models, on the device that the options ask for."""
    from segdiff.workflows.load import load_predictor

    return load_predictor(args.model or DEFAULT_MODEL, device_from(args), args.precision, args.runtime, args.compile)


def predict_options_from(args: argparse.Namespace) -> PredictOptions:
    """What the options of `add_model_options`, and of the command itself, tell a prediction."""
    from dataclasses import fields

    from segdiff.inference.options import PredictOptions

    known = {f.name for f in fields(PredictOptions)}
    return PredictOptions(**{name: value for name, value in vars(args).items() if name in known})


def device_from(args: argparse.Namespace) -> str:
    """The device that the option asks for; of processes that torchrun started on one machine each has its own GPU."""
    from segdiff.training.distributed import Processes

    return Processes.from_environment().device(args.device) if args.part is None else args.device


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Which data set: its kind, its folder and its own options (`key_values` reads them)."""
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="folder (your own), lidc, monuseg, vaihingen or cityscapes"
    )
    parser.add_argument("--root", required=True, metavar="DIR", help="the data set's folder")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the data set, as in conf/dataset/NAME.yaml; may be given several times",
    )


def key_values(given: Sequence[str]) -> dict[str, Any]:
    """["fold=1"] -> {"fold": 1}; values are read as YAML."""
    import yaml

    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigError(f"--option {text}: give KEY=VALUE")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--option {text}: its value is not YAML") from None
    return options
