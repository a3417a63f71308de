"""A trained model as a folder: `model.safetensors`, `config.yaml`, `README.md`. Tensors and plain values, no code."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segdiff.artifacts.card import model_card
from segdiff.artifacts.formats import FORMAT_VERSION, as_hashed, to_targets
from segdiff.artifacts.whole import whole_folder
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ArtifactError, ConfigError, MissingError, OutputError
from segdiff.inference.options import InferenceSettings
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter
from segdiff.settings import plain, read_settings
from segdiff.targets.build import target_settings

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.yaml", "README.md"
PANEL = "examples.png"  # a picture that the card may show
EXPORTS = "onnx"  # a folder of files for other runtimes (`segdiff.artifacts.exports`)
NOT_STORED = ("segmenter", "identity", "path")  # fields of an `Artifact` that `config.yaml` does not hold
SCALE_KEYS = ("mpp", "object_diameter_px")


@dataclass
class Artifact:
    """A segmenter with all that prediction needs.

    Args:
        segmenter: with its weights.
        model: the configuration of the network it was built from (`segdiff.models.build`).
        diffusion: likewise.
        normalisation: as trained.
        sampling: the default of prediction.
        inference: window (pixels), overlap (share of a window), weights ("gaussian" | "constant"), threshold,
            temperature, grid (height, width that pictures are resized to, or null), class_name (what one object is),
            conformal (how area and count become intervals), confidence (of objects, likewise).
        scale: mpp (micrometres per pixel it was trained at) and object_diameter_px; None where unknown.
        training: what is worth telling of its training; for the model card and `segdiff models`.
        identity: name and hash of the weights and settings; empty until saved or loaded.
        path: of the folder that it was loaded from.
        looks: the range of what training pictures look like (`segdiff.inference.looks`); empty where unknown.
    """

    segmenter: Segmenter
    model: Mapping[str, Any]
    diffusion: Mapping[str, Any]
    normalisation: Normalisation
    sampling: Sampling
    inference: Mapping[str, Any]
    scale: Mapping[str, Any] = field(default_factory=lambda: {"mpp": None, "object_diameter_px": None})
    training: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    path: Path | None = None
    looks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> dict[str, Any]:
        """What the segmenter predicts, as plain settings."""
        return target_settings(self.segmenter.target)


STORED = tuple(f.name for f in fields(Artifact) if f.name not in NOT_STORED)
KEYS = ("format_version", "target", *STORED)
MAY_LACK = ("training", "looks")
INFERENCE_KEYS = tuple(f.name for f in fields(InferenceSettings))
# All models say these; what came later has the default of `InferenceSettings` where a model does not say it.
INFERENCE_LEAST = ("window", "overlap", "weights", "threshold")


def save_artifact(artifact: Artifact, folder: str | Path) -> Path:
    """Write the folder; an older artifact there is replaced only when the new one is whole.

    Raises:
        ArtifactError: the folder exists and holds something else.
        OutputError: it cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not holds_only_a_model(folder):
        raise ArtifactError(f"{folder} exists and holds other things than a model: choose another name")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in artifact.segmenter.state_dict().items()}
    with whole_folder(folder) as new:
        try:
            save_file(weights, new / WEIGHTS)
        except SafetensorError as error:
            raise OutputError(f"{folder} cannot be written: {error}") from error
        (new / CONFIG).write_text(yaml.safe_dump(_config(artifact), sort_keys=False), encoding="utf-8")
        (new / CARD).write_text(model_card(artifact.training, artifact.scale), encoding="utf-8")
        keep_exports(folder, new)
    return folder


def holds_only_a_model(folder: Path) -> bool:
    """Whether there is nothing in a folder but files of a model, or nothing at all."""
    files = {WEIGHTS, CONFIG, CARD, PANEL, EXPORTS}
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= files


def keep_exports(old: Path, new: Path) -> None:
    """Copy the exports of a model that is written again as it is: they are still its own."""
    if _same(old, new) and (old / EXPORTS).is_dir():
        shutil.copytree(old / EXPORTS, new / EXPORTS)


def load_artifact(folder: str | Path) -> Artifact:
    """Read a model folder; the segmenter is in evaluation mode on the CPU.

    Raises:
        MissingError: no such folder, or a file of it is missing.
        ArtifactError: another format version, a key or kind that is not known, or tensors that do not fit.
    """
    folder = Path(folder)
    _check_there(folder, CONFIG, WEIGHTS)
    written = read_config(folder)
    config = _checked(written, folder / CONFIG)
    try:
        segmenter = build_segmenter(config["model"], config["diffusion"], config["target"])
        normalisation = read_settings(Normalisation, "normalisation", config["normalisation"])
        sampling = read_settings(Sampling, "sampling", config["sampling"])
        segmenter.check(sampling)
    except ConfigError as error:
        raise ArtifactError(f"{folder / CONFIG}: {error}") from error
    try:
        segmenter.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS} does not fit {CONFIG}: {said}") from error
    return Artifact(
        segmenter.eval(),
        config["model"],
        config["diffusion"],
        normalisation,
        sampling,
        config["inference"],
        config["scale"],
        config.get("training") or {},
        identity=f"{folder.resolve().name}@{_hash(folder, written)}",
        path=folder,
        looks=config.get("looks") or {},
    )


