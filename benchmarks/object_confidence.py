"""Confidence in single objects: the share of chains, and what is fitted to pictures of other groups.

    python benchmarks/object_confidence.py --model runs/nuclei_f1/model --root nuclei_data --fold 1 \\
        --groups nuclei_data/index.csv --json FILE

Held-out pictures are predicted once; those of each group (an organ) then have the confidence that is fitted to all
other groups (`segdiff.inference.confidence`). Told of each: the calibration error of all objects together ("pooled"),
its mean over pictures (`ece_objects`, which is above 0 for a right confidence too: a picture has few objects for 15
bins; "floor" is what it would be if each object were true with its own confidence, and is a mean over draws), and the
area under the ROC curve of true objects among all. The file has "calibration", fitted to all groups, for
tools/release_model.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from number_intervals import group_of
from numpy.typing import NDArray
from scipy.stats import rankdata

from segdiff.data.datasets import build_dataset
from segdiff.data.writers import write_json
from segdiff.inference.confidence import fit_object_confidence, object_terms
from segdiff.inference.objects import means_and_areas
from segdiff.inference.options import PredictOptions
from segdiff.metrics.calibration import ece
from segdiff.metrics.instances import matched
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.workflows.load import load_predictor

DRAWS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fold", type=int, required=True, help="its pictures were held out of the model's training")
    parser.add_argument("--groups", type=Path, required=True, help="table with the columns stem (or name) and group")
    parser.add_argument("--views", type=int, help="(default: the model's)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    predictor = load_predictor(args.model, device="cpu")
    dataset = build_dataset("folder", args.root, "val", fold=args.fold)
    options = PredictOptions(views=args.views, keep_chains=True)
    pictures, shares, groups = [], [], []
    for name, group in zip(dataset.names, group_of(args.groups, dataset.names), strict=True):
        sample = dataset[dataset.names.index(name)]
        said = predictor.predict(sample.image, options)
        labels = said.instances()
        if labels.any():
            terms = object_terms(*means_and_areas(labels, said.probability))
            pictures.append((terms, matched(labels, sample.instances)))
            shares.append(said.confidence(labels))
            groups.append(group)
    fitted: list[NDArray[np.float64]] = [np.zeros(0)] * len(pictures)
    for group in sorted(set(groups)):
        coefficients = fit_object_confidence([one for one, its in zip(pictures, groups, strict=True) if its != group])
        for i in (i for i, its in enumerate(groups) if its == group):
            fitted[i] = 1 / (1 + np.exp(-pictures[i][0] @ np.array(coefficients)))
    true = [one for _, one in pictures]
    coefficients = fit_object_confidence(pictures)
    result = {
        "pictures": len(pictures),
        "objects": int(sum(map(len, true))),
        "true": float(np.concatenate(true).mean()),
        "share of chains": summary(shares, true),
        "fitted to other groups": {**summary(fitted, true), "floor": floor(fitted)},
        "by group": {
            group: {
                "objects": int(sum(len(one) for one, its in zip(true, groups, strict=True) if its == group)),
                "share of chains": pooled(shares, true, groups, group),
                "fitted to other groups": pooled(fitted, true, groups, group),
            }
            for group in sorted(set(groups))
        },
        "calibration": {"confidence": coefficients},
    }
    for name, value in result.items():
        print(name, value)
    if args.json:
        write_json(args.json, {"model": predictor.identity, **result})


def summary(confidence: list[NDArray[np.float64]], true: list[NDArray[np.bool_]]) -> dict[str, Any]:
    """Calibration errors and the area under the ROC curve."""
    own = [ece(one, its) for one, its in zip(confidence, true, strict=True)]
    values, truth = np.concatenate(confidence), np.concatenate(true)
    return {
        "pooled": ece(values, truth),
        "mean over pictures": float(np.mean(own)),
        "interval": bootstrap_interval(own),
        "roc area": roc_area(values, truth),
    }


def pooled(
    confidence: list[NDArray[np.float64]], true: list[NDArray[np.bool_]], groups: list[str], group: str
) -> float:
    """The calibration error of all objects of a group."""
    chosen = [i for i, one in enumerate(groups) if one == group]
    return ece(np.concatenate([confidence[i] for i in chosen]), np.concatenate([true[i] for i in chosen]))


def floor(confidence: list[NDArray[np.float64]]) -> float:
    """The mean over pictures of the calibration error of confidences that are right by construction."""
    random = np.random.default_rng(0)
    return float(np.mean([ece(one, random.random(one.size) < one) for _ in range(DRAWS) for one in confidence]))


def roc_area(confidence: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """How often a true object has more confidence than a false one; ties count half."""
    ranks, count = rankdata(confidence), int(true.sum())
    return float((ranks[true].sum() - count * (count + 1) / 2) / (count * (true.size - count)))


if __name__ == "__main__":
    main()
