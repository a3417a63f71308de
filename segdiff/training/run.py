"""One training: an experiment is built and checked, fitted, and finished with a model and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from segdiff.data.writers import atomic, write_json
from segdiff.errors import ConfigError
from segdiff.training.distributed import Processes
from segdiff.training.environment import environment
from segdiff.training.experiment import Experiment, Say, build_experiment
from segdiff.training.finish import finish
from segdiff.training.loop import Trainer
from segdiff.training.tracking import Run, Tracking, read_tracking, start_tracking
from segdiff.training.validate import Validation


def run_training(config: Mapping[str, Any], folder: Path, say: Say = print) -> dict[str, Any]:
    """Train, keep the best weights as an artifact, score them.

    Args:
        config: as `conf/` composes it, plain values only: `seed`, `device`, `resume` and the groups.
        folder: of the run.
        say: takes lines for a person.
    Returns:
        `dice` and `iou` of the last validation, `finished`, `folder`, `model`, and `writes`: whether this process did.
    Raises:
        ConfigError, MissingError, DataError: before any training, where the configuration or the data cannot be.
        TrainingError: a loss that is not finite.
    """
    processes = Processes.from_environment()
    with processes.joined():
        return _train(config, folder, processes, say if processes.writes else _nothing)


def _nothing(text: str) -> None:
    """Say nothing: another process does."""


def _train(config: Mapping[str, Any], folder: Path, processes: Processes, say: Say) -> dict[str, Any]:
    """Build, fit and finish; the end of this call also ends what holds on to the other processes."""
    experiment = build_experiment(config, folder, processes, say)
    tracking = _open_folder(experiment, say)
    validation = _validation(experiment, tracking)
    trainer = _trainer(experiment, validation, tracking)
    _go_on(trainer, say)
    say(_describe(experiment, trainer))
    _fit(experiment, trainer, tracking, say)
    result = finish(experiment, trainer, validation, say)
    if processes.writes:
        scores: dict[str, float] = {
            name: result[name] for name in experiment.segmenter.target.validation_scores if name in result
        }
        tracking.finish(scores, experiment.folder.model if trainer.finished else None)
        say(f"model: {result['model']}")
    return result


def _open_folder(experiment: Experiment, say: Say) -> Tracking:
    """Record the configuration in the run's folder and start the trackers, in the process that writes."""
    folder, processes, run = experiment.folder, experiment.processes, experiment.options.run or {}
    if processes.writes:
        with atomic(folder.config) as file:
            file.write(yaml.safe_dump(dict(experiment.recorded), sort_keys=False).encode())
        write_json(folder.split, dict(experiment.split))
    processes.wait()
    if not processes.writes:
        return Tracking()
    about = Run(run.get("name", folder.path.name), folder.path, experiment.config, run.get("group"), say)
    return start_tracking(read_tracking(experiment.options.tracking), about)


def _validation(experiment: Experiment, tracking: Tracking) -> Validation | None:
    if experiment.validation is None:
        return None
    return Validation(
        experiment.artifact,
        experiment.validation,
        experiment.protocol,
        experiment.options.trainer,
        experiment.device,
        experiment.folder.panels,
        experiment.options.seed,
        tracking,
    )


def _trainer(experiment: Experiment, validation: Validation | None, tracking: Tracking) -> Trainer:
    return Trainer(
        experiment.segmenter,
        experiment.samples,
        experiment.options.trainer,
        experiment.options.optimizer,
        experiment.folder,
        validate=None if validation is None else validation.during,
        processes=experiment.processes,
        tracking=tracking,
    )


def _go_on(trainer: Trainer, say: Say) -> None:
    """Resume from the newest checkpoint where there is one.

    Raises:
        ConfigError: the processes of a training see different folders.
        DataError, TrainingError: a checkpoint that is not of this run.
    """
    folder, processes = trainer.folder, trainer.processes
    if not processes.from_first(folder.last.exists()):
        return
    if not folder.last.exists():
        raise ConfigError(f"{folder.last} is not there for process {processes.rank}: all need one shared folder")
    trainer.resume()
    done = trainer.state.step
    where = folder.path
    say(f"{where} is finished, at step {done}" if trainer.finished else f"going on with {where} at step {done}")


def _describe(experiment: Experiment, trainer: Trainer) -> str:
    train, val, processes = experiment.samples.dataset, experiment.validation, experiment.processes
    parameters = sum(p.numel() for p in trainer.segmenter.parameters())
    return (
        f"{len(train)} images to train, {len(val or ())} to validate; {parameters:,} parameters; {experiment.device}, "
        f"{trainer.precision}; {trainer.steps} steps of {trainer.settings.batch_size}"
        f"{f' divided among {processes.world} processes' if processes.several else ''}; in {experiment.folder.path}"
    )


def _fit(experiment: Experiment, trainer: Trainer, tracking: Tracking, say: Say) -> None:
    """Train to the end or until `trainer.max_minutes`; whatever happens, the record of the machine is written."""
    try:
        trainer.run()
    except BaseException as error:
        tracking.finish({}, None)
        if isinstance(error, KeyboardInterrupt) and trainer.saved_step is None:
            say("interrupted before the first checkpoint")
        elif isinstance(error, KeyboardInterrupt):
            say(f"interrupted, saved at step {trainer.saved_step}; the same command with resume=auto goes on")
        raise
    finally:
        if experiment.processes.writes:
            about = environment(experiment.options.seed, trainer.state.minutes, experiment.processes.world)
            write_json(experiment.folder.environment, about)
