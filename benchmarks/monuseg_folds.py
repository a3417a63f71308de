"""Scores of five models, each on the fold of MoNuSeg's training images that it never saw, as one file.

    python benchmarks/monuseg_folds.py --root DIR --models 'runs/monuseg_f{fold}/model' [--protocol paper] --json FILE

All folds together are the 30 training images. The mean over them and its interval say how the recipe does; the folds'
own means, how that varies with what it is trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.table import Scoring
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor

METRICS = ("dice", "iou", "aji", "pq", "ece", "ece_objects")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--models", required=True, help="with {fold}")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folds = []
    for fold in args.folds:
        found = evaluate(
            load_predictor(args.models.format(fold=fold), device="cpu"),
            build_dataset("monuseg", args.root, "val", fold=fold),
            get_protocol(args.protocol, "monuseg"),
            scoring=Scoring(METRICS),
        )
        means = "  ".join(f"{name} {found['metrics'][name]['mean']:.4f}" for name in METRICS)
        print(f"fold {fold}: {means}", flush=True)
        folds.append({"fold": fold, **found})
    rows = [row for one in folds for row in one["per_image"]]
    for name in METRICS:
        values = [row[name] for row in rows if row[name] is not None]
        own = [one["metrics"][name]["mean"] for one in folds]
        low, high = bootstrap_interval(values) or (float("nan"), float("nan"))
        spread = float(np.std(own, ddof=1)) if len(own) > 1 else float("nan")
        print(f"{name:12} {np.mean(values):.4f} [{low:.4f}, {high:.4f}]; folds differ by {spread:.4f}")
    if args.json:
        write_json(args.json, {"folds": folds})


if __name__ == "__main__":
    main()
