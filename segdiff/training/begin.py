"""To begin with the weights of a model (`model.init`): what of a configuration the model decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from segdiff.artifacts.folder import Artifact
from segdiff.artifacts.hub import from_pretrained
from segdiff.errors import ConfigError
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import DiffusionSettings
from segdiff.models.finer import finer_weights
from segdiff.settings import read_settings

# What a network was made to say and to be told; the terms of the loss and its draws are the training's.
OF_NETWORK = ("schedule", "steps", "signal_scale", "prediction", "condition", "rescale_times", "self_conditioning")


def begun_with(config: Mapping[str, Any], say: Callable[[str], None]) -> tuple[Mapping[str, Any], Artifact | None]:
    """The configuration with what `model.init` decides put in, and the model itself; None where there is none.

    A network only goes on from where it is: its own settings, what its mask channels mean, what it says at which noise
    and how its pictures are normalised come from the model. All else (data, loss, augmentation, sampling) is the
    configuration's. `model.finest=2` is the one wish of a configuration that changes a model: it goes on twice as fine
    (`segdiff.models.finer`).

    Raises:
        ConfigError: `model.encoder_weights` is given, too, or a model of another kind is asked for.
        MissingError, ArtifactError: no such model, or one that is refused.
    """
    name = config["model"].get("init")
    if name is None:
        return config, None
    if config["model"].get("encoder_weights") is not None:
        raise ConfigError("give model.init or model.encoder_weights, not both: one would undo the other")
    start = from_pretrained(name)
    asked, kind = config["model"].get("kind"), start.model.get("kind")
    if asked != kind:
        raise ConfigError(f"model.init={name} is a model of kind {kind}, not {asked}: choose model={kind}")
    if config["model"].get("finest") == 2 and start.model.get("finest", 4) == 4:
        start = _finer(start)
        say(f"{name} goes on twice as fine: it sees a picture as it saw those of twice the size")
    model = {**start.model, "init": name, "encoder_weights": None}
    diffusion = {**config["diffusion"], **{key: start.diffusion[key] for key in OF_NETWORK if key in start.diffusion}}
    try:
        read_settings(DiffusionSettings, "diffusion", diffusion)
    except ConfigError as error:
        says = start.diffusion.get("prediction", "epsilon")
        raise ConfigError(f"model.init={name} says {says}, which this loss does not go with: {error}") from error
    channels = list(start.inference.get("channels", ["mask"]))
    own = start.normalisation
    normalisation = {**asdict(own), "mean": _list(own.mean), "std": _list(own.std)}
    say(f"begins with {start.identity}: network, mask channels ({', '.join(channels)}) and normalisation are its own")
    return {
        **config,
        "model": model,
        "diffusion": diffusion,
        "inference": {**config["inference"], "channels": channels},
        "dataset": {**config["dataset"], "normalisation": normalisation},
    }, start


def _finer(start: Artifact) -> Artifact:
    """The model with finest=2: `segdiff.models.finer`."""
    weights = finer_weights(start.segmenter.state_dict(), start.segmenter.mask_channels)
    model = {**start.model, "finest": 2}
    segmenter = build_segmenter(model, start.diffusion)
    segmenter.load_state_dict(weights)
    return replace(start, segmenter=segmenter, model=model)


def _list(values: Any) -> list[float] | None:
    return None if values is None else list(values)
