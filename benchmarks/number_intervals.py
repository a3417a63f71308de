"""Area and count: what intervals cover by chains, by thresholds, and as they are fitted to other pictures.

    python benchmarks/number_intervals.py --model nuclei --dataset monuseg --root DIR --split all --json FILE
    python benchmarks/number_intervals.py --model FOLD_1 --dataset folder --root DIR --split val --fold 1 \\
        --groups DIR/index.csv --like "human_|mouse_" --json FILE

Fitted intervals are of the pictures outside of a picture's own group (an organ, a patient; without --groups each
picture by itself), so what they cover here is what they cover elsewhere. "one width": the same relative width for all
pictures; "by thresholds": as models carry them. "no shift": without the correction of a model that errs in one
direction. Widths are (high - low) / (estimate + 1).
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import NATIVE
from segdiff.data.writers import write_json
from segdiff.inference.prediction import Prediction
from segdiff.metrics.conformal import OFFSET, ConformalFit, conformal_factor, fit_conformal
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.predictive import LEVEL
from segdiff.metrics.table import Scoring
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor
from segdiff.workflows.numbers import NumberCalibration
from segdiff.workflows.scoring import mean_of

QUANTITIES = ("area", "count")
SCORES = [
    *("dice", "diversity", "chain_error", "dispersion"),
    *(
        f"{number}_{score}_{samples}"
        for number in QUANTITIES
        for score in ("crps", "coverage")
        for samples in ("chains", "threshold")
    ),
]
METHODS = {"one width, no shift": (False, False), "one width": (False, True), "by thresholds": (True, True)}


class Some(Dataset):
    """Some pictures of a data set, by their places."""

    def __init__(self, whole: Dataset, chosen: Sequence[int]) -> None:
        self.kind, self.whole, self.chosen = whole.kind, whole, chosen
        super().__init__(whole.split, [whole.names[i] for i in self.chosen], whole.mpp)

    def read(self, index: int) -> Sample:
        return self.whole[self.chosen[index]]


def group_of(path: Path | None, names: Sequence[str]) -> list[str]:
    """The group of each picture: of the table's column `group`, by `stem` or `name`; without a table, each its own."""
    if path is None:
        return list(names)
    with path.open(newline="", encoding="utf-8") as file:
        groups = {row.get("stem") or row["name"]: row["group"] for row in csv.DictReader(file)}
    return [groups[name] for name in names]


def left_out(
    errors: NDArray[np.float64],
    deviations: NDArray[np.float64],
    estimates: NDArray[np.float64],
    groups: Sequence[str],
    shift: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whether each picture is covered by the interval that is fitted to all other groups, and its relative width."""
    covered, widths = np.zeros(errors.size), np.zeros(errors.size)
    for group in set(groups):
        held = np.array([one == group for one in groups])
        if shift:
            fit = fit_conformal(errors[~held].tolist(), deviations[~held].tolist())
        else:
            fit = ConformalFit(0.0, conformal_factor((np.abs(errors[~held]) / deviations[~held]).tolist()))
        for i in np.flatnonzero(held):
            low, high = fit.interval(estimates[i], deviations[i])
            covered[i] = abs(errors[i] - fit.shift) <= fit.factor * deviations[i]
            widths[i] = (high - low) / (estimates[i] + OFFSET)
    return covered, widths


def fitted(found: NumberCalibration, estimates: Mapping[str, Sequence[float]], groups: Sequence[str]) -> dict[str, Any]:
    """Coverage and width of each way to fit, by quantity."""
    table: dict[str, Any] = {}
    for name in QUANTITIES:
        if None in found.errors[name]:
            continue
        errors, values = np.array(found.errors[name], float), np.array(estimates[name], float)
        for method, (own, shift) in METHODS.items():
            deviations = np.array(found.deviations[name]) if own else np.ones(errors.size)
            covered, widths = left_out(errors, deviations, values, groups, shift)
            by_group = {group: float(covered[[one == group for one in groups]].mean()) for group in sorted(set(groups))}
            table[f"{name}, {method}"] = {
                "covered": int(covered.sum()),
                "coverage": float(covered.mean()),
                "low_high": bootstrap_interval(covered.tolist()),
                "mean_over_groups": float(np.mean(list(by_group.values()))),
                "by_group": by_group if len(by_group) < len(groups) else None,
                "width_mean": float(widths.mean()),
                "width_median": float(np.median(widths)),
            }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--split", default="all")
    parser.add_argument("--fold", type=int, help="of the data set: its pictures of --split val were held out")
    parser.add_argument("--groups", type=Path, help="table with the columns stem (or name) and group")
    parser.add_argument("--like", default="", help="pattern that a group's name begins with; others are left out")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of these")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    predictor = load_predictor(args.model, device="cpu")
    options = {} if args.fold is None else {"fold": args.fold}
    whole = build_dataset(args.dataset, args.root, args.split, **options)
    all_groups = group_of(args.groups, whole.names)
    dataset = Some(whole, [i for i, group in enumerate(all_groups) if re.match(args.like, group)][:: args.every])
    groups = [all_groups[i] for i in dataset.chosen]
    found, estimates = NumberCalibration(), {name: [] for name in QUANTITIES}

    def watch(sample: Sample, said: Prediction) -> None:
        found.add(said, sample)
        estimates["area"].append(float(said.mask.sum()))
        estimates["count"].append(float(said.instances().max(initial=0)))

    scores = evaluate(predictor, dataset, NATIVE, scoring=Scoring(tuple(SCORES)), watch=watch)
    table = fitted(found, estimates, groups)
    print(f"{scores['model']}, {scores['n']} pictures of {args.dataset}, {scores['sampling']['chains']} chains\n")
    print("| score | mean |\n| --- | --- |")
    for name in SCORES:
        print(f"| {name} | {mean_of(scores, name):.4f} |")
    print(f"\n| {LEVEL:.0%} interval | covered | mean over groups | width, mean | median |\n" + "| --- " * 5 + "|")
    for method, row in table.items():
        covered = f"{row['covered']} of {scores['n']} ({row['coverage']:.3f})"
        widths = f"{row['width_mean']:.3f} | {row['width_median']:.3f}"
        print(f"| {method} | {covered} | {row['mean_over_groups']:.3f} | {widths} |")
    if args.json:
        write_json(
            args.json,
            {"fitted": table, "every": args.every, "groups": Counter(groups), "conformal": found.fit(), **scores},
        )


if __name__ == "__main__":
    main()
