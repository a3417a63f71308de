"""segdiff train [OVERRIDES...]: train a model; the same as python tools/train.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segdiff.cli.configs import conf_folder, to_plain

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: list[str] | None = None) -> int:
    """Compose the configuration by Hydra and train; gives the exit code.

    Hydra's own options work: -m for several trainings, --cfg job to see the configuration, --help for the
    groups.
    """
    if (sys.argv[1:] if arguments is None else arguments) in (["-h"], ["--help"]):
        print(_help())
        return 0

    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from segdiff.errors import ConfigError, SegdiffError

    failures: list[SegdiffError] = []

    def train(config: DictConfig) -> float:
        try:
            return _train(config)
        except SegdiffError as error:  # kept: Hydra would print about it, and end the other trainings of a sweep
            failures.append(error)
            return float("nan")

    run = hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(train)
    if arguments is not None:
        sys.argv = ["segdiff train", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach the caller, which makes one line of them
    try:
        run()
    except (HydraException, OmegaConfBaseException) as error:
        said = " ".join(str(error).split()).partition(" Config search path:")[0]
        raise ConfigError(said) from error
    for failure in failures[1:]:
        print(f"segdiff train: error: {failure}", file=sys.stderr)
    if failures:
        raise failures[0]
    return 0


def _help() -> str:
    """Groups and choices, read from the names of files: importing Hydra for a help text would take a second."""
    groups: dict[str, list[str]] = {}
    for path in sorted(conf_folder().glob("*/*.yaml")):
        groups.setdefault(path.parent.name, []).append(path.stem)
    return "\n".join(
        [
            "usage: segdiff train [GROUP=CHOICE] [KEY=VALUE] ...   (the same as python tools/train.py)",
            "",
            "Train a model. For example:",
            "  segdiff train dataset=folder dataset.root=my_data run.name=mine",
            "",
            *(f"  {group:<13} {' | '.join(choices)}" for group, choices in groups.items()),
            "",
            "Common keys: device= seed= run.name= resume=auto trainer.max_steps= trainer.max_minutes= dataset.root= "
            "model.init=",
            f"All keys, each with a comment: {conf_folder()}",
            "--cfg job prints the configuration, -m runs several (seed=0,1,2); --hydra-help lists Hydra's own options.",
        ]
    )


def _train(config: DictConfig) -> float:
    """One training; gives the validation Dice, which Hydra's sweepers maximise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from segdiff.training.run import run_training

    plain = to_plain(config)
    hydra_config = HydraConfig.get()
    folder = Path(plain["run"]["dir"])
    if hydra_config.mode == RunMode.MULTIRUN:
        folder = Path(hydra_config.runtime.output_dir)
    return float(run_training(plain, folder)["dice"])
