"""A data set in, scores out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import Protocol
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.prediction import Prediction
from segdiff.inference.predictor import Predictor
from segdiff.inference.run import BatchSize
from segdiff.metrics.overlap import dice, iou
from segdiff.workflows.record import describe

FORMAT_VERSION = 1
# Called with (images done, images in all, name of the current one); a part of an image counts as a fraction.
Progress = Callable[[float, int, str], None]
Watch = Callable[[Sample, Prediction], None]


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    protocol: Protocol,
    seed: int = 0,
    sampling: Sampling | None = None,
    *,
    threshold: float | None = None,
    batch_size: BatchSize = "auto",
    limit: int | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Dice and IoU of the foreground, for each image and their plain means.

    Args:
        protocol: fixes resizing, windows and scoring, see `segdiff.data.protocols`.
        seed, sampling, threshold, batch_size: as `Predictor.predict`.
        limit: only the first images of the data set; None for all.
        progress: told how far it is.
        watch: given each sample, as the protocol shows it, with its prediction; for pictures.
    Returns:
        Plain values, ready for JSON. "dice", "iou": means over images; "per_image": for each "name", "dice",
        "iou", "seconds" and "empty" (truth and mask are both empty: its scores are 0, as published); "n";
        "empty_images", their number; "protocol", "dataset", "split"; and what determines the result. An image
        with several raters or mask channels counts with the mean over them.
    Raises:
        ConfigError: no image to score, or a setting that cannot be.
        ShapeError: masks of the model and of the data set differ in their number of channels.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: at least 1 image is needed")
    n = len(dataset) if limit is None else min(limit, len(dataset))
    if n == 0:
        raise ConfigError(f"the split {dataset.split} of {dataset.kind} holds no image")
    sampling = sampling or predictor.sampling
    predictor.segmenter.check(sampling)
    threshold = predictor.inference.threshold if threshold is None else threshold
    windows = _windows(predictor, protocol)

    rows = []
    for index in range(n):
        name = dataset.names[index]

        def report(done: float, total: float = 1, index: int = index, name: str = name) -> None:
            if progress is not None:
                progress(index + done / total, n, name)

        report(0)
        began = time.perf_counter()
        sample = dataset[index]
        shown = protocol.prepare(sample)
        prediction = predictor.predict(
            shown.image,
            seed=seed,
            sampling=sampling,
            threshold=threshold,
            batch_size=batch_size,
            mpp=_mpp(predictor, dataset, protocol, sample),
            windows=windows,
            grid=protocol.grid,
            progress=report,
        )
        scores = score(prediction.mask, shown.mask)
        if watch is not None:
            watch(shown, prediction)
        rows.append({"name": name, **scores, "seconds": round(time.perf_counter() - began, 3)})
        report(1)
    return {
        "format_version": FORMAT_VERSION,
        "dice": float(np.mean([row["dice"] for row in rows])),
        "iou": float(np.mean([row["iou"] for row in rows])),
        "n": n,
        "empty_images": sum(row["empty"] for row in rows),
        "protocol": protocol.name,
        "dataset": dataset.kind,
        "split": dataset.split,
        **describe(predictor, sampling, threshold, seed),
        "windows": {"window": windows[0], "overlap": windows[1]},
        "per_image": rows,
    }


def score(mask: NDArray[np.bool_], truth: NDArray[np.uint8]) -> dict[str, Any]:
    """Dice and IoU of one mask.

    Args:
        mask: bool (H, W), or (M, H, W) for several channels.
        truth: uint8 (R, M, H, W) of 0 and 1, R raters.
    Returns:
        "dice", "iou" (means over raters and channels) and "empty" (mask and truth are empty everywhere).
    Raises:
        ShapeError: the shapes do not fit.
    """
    channels = mask if mask.ndim == 3 else mask[None]
    if channels.shape != truth.shape[1:]:
        shapes = f"the mask has {channels.shape}, the truth {truth.shape[1:]}"
        raise ShapeError(f"(channels, rows, columns) must be the same: {shapes}")
    pairs = [(one, other) for rater in truth for one, other in zip(channels, rater, strict=True)]
    return {
        "dice": float(np.mean([dice(one, other) for one, other in pairs])),
        "iou": float(np.mean([iou(one, other) for one, other in pairs])),
        "empty": not (mask.any() or truth.any()),
    }


def _windows(predictor: Predictor, protocol: Protocol) -> tuple[int | None, float]:
    own = predictor.inference
    window = own.window if protocol.window is None else protocol.window
    return window, own.overlap if protocol.overlap is None else protocol.overlap


def _mpp(predictor: Predictor, dataset: Dataset, protocol: Protocol, sample: Sample) -> float | None:
    """Micrometres per pixel to tell the predictor: None where protocol or model have no use for them."""
    if not protocol.adapt_scale or predictor.inference.grid is not None or predictor.scale.get("mpp") is None:
        return None
    return protocol.mpp(dataset.mpp, sample.image.shape[0])
