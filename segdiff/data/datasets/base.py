"""What every data set gives: named samples, read when asked for."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.errors import DataError


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and its truth.

    Attributes:
        name: the file's stem, unique in its data set.
        image: (H, W, 3) RGB on the 0..255 scale, uint8 or float32.
        mask: uint8 (R, M, H, W) of 0 and 1: R raters, M mask channels.
        instances: int32 (H, W), 0 the background, each other number one object; None where objects are not
            told apart.
        notes: sentences on how its files were read, where that is not a matter of course.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        truths = [self.mask] if self.instances is None else [self.mask, self.instances]
        for shape in (truth.shape[-2:] for truth in truths):
            if shape != size:
                raise DataError(
                    f"{self.name}: the image is {size[0]} x {size[1]} (height x width), "
                    f"its mask {shape[0]} x {shape[1]}; they must be of one size"
                )


class Dataset(ABC):
    """A split of a data set: `len(dataset)` samples, `dataset[i]` reads one.

    Attributes:
        kind: its name in the table of data sets.
        split: train, val, test or all.
        names: of the samples, in order.
        mpp: micrometres per pixel of the images, None where unknown.
        raters: the largest number of masks that an image has.
        repeats: how often a pass of training shows each sample; None: each once.
        unmatched: files that have no partner; empty unless a data set was asked to go on without them.
    """

    kind: str

    def __init__(self, split: str, names: list[str], mpp: float | None) -> None:
        self.split = split
        self.names = names
        self.mpp = mpp
        self.raters = 1
        self.repeats: list[int] | None = None
        self.unmatched: list[Path] = []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample `index`; negative numbers count from the end. IndexError beyond."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.read(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self.read(index) for index in range(len(self)))

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Read sample `index`, 0 <= index < len(self)."""

    def files(self, index: int) -> tuple[Path | None, Path | None]:
        """The files of the image and of the truth of sample `index`; None where it has no file of its own."""
        return None, None

    @property
    def report(self) -> dict[str, Any]:
        """What was found on the way, for a person to look at; may read every truth."""
        return {"kind": self.kind, "split": self.split, "images": len(self)}
