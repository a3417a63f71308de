"""Methods against each other over the folds of a data set: accuracy, calibration and doubt, with paired intervals.

    for fold in 0 1 2 3 4; do for model in fast fast_direct smp; do
        python tools/train.py experiment=fast_monuseg dataset.root=DIR dataset.fold=$fold model=$model \\
            run.dir=runs/cv/${model}_f$fold
    done; done
    python benchmarks/cross_validation.py --root DIR --models 'runs/cv/{model}_f{fold}/model' --json FILE

Each model is scored on the validation images of its own fold, which it never saw, under the protocol `paper` at
threshold 0.5 and before any temperature; all folds together are the 30 training images of MoNuSeg. Columns in `_t`
are at a temperature that was fitted on the images of the other folds (with their models), never on those it is
applied to. Intervals are 95 % percentile intervals of the mean over images by bootstrap; they say nothing of how a
second training would come out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.diffusion.sampling import Sampling
from segdiff.inference.temperature import temper
from segdiff.metrics.calibration import brier, ece, ece_boundary, nll
from segdiff.metrics.doubt import diversity, error_auroc, margin_doubt
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.overlap import dice, iou
from segdiff.workflows.calibrate import Calibration
from segdiff.workflows.load import load_predictor
from segdiff.workflows.record import versions

FOLDS = range(5)
HIGHER = ("dice", "iou", "auroc_margin", "auroc_chains", "auroc_both")


@dataclass
class Method:
    """A kind of model and how it samples; gathers what its models say of each image."""

    label: str
    model: str
    change: Callable[[Sampling], Sampling]
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)
    probabilities: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    truths: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


def methods() -> list[Method]:
    def of(**changes: Any) -> Callable[[Sampling], Sampling]:
        return lambda sampling: replace(sampling, **changes)

    return [
        Method("fast, as shipped", "fast", of()),
        Method("fast, 1 chain of 2 steps", "fast", of(chains=1, steps=2)),
        Method("fast, 1 chain of 1 step", "fast", of(chains=1, steps=1)),
        Method("fast, 8 chains of 1 step", "fast", of(chains=8, steps=1)),
        Method("fast, 8 chains of 4 steps", "fast", of(chains=8, steps=4)),
        Method("fast, 8 chains of 2 steps, 8 views", "fast", of(chains=8, steps=2, views=8)),
        Method("its G with a direct head", "fast_direct", of(views=1)),
        Method("the same, 8 views", "fast_direct", of(views=8)),
        Method("smp Unet(resnet34)", "smp", of(views=1)),
        Method("the same U-Net, 8 views", "smp", of(views=8)),
    ]


def run(method: Method, pattern: str, root: str, folds: list[int]) -> None:
    protocol = get_protocol("paper", "monuseg")
    for fold in folds:
        predictor = load_predictor(pattern.format(model=method.model, fold=fold), device="cpu")
        sampling = method.change(predictor.sampling)
        for sample in build_dataset("monuseg", root, "val", fold=fold):
            shown = protocol.prepare(sample)
            said = predictor.predict(
                shown.image,
                sampling=sampling,
                threshold=0.5,
                temperature=1.0,
                windows=(protocol.window, protocol.overlap or 0.0),
                keep_chains=True,
            )
            truth = shown.mask[0, 0]
            wrong = said.mask != (truth != 0)
            row = {
                "dice": dice(said.mask, truth),
                "iou": iou(said.mask, truth),
                "ece": ece(said.probability, truth),
                "ece_boundary": ece_boundary(said.probability, truth),
                "brier": brier(said.probability, truth),
                "nll": nll(said.probability, truth),
                "auroc_margin": error_auroc(margin_doubt(said.probability), wrong),
            }
            if said.uncertainty is not None and said.chains is not None:
                row["auroc_chains"] = error_auroc(said.uncertainty, wrong)
                # The mean doubt of the chains beside the doubt of their mean: unsure chains, and chains that disagree.
                both = margin_doubt(said.chains).mean(0) + margin_doubt(said.probability)
                row["auroc_both"] = error_auroc(both, wrong)
                row["diversity"] = diversity(said.chains)
            method.rows[sample.name] = row
            method.folds[sample.name] = fold
            method.probabilities[sample.name], method.truths[sample.name] = said.probability, truth


def add_tempered(method: Method) -> dict[int, float]:
    """Scores at a temperature of the other folds, as `ece_t` and so on; the temperatures by fold."""
    chosen = {}
    for fold in sorted(set(method.folds.values())):
        calibration = Calibration()
        for name, other in method.folds.items():
            if other != fold:
                calibration.add(method.probabilities[name], method.truths[name][None, None])
        chosen[fold] = calibration.temperature()
        for name, own in method.folds.items():
            if own == fold:
                p, truth = temper(method.probabilities[name], chosen[fold]), method.truths[name]
                tempered = {"ece": ece, "ece_boundary": ece_boundary, "brier": brier, "nll": nll}
                method.rows[name] |= {f"{key}_t": score(p, truth) for key, score in tempered.items()}
    return chosen


def paired(a: Method, b: Method, metric: str, other: str | None = None) -> dict[str, Any]:
    """Mean difference a - b over the images that have both, its interval, and for errors the ratio of the means."""
    names = [n for n in a.rows if np.isfinite(a.rows[n].get(metric, np.nan) + b.rows[n].get(other or metric, np.nan))]
    if not names:
        return {}
    ours = np.array([a.rows[n][metric] for n in names])
    theirs = np.array([b.rows[n][other or metric] for n in names])
    low, high = bootstrap_interval((ours - theirs).tolist()) or (None, None)
    found: dict[str, Any] = {"mean": float((ours - theirs).mean()), "low": low, "high": high, "n": len(names)}
    if metric not in HIGHER:
        found["ratio"] = float(ours.mean() / theirs.mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--root", required=True)
    parser.add_argument("--models", required=True, help="folders of the models, with {model} and {fold} in it")
    parser.add_argument("--folds", type=int, nargs="+", default=list(FOLDS))
    parser.add_argument("--json")
    args = parser.parse_args()
    found = methods()
    report: dict[str, Any] = {"versions": versions(), "folds": args.folds, "methods": {}, "differences": {}}
    columns = ("dice", "iou", "ece", "ece_boundary", "brier", "nll", "ece_t", "brier_t", "auroc_margin")
    columns += ("auroc_chains", "auroc_both", "diversity")
    print("| method | " + " | ".join(columns) + " |\n" + "| --- " * (len(columns) + 1) + "|")
    for method in found:
        run(method, args.models, args.root, args.folds)
        temperatures = add_tempered(method) if len(args.folds) > 1 else {}
        means = {key: float(np.mean([row.get(key, np.nan) for row in method.rows.values()])) for key in columns}
        by_fold = {
            fold: float(np.mean([row["dice"] for n, row in method.rows.items() if method.folds[n] == fold]))
            for fold in args.folds
        }
        report["methods"][method.label] = {
            "means": {key: None if np.isnan(value) else value for key, value in means.items()},
            "dice_by_fold": by_fold,
            "temperatures": temperatures,
            "per_image": {
                name: {key: None if np.isnan(value) else float(value) for key, value in row.items()}
                for name, row in method.rows.items()
            },
        }
        cells = ["" if np.isnan(means[key]) else f"{means[key]:.4f}" for key in columns]
        print(f"| {method.label} | " + " | ".join(cells) + " |", flush=True)
    ours = found[0]
    print("\n| fast, as shipped, less ... | metric | difference, 95 % | ratio |\n| --- | --- | --- | --- |")
    for other in found[1:]:
        for metric in ("dice", "ece", "ece_boundary", "brier", "nll", "ece_t", "brier_t"):
            report["differences"][f"{other.label}: {metric}"] = _show(other.label, metric, paired(ours, other, metric))
    direct = next(m for m in found if m.label == "its G with a direct head")
    for doubt in ("auroc_margin", "auroc_chains", "auroc_both"):
        row = paired(ours, direct, doubt, "auroc_margin")
        report["differences"][f"{direct.label}: {doubt}"] = _show(f"{direct.label} (its margin)", doubt, row)
    if args.json:
        write_json(args.json, report)


def _show(label: str, metric: str, row: dict[str, Any]) -> dict[str, Any]:
    if row:
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        print(f"| {label} | {metric} | {row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] | {ratio} |")
    return row


if __name__ == "__main__":
    main()
