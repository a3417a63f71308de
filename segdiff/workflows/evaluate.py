"""A data set in, scores out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.objects import numbered
from segdiff.data.protocols import Protocol
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, DataError
from segdiff.inference.prediction import Prediction
from segdiff.inference.predictor import Predictor
from segdiff.inference.run import BatchSize
from segdiff.metrics.table import Scoring
from segdiff.workflows.parts import Part
from segdiff.workflows.record import describe
from segdiff.workflows.scoring import score, summarise

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
    scoring: Scoring | None = None,
    threshold: float | None = None,
    temperature: float | None = None,
    batch_size: BatchSize = "auto",
    limit: int | None = None,
    part: Part | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Scores of the foreground, for each image and their plain means.

    Args:
        protocol: fixes resizing and windows, see `segdiff.data.protocols`.
        scoring: which metrics; None: those of the protocol.
        seed: as `Predictor.predict`, like the next three.
        sampling: None: the model's own.
        threshold: None: the model's own.
        temperature: likewise.
        batch_size: "auto" or a number.
        limit: only the first images of the data set; None for all.
        part: a share of these; `segdiff.workflows.join.join` makes one of all parts.
        progress: told how far it is.
        watch: given each sample, as the protocol shows it, with its prediction; for pictures.
    Returns:
        Plain values, ready for JSON: what `scoring.summarise` gives, each image with its "seconds" too;
        "protocol", "dataset", "split"; and what determines the result. An image with several raters or mask
        channels counts with the mean over them.
    Raises:
        ConfigError: no image to score, or a setting that cannot be, such as micrometres where those of a
            pixel are not known.
        ShapeError: masks of the model and of the data set differ in their number of channels.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: at least 1 image is needed")
    part = part or Part()
    every = range(len(dataset) if limit is None else min(limit, len(dataset)))
    if 0 < len(every) < part.count:  # in all parts: one without images could not be joined
        raise ConfigError(f"{len(every)} image(s) cannot be divided among {part.count} parts")
    chosen = part.of(every)
    n = len(chosen)
    if n == 0:
        raise ConfigError(f"the split {dataset.split} of {dataset.kind} holds no image")
    predictor.check(sampling)
    scoring = scoring or Scoring(protocol.metrics)
    scoring.check(dataset.mpp)
    windows = _windows(predictor, protocol)

    rows = []
    for number, index in enumerate(chosen):
        name = dataset.names[index]

        def report(done: float, total: float = 1, number: int = number, name: str = name) -> None:
            if progress is not None:
                progress(number + done / total, n, name)

        report(0)
        began = time.perf_counter()
        sample = dataset[index]
        shown = protocol.prepare(sample)
        true_instances = _numbered(scoring, shown)
        prediction = predictor.predict(
            shown.image,
            seed=seed,
            sampling=sampling,
            threshold=threshold,
            temperature=temperature,
            batch_size=batch_size,
            mpp=_mpp(predictor, dataset, protocol, sample),
            windows=windows,
            grid=protocol.grid,
            progress=report,
            keep_chains=bool({"chains", "confidence"} & scoring.needs),
            keep_raw=True,
        )
        seconds = time.perf_counter() - began
        said = {
            "probability": prediction.probability,
            "raw_probability": prediction.raw_probability,
            "uncertainty": prediction.uncertainty,
            "chains": prediction.chains,
            **_objects(scoring, true_instances, prediction),
        }
        mpp = protocol.mpp(dataset.mpp, sample.image.shape[0])
        scores = score(prediction.mask, shown.mask, scoring, mpp, said)
        if watch is not None:
            watch(shown, prediction)
        rows.append({"name": name, **scores, "seconds": round(seconds, 3)})
        report(1)
    summary = summarise(rows, scoring)
    images = summary.pop("per_image")  # last, being long
    return {
        **summary,
        "protocol": protocol.name,
        "dataset": dataset.kind,
        "split": dataset.split,
        "part": None if part.count == 1 else str(part),
        **describe(predictor, sampling, threshold, seed, temperature),
        "windows": None if windows is None else {"window": windows[0], "overlap": windows[1]},
        "per_image": images,
    }


def _numbered(scoring: Scoring, shown: Sample) -> NDArray[np.int32] | None:
    """The objects of a truth, where they are scored."""
    if not {"instances", "confidence"} & scoring.needs:
        return None
    found = numbered(shown)
    if found is None:
        raise DataError(f"{shown.name}: its truth does not tell objects apart, which aji, pq, dq and ece_objects need")
    return found


def _objects(scoring: Scoring, true: NDArray[np.int32] | None, prediction: Prediction) -> dict[str, Any]:
    """Objects of a prediction beside the true ones."""
    if true is None:
        return {}
    labels = prediction.instances()
    confidence = prediction.confidence(labels) if "confidence" in scoring.needs else None
    return {"instances": labels, "true_instances": true, "confidence": confidence}


def _windows(predictor: Predictor, protocol: Protocol) -> tuple[int | None, float] | None:
    """Those of the protocol; None: the model's own, which are in its description."""
    if protocol.window is None and protocol.overlap is None:
        return None
    own = predictor.inference
    window = own.window if protocol.window is None else protocol.window
    return window, own.overlap if protocol.overlap is None else protocol.overlap


def _mpp(predictor: Predictor, dataset: Dataset, protocol: Protocol, sample: Sample) -> float | None:
    """Micrometres per pixel to tell the predictor: None where protocol or model have no use for them."""
    if not protocol.adapt_scale or predictor.inference.grid is not None or predictor.scale.get("mpp") is None:
        return None
    return protocol.mpp(dataset.mpp, sample.image.shape[0])
