"""What was done, beside its result: enough to repeat a run, and to see what of it is there."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segdiff.data.stored import ReadOptions
from segdiff.data.versions import version_of
from segdiff.data.writers import write_json
from segdiff.errors import ConfigError, DataError
from segdiff.inference.options import CLASS_NAME_BEFORE, ConformalSettings, PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.settings import differences, plain
from segdiff.version import __version__
from segdiff.workflows.outputs import DEFAULT_OUTPUTS, OBJECT_OUTPUTS, measures_objects
from segdiff.workflows.summary import check_summary, summary_path, write_summary

FORMAT_VERSION = 2  # 1 had the options of a run side by side with the rest, and no choice of outputs
# What decides the masks, beside the options; where and how fast they were made does not.
DECIDING = ("model", "members", "sampling", "inference", "precision")
SOON = 0.05  # seconds: a file that takes no longer is written after each image
SELDOM = 10  # times as long as it takes, a larger one is not written again
PACKAGES = (
    "torch",
    "numpy",
    "pillow",
    "scikit-image",
    "tifffile",
    "imagecodecs",
    "albumentations",
    "hydra-core",
    "monai",
)


def versions() -> dict[str, str]:
    """Versions of segdiff, Python and the packages that a result may depend on."""
    found = {"segdiff": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # installed in a way that leaves no trace
            found[package] = "unknown"
    return found


def describe(predictor: Predictor, options: PredictOptions | None = None) -> dict[str, Any]:
    """What determines a result, as plain values: model, sampling, windows, seed, device, precision, versions."""
    options = options or PredictOptions()
    described = predictor.describe(options)
    return {
        **described,
        "threshold": described["inference"]["threshold"],
        "seed": options.seed,
        **predictor.machine(),
        "versions": versions(),
    }


class PredictionRecord:
    """`prediction.json` of a folder and its table, `summary.csv`, written anew after each image, or after some where
    they are long.

    The folder's earlier record is not lost: what it says of images that this run does not touch moves to
    "earlier_runs".

    Args:
        path: of the file.
        settings: of this run, plain values.
        images: the inputs, each "pending" until it is "done" or "failed".
        stems: what the names of their files begin with, below the folder.
        done: what is known already of images by their path, as `resumable` gives it.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        images: Sequence[Path],
        stems: Sequence[str],
        done: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.path, self.table = path, summary_path(path)
        check_summary(self.table)
        self.content: dict[str, Any] = {"format_version": FORMAT_VERSION, **settings}
        self._images = [
            dict((done or {}).get(str(image), {"image": str(image), "stem": stem, "status": "pending"}))
            for image, stem in zip(images, stems, strict=True)
        ]
        self.content["images"] = self._images
        self._took = self._written = 0.0
        self.content["done_before"] = len(done or {})
        if earlier := _earlier_runs(path, set(stems)):
            self.content["earlier_runs"] = earlier
        self.write()

    def update(self, index: int, status: str, **facts: Any) -> None:
        """Say what became of image `index`, and write the file: of very many images not each time."""
        self._images[index].update(status=status, **facts)
        if self._took < SOON or time.monotonic() - self._written > SELDOM * self._took:
            self.write()

    def write(self) -> None:
        """Write the file and its table."""
        began = time.monotonic()
        write_json(self.path, self.content)
        write_summary(self.table, self.content)
        self._written = time.monotonic()
        self._took = self._written - began


