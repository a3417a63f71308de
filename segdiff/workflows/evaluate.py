"""A data set in, scores out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.objects import numbered
from segdiff.data.protocols import Protocol
from segdiff.errors import ConfigError, DataError
from segdiff.inference.options import LENGTHS, PredictOptions, needs_chains
from segdiff.inference.prediction import Prediction
from segdiff.inference.protocol import Predictor
from segdiff.metrics.table import Scoring
from segdiff.settings import changed, plain
from segdiff.workflows.numbers import chain_areas, chain_counts, threshold_areas, threshold_counts
from segdiff.workflows.parts import Part
from segdiff.workflows.progress import Progress
from segdiff.workflows.record import describe
from segdiff.workflows.scoring import score, summarise

Watch = Callable[[Sample, Prediction], None]
OF_PROTOCOL = (*LENGTHS, "windows", "grid")
OF_CHAINS = {"chains", "samples", "chain_areas", "chain_counts"}  # what metrics need that single chains tell
SAMPLES: dict[str, Callable[[Prediction], NDArray[np.float64] | None]] = {
    "chain_areas": chain_areas,
    "chain_counts": chain_counts,
    "threshold_areas": threshold_areas,
    "threshold_counts": threshold_counts,
}


@dataclass(frozen=True)
class EvaluateOptions:
    """What an evaluation may be told, beside its protocol, which fixes resizing and windows.

    Args:
        prediction: of each image: seed, sampling, threshold, temperature, batch size. What is kept is decided by the
            metrics.
        scoring: which metrics; None: those of the protocol.
        limit: only the first images of the data set; None for all.
        part: a share of these; `segdiff.workflows.join.join` makes one of all parts.
    Raises:
        ConfigError: a limit below 1, or options of the prediction that are the protocol's.
    """

    prediction: PredictOptions = PredictOptions()
    scoring: Scoring | None = None
    limit: int | None = None
    part: Part = Part()

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit={self.limit}: at least 1 image is needed")
        if given := [name for name in OF_PROTOCOL if getattr(self.prediction, name) is not None]:
            raise ConfigError(f"{given[0]} is decided by the protocol of an evaluation: leave it out")

    def chosen(self, dataset: Dataset) -> list[int]:
        """Return which images are scored. ConfigError where there is none, or a part would have none."""
        every = range(len(dataset) if self.limit is None else min(self.limit, len(dataset)))
        if 0 < len(every) < self.part.count:  # in all parts: one without images could not be joined
            raise ConfigError(f"{len(every)} image(s) cannot be divided among {self.part.count} parts")
        chosen = self.part.of(every)
        if not chosen:
            raise ConfigError(f"the split {dataset.split} of {dataset.kind} holds no image")
        return chosen


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    protocol: Protocol,
    options: EvaluateOptions | None = None,
    *,
    progress: Progress | None = None,
    watch: Watch | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Score the foreground: each image, and their plain means.

    Args:
        protocol: fixes resizing and windows, see `segdiff.data.protocols`.
        options: what it may be told; None: nothing.
        progress: told how far it is.
        watch: given each sample, as the protocol shows it, with its prediction; for pictures.
        changes: fields of `EvaluateOptions` and of its `prediction` by their names, in place of those of `options`.
    Returns:
        Plain values, ready for JSON: what `scoring.summarise` gives, each image with its "seconds" too;
        "protocol", "dataset", "split"; and what determines the result. An image with several raters or mask
        channels counts with the mean over them.
    Raises:
        ConfigError: no image to score, or a setting that cannot be, such as micrometres where those of a
            pixel are not known.
        ShapeError: masks of the model and of the data set differ in their number of channels.
    """
    options = changed(options or EvaluateOptions(), changes)
    chosen = options.chosen(dataset)
    predictor.check(options.prediction)
    scoring = options.scoring or Scoring(protocol.metrics)
    scoring.check(dataset.mpp)
    windows = _windows(predictor, protocol)
    scorer = _Scorer(predictor, dataset, protocol, scoring, replace(options.prediction, windows=windows))
    rows = []
    for number, name in enumerate(dataset.names[index] for index in chosen):

        def report(done: float, total: float = 1, number: int = number, name: str = name) -> None:
            if progress is not None:
                progress(number + done / total, len(chosen), name)

        report(0)
        shown, prediction, scores = scorer(chosen[number], report)
        if watch is not None:
            watch(shown, prediction)
        rows.append({"name": name, **scores})
        report(1)
    summary = summarise(rows, scoring)
    images = summary.pop("per_image")  # last, being long
    return {
        **summary,
        "protocol": protocol.name,
        "dataset": dataset.kind,
        "split": dataset.split,
        "part": None if options.part.count == 1 else str(options.part),
        **describe(predictor, options.prediction),
        "windows": None if windows is None else {"window": windows[0], "overlap": windows[1]},
        "options": plain(options),
        "per_image": images,
    }


