"""One training from a configuration of plain values: data, model, loop, artifact, scores."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import Dataset, Sample, dataset_from_config
from segdiff.data.loader import TrainingSamples
from segdiff.data.protocols import Protocol, get_protocol
from segdiff.data.targets import with_channels
from segdiff.data.writers import atomic, write_json
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, MissingError
from segdiff.inference.predictor import InferenceSettings
from segdiff.models.build import build_segmenter
from segdiff.models.device import pick_device
from segdiff.models.normalisation import Normalisation
from segdiff.models.pretrained import load_encoder_weights
from segdiff.models.segmenter import Segmenter
from segdiff.settings import read_settings
from segdiff.training.begin import begun_with
from segdiff.training.distributed import Processes
from segdiff.training.evidence import ADVICE
from segdiff.training.first_look import first_look
from segdiff.training.identity import NOT_IDENTITY, check_folder, run_identity
from segdiff.training.loop import Trainer
from segdiff.training.settings import OptimizerSettings, TrainerSettings
from segdiff.training.tracking import Run, Tracking, read_tracking, start_tracking
from segdiff.training.validate import Validation
from segdiff.workflows.check.facts import Facts
from segdiff.workflows.record import versions
from segdiff.workflows.scoring import mean_of

GROUPS = ("dataset", "model", "diffusion", "augmentation", "optimizer", "trainer", "sampling", "inference")
CALIBRATION = {"ece_raw": "ECE", "ece": "calibrated"}
TRACKING: dict[str, Any] = {"local": {}}  # where a configuration says nothing


def run_training(config: Mapping[str, Any], folder: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
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
        return _train(config, folder, say if processes.writes else _nothing, processes)


def _nothing(text: str) -> None:
    """What processes say that do not write."""


def _train(config: Mapping[str, Any], folder: Path, say: Callable[[str], None], processes: Processes) -> dict[str, Any]:
    for key in config:
        if key not in (*GROUPS, *NOT_IDENTITY, "seed"):
            raise ConfigError(f"{key} is not known; known: {', '.join((*GROUPS, *NOT_IDENTITY, 'seed'))}")
    settings = read_settings(TrainerSettings, "trainer", config["trainer"])
    optimizer = read_settings(OptimizerSettings, "optimizer", config["optimizer"])
    sampling = read_settings(Sampling, "sampling", config["sampling"])
    config, start = begun_with(config, say)
    channels = read_settings(InferenceSettings, "inference", config["inference"]).channels
    seed, device = config["seed"], pick_device(processes.device(config.get("device", "auto")))
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ConfigError(f"seed={seed}: a whole number from 0 to 2^63 - 1 is needed")
    if config.get("resume") not in (None, "auto"):
        raise ConfigError(f"resume={config['resume']} is not known; known: auto, null")
    trackers = read_tracking(config.get("tracking") or TRACKING)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    data = dict(config["dataset"])
    protocol = get_protocol(data["protocol"], data["kind"])
    normalisation = read_settings(Normalisation, "dataset.normalisation", data["normalisation"])
    augment = build_augmentation(config["augmentation"])
    train, val = dataset_from_config(data, "train"), _validation_split(data, say)
    torch.manual_seed(seed)
    segmenter, model_settings = _segmenter(config, start)
    for chosen in (sampling, settings.validation):
        segmenter.check(chosen)
    if segmenter.image_channels != 3:
        raise ConfigError("model.image_channels must be 3: the data sets have those")
    if segmenter.mask_channels != len(channels):
        names = ", ".join(channels)
        raise ConfigError(
            f"model.mask_channels={segmenter.mask_channels} does not go with inference.channels=[{names}]"
        )
    if settings.batch_size % processes.world:
        raise ConfigError(f"trainer.batch_size={settings.batch_size} must be a multiple of {processes.world} processes")
    wrong = None
    if processes.writes:
        try:
            check_folder(folder, config)
        except ConfigError as error:
            wrong = str(error)
    if wrong := processes.from_first(wrong):  # told by all: the others would only say that they lost the first
        raise ConfigError(wrong)
    facts, scale, looks = first_look(train, protocol, say)
    _check_sizes(config, facts, segmenter.size_multiple)
    if processes.writes:
        with atomic(folder / "config.yaml") as file:
            file.write(yaml.safe_dump(dict(config), sort_keys=False).encode())
    processes.wait()
    tracking = Tracking()
    if processes.writes:
        about = config.get("run") or {}
        tracking = start_tracking(
            trackers, Run(about.get("name", folder.name), folder, config, about.get("group"), say)
        )
    samples = TrainingSamples(train, normalisation, augment, seed, partial(_truth_of, protocol, channels))

    def artifact(weights: Segmenter) -> Artifact:
        return Artifact(
            weights,
            model_settings,
            config["diffusion"],
            normalisation,
            sampling,
            config["inference"],
            scale=scale,
            looks=looks,
            training={
                "data": data["kind"],
                "protocol": protocol.name,
                "images": len(train),
                "seed": seed,
                **_origin(start),
            },
        )

    validation = None
    if val is not None:
        validation = Validation(artifact, val, protocol, settings, device, folder / "panels", seed, tracking)
    trainer = Trainer(
        segmenter.to(device),
        samples,
        settings,
        optimizer,
        folder,
        seed=seed,
        identity=run_identity(config),
        validate=None if validation is None else validation.during,
        processes=processes,
        tracking=tracking,
    )
    if processes.from_first(trainer.last.exists()):
        if not trainer.last.exists():
            raise ConfigError(f"{trainer.last} is not there for process {processes.rank}: all need one shared folder")
        trainer.resume()
        done = trainer.state.step
        say(f"{folder} is finished, at step {done}" if trainer.finished else f"going on with {folder} at step {done}")
    parameters = sum(p.numel() for p in segmenter.parameters())
    say(
        f"{len(train)} images to train, {len(val or ())} to validate; {parameters:,} parameters; {device}, "
        f"{trainer.precision}; {trainer.steps} steps of {settings.batch_size}"
        f"{f' divided among {processes.world} processes' if processes.several else ''}; in {folder}"
    )
    try:
        state = trainer.run()
    except BaseException as error:
        tracking.finish({}, None)
        if not isinstance(error, KeyboardInterrupt):
            raise
        if trainer.saved_step is None:
            say("interrupted before the first checkpoint")
        else:
            say(f"interrupted, saved at step {trainer.saved_step}; the same command with resume=auto goes on")
        raise
    finally:
        if processes.writes:
            write_json(folder / "environment.json", environment(config, trainer.state.minutes, processes.world))
    score = state.best_dice if state.best_step else float("nan")
    result: dict[str, Any] = {"dice": score, "finished": trainer.finished, "folder": str(folder)}
    result["writes"] = processes.writes
    if not processes.writes:
        return result
    segmenter.load_state_dict(trainer.best_weights())
    best = artifact(segmenter.eval())
    minutes = round(state.minutes, 1)
    best = replace(best, training={**best.training, "steps": state.best_step or state.step, "minutes": minutes})
    result["model"] = str(save_artifact(best, folder / "model"))
    if not trainer.finished:
        say(
            f"stopped at step {state.step} of {trainer.steps} by trainer.max_minutes, saved; "
            "the same command with resume=auto goes on"
        )
    elif settings.final_evaluation and validation is not None:
        if settings.calibrate:
            best = validation.calibrated(best)
            save_artifact(best, folder / "model")
            fitted = best.inference
            values = f"temperature {fitted['temperature']:g}, threshold {fitted['threshold']:g}"
            say(f"{values}: fitted to the validation images, in the model")
        scores = validation.final(load_artifact(folder / "model"), state.step)
        write_json(folder / "validation.json", scores)
        result.update({name: mean_of(scores, name) for name in ("dice", "iou")})
        if scores["blank"]:
            say(
                "every validation mask is blank (all background or all object): the training was too short, or the "
                f"network has collapsed; {ADVICE}"
            )
        calibration = ", ".join(f"{what} {mean_of(scores, name):.4f}" for name, what in CALIBRATION.items())
        said = f"validation with {sampling.chains} chain(s): Dice {result['dice']:.4f}, IoU {result['iou']:.4f}"
        say(f"{said}, {calibration}")
    scored: dict[str, float] = {name: result[name] for name in ("dice", "iou") if name in result}
    tracking.finish(scored, folder / "model" if trainer.finished else None)
    say(f"model: {result['model']}")
    return result


def _truth_of(protocol: Protocol, channels: Sequence[str], sample: Sample) -> Sample:
    """A sample as the network is trained on it."""
    return with_channels(protocol.as_seen(sample), channels)


def environment(config: Mapping[str, Any], minutes: float, processes: int = 1) -> dict[str, Any]:
    """What a run needs to be told again: versions, commit, machine, seed, command, minutes of all calls."""
    return {
        "versions": versions(),
        "commit": _commit(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "processes": processes,
        "seed": config["seed"],
        "command": sys.argv,
        "minutes": round(minutes, 2),
    }


def _origin(start: Artifact | None) -> dict[str, Any]:
    """Where weights come from, what was spent on them before, and the licence that goes on with them."""
    if start is None:
        return {}
    earlier = {
        f"{name}_before": round(start.training.get(name, 0) + start.training.get(f"{name}_before", 0), 1)
        for name in ("steps", "minutes")
    }
    licence = start.training.get("license")
    return {"begun_with": start.identity, **earlier, **({"license": str(licence)} if licence else {})}


def _segmenter(config: Mapping[str, Any], start: Artifact | None) -> tuple[Segmenter, dict[str, Any]]:
    """The segmenter to train, and its `model` settings; with the weights of `start` where there is one."""
    model = {key: value for key, value in config["model"].items() if key not in ("init", "encoder_weights")}
    segmenter = build_segmenter(model, config["diffusion"])
    if start is not None:
        segmenter.load_state_dict(start.segmenter.state_dict())
    elif (weights := config["model"].get("encoder_weights")) is not None:
        load_encoder_weights(segmenter, weights)
    return segmenter, model


def _check_sizes(config: Mapping[str, Any], facts: Sequence[Facts], multiple: int) -> None:
    """ConfigError unless the network takes what training shows it: its sides are multiples of `multiple`."""
    crop = config["augmentation"].get("crop")
    if crop is not None:
        if crop % multiple:
            below, above = crop // multiple * multiple, -(-crop // multiple) * multiple
            use = f"{below} or {above}" if below else str(above)
            raise ConfigError(f"augmentation.crop={crop}: this network takes multiples of {multiple}: use {use}")
        return
    for f in facts:
        if any(side % multiple for side in f.size):
            size = " x ".join(map(str, f.size))
            raise ConfigError(
                f"{f.name} is {size} and this network takes multiples of {multiple}: give augmentation.crop"
            )


def _validation_split(data: Mapping[str, Any], say: Callable[[str], None]) -> Dataset | None:
    """The validation images; None, said so, where the data set has none: then the newest weights are the best."""
    try:
        return dataset_from_config(data, "val")
    except MissingError as error:
        say(f"no validation: {error}")
        return None


def _commit() -> str | None:
    """The commit of the checkout that the package lies in; None elsewhere."""
    here = Path(__file__).resolve().parents[2]
    try:
        out = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip() or None
