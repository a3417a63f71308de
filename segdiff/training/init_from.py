"""Go on from the weights of a model (`trainer.init_from`): the model, and what of a configuration it decides."""

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


def load_start(name: str, model: Mapping[str, Any], say: Callable[[str], None]) -> Artifact:
    """Load the model that a training goes on from.

    Args:
        name: a folder, a name of a model that ships, or "owner/name" on the hub.
        model: the group `model` of the training. Its `kind` must be the model's; `finest: 2` is the one wish of it
            that changes a model, which then goes on twice as fine (`segdiff.models.finer`).
        say: takes lines for a person.
    Raises:
        ConfigError: a model of another kind.
        MissingError, ArtifactError: no such model, or one that is refused.
    """
    start = from_pretrained(name)
    asked, kind = model.get("kind"), start.model.get("kind")
    if asked != kind:
        raise ConfigError(f"trainer.init_from={name} is a model of kind {kind}, not {asked}: choose model={kind}")
    if model.get("finest") == 2 and start.model.get("finest", 4) == 4:
        start = _finer(start)
        say(f"{name} goes on twice as fine: it sees a picture as it saw those of twice the size")
    return start


def decided_by(start: Artifact, config: Mapping[str, Any]) -> dict[str, Any]:
    """Put what the model decides into the configuration of a training that goes on from it.

    A network only goes on from where it is: its own settings, its target, what it says at which noise
    and how its images are normalised are the model's. All else (data, loss, augmentation, sampling) is the
    configuration's.

    Raises:
        ConfigError: a loss that does not go with what the network says.
    """
    diffusion = {**config["diffusion"], **{key: start.diffusion[key] for key in OF_NETWORK if key in start.diffusion}}
    try:
        read_settings(DiffusionSettings, "diffusion", diffusion)
    except ConfigError as error:
        name, says = config["trainer"]["init_from"], start.diffusion.get("prediction", "epsilon")
        raise ConfigError(f"trainer.init_from={name} says {says}, which this loss does not go with: {error}") from error
    own = start.normalisation
    normalisation = {**asdict(own), "mean": _list(own.mean), "std": _list(own.std)}
    return {
        **config,
        "model": dict(start.model),
        "diffusion": diffusion,
        "target": start.target,
        "dataset": {**config["dataset"], "normalisation": normalisation},
    }


def origin(start: Artifact | None) -> dict[str, Any]:
    """Say where weights come from, what was spent on them before, and the licence that goes on with them."""
    if start is None:
        return {}
    earlier = {
        f"{name}_before": round(start.training.get(name, 0) + start.training.get(f"{name}_before", 0), 1)
        for name in ("steps", "minutes")
    }
    licence = start.training.get("license")
    return {"begun_with": start.identity, **earlier, **({"license": str(licence)} if licence else {})}


def _finer(start: Artifact) -> Artifact:
    """Rebuild the model with finest=2."""
    weights = finer_weights(start.segmenter.state_dict(), start.segmenter.mask_channels)
    model = {**start.model, "finest": 2}
    segmenter = build_segmenter(model, start.diffusion, start.target)
    segmenter.load_state_dict(weights)
    return replace(start, segmenter=segmenter, model=model)


def _list(values: Any) -> list[float] | None:
    return None if values is None else list(values)
