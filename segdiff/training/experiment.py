"""An experiment: all that a training is made of, built and checked from a configuration before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from segdiff.artifacts.folder import Artifact
from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import Dataset, Sample, dataset_from_config
from segdiff.data.loader import TrainingSamples
from segdiff.data.protocols import Protocol, get_protocol
from segdiff.errors import ConfigError, MissingError
from segdiff.models.build import build_segmenter, check_channels
from segdiff.models.device import pick_device
from segdiff.models.normalisation import Normalisation
from segdiff.models.pretrained import load_encoder_weights
from segdiff.models.segmenter import Segmenter
from segdiff.settings import read_settings
from segdiff.targets.base import Target
from segdiff.training.distributed import Processes
from segdiff.training.first_look import Looks, Scale, first_look, look_at_validation
from segdiff.training.former_names import rename_settings
from segdiff.training.identity import recorded_config, run_identity
from segdiff.training.init_from import decided_by, load_start, origin
from segdiff.training.options import TrainOptions, read_options
from segdiff.training.recorded_split import Split, check_split, split_of
from segdiff.training.run_folder import RunFolder
from segdiff.training.tracking import read_tracking
from segdiff.workflows.check.facts import Facts

Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """A training that can begin.

    Attributes:
        options: what was asked for, with what `start` decides put in.
        config: the same as plain values; those of the network and of inference go into the model as they are.
        recorded: what `config.yaml` of the run says; it decides the run's identity.
        split: names of the images that train and of those that validate, which the run is recorded with.
        folder: of the run.
        processes: that train together.
        device: of this process.
        segmenter: to train, on its device.
        samples: training sample n, for every n.
        validation: images to validate on; None where the data set has none.
        protocol: how images reach the model and how its masks are scored.
        normalisation: of images.
        scale, looks: of the training images, stored in the model.
        start: the model that it goes on from; None where it goes on from none.
    """

    options: TrainOptions
    config: Mapping[str, Any]
    recorded: Mapping[str, Any]
    split: Split
    folder: RunFolder
    processes: Processes
    device: torch.device
    segmenter: Segmenter
    samples: TrainingSamples
    validation: Dataset | None
    protocol: Protocol
    normalisation: Normalisation
    scale: Scale
    looks: Looks
    start: Artifact | None

    def artifact(self, weights: Segmenter) -> Artifact:
        """Wrap a segmenter with these weights into a model with all that prediction needs."""
        training = {
            "data": self.options.dataset["kind"],
            "protocol": self.protocol.name,
            "images": len(self.samples.dataset),
            "seed": self.options.seed,
            **origin(self.start),
        }
        return Artifact(
            weights,
            self.config["model"],
            self.config["diffusion"],
            self.normalisation,
            self.options.sampling,
            self.config["inference"],
            scale=self.scale,
            looks=self.looks,
            training=training,
        )


def build_experiment(config: Mapping[str, Any], folder: Path, processes: Processes, say: Say) -> Experiment:
    """Build and check all that a training is made of; nothing is written.

    Args:
        config: as `conf/` composes it, plain values; former names of settings are taken.
        folder: of the run.
        processes: that train together, of which this is one.
        say: takes lines for a person.
    Raises:
        ConfigError, MissingError, ArtifactError, DataError: the configuration, the model that it goes on from or the
            data cannot be.
    """
    config, options, start = _resolved(config, say)
    device = pick_device(processes.device(options.device))
    read_tracking(options.tracking)
    if options.trainer.threads is not None:
        torch.set_num_threads(options.trainer.threads)
    protocol = get_protocol(options.dataset["protocol"], options.dataset["kind"])
    normalisation = read_settings(Normalisation, "dataset.normalisation", options.dataset["normalisation"])
    augment = build_augmentation(options.augmentation)
    train, validation = dataset_from_config(options.dataset, "train"), _validation_split(options.dataset, say)
    split = split_of(train, validation)
    segmenter = _segmenter(options, start)
    _check_network(segmenter, options)
    _check_batch(options.trainer.batch_size, processes)
    recorded = _recorded(folder, config, split, processes)
    facts, scale, looks = first_look(train, protocol, say)
    _check_sizes(options.augmentation, facts, segmenter.size_multiple)
    validation = look_at_validation(validation, options.trainer.validation_images, say)
    prepare = partial(_as_trained, protocol, segmenter.target)
    return Experiment(
        options,
        config,
        recorded,
        split,
        RunFolder(folder, run_identity(recorded)),
        processes,
        device,
        segmenter.to(device),
        TrainingSamples(
            train,
            normalisation,
            augment,
            options.seed,
            prepare,
            crop_statistics=augment.settings.crop_statistics,
            draws=segmenter.noise_draws,
        ),
        validation,
        protocol,
        normalisation,
        scale,
        looks,
        start,
    )


def _resolved(config: Mapping[str, Any], say: Say) -> tuple[dict[str, Any], TrainOptions, Artifact | None]:
    """Read the configuration, and load the model that it goes on from and put in what that decides."""
    config = rename_settings(config, say)
    options = read_options(config)  # a slip is told before a model is loaded
    name = options.trainer.init_from
    if name is None:
        return config, options, None
    start = load_start(name, options.model, say)
    config = decided_by(start, config)
    say(f"begins with {start.identity}: network, target ({start.target['kind']}) and normalisation are its own")
    return config, read_options(config), start


def _segmenter(options: TrainOptions, start: Artifact | None) -> Segmenter:
    """Build the segmenter: with random weights, those of `start`, or pretrained ones in its encoder."""
    torch.manual_seed(options.seed)
    segmenter = build_segmenter(options.model, options.diffusion, options.target)
    if start is not None:
        segmenter.load_state_dict(start.segmenter.state_dict())
    elif options.trainer.encoder_weights is not None:
        load_encoder_weights(segmenter, options.trainer.encoder_weights)
    return segmenter


def _check_network(segmenter: Segmenter, options: TrainOptions) -> None:
    """ConfigError unless the network goes with the sampling, the images and the target."""
    for sampling in (options.sampling, options.trainer.validation):
        segmenter.check(sampling)
    if segmenter.image_channels != 3:
        raise ConfigError("model.image_channels must be 3: the data sets have those")
    check_channels(segmenter)


def _check_batch(batch_size: int, processes: Processes) -> None:
    if batch_size % processes.world:
        raise ConfigError(f"trainer.batch_size={batch_size} must be a multiple of {processes.world} processes")


def _check_sizes(augmentation: Mapping[str, Any], facts: Sequence[Facts], multiple: int) -> None:
    """ConfigError unless the network takes what training shows it: its sides are multiples of `multiple`."""
    crop = augmentation.get("crop")
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


def _validation_split(data: Mapping[str, Any], say: Say) -> Dataset | None:
    """Return the validation images; None, said so, where there are none: then the newest weights are the best."""
    try:
        return dataset_from_config(data, "val")
    except MissingError as error:
        say(f"no validation: {error}")
        return None


def _recorded(folder: Path, config: Mapping[str, Any], split: Split, processes: Processes) -> dict[str, Any]:
    """Ask the process that writes what the folder holds, and give all its answer: else they would wait for it."""
    recorded, wrong = None, None
    if processes.writes:
        try:
            found = recorded_config(folder, config)
            check_split(folder, split)
            recorded = found
        except ConfigError as error:
            wrong = str(error)
    recorded, wrong = processes.from_first((recorded, wrong))
    if recorded is None:
        raise ConfigError(wrong)
    return recorded


def _as_trained(protocol: Protocol, target: Target, sample: Sample) -> Sample:
    """Turn a sample into what the network is trained on."""
    return target.encode(protocol.as_seen(sample))
