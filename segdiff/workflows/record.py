"""What was done, beside its result: enough to repeat a run, and to see what of it is there."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segdiff.data.writers import write_json
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, DataError
from segdiff.inference.predictor import Predictor
from segdiff.settings import differences
from segdiff.version import __version__

FORMAT_VERSION = 1
# What decides the masks; where and how fast they were made does not.
DECIDING = ("model", "members", "sampling", "inference", "seed", "precision", "mpp", "scale", "diameter", "objects_mpp")
SOON = 0.05  # seconds: a file that takes no longer is written after each image
SELDOM = 10  # times as long as it takes, a larger one is not written again
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


def describe(
    predictor: Predictor,
    sampling: Sampling | None,
    threshold: float | None,
    seed: int,
    temperature: float | None = None,
) -> dict[str, Any]:
    """What determines a result, as plain values: model, sampling, windows, seed, device, precision, ...

    What is None is the predictor's own.
    """
    described = predictor.describe()
    given = {"temperature": temperature, "threshold": threshold}
    if threshold is None and temperature is not None:
        given["threshold"] = predictor.threshold_at(temperature)
    for one in _all_of(described):
        if sampling is not None:
            one["sampling"] = asdict(sampling)
        one["inference"] |= {name: value for name, value in given.items() if value is not None}
    return {
        **described,
        "threshold": described["inference"]["threshold"],
        "seed": seed,
        "device": str(predictor.device),
        "precision": predictor.precision,
        "runtime": predictor.runtime,
        "compiled": predictor.compiled,
        "versions": versions(),
    }


def _all_of(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """It, and its members, and theirs."""
    yield described
    for member in described.get("members", []):
        yield from _all_of(member)


class PredictionRecord:
    """`prediction.json` of a folder, written anew after each image, or after some where it is long.

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
        self._took = self._written = 0.0
        self.content["done_before"] = len(done or {})
        if earlier := _earlier_runs(path, {image.stem for image in images}):
            self.content["earlier_runs"] = earlier
        self.write()

    def update(self, index: int, status: str, **facts: Any) -> None:
        """Say what became of image `index`, and write the file: of very many images not each time."""
        self._images[index].update(status=status, **facts)
        if self._took < SOON or time.monotonic() - self._written > SELDOM * self._took:
            self.write()

    def write(self) -> None:
        """Write the file."""
        began = time.monotonic()
        write_json(self.path, self.content)
        self._written = time.monotonic()
        self._took = self._written - began


def resumable(
    folder: Path, own: Path, settings: Mapping[str, Any], images: Sequence[Path], kinds: Collection[str] = ()
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """What of these images earlier runs in this folder did, whatever their parts, and what they only began.

    Args:
        folder: of the results and records.
        own: the record of the run that goes on; there may be none.
        settings: of that run.
        images: its inputs; what records say of others does not matter.
        kinds: of outputs that each image must have to be done.
    Returns:
        By the path of the image as given: what is known of those that are done, with all their files; and those
        that a run of the same settings lists and that are not done, whose files may be replaced.
    Raises:
        ConfigError: one of them was done with other settings, so that results of both would lie side by side.
        DataError: the run's own record is not one.
    """
    wanted, given = json.loads(json.dumps(settings)), {image.resolve(): str(image) for image in images}
    done: dict[str, dict[str, Any]] = {}
    begun: set[str] = set()
    for path in sorted(folder.glob("prediction*.json")):
        try:
            runs = _runs(path)
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            if path == own:
                raise DataError(f"{path} is not a record that can be gone on with") from error
            continue
        for run in runs:
            listed = [(given[at], image) for image in run["images"] if (at := Path(image["image"]).resolve()) in given]
            # Where objects were not measured yet, any micrometres may be taken for them.
            deciding = [key for key in DECIDING if key != "objects_mpp" or run.get("instances")]
            changed = [line for key in deciding for line in differences(run.get(key), wanted.get(key), key)]
            for name, image in listed:
                outputs = image.get("outputs", {})
                whole = set(kinds) <= set(outputs) and all((folder / output).is_file() for output in outputs.values())
                if image.get("status") == "done" and whole:
                    _refuse_change(path, changed)
                    done[name] = {**image, "image": name}
                elif not changed:
                    begun.add(name)
    return done, begun - set(done)


def _runs(path: Path) -> list[dict[str, Any]]:
    """The runs that a record tells of, the newest last."""
    newest = json.loads(path.read_text(encoding="utf-8"))
    runs = [*newest.pop("earlier_runs", []), newest]
    for run in runs:
        for one in (run, *run.get("members", [])):
            if isinstance(one.get("inference"), dict):  # records of before there were these
                one["inference"].setdefault("temperature", 1.0)
                one["inference"].setdefault("channels", ["mask"])
        run["images"] = [dict(image) for image in run["images"]]
    return runs


def _refuse_change(path: Path, changed: Sequence[str]) -> None:
    if changed:
        raise ConfigError(
            f"{path} was made with other settings ({', '.join(changed[:3])}): "
            "choose another output folder, or repeat the settings"
        )


def _earlier_runs(path: Path, stems: set[str]) -> list[dict[str, Any]]:
    """The runs of the record at `path`, less the images of these stems and less runs that keep none."""
    try:
        runs = _runs(path)
        for run in runs:
            run["images"] = [image for image in run["images"] if image["stem"] not in stems]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []  # there is none, or it is not ours: nothing in it can be kept
    return [run for run in runs if run["images"]]
