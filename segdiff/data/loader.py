"""Training samples as a pure function of (seed, n), and batches of them in order.

Sample number n = 0, 1, 2, ... counts for ever: pass n // images visits every image once (or as often as its data set
repeats it), in an order keyed by (seed, pass). Nothing else is drawn from, so that the number of workers and processes
changes nothing, and a training that was cut goes on at its n.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.nodata import DataOnly, find_no_data
from segdiff.data.random_words import ORDER, SAMPLE, random_words
from segdiff.errors import ConfigError, ShapeError, UserError

Normalise = Callable[[np.ndarray], np.ndarray]
Augment = Callable[..., Any]  # (image, mask, seed[, context]): segdiff.data.augment.Augmentation
Batch = dict[str, torch.Tensor]

_MEGABYTE = 2**20


class TrainingSamples:
    """Training sample n of a data set, for any n >= 0.

    Args:
        dataset: read one image at a time; decoded and resized images are kept in memory.
        normalise: (H, W, 3) on the 0..255 scale to float32 (H, W, 3). If it has a method `fit`, it is fitted
            to each whole image, as in inference, and what that returns normalises the augmented crop; what has a
            `context` (n, 3) of the image's pixels is refitted to it as augmentation changed its colours.
        augment: (image, mask (M, H, W), seed) to (image, mask).
        seed: 0 or more.
        prepare: what is done to each sample before augmentation, as `Protocol.as_seen`; None: nothing.
        cache_mb: memory for decoded images in each process; 0 reads every time.
        crop_statistics: share of samples to whose augmented crop the normalisation is fitted, if it has a `fit`, as if
            it were the whole image.
    """

    def __init__(
        self,
        dataset: Dataset,
        normalise: Normalise,
        augment: Augment,
        seed: int,
        prepare: Callable[[Sample], Sample] | None = None,
        cache_mb: float = 1024,
        crop_statistics: float = 0.0,
    ) -> None:
        if seed < 0:
            raise ConfigError(f"seed is {seed}; it must be 0 or more")
        self.dataset = dataset
        self.normalise = normalise
        self.augment = augment
        self.seed = seed
        self.prepare = prepare
        self.crop_statistics = crop_statistics
        self._visits = np.repeat(np.arange(len(dataset)), dataset.repeats or 1)
        self._cache_bytes = self._room = cache_mb * _MEGABYTE
        self._kept: dict[int, tuple[Sample, Normalise]] = {}
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def of_pass(self) -> int:
        """Samples of a pass."""
        return len(self._visits)

    def __getitem__(self, n: int) -> dict[str, Any]:
        """Sample n: image float32 (3, h, w) normalised, mask float32 (M, h, w) of -1 and +1, and n."""
        if n < 0:
            raise IndexError(f"training sample {n}; they are numbered from 0")
        augment_seed, rater, coin = random_words(self.seed, SAMPLE, n, 3)
        sample, normalise = self._sample(self.image_index(n))
        truth = sample.mask[int(rater) % len(sample.mask)]
        context = getattr(normalise, "context", None)
        if context is None:
            image, mask = self.augment(sample.image, truth, int(augment_seed))
        else:  # the picture's statistics in the colours that the crop is shown in
            image, mask, context = self.augment(
                sample.image, truth, int(augment_seed), context.astype(sample.image.dtype)
            )
            normalise = normalise.refitted(context)  # type: ignore[attr-defined]
        if int(coin) < self.crop_statistics * 2**64 and hasattr(self.normalise, "fit"):
            normalise = self.normalise.fit(image)
        image = np.ascontiguousarray(normalise(image).transpose(2, 0, 1), dtype=np.float32)
        mask = mask.astype(np.float32) * 2 - 1
        return {"image": torch.from_numpy(image), "mask": torch.from_numpy(mask), "n": n}

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked gets a copy, with memory of its own: fitted functions cannot travel.
        return {**self.__dict__, "_kept": {}, "_room": self._cache_bytes}

    def image_index(self, n: int) -> int:
        """Which image of the data set sample n shows."""
        number, place = divmod(n, len(self._visits))
        if self._order is None or self._order[0] != number:
            keys = random_words(self.seed, ORDER, number, len(self._visits))
            self._order = number, self._visits[np.argsort(keys, kind="stable")]
        return int(self._order[1][place])

    def _sample(self, index: int) -> tuple[Sample, Normalise]:
        """The whole image, prepared, and its normalisation; read once while there is room to keep it."""
        if index in self._kept:
            return self._kept[index]
        sample = self.dataset[index]
        if self.prepare is not None:
            sample = self.prepare(sample)
        sample = replace(sample, instances=None)  # what is trained on is in the mask
        fit = getattr(self.normalise, "fit", None)
        entry = sample, self.normalise if fit is None else fit(DataOnly(sample.image, find_no_data(sample.image)))
        size = sample.image.nbytes + sample.mask.nbytes
        if size <= self._room:
            self._room -= size
            self._kept[index] = entry
        return entry


def batches(
    samples: TrainingSamples,
    batch_size: int,
    start: int = 0,
    stop: int | None = None,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """The batches of steps start, start + 1, ..., stop - 1, in order.

    Step i has the samples n = i * batch_size .. (i + 1) * batch_size - 1; of these, process `rank` of `world`
    gets the rank-th share.

    Args:
        batch_size: of all processes together; a multiple of `world`.
        stop: None goes on for ever.
        workers: processes that prepare batches ahead; 0 prepares them in this one.
    Yields:
        image (b, 3, h, w), mask (b, M, h, w), n int64 (b,), with b = batch_size / world.
    Raises:
        ConfigError: a batch size that cannot be.
        ShapeError: images of different sizes in one batch.
        DataError, MissingError: as reading the data set; raised here also if it happened in a worker.
    """
    if batch_size < 1 or batch_size % world:
        raise ConfigError(f"batch_size is {batch_size}; it must be a positive multiple of {world} (processes)")
    loader = DataLoader(
        _Reported(samples),
        batch_sampler=_Steps(batch_size, start, stop, rank, world),
        num_workers=workers,
        collate_fn=_collate,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its own: the loader would draw from the training's generator otherwise
    )
    return _raise_errors(loader)


class _Steps:
    """The numbers of the samples of each step, for one process."""

    def __init__(self, batch_size: int, start: int, stop: int | None, rank: int, world: int) -> None:
        self.batch_size, self.start, self.stop = batch_size, start, stop
        self.share = batch_size // world
        self.offset = rank * self.share

    def __iter__(self) -> Iterator[list[int]]:
        steps = itertools.count(self.start) if self.stop is None else range(self.start, self.stop)
        for step in steps:
            first = step * self.batch_size + self.offset
            yield list(range(first, first + self.share))


class _Reported(TorchDataset[Any]):
    """Gives a user's mistake as a value: torch would put a worker's traceback into the message."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __getitem__(self, n: int) -> dict[str, Any] | UserError:
        try:
            return self.samples[n]
        except UserError as error:
            return error


def _collate(items: list[dict[str, Any] | UserError]) -> Batch | UserError:
    samples: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, UserError):
            return item
        samples.append(item)
    sizes = {tuple(sample["image"].shape[1:]) for sample in samples}
    if len(sizes) > 1:
        listed = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        return ShapeError(f"images of one batch have the sizes {listed}: set augmentation.crop")
    # Stacked by numpy: torch.stack waits for all its threads, 37 ms a batch while others use the cores.
    stacked = {key: np.stack([sample[key].numpy() for sample in samples]) for key in ("image", "mask")}
    batch = {key: torch.from_numpy(array) for key, array in stacked.items()}
    return {**batch, "n": torch.tensor([sample["n"] for sample in samples])}


def _raise_errors(loader: Iterable[Batch | UserError]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch
