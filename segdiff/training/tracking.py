"""Experiment trackers beside the files that every run writes. Each package is imported only when it is chosen."""

from __future__ import annotations

import json
import netrc
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from segdiff.data.datasets.base import Sample
from segdiff.data.images import to_rgb
from segdiff.data.writers import write_json
from segdiff.errors import ConfigError
from segdiff.inference.prediction import Prediction
from segdiff.settings import read_settings

Shown = Sequence[tuple[Sample, Prediction]]


@dataclass(frozen=True)
class Run:
    """What a tracker is told of a run.

    Attributes:
        name: for people.
        folder: of the run; what a tracker must remember lies in it.
        config: plain values.
        group: of a sweep; None for a single run.
        say: takes lines for a person.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    group: str | None
    say: Callable[[str], None]


class Tracker(ABC):
    """Takes the curves and pictures of one run."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step: the columns of metrics.csv that have a value."""

    @abstractmethod
    def pictures(self, step: int, panel: Path, shown: Shown) -> None:
        """Validation images with their predictions, and the panel drawn of them."""

    @abstractmethod
    def finish(self, summary: Mapping[str, float], model: Path | None) -> None:
        """The run has ended, or this call of it: its scores so far, and the model folder if it is complete."""


@dataclass(frozen=True)
class WandbSettings:
    """A choice of `conf/tracking/wandb.yaml`."""

    project: str = "segdiff"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    mode: str = "auto"
    log_model: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "online", "offline"):
            raise ConfigError(f"tracking.wandb.mode={self.mode} is not known; known: auto, online, offline")


class WandbTracker(Tracker):
    """Weights & Biases; a resumed run goes on under the id that lies in the run folder."""

    def __init__(self, run: Run, settings: WandbSettings) -> None:
        import wandb

        self._wandb, self._settings, self._say = wandb, settings, run.say
        offline = settings.mode == "offline" or (settings.mode == "auto" and (_told_offline() or not _has_key()))
        self._run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            group=settings.group or run.group,
            tags=list(settings.tags),
            name=run.name,
            id=_remembered_id(run.folder),
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            mode="offline" if offline else "online",
            settings=wandb.Settings(silent=True),
        )
        if offline:
            why = "as asked" if settings.mode == "offline" or _told_offline() else "no key is set"
            run.say(f"wandb is offline ({why}); upload later: wandb login, wandb sync {run.folder}/wandb/offline-run-*")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def pictures(self, step: int, panel: Path, shown: Shown) -> None:
        names = {0: "background", 1: "object"}
        images = []
        for sample, prediction in shown:
            masks = {
                key: {"mask_data": np.asarray(mask, np.uint8), "class_labels": names}
                for key, mask in (("prediction", prediction.mask), ("truth", sample.mask.any(axis=(0, 1))))
            }
            picture = to_rgb(sample.image).astype(np.uint8)
            images.append(self._wandb.Image(picture, masks=masks, caption=sample.name))
        logged: dict[str, Any] = {"validation/masks": images}
        for key in ("probability", "uncertainty"):
            maps = [(sample.name, getattr(prediction, key)) for sample, prediction in shown]
            kept = [self._wandb.Image(_grey(values), caption=name) for name, values in maps if values is not None]
            if kept:
                logged[f"validation/{key}"] = kept
        if panel.is_file():
            logged["validation/panel"] = self._wandb.Image(str(panel))
        self._run.log(logged, step=step)

    def finish(self, summary: Mapping[str, float], model: Path | None) -> None:
        self._run.summary.update(dict(summary))
        if self._settings.log_model and model is not None:
            artifact = self._wandb.Artifact(f"model-{self._run.id}", type="model")
            artifact.add_dir(str(model))
            self._run.log_artifact(artifact)
        self._run.finish()


@dataclass(frozen=True)
class TensorboardSettings:
    """A choice of `conf/tracking/tensorboard.yaml`."""


class TensorboardTracker(Tracker):
    """TensorBoard event files in `tensorboard/` of the run folder; a resumed run adds to them."""

    def __init__(self, run: Run, settings: TensorboardSettings) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError("tracking=tensorboard needs its package: pip install tensorboard") from error
        self._writer = SummaryWriter(str(run.folder / "tensorboard"))
        self._writer.add_text("config", f"```\n{json.dumps(run.config, indent=1)}\n```")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, panel: Path, shown: Shown) -> None:
        for sample, prediction in shown:
            overlay = prediction.overlay(sample.image)
            self._writer.add_image(f"validation/{sample.name}", overlay, step, dataformats="HWC")
            for key in ("probability", "uncertainty"):
                values = getattr(prediction, key)
                if values is not None:
                    self._writer.add_image(f"{key}/{sample.name}", _grey(values), step, dataformats="HW")

    def finish(self, summary: Mapping[str, float], model: Path | None) -> None:
        self._writer.close()


@dataclass(frozen=True)
class LocalSettings:
    """A choice of `conf/tracking/local.yaml`: nothing beside what every run writes."""


# kind -> (settings, tracker); own code can add to it.
TRACKERS: dict[str, tuple[type[Any], Callable[[Run, Any], Tracker] | None]] = {
    "local": (LocalSettings, None),
    "wandb": (WandbSettings, WandbTracker),
    "tensorboard": (TensorboardSettings, TensorboardTracker),
}


@dataclass
class Tracking:
    """All trackers of a run; with none, every call is nothing."""

    trackers: list[Tracker] = field(default_factory=list)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.log(step, values)

    def pictures(self, step: int, panel: Path, shown: Shown) -> None:
        for tracker in self.trackers:
            tracker.pictures(step, panel, shown)

    def finish(self, summary: Mapping[str, float], model: Path | None) -> None:
        for tracker in self.trackers:
            tracker.finish(summary, model)


def read_tracking(config: Mapping[str, Any] | None) -> list[tuple[Callable[[Run, Any], Tracker], Any]]:
    """Check the choices of the group `tracking` (None: none): nothing is imported or started.

    Raises:
        ConfigError: a tracker or a setting that is not known.
    """
    chosen = []
    for name, settings in (config or {}).items():
        if name not in TRACKERS:
            raise ConfigError(f"tracking={name} is not known; known: {', '.join(TRACKERS)}")
        kind, tracker = TRACKERS[name]
        read = read_settings(kind, f"tracking.{name}", settings or {})
        if tracker is not None:
            chosen.append((tracker, read))
    return chosen


def start_tracking(chosen: Sequence[tuple[Callable[[Run, Any], Tracker], Any]], run: Run) -> Tracking:
    """Start what `read_tracking` gave.

    Raises:
        ConfigError: a package that is not installed.
    """
    return Tracking([tracker(run, settings) for tracker, settings in chosen])


def _told_offline() -> bool:
    return os.environ.get("WANDB_MODE") in ("offline", "disabled")


def _has_key() -> bool:
    """Whether somebody is logged in: by the environment, or by `wandb login` before, which writes a netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    name = os.environ.get("NETRC")
    path = Path(name).expanduser() if name else Path.home() / ("_netrc" if os.name == "nt" else ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _remembered_id(folder: Path) -> str:
    path = folder / "wandb.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        number = uuid.uuid4().hex[:12]
        write_json(path, {"id": number})
        return number


def _grey(values: Any) -> np.ndarray:
    """A map of [0, 1] as uint8."""
    return (np.asarray(values).clip(0, 1) * 255).round().astype(np.uint8)
