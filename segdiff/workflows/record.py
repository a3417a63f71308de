"""What was done, beside its result: enough to repeat a run, and to see what of it is there."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segdiff import __version__
from segdiff.data.writers import write_json
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, DataError
from segdiff.inference.predictor import Predictor
from segdiff.settings import differences

FORMAT_VERSION = 1
# What decides the masks; where and how fast they were made does not.
DECIDING = ("model", "sampling", "inference", "seed", "precision", "mpp", "scale")
PACKAGES = ("torch", "numpy", "pillow", "scikit-image", "tifffile", "albumentations", "hydra-core", "monai")


def versions() -> dict[str, str]:
    """Versions of segdiff, Python and the packages that a result may depend on."""
    found = {"segdiff": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # installed in a way that leaves no trace
            found[package] = "unknown"
    return found


def describe(predictor: Predictor, sampling: Sampling, threshold: float, seed: int) -> dict[str, Any]:
    """What determines a result, as plain values: model, sampling, windows, seed, device, precision, ..."""
    return {
        "model": predictor.identity,
        "sampling": asdict(sampling),
        "inference": {**asdict(predictor.inference), "threshold": threshold},
        "threshold": threshold,
        "seed": seed,
        "device": str(predictor.device),
        "precision": predictor.precision,
        "versions": versions(),
    }


class PredictionRecord:
    """`prediction.json` of a folder, written anew after each image.

    The folder's earlier record is not lost: what it says of images that this run does not touch moves to
    "earlier_runs".

    Args:
        path: of the file.
        settings: of this run, plain values.
        images: the inputs, each "pending" until it is "done" or "failed".
        done: what is known already of images by their path, as `resumable` gives it.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        images: Sequence[Path],
        done: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.path = path
        self.content: dict[str, Any] = {"format_version": FORMAT_VERSION, **settings}
        self._images = [
            dict((done or {}).get(str(image), {"image": str(image), "stem": image.stem, "status": "pending"}))
            for image in images
        ]
        self.content["images"] = self._images
        self.content["done_before"] = len(done or {})
        if earlier := _earlier_runs(path, {image.stem for image in images}):
            self.content["earlier_runs"] = earlier
        self.write()

    def update(self, index: int, status: str, **facts: Any) -> None:
        """Say what became of image `index`, and write the file."""
        self._images[index].update(status=status, **facts)
        self.write()

    def write(self) -> None:
        write_json(self.path, self.content)


def resumable(path: Path, settings: Mapping[str, Any], images: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """What of these images is done already, with all files, by their path.

    Args:
        path: of the folder's record; where there is none, nothing is done.
        settings: of the run that goes on with it.
        images: its inputs; what the record says of others does not matter.
    Raises:
        ConfigError: one of them was done with other settings, so that results of both would lie side by side.
        DataError: the file is not such a record.
    """
    if not path.is_file():
        return {}
    wanted, inputs = json.loads(json.dumps(settings)), {str(image) for image in images}
    done = {}
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        for run in [*old.get("earlier_runs", []), old]:
            there = {image["image"]: dict(image) for image in run["images"] if image.get("status") == "done"}
            there = {name: image for name, image in there.items() if name in inputs}
            if there:
                changed = [line for key in DECIDING for line in differences(run.get(key), wanted.get(key), key)]
                _refuse_change(path, changed)
            done.update(there)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise DataError(f"{path} is not a record that can be gone on with") from error
    return {
        name: image
        for name, image in done.items()
        if all((path.parent / output).is_file() for output in image.get("outputs", {}).values())
    }


def _refuse_change(path: Path, changed: Sequence[str]) -> None:
    if changed:
        raise ConfigError(
            f"{path} was made with other settings ({', '.join(changed[:3])}): "
            "choose another output folder, or repeat the settings"
        )


def _earlier_runs(path: Path, stems: set[str]) -> list[dict[str, Any]]:
    """The runs of the record at `path`, less the images of these stems and less runs that keep none."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        runs = [*old.pop("earlier_runs", []), old]
        for run in runs:
            run["images"] = [image for image in run["images"] if image["stem"] not in stems]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []  # there is none, or it is not ours: nothing in it can be kept
    return [run for run in runs if run["images"]]
