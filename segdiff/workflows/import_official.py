"""A checkpoint of the published code in, an artifact out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segdiff.artifacts.folder import Artifact
from segdiff.data.protocols import get_protocol
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import DiffusionSegmenter
from segdiff.models.normalisation import Normalisation
from segdiff.models.official import config_from_official, load_official
from segdiff.settings import read_settings

PRESETS = ("monuseg", "vaihingen", "cityscapes")
ARGS = "args.json"
# What args.json may say of the network, by our name: told by the tensors too, so that it must agree.
NETWORK_ARGS = {
    "num_channels": "channels",
    "num_res_blocks": "num_res_blocks",
    "rrdb_blocks": "rrdb_blocks",
    "learn_sigma": "learned_variance",
    "use_scale_shift_norm": "scale_shift_norm",
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "num_heads": int,
    "num_heads_upsample": int,
    "dropout": (int, float),
    "diffusion_steps": int,
    "noise_schedule": str,
    "predict_xstart": bool,
    "rescale_timesteps": bool,
    "sigma_small": bool,
    "timestep_respacing": str,
    "clip_denoised": bool,
}


def import_official(
    checkpoint: str | Path, config: Mapping[str, Any], name: str = "", args: str | Path | None = None
) -> tuple[Artifact, list[str]]:
    """Make an artifact of a published checkpoint.

    Tensors say what the network is; `args.json`, which the published training leaves beside its checkpoints, how
    it was trained; the configuration what neither says (all of it where there is no args.json).

    Args:
        checkpoint: a bare state dict by `torch.save` (ema*.pt or model*.pt), or the same as .safetensors.
        config: of the published experiment, as `conf/` composes it: its groups `model` (number of heads and
            dropout only), `diffusion`, `sampling`, `inference` and `dataset` (kind, normalisation).
        name: of that experiment, for the model card.
        args: another place of args.json; None: beside the checkpoint, if it is there.
    Returns:
        The artifact and, for a person, lines about what is not as the configuration has it.
    Raises:
        MissingError: no such file. DataError: not a state dict, or one that carries code.
        ConfigError: tensors that do not make the published network, an args.json of another checkpoint, or
            settings that are not supported.
    """
    checkpoint = Path(checkpoint)
    tensors = read_state_dict(checkpoint)
    path = checkpoint.with_name(ARGS) if args is None else Path(args)
    said = read_args(path) if args is not None or path.is_file() else {}
    try:
        model, diffusion, sampling, notes = _settings(tensors, config, said)
        segmenter = build_segmenter(model, diffusion, config["target"])
        assert isinstance(segmenter, DiffusionSegmenter)
        load_official(segmenter.network, tensors)
        chosen = read_settings(Sampling, "sampling", sampling)
        segmenter.check(chosen)
    except ConfigError as error:
        raise ConfigError(f"{checkpoint}{f' with {path}' if said else ''}: {error}") from error
    artifact = Artifact(
        segmenter.eval(),
        model,
        diffusion,
        read_settings(Normalisation, "normalisation", config["dataset"]["normalisation"]),
        chosen,
        config["inference"],
        scale={"mpp": _mpp(config["dataset"]), "object_diameter_px": None},
        training={
            "source": f"{checkpoint.name}, a checkpoint of the published code (tomeramit/SegDiff)",
            "preset": name or None,
            "data": config["dataset"]["kind"],
            "protocol": config["dataset"]["protocol"],
        },
    )
    return artifact, notes


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, float32, on the CPU. Nothing in the file is executed.

    Raises:
        MissingError: no such file. DataError: not a state dict, or a pickle that carries code.
    """
    if not path.is_file():
        raise MissingError(f"{path} is not a file; give the checkpoint itself, such as ema.pt")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} holds more than tensors and is refused: a checkpoint is a bare state dict") from error
    except Exception as error:  # torch and safetensors raise whatever their parsers meet in a damaged file
        raise DataError(f"{path} is not a checkpoint by torch.save: {' '.join(str(error).split())[:120]}") from error
    if isinstance(found, dict) and {"state", "param_groups"} <= set(found):
        raise DataError(f"{path} is the state of an optimizer; the weights are in ema*.pt and model*.pt")
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{path} is not a state dict: names with a tensor each")
    return {str(name).removeprefix("module."): tensor.float() for name, tensor in found.items()}


def read_args(path: Path) -> dict[str, Any]:
    """The settings that the published training wrote down; keys that do not matter here are kept too.

    Raises:
        MissingError, DataError: not there, or not a JSON object with values of the expected types.
    """
    if not path.is_file():
        raise MissingError(f"{path} is not a file")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON ({error})") from error
    if not isinstance(said, dict):
        raise DataError(f"{path} does not hold settings by name")
    for key, kind in TYPES.items():
        if key in said and (not isinstance(said[key], kind) or (isinstance(said[key], bool) and kind is not bool)):
            raise DataError(f"{path}: {key} is {said[key]!r}, which it cannot be")
    return said


def _settings(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]:
    """The groups model, diffusion and sampling, and notes."""
    heads = said.get("num_heads", config["model"]["num_heads"])
    if said.get("num_heads_upsample", -1) not in (-1, heads):
        raise ConfigError(f"num_heads_upsample={said['num_heads_upsample']}: only one number of heads is supported")
    network = config_from_official(tensors, heads)
    for theirs, ours in NETWORK_ARGS.items():
        if theirs in said and said[theirs] != getattr(network, ours):
            raise ConfigError(
                f"{theirs} is {said[theirs]}, but the tensors have {getattr(network, ours)}: "
                "this args.json is of another checkpoint"
            )
    model = {"kind": "segdiff", **asdict(network), "dropout": said.get("dropout", config["model"]["dropout"])}
    diffusion, sampling = dict(config["diffusion"]), dict(config["sampling"])
    if network.learned_variance:
        sampling["variance"] = "learned"
    elif "sigma_small" in said:
        sampling["variance"] = "small" if said["sigma_small"] else "large"
    for theirs, group, ours in (
        ("diffusion_steps", diffusion, "steps"),
        ("noise_schedule", diffusion, "schedule"),
        ("rescale_timesteps", diffusion, "rescale_times"),
        ("clip_denoised", sampling, "clip"),
    ):
        if theirs in said:
            group[ours] = said[theirs]
    if "predict_xstart" in said:
        diffusion["prediction"] = "x_0" if said["predict_xstart"] else "epsilon"
    if said.get("timestep_respacing"):
        sampling["times"] = said["timestep_respacing"]
    notes = [
        f"{group}.{key} is {found[key]} (the published experiment: {wanted[key]})"
        for group, found, wanted in (
            ("model", model, config["model"]),
            ("diffusion", diffusion, config["diffusion"]),
            ("sampling", sampling, config["sampling"]),
        )
        for key in found
        if key in wanted and _comparable(found[key]) != _comparable(wanted[key])
    ]
    return model, diffusion, sampling, notes


def _comparable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _mpp(dataset: Mapping[str, Any]) -> float | None:
    """Micrometres per pixel that a model of the published protocol sees; known of MoNuSeg alone."""
    if dataset["kind"] != "monuseg":
        return None
    from segdiff.data.datasets.monuseg import MPP, SIDE

    mpp = get_protocol(dataset["protocol"], "monuseg").mpp(MPP, SIDE)
    return None if mpp is None else round(mpp, 6)