def resumable(
    folder: Path, own: Path, settings: Mapping[str, Any], images: Sequence[Path]
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """What of these images earlier runs in this folder did, whatever their parts, and what they only began.

    Args:
        folder: of the results and records.
        own: the record of the run that goes on; there may be none.
        settings: of that run.
        images: its inputs; what records say of others does not matter.
    Returns:
        By the path of the image as given: what is known of those that are done, with all their files, and have not
        changed since; and those that a run of the same settings lists and that are not done, whose files may be
        replaced.
    Raises:
        ConfigError: one of them was done with other settings, so that results of both would lie side by side.
        DataError: the run's own record is not one.
    """
    wanted, given = json.loads(json.dumps(settings)), {_place(image): str(image) for image in images}
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
            listed = [(given[at], image) for image in run["images"] if (at := _place(image["image"])) in given]
            changed = _changed(run, wanted)
            for name, image in listed:
                if image.get("status") == "done" and _whole(folder, image, run["options"], wanted["options"]):
                    _refuse_change(path, changed)
                    if is_as_it_was(name, image):
                        done[name] = {**image, "image": name}
                    else:
                        done.pop(name, None)
                        begun.add(name)
                elif not changed:
                    begun.add(name)
    return done, begun - set(done)


def is_as_it_was(image: str | Path, recorded: Mapping[str, Any]) -> bool:
    """Return whether an image is the one that a record tells of; True where the record is of before it told."""
    return "file" not in recorded or recorded["file"] == version_of(Path(image))


def own_outputs(folder: Path) -> set[Path]:
    """Return the files in a folder that the records there say were written, so that none is taken for an input."""
    found: set[Path] = set()
    for path in sorted(folder.glob("prediction*.json")):
        try:
            images = [image for run in _runs(path) for image in run["images"]]
            found |= {_place(folder / name) for image in images for name in image.get("outputs", {}).values()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            continue  # another program's file
    return found


def _place(path: str | Path) -> Path:
    """A path that is the same however it was written; links are not followed: two of one file are two images."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _changed(run: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What decides the results of one run and is another in the other, in words."""
    there, here = run["options"], wanted["options"]
    lines = [line for key in DECIDING for line in differences(run.get(key), wanted.get(key), key)]
    for name in PredictOptions().deciding():
        lines += differences(there["prediction"].get(name), here["prediction"].get(name), name)
    lines += differences(there.get("read", plain(ReadOptions())), here["read"], "read")
    for name, default in (("region", None), ("tissue", True), ("samples", 0)):  # of before there were these
        lines += differences(there.get(name, default), here.get(name, default), name)
    if "region_content" in run:  # of before it was told
        lines += differences(run["region_content"], wanted["region_content"], "region")
    # Where objects were not measured yet, any micrometres may be taken for them.
    if measures_objects(there["outputs"]) and measures_objects(here["outputs"]):
        lines += differences(there["objects_mpp"], here["objects_mpp"], "objects_mpp")
    return lines


def _whole(folder: Path, image: Mapping[str, Any], there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether an image has all files that its run wrote, and all that are wanted now."""
    outputs = image.get("outputs", {})
    tried = {*outputs, *there["outputs"]}  # a single chain has no uncertainty, however often it is asked for
    return set(here["outputs"]) <= tried and all((folder / output).is_file() for output in outputs.values())


def _runs(path: Path) -> list[dict[str, Any]]:
    """The runs that a record tells of, the newest last, as this version writes them."""
    newest = json.loads(path.read_text(encoding="utf-8"))
    runs = [*newest.pop("earlier_runs", []), newest]
    for run in runs:
        for one in (run, *run.get("members", [])):
            if isinstance(one.get("inference"), dict):  # records of before there were these
                one["inference"].setdefault("temperature", 1.0)
                one["inference"].pop("channels", None)  # of before there were targets, which the identity tells
                one["inference"].setdefault("class_name", CLASS_NAME_BEFORE)
                one["inference"].setdefault("conformal", plain(ConformalSettings()))
                one["inference"].setdefault("confidence", None)
        if "options" not in run:
            run["options"] = {
                "prediction": {name: run.get(name) for name in PredictOptions().deciding()},
                "outputs": [*DEFAULT_OUTPUTS, *(OBJECT_OUTPUTS if run.get("instances") else ())],
                "objects_mpp": run.get("objects_mpp"),
            }
        measures_objects(run["options"]["outputs"])  # KeyError of one that this version does not know
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
