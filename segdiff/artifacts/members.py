"""Several models as one folder: an ensemble with a name. Its members are folders in it, each a model of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segdiff.artifacts.card import model_card
from segdiff.artifacts.folder import (
    CARD,
    CONFIG,
    PANEL,
    WEIGHTS,
    Artifact,
    check_version,
    holds_only_a_model,
    keep_exports,
    load_artifact,
    read_config,
    save_artifact,
)
from segdiff.artifacts.formats import FORMAT_VERSION
from segdiff.artifacts.whole import whole_folder
from segdiff.errors import ArtifactError, ConfigError
from segdiff.settings import plain

KEYS = ("format_version", "members", "inference", "training")
INFERENCE_KEYS = ("temperature", "threshold")
# Beside them: intervals of area and count, confidence of objects.
MAY_LACK: dict[str, Any] = {"conformal": Mapping, "confidence": Sequence}
NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # of a folder right inside: no path leads elsewhere


@dataclass
class EnsembleArtifact:
    """Models that predict together (`segdiff.inference.ensemble.Ensemble`).

    Args:
        members: by the names of their folders, in order; two or more.
        inference: "temperature" and "threshold" of what they say together, and "conformal" (intervals of area and
            count) if fitted; empty: each member has its own, and there are no intervals.
        training: what is worth telling of all of them, as `Artifact.training`.
        identity: name and hash of the members; empty until loaded.
        path: of the folder that it was loaded from.
    """

    members: Mapping[str, Artifact]
    inference: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    path: Path | None = None


def is_ensemble(folder: str | Path) -> bool:
    """Whether a folder is that of an ensemble; of what is no model at all `load_artifact` says what is wrong."""
    folder = Path(folder)
    if (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        return False
    try:
        return "members" in read_config(folder)
    except ArtifactError:
        return False


def save_ensemble(ensemble: EnsembleArtifact, folder: str | Path) -> Path:
    """Write the folder; an older ensemble there is replaced only when the new one is whole.

    Raises:
        ConfigError: fewer than two members, or a name that is not one of a folder.
        ArtifactError: the folder exists and holds something else.
        OutputError: it cannot be written.
    """
    folder, names = Path(folder), list(ensemble.members)
    if said := _wrong_names(names) or _wrong_numbers(ensemble.inference):
        raise ConfigError(said)
    if folder.exists() and not _ours(folder):
        raise ArtifactError(f"{folder} exists and holds other things than an ensemble: choose another name")
    with whole_folder(folder) as new:
        for name, artifact in ensemble.members.items():
            save_artifact(artifact, new / name)
            keep_exports(folder / name, new / name)
        content = {
            "format_version": FORMAT_VERSION,
            "members": names,
            "inference": plain(ensemble.inference),
            "training": plain(ensemble.training),
        }
        (new / CONFIG).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        (new / CARD).write_text(model_card(ensemble.training, members=names), encoding="utf-8")
    return folder


def load_ensemble(folder: str | Path) -> EnsembleArtifact:
    """Read an ensemble's folder with all its members.

    Raises:
        MissingError: a file of it or of a member is not there.
        ArtifactError: it is of a newer format, names no two folders right inside it, or a member is refused.
    """
    folder = Path(folder)
    config, path = read_config(folder), folder / CONFIG
    check_version(config, path)
    for key in config:
        if key not in KEYS:
            raise ArtifactError(f"{path}: {key} is not known; known in an ensemble: {', '.join(KEYS)}")
    training, inference = config.get("training") or {}, config.get("inference") or {}
    if said := _wrong_names(config.get("members")) or _wrong_numbers(inference):
        raise ArtifactError(f"{path}: {said}")
    if not isinstance(training, dict):
        raise ArtifactError(f"{path}: training is not a mapping")
    members = {name: load_artifact(folder / name) for name in config["members"]}
    deciding = [artifact.identity for artifact in members.values()] + [f"{k}={inference[k]}" for k in sorted(inference)]
    digest = hashlib.sha256(" ".join(deciding).encode()).hexdigest()[:12]
    return EnsembleArtifact(members, inference, training, f"{folder.resolve().name}@{digest}", folder)


def _wrong_names(names: Any) -> str:
    """What is wrong with the names of members; empty if nothing is."""
    if not isinstance(names, list) or len(names) < 2:
        return "members: two or more folders of models are needed"
    if wrong := [name for name in names if not isinstance(name, str) or not NAME.fullmatch(name)]:
        return f"members: {wrong[0]!r} is not the name of a folder (letters, digits, _, - and dots)"
    twice = {name for name in names if names.count(name) > 1}
    return f"members: {sorted(twice)[0]} is there twice" if twice else ""


def _wrong_numbers(inference: Any) -> str:
    """Likewise of the temperature and threshold of all."""
    if not isinstance(inference, Mapping) or set(inference) - set(MAY_LACK) not in (set(), set(INFERENCE_KEYS)):
        return f"inference: {' and '.join(INFERENCE_KEYS)} are needed, or nothing"
    for name in (name for name in MAY_LACK if name in inference):
        if not isinstance(inference[name], MAY_LACK[name]) or not set(inference) - set(MAY_LACK):
            kind = "a mapping" if MAY_LACK[name] is Mapping else "a list"
            return f"inference.{name}: {kind}, beside {' and '.join(INFERENCE_KEYS)}, is needed"
    numbers = {k: v for k, v in inference.items() if k in INFERENCE_KEYS}
    wrong = [f"{k}={v}" for k, v in numbers.items() if isinstance(v, bool) or not isinstance(v, (int, float))]
    if wrong or not numbers:
        return f"inference.{wrong[0]}: it must be a number" if wrong else ""
    temperature, threshold = (inference[key] for key in INFERENCE_KEYS)
    if not 0 < temperature < float("inf"):
        return f"inference.temperature={temperature}: it must be a positive number"
    return "" if 0 <= threshold <= 1 else f"inference.threshold={threshold}: probabilities lie between 0 and 1"


def _ours(folder: Path) -> bool:
    """Whether nothing is lost if an ensemble takes the folder's place."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return folder.is_dir()
    if not is_ensemble(folder):
        return False
    names = read_config(folder)["members"]
    if _wrong_names(names) or {path.name for path in folder.iterdir()} - {CONFIG, CARD, PANEL, *names}:
        return False
    return all(holds_only_a_model(folder / name) for name in names)
