"""Scores of several models, each on the fold of the training images that it never saw, as one file.

    python benchmarks/folds.py --root DIR --models 'runs/monuseg_f{fold}/model' [--dataset monuseg] --json FILE

Several patterns: their ensemble, of one model each.
All folds of MoNuSeg together are its 30 training images. The mean over them and its interval say how the recipe does;
the folds' own means, how that varies with what it is trained on. First as the models are; then each fold at a
temperature and a threshold fitted to what the other models say of the other folds, never to images that it is scored
on. What is fitted to all is for a model that is trained on all images ("calibration" in the file): temperature,
threshold, and cross-conformal intervals of area and count, of which each fold's coverage by the other folds is told.
`segdiff compare` takes two of these files for the models as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import Protocol, default_protocol, get_protocol
from segdiff.data.writers import write_json
from segdiff.inference.options import PredictOptions
from segdiff.inference.prediction import Prediction
from segdiff.inference.protocol import Predictor
from segdiff.metrics.conformal import held_out_coverage, least_images
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.table import Scoring
from segdiff.settings import plain
from segdiff.workflows.calibrate import Calibration
from segdiff.workflows.confidence import ConfidenceCalibration
from segdiff.workflows.evaluate import EvaluateOptions, evaluate, score_prediction
from segdiff.workflows.load import load_predictor
from segdiff.workflows.numbers import NumberCalibration
from segdiff.workflows.record import describe
from segdiff.workflows.scoring import summarise

METRICS = ("dice", "iou", "aji", "pq", "ece", "ece_objects")
AS_IT_IS: dict[str, Any] = {"temperature": 1.0, "threshold": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--models", required=True, nargs="+", help="with {fold}")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--dataset", default="monuseg")
    parser.add_argument("--protocol", help="(default: that of the data set)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    protocol = get_protocol(args.protocol or default_protocol(args.dataset), args.dataset)
    folds = []
    for number in args.folds:
        predictor = load_predictor([one.format(fold=number) for one in args.models], device="cpu")
        folds.append(Fold(number, predictor, build_dataset(args.dataset, args.root, "val", fold=number), protocol))
        _tell(number, "as they are", folds[-1].scores)
    as_they_are = [{"fold": fold.number, **AS_IT_IS, **fold.scores} for fold in folds]
    calibrated = []
    for fold in folds:
        fitted = _fitted([other.calibration for other in folds if other is not fold])
        calibrated.append({"fold": fold.number, **fitted, **fold.scores_at(fitted)})
        _tell(fold.number, "calibrated by the other folds", calibrated[-1])
    _summarise("as they are", as_they_are)
    _summarise("calibrated by the other folds", calibrated)
    calibration: dict[str, Any] = _fitted([fold.calibration for fold in folds])
    numbers = _numbers(folds, calibration)
    calibration["conformal"] = numbers.fit()
    calibration["confidence"] = _confidence(folds, calibration)
    print(f"fitted to all: {calibration}")
    covered = _covered(numbers, [fold.number for fold in folds for _ in fold.shown])
    print(f"covered by intervals that are fitted to the other folds: {covered}")
    if args.json:
        rows = [row for one in as_they_are for row in one["per_image"]]
        shared = {name: as_they_are[0][name] for name in ("protocol", "dataset", "split", "versions")}
        whole = {**shared, **summarise(rows, Scoring(METRICS))}  # what `segdiff compare` reads
        write_json(
            args.json,
            {"calibration": calibration, "covered": covered, **whole, "folds": calibrated, "as_they_are": as_they_are},
        )


class Fold:
    """A fold, predicted once; its predictions are kept, so that other temperatures and thresholds need no second time.

    Attributes:
        scores: of the models as they are, as `evaluate` gives them.
        calibration: fitted to what they say of this fold.
    """

    def __init__(self, number: int, predictor: Predictor, dataset: Dataset, protocol: Protocol) -> None:
        self.number, self.predictor = number, predictor
        self.shown: list[tuple[Sample, Prediction]] = []
        options = EvaluateOptions(PredictOptions(**AS_IT_IS), Scoring(METRICS))
        self.scores = evaluate(predictor, dataset, protocol, options, watch=lambda *one: self.shown.append(one))
        self.calibration = Calibration()
        for sample, said in self.shown:
            self.calibration.add(said.probability, sample.mask)

    def scores_at(self, fitted: dict[str, Any]) -> dict[str, Any]:
        """The scores at a temperature and a threshold."""
        scoring, options = Scoring(METRICS), PredictOptions(**fitted)
        rows = [
            {"name": sample.name, **score_prediction(said.at(**fitted), sample, scoring)} for sample, said in self.shown
        ]
        told = {
            **describe(self.predictor, options),
            "options": {**self.scores["options"], "prediction": plain(options)},
        }
        return {**self.scores, **told, **summarise(rows, scoring)}


def _numbers(folds: list[Fold], fitted: dict[str, Any]) -> NumberCalibration:
    """How far area and count of all folds are off, at a temperature and a threshold."""
    found = NumberCalibration()
    for fold in folds:
        for sample, said in fold.shown:
            found.add(said.at(**fitted), sample)
    return found


def _confidence(folds: list[Fold], fitted: dict[str, Any]) -> list[float] | None:
    """Confidence of objects, fitted to all folds at a temperature and a threshold."""
    found, told = ConfidenceCalibration(), {name: fitted[name] for name in AS_IT_IS}
    for fold in folds:
        for sample, said in fold.shown:
            found.add(said.at(**told), sample)
    return found.fit()


def _covered(numbers: NumberCalibration, folds: list[int]) -> dict[str, float | None]:
    """The share of images that 90 % intervals of the other folds cover; None where these have too few images."""
    fewest = len(folds) - max(folds.count(fold) for fold in folds)
    found: dict[str, float | None] = {}
    for name, errors in numbers.errors.items():
        known = [error for error in errors if error is not None]
        enough = len(known) == len(folds) and fewest >= least_images()
        found[name] = float(held_out_coverage(known, numbers.deviations[name], folds).mean()) if enough else None
    return found


def _summarise(kind: str, folds: list[dict[str, Any]]) -> None:
    print(kind)
    rows = [row for one in folds for row in one["per_image"]]
    for name in METRICS:
        values = [row[name] for row in rows if row[name] is not None]
        own = [one["metrics"][name]["mean"] for one in folds]
        low, high = bootstrap_interval(values) or (float("nan"), float("nan"))
        spread = float(np.std(own, ddof=1)) if len(own) > 1 else float("nan")
        print(f"{name:12} {np.mean(values):.4f} [{low:.4f}, {high:.4f}]; folds differ by {spread:.4f}")


def _tell(fold: int, kind: str, scores: dict[str, Any]) -> None:
    means = "  ".join(f"{name} {scores['metrics'][name]['mean']:.4f}" for name in METRICS)
    print(f"fold {fold} {kind}: {means}", flush=True)


def _fitted(parts: list[Calibration]) -> dict[str, float]:
    whole = Calibration([image for part in parts for image in part.images], sum(part.count for part in parts))
    temperature = whole.temperature()
    return {"temperature": temperature, "threshold": whole.threshold(temperature)}


if __name__ == "__main__":
    main()