def read_config(folder: str | Path) -> dict[str, Any]:
    """What the `config.yaml` of a model folder says, of a network or of an ensemble; not yet checked further.

    Raises:
        MissingError: there is none. ArtifactError: it is not plain YAML, or not of segdiff.
    """
    path = Path(folder) / CONFIG
    _check_there(Path(folder), CONFIG)
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ArtifactError(f"{path}: not plain YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict) or "format_version" not in config:
        raise ArtifactError(f"{path}: not a segdiff model (no format_version)")
    return config


def check_version(config: Mapping[str, Any], path: Path) -> None:
    """Raises ArtifactError unless the file at `path` is of a format that this segdiff reads."""
    version = config["format_version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ArtifactError(f"{path}: format_version={version} never was; this segdiff writes {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ArtifactError(f"{path}: format version {version}; this segdiff reads {FORMAT_VERSION}: update segdiff")


def _check_there(folder: Path, *names: str) -> None:
    """That a model's files are there; where not, which folders in it have them: of a run, or of an ensemble."""
    for name in names:
        if not (folder / name).is_file():
            inside = sorted(path.parent for path in folder.glob(f"*/{WEIGHTS}"))
            hint = f"; did you mean {' or '.join(map(str, inside))}?" if 0 < len(inside) < 5 else ""
            raise MissingError(f"{folder} is not a model folder: {name} is not there{hint}")


def _config(artifact: Artifact) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, **{name: plain(getattr(artifact, name)) for name in KEYS[1:]}}


class _PlainLoader(yaml.SafeLoader):
    """Plain values, each written out: a few lines of references can stand for more than a memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference, *name, is not taken")
        return super().compose_node(parent, index)


def _checked(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The configuration as this version writes it; ArtifactError for what cannot be."""
    for group in ("model", "diffusion"):
        if not isinstance(config.get(group), dict):
            raise ArtifactError(f"{path}: {group} is not a mapping")
    check_version(config, path)
    if config["format_version"] == 1:
        config = _migrated(config, path)
    _check_keys(config, KEYS, MAY_LACK, "", path)
    later = tuple(key for key in INFERENCE_KEYS if key not in INFERENCE_LEAST)
    _check_keys(config["inference"], INFERENCE_KEYS, later, "inference.", path)
    _check_keys(config["scale"], SCALE_KEYS, (), "scale.", path)
    if not isinstance(config["target"], dict):
        raise ArtifactError(f"{path}: target is not a mapping")
    for key, value in config["scale"].items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
        if value is not None and not number:
            raise ArtifactError(f"{path}: scale.{key}={value}: a number above 0 or null is needed")
    looks = config.get("looks") or {}
    if not isinstance(looks, dict) or not all(_is_range(values) for values in looks.values()):
        raise ArtifactError(f"{path}: looks is not a mapping of ranges, [least, greatest]")
    return dict(config)


def _migrated(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A configuration of format 1 as this version writes it."""
    known = tuple(key for key in KEYS if key != "target")
    _check_keys(config, known, MAY_LACK, "", path)
    if not isinstance(config["inference"], dict):
        raise ArtifactError(f"{path}: inference is not a mapping")
    try:
        return to_targets(config)
    except ConfigError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _is_range(values: Any) -> bool:
    numbers = isinstance(values, list) and len(values) == 2
    return numbers and all(isinstance(v, (int, float)) and abs(v) < float("inf") for v in values)


def _check_keys(found: Any, known: Sequence[str], may_lack: Sequence[str], prefix: str, path: Path) -> None:
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: {prefix[:-1] or 'the file'} is not a mapping")
    for key in found:
        if key not in known:
            raise ArtifactError(f"{path}: {prefix}{key} is not known; known: {', '.join(known)}")
    for key in known:
        if key not in found and key not in may_lack:
            raise ArtifactError(f"{path}: {prefix}{key} is missing")


def _same(one: Path, other: Path) -> bool:
    """Whether both are models of the same weights and settings, in whatever format they are written."""
    try:
        return _hash(one, read_config(one)) == _hash(other, read_config(other))
    except (MissingError, ArtifactError, OSError):
        return False


def _hash(folder: Path, config: Mapping[str, Any]) -> str:
    """Of what decides a prediction: not of what is told about the training, which a card may yet add to."""
    settings = {key: value for key, value in as_hashed(config).items() if key != "training"}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update((folder / WEIGHTS).read_bytes())
    return digest.hexdigest()[:12]
