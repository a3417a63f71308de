"""Scores of several models, each on the fold of the training images that it never saw, as one file.

    python benchmarks/folds.py --root DIR --models 'runs/monuseg_f{fold}/model' [--dataset monuseg] --json FILE

Several patterns: their ensemble, of one model each.
All folds of MoNuSeg together are its 30 training images. The mean over them and its interval say how the recipe does;
the folds' own means, how that varies with what it is trained on. First as the models are; then each fold at a
temperature and a threshold fitted to what the other models say of the other folds, never to images that it is scored
on. What is fitted to all is for a model that is trained on all images ("calibration" in the file). `segdiff compare`
takes two of these files for the models as they are.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.base import Sample
from segdiff.data.protocols import default_protocol, get_protocol
from segdiff.data.writers import write_json
from segdiff.inference.prediction import Prediction
from segdiff.inference.predictor import Predictor
from segdiff.inference.temperature import temper, temper_threshold
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.table import Scoring
from segdiff.workflows.calibrate import Calibration
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor
from segdiff.workflows.scoring import summarise

METRICS = ("dice", "iou", "aji", "pq", "ece", "ece_objects")


class Recalled:
    """A predictor that is asked once for each picture; at other temperatures and thresholds it recalls what it said."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.said: dict[bytes, Prediction] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.predictor, name)

    def predict(self, array: Any, *, temperature: float, threshold: float, **settings: Any) -> Prediction:
        key = np.asarray(array).tobytes()
        if key not in self.said:
            self.said[key] = self.predictor.predict(array, temperature=1.0, **settings)
        said = self.said[key]
        assert said.raw_probability is not None  # `evaluate` wants it kept
        probability = temper(said.raw_probability, temperature)
        raw = temper_threshold(threshold, 1 / temperature)
        return replace(said, probability=probability, threshold=threshold, chain_threshold=raw)


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
    found = {fold: Calibration() for fold in args.folds}
    predictors: dict[int, Recalled] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    for kind in ("as they are", "calibrated by the other folds"):
        tables[kind] = []
        for fold in args.folds:
            if kind == "as they are":
                settings = {"temperature": 1.0, "threshold": 0.5}
                predictors[fold] = Recalled(
                    load_predictor([one.format(fold=fold) for one in args.models], device="cpu")
                )
            else:
                settings = _fitted([found[other] for other in args.folds if other != fold])

            def watch(sample: Sample, said: Prediction, fold: int = fold) -> None:
                found[fold].add(said.probability, sample.mask)

            scores = evaluate(
                cast(Predictor, predictors[fold]),
                build_dataset(args.dataset, args.root, "val", fold=fold),
                protocol,
                scoring=Scoring(METRICS),
                watch=watch if kind == "as they are" else None,
                **settings,
            )
            means = "  ".join(f"{name} {scores['metrics'][name]['mean']:.4f}" for name in METRICS)
            print(f"fold {fold} {kind}: {means}", flush=True)
            tables[kind].append({"fold": fold, **settings, **scores})
    for kind, folds in tables.items():
        print(kind)
        rows = [row for one in folds for row in one["per_image"]]
        for name in METRICS:
            values = [row[name] for row in rows if row[name] is not None]
            own = [one["metrics"][name]["mean"] for one in folds]
            low, high = bootstrap_interval(values) or (float("nan"), float("nan"))
            spread = float(np.std(own, ddof=1)) if len(own) > 1 else float("nan")
            print(f"{name:12} {np.mean(values):.4f} [{low:.4f}, {high:.4f}]; folds differ by {spread:.4f}")
    calibration = _fitted(list(found.values()))
    print(f"fitted to all: {calibration}")
    if args.json:
        raw, calibrated = tables.values()
        rows = [row for one in raw for row in one["per_image"]]
        shared = {name: raw[0][name] for name in ("protocol", "dataset", "split", "versions")}
        whole = {**shared, **summarise(rows, Scoring(METRICS))}  # what `segdiff compare` reads
        write_json(args.json, {"calibration": calibration, **whole, "folds": calibrated, "as_they_are": raw})


def _fitted(parts: list[Calibration]) -> dict[str, float]:
    whole = Calibration([image for part in parts for image in part.images], sum(part.count for part in parts))
    temperature = whole.temperature()
    return {"temperature": temperature, "threshold": whole.threshold(temperature)}


if __name__ == "__main__":
    main()
