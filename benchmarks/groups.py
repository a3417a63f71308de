"""Mean scores by group of images (organ, patient, slide), from files of scores and the index.csv of the data.

    python benchmarks/groups.py --index nuclei_data/index.csv fold_1.json otsu_fold_1.json [--metrics dice aji]

The files are of `segdiff evaluate`, `benchmarks/folds.py` or `benchmarks/otsu.py`. A line a group, a column a file and
score, with the 95 % interval over the group's images; the last line is the mean over groups, each of the same weight,
with the interval over groups: what to expect of a group that was not among them.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.writers import write_json
from segdiff.metrics.intervals import bootstrap_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scores", type=Path, nargs="+")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--metrics", nargs="+", default=["dice", "aji", "pq"])
    parser.add_argument("--looks", nargs="+", help="groups of these looks only (column look of the index)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with args.index.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not args.looks or row["look"] in args.looks]
    group_of = {row.get("stem") or row["name"]: row["group"] for row in rows}
    found = {path.stem: by_group(path, group_of, args.metrics) for path in args.scores}
    for name, groups in found.items():
        print(name)
        for group, values in groups.items():
            scores = "  ".join(f"{metric} {_text(values[metric])}" for metric in args.metrics if metric in values)
            print(f"  {group:42} {values['n']:4}  {scores}")
    if args.json:
        write_json(args.json, found)


def by_group(path: Path, group_of: dict[str, str], metrics: list[str]) -> dict[str, dict[str, Any]]:
    """Mean and interval of each metric by group, and over groups under "mean over groups"."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in json.loads(path.read_text(encoding="utf-8"))["per_image"]:
        if row["name"] not in group_of:
            continue
        for metric in metrics:
            if row.get(metric) is not None:
                scores[group_of[row["name"]]][metric].append(row[metric])
    found: dict[str, dict[str, Any]] = {}
    for group in sorted(scores):
        counts = max(len(values) for values in scores[group].values())
        found[group] = {"n": counts, **{metric: _summary(values) for metric, values in scores[group].items()}}
    means = {
        metric: _summary([float(np.mean(one[metric])) for one in scores.values() if one[metric]]) for metric in metrics
    }
    return {**found, "mean over groups": {"n": len(scores), **means}}


def _summary(values: list[float]) -> dict[str, Any]:
    low, high = bootstrap_interval(values) or (None, None)
    return {"mean": float(np.mean(values)) if values else None, "low": low, "high": high}


def _text(summary: dict[str, Any]) -> str:
    if summary["mean"] is None:
        return "-"
    interval = "" if summary["low"] is None else f" [{summary['low']:.3f}, {summary['high']:.3f}]"
    return f"{summary['mean']:.3f}{interval}"


if __name__ == "__main__":
    main()
