"""Which images a prediction is of, and where the files of each go."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from segdiff.data.images import list_images, subfolder_of
from segdiff.errors import ConfigError, MissingError
from segdiff.workflows.outputs import possible_files
from segdiff.workflows.record import own_outputs
from segdiff.workflows.sampled import SampleOutputs
from segdiff.workflows.slides.outputs import possible_slide_files


@dataclass(frozen=True)
class Job:
    """An image, and where its results go.

    Attributes:
        image: its file.
        folder: of its results.
        inside: that folder below the one of the record: "." unless images of subfolders are taken.
        samples: whole masks that it gives.
    """

    image: Path
    folder: Path
    inside: Path = Path()
    samples: SampleOutputs = SampleOutputs()

    @property
    def stem(self) -> str:
        """What the names of its files begin with, below the folder of the record."""
        return (self.inside / self.image.stem).as_posix()

    def possible_files(self) -> tuple[Path, ...]:
        """All files that it may give."""
        stem = self.image.stem
        files = (*possible_files(self.folder, stem), *possible_slide_files(self.folder, stem))
        return (*files, *self.samples.paths(self.folder, stem).values())


def plan_jobs(paths: Sequence[str | Path], output_dir: Path, recursive: bool) -> list[Job]:
    """List the images that files, folders and patterns stand for, less what earlier runs wrote there themselves.

    Raises:
        MissingError: no such image, or none but earlier results.
    """
    named, written = {Path(path) for path in paths}, own_outputs(output_dir)
    images = list_images(paths, recursive)
    # What is named by itself is wanted, whatever it is.
    images = [image for image in images if image in named or Path(os.path.abspath(image)) not in written]  # noqa: PTH100
    if not images:
        raise MissingError(f"all images given are results of earlier runs in {output_dir}: give others")
    places = [subfolder_of(image, paths) if recursive else Path() for image in images]
    return [Job(image, output_dir / inside, inside) for image, inside in zip(images, places, strict=True)]


def check_jobs(
    jobs: Sequence[Job], overwrite: bool, inputs: Sequence[Job] | None = None, begun: Collection[str] = ()
) -> None:
    """Refuse, before any work, what would lose a file.

    Args:
        jobs: those to do.
        inputs: all whose images must stay, of other parts and of an earlier call too; None: the jobs.
        begun: paths of images whose outputs may be replaced all the same: a run that was cut began them.
    Raises:
        ConfigError: two inputs would be written to the same files; an output would replace an input, which
            not even `overwrite` allows; or an output is there and `overwrite` is not set.
    """
    kept = jobs if inputs is None else inputs
    _refuse_same_names(kept)
    inputs_there = {job.image.resolve() for job in kept}
    for job in jobs:
        for path in job.possible_files():
            if path.resolve() in inputs_there:
                raise ConfigError(f"{path} is an input: choose another output folder, inputs are not replaced")
            if path.exists() and not (overwrite or str(job.image) in begun):
                raise ConfigError(f"{path} exists: choose another output folder, --resume or --overwrite")


def _refuse_same_names(jobs: Sequence[Job]) -> None:
    stems: dict[str, Path] = {}
    for job in jobs:
        # Upper and lower case are one name on the file systems of macOS and Windows.
        other = stems.setdefault(job.stem.casefold(), job.image)
        if other is not job.image:
            raise ConfigError(f"{other} and {job.image} would be written to the same files: predict them apart")