@dataclass(frozen=True)
class _Scorer:
    """Predicts and scores one image of a data set."""

    predictor: Predictor
    dataset: Dataset
    protocol: Protocol
    scoring: Scoring
    options: PredictOptions

    def __call__(self, index: int, report: Callable[[int, int], None]) -> tuple[Sample, Prediction, dict[str, Any]]:
        """The sample as the protocol shows it, its prediction, and the scores with the "seconds" that they took."""
        began = time.perf_counter()
        sample = self.dataset[index]
        shown = self.protocol.prepare(sample)
        if self.scoring.scores_objects:
            _numbered(shown)  # a truth that does not tell objects apart is found before any work
        mpp, needs = self.protocol.mpp(self.dataset.mpp, sample.image.shape[0]), self.scoring.needs
        told = replace(
            self.options,
            mpp=mpp if self.protocol.adapt_scale and self.predictor.takes_mpp else None,
            grid=self.protocol.grid,
            keep_chains=bool(OF_CHAINS & needs)
            or ("confidence" in needs and needs_chains(self.predictor.inference, self.options)),
            keep_raw=True,
        )
        prediction = self.predictor.predict(shown.image, told, progress=report)
        seconds = round(time.perf_counter() - began, 3)
        return shown, prediction, {**score_prediction(prediction, shown, self.scoring, mpp), "seconds": seconds}


def score_prediction(
    prediction: Prediction, sample: Sample, scoring: Scoring, mpp: float | None = None
) -> dict[str, Any]:
    """Score what was predicted of a sample, as the protocol shows it: `scoring.score`.

    Args:
        prediction: with the chains kept where the metrics need them, and the raw probability likewise.
        mpp: micrometres per pixel of the sample, for lengths in micrometres.
    Raises:
        DataError: objects are scored, and the truth does not tell them apart.
    """
    said: dict[str, NDArray[Any] | None] = {
        "probability": prediction.probability,
        "raw_probability": prediction.raw_probability,
        "uncertainty": prediction.uncertainty,
        "chains": prediction.chains,
    }
    # Of several mask channels no number is the picture's.
    single = prediction.probability.ndim == 2
    said |= {
        name: sample_numbers(prediction) if single else None
        for name, sample_numbers in SAMPLES.items()
        if name in scoring.needs
    }
    if scoring.scores_objects:
        said["true_instances"] = _numbered(sample)
    if {"instances", "confidence"} & scoring.needs:
        labels = prediction.instances()
        confidence = prediction.confidence(labels) if "confidence" in scoring.needs else None
        said |= {"instances": labels, "confidence": confidence}
    return score(prediction.mask, sample.mask, scoring, mpp, said)


def _numbered(shown: Sample) -> NDArray[np.int32]:
    """The objects of a truth."""
    found = numbered(shown)
    if found is None:
        raise DataError(
            f"{shown.name}: its truth does not tell objects apart, which aji, pq, dq, counts and ece_objects need"
        )
    return found


def _windows(predictor: Predictor, protocol: Protocol) -> tuple[int | None, float] | None:
    """Those of the protocol; None: the model's own, which are in its description."""
    if protocol.window is None and protocol.overlap is None:
        return None
    own = predictor.inference
    window = own.window if protocol.window is None else protocol.window
    return window, own.overlap if protocol.overlap is None else protocol.overlap
