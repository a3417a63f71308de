"""segdiff train [OVERRIDES...]: train a model; the same as python tools/train.py."""

from __future__ import annotations

import hashlib
import math
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from segdiff.errors import ConfigError, SegdiffError
from segdiff.training.configs import conf_folder, explained, quote_paths, to_plain
from segdiff.training.former_names import rename_overrides

MULTIRUN, MULTIRUN_FLAGS = Path("multirun"), {"-m", "--multirun"}
LONGEST = 120  # characters of a folder's name; file systems take 255 bytes


# Hydra's own options; whatever else begins with a dash is a slip.
FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r"),
    *("--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun", "--info", "-i"),
)


def short_name(name: str) -> str:
    """A name for one folder: itself, or where it is long or has slashes, what can be kept of it with a hash of all."""
    plain = re.sub(r"[/\\]", "_", name) or "run"
    if len(plain) <= LONGEST and plain == (name or "run"):
        return plain
    return f"{plain[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


# At import: the processes of a launcher resolve the configuration, too.
OmegaConf.register_new_resolver("short_name", short_name, replace=True)


def main(arguments: list[str] | None = None) -> int:
    """Compose the configuration by Hydra and train; gives the exit code.

    Hydra's own options work: -m for several trainings, --cfg job to see the configuration, --help for the
    groups. The same command with -m again goes on with its sweep: what is finished is not run again.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["-h"], ["--help"]):
        print(_help())
        return 0

    _check_flags(arguments)
    arguments = quote_paths(rename_overrides(arguments))

    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from segdiff.training.sweep import forget_empty

    failures: list[SegdiffError] = []

    def once(config: DictConfig) -> float:
        try:
            return _train(to_plain(config))
        except SegdiffError as error:  # kept, since Hydra would print about it
            failures.append(error)
            return float("nan")

    sweep = None
    if MULTIRUN_FLAGS & set(arguments):
        named = _named_after_what_differs(arguments)
        sweep = _sweep_folder(arguments)
        arguments = [*arguments, f"hydra.sweep.dir={sweep.as_posix()}", *named]
    run = hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(
        once if sweep is None else sweep_job
    )
    # Hydra's parser takes -m before or after the overrides, not between them.
    multirun = [] if sweep is None else ["--multirun"]
    sys.argv = ["segdiff train", *multirun, *(a for a in arguments if a not in MULTIRUN_FLAGS)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach the caller, which makes one line of them
    try:
        run()
    except (HydraException, OmegaConfBaseException) as error:
        if sweep is not None:
            forget_empty(sweep, MULTIRUN)
        raise explained(error, arguments) from error
    except KeyboardInterrupt:
        if sweep is not None:
            _tell(sweep)
        raise
    except Exception as error:  # a launcher whose process died, or that is not at home here
        if sweep is None:
            raise
        _tell(sweep)
        text = " ".join(str(error).split())
        raise ConfigError(f"the sweep was not finished: {type(error).__name__}: {text}") from error
    if failures:
        raise failures[0]
    return 0 if sweep is None else _tell(sweep)


def sweep_job(config: DictConfig) -> float:
    """One training of a sweep; gives its validation score, which Hydra's sweepers maximise, nan where it failed.

    A failure is written into the run's folder and does not end the others.
    """
    from hydra.core.hydra_config import HydraConfig

    from segdiff.training.sweep import finished_result, score_of, write_result

    hydra_config = HydraConfig.get()
    folder, sweep = Path(hydra_config.runtime.output_dir), Path(hydra_config.sweep.dir)
    before = finished_result(folder)
    if before is not None:
        print(f"{folder}: finished before")
        return score_of(before)
    try:
        plain = to_plain(config)
        plain["run"] = {**plain["run"], "dir": str(folder), "group": sweep.name}
        plain["resume"] = "auto"  # the run of an earlier call, where there is one
        return _train(plain)
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        line = text if isinstance(error, SegdiffError) else f"{type(error).__name__}: {text}"
        print(f"segdiff train: error: {folder}: {line}", file=sys.stderr)
        write_result(folder, "failed", error=line)
        return float("nan")


def _sweep_folder(arguments: list[str]) -> Path:
    """Where the runs of a sweep go: the folder of the same command before, or a new one."""
    from segdiff.training.sweep import begin_sweep, find_sweep

    overrides = [argument for argument in arguments if not argument.startswith("-")]
    chosen = [o.partition("=")[2] for o in overrides if o.startswith("hydra.sweep.dir=")]
    folder = Path(chosen[-1]) if chosen else find_sweep(MULTIRUN, overrides)
    if folder is not None and folder.is_dir():
        print(f"going on with {folder}: the same command made it (hydra.sweep.dir=... chooses another folder)")
    if folder is None:
        folder = MULTIRUN / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True, exist_ok=True)
    begin_sweep(folder, overrides)
    return folder


def _named_after_what_differs(arguments: list[str]) -> list[str]:
    """What makes the folders of a sweep's runs be named after the values that are swept, not after all overrides."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    try:
        parsed = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    except HydraException as error:
        raise explained(error, arguments) from error
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    if not swept:
        return []
    fixed = [override.key_or_group for override in parsed if override.key_or_group not in swept]
    where = "hydra.job.config.override_dirname.exclude_keys"
    always = OmegaConf.select(OmegaConf.load(conf_folder() / "config.yaml"), where)
    return [f"{where}=[{','.join([*(key for key in always if key not in swept), *fixed])}]"]


def _tell(sweep: Path) -> int:
    """Print the table of a sweep and write it; the exit code: 3 where some of the runs failed, 2 where all did."""
    from segdiff.training.sweep import collect, scores_in, write_table

    rows = collect(sweep)
    if not rows:
        print("no run left a result", file=sys.stderr)
        return 2
    width = max([len(row["run"]) for row in rows] + [len("run")])
    names = scores_in(rows)
    print(f"\n{'run':<{width}}  status    {''.join(f'  {name:>6}' for name in names)}")
    for row in rows:
        scores = "  ".join(f"{row[key]:.4f}" if row[key] is not None else "     -" for key in names)
        print(f"{row['run']:<{width}}  {row['status']:<8}  {scores}" + (f"  {row['error']}" if row["error"] else ""))
    print(f"table: {write_table(sweep, rows)}; the same command again runs what is missing")
    failed = [row for row in rows if row["status"] == "failed"]
    return 0 if not failed else 2 if len(failed) == len(rows) else 3


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
            "trainer.init_from=",
            f"All keys, each with a comment: {conf_folder()}",
            "--cfg job prints the configuration, -m runs several (seed=0,1,2); --hydra-help lists Hydra's own options.",
        ]
    )


def _check_flags(arguments: Sequence[str]) -> None:
    """Refuse an option that Hydra does not have.

    Raises:
        ConfigError: there is one.
    """
    for argument in arguments:
        if argument.startswith("-") and argument.partition("=")[0] not in FLAGS:
            raise ConfigError(f"{argument} is no option here: settings are written KEY=VALUE, as seed=1 or model=fast")


def _train(plain: dict[str, Any]) -> float:
    """One training from plain values; gives its validation score and leaves its result in the folder."""
    from segdiff.training.run import run_training
    from segdiff.training.sweep import write_result

    folder = Path(plain["run"]["dir"])
    result = run_training(plain, folder)
    scores = {key: result.get(key) for key in result["validation_scores"]}
    scores = {key: None if value is None or math.isnan(value) else value for key, value in scores.items()}
    if result["writes"]:
        write_result(folder, "finished" if result["finished"] else "cut", monitor=result["monitor"], **scores)
    return float(result[result["monitor"]])
