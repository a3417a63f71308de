"""Accuracy and calibration over steps x chains of a trained model, as a table and a picture.

    python benchmarks/accuracy_grid.py --model MODEL --root DIR [--fold 0] [--picture FILE.png] [--json FILE]

The validation images of a fold of MoNuSeg, protocol `paper`, threshold 0.5, before any temperature. Diversity is
1 - Dice between the masks of two chains, the mean over all pairs.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.metrics.table import Scoring
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor

STEPS, CHAINS = (1, 2, 4, 8), (1, 2, 4, 8, 16)
NAMES = ("dice", "iou", "ece", "brier", "diversity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--picture")
    parser.add_argument("--json")
    args = parser.parse_args()
    predictor, protocol = load_predictor(args.model, device="cpu"), get_protocol("paper", "monuseg")
    dataset = build_dataset("monuseg", args.root, "val", fold=args.fold)
    print("| steps | chains | " + " | ".join(NAMES) + " |\n" + "| --- " * (2 + len(NAMES)) + "|")
    rows: list[dict[str, Any]] = []
    for steps in STEPS:
        for chains in CHAINS:
            sampling = replace(predictor.sampling, steps=steps, times=None, chains=chains)
            scores = evaluate(
                predictor, dataset, protocol, sampling=sampling, scoring=Scoring(NAMES), temperature=1.0, threshold=0.5
            )
            means = {name: scores["metrics"][name]["mean"] for name in NAMES}
            rows.append({"steps": steps, "chains": chains, **means})
            cells = ["" if means[name] is None else f"{means[name]:.4f}" for name in NAMES]
            print(f"| {steps} | {chains} | " + " | ".join(cells) + " |", flush=True)
    if args.picture:
        draw(rows, args.picture)
    if args.json:
        write_json(args.json, {"fold": args.fold, "rows": rows})


def draw(rows: list[dict[str, Any]], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, 4), ("dice", "ece", "brier", "diversity"), strict=True):
        for steps in STEPS:
            points = [(r["chains"], r[name]) for r in rows if r["steps"] == steps and r[name] is not None]
            axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{steps} step{'s' * (steps > 1)}")
        axis.set(xscale="log", xticks=CHAINS, xticklabels=map(str, CHAINS), xlabel="chains", title=name)
        axis.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
