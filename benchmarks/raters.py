"""Do chains draw masks as raters do? Four radiologists' masks of lung nodules (LIDC), a fold of whole patients.

    python benchmarks/raters.py --root DIR --fold 0 --seeds 0 --json benchmarks/results/raters.json

Trains (or goes on with what lies in --runs) `experiment=lidc` as it is and with model=fast_direct, which is the same G
with a direct head, and scores samples of both on the fold that neither was trained on. Samples of the direct head are
drawn from its probability p: each pixel by a coin of its own ("independent pixels"), {p > u} with one random u for all
pixels ("shared threshold"), by a Gaussian field whose correlation falls off with a length ("Gaussian copula"), or the
one mask {p > 1/2} ("majority"). The same draws from the exact share of the four raters say what is lost by the draw
alone, and the shared threshold on the chains' own mean says what of the chains' score is joint.

Columns: squared generalised energy distance, d = 1 - IoU, unbiased (a perfect sampler has 0 on average) and biased
(with its floor), HM-IoU, D_max, diversity of samples, Brier score and NLL of the share of samples, Brier score of "a
rater marked nothing" (fair), CRPS of the area in pixels (fair). Differences are paired by image; brackets: 95 % over
images, of the mean over seeds. Two empty masks count 1.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats

from segdiff.data.datasets import Dataset, build_dataset
from segdiff.data.writers import write_json
from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.mask_numbers import CHAIN
from segdiff.metrics.predictive import crps
from segdiff.metrics.raters import rater_scores, smoothed_mean
from segdiff.metrics.shared_threshold import threshold_samples
from segdiff.training.configs import compose
from segdiff.training.run import run_training
from segdiff.workflows.load import load_predictor

LENGTH = 8.0  # of the copula's field, in pixels
MEAN_OF = 2  # times as many chains make the chains' mean as are scored
COMMON = ["experiment=lidc", "device=cpu", "trainer.precision=float32", "trainer.final_evaluation=false"]
NETWORKS: dict[str, list[str]] = {"chains": [], "direct": ["model=fast_direct"]}
CHAINS, THRESHOLD, PIXELS = "chains", "direct head, shared threshold", "direct head, independent pixels"
SHOWN = {
    "GED, unbiased": "ged_unbiased",
    "GED": "ged",
    "HM-IoU": "hm_iou",
    "D_max": "d_max",
    "diversity": "diversity",
    "Brier": "marginal_brier",
    "NLL": "marginal_nll",
    "Brier, nothing": "empty_brier_fair",
    "CRPS, area": "area_crps",
}
DIGITS = {"area_crps": 1, "marginal_brier": 4, "marginal_nll": 4}  # others have three
Samples = NDArray[np.bool_]


def trained(network: str, seed: int, args: argparse.Namespace) -> Predictor:
    """Train a network, or go on with it, and load it."""
    folder = Path(args.runs) / f"{network}_fold{args.fold}_seed{seed}"
    steps = [] if args.steps is None else [f"trainer.max_steps={args.steps}"]
    data = [f"dataset.root={args.root}", f"dataset.fold={args.fold}", f"seed={seed}", "resume=auto"]
    run_training(compose([*COMMON, *data, *NETWORKS[network], *steps]), folder)
    return load_predictor(str(folder / "model"), "cpu", "float32")


def drawn(p: NDArray[Any], count: int, generator: np.random.Generator) -> dict[str, Samples]:
    """Draw masks from a probability map (H, W) in four ways: bool (count, H, W) each."""
    return {
        "independent pixels": generator.random((count, *p.shape)) < p,
        "shared threshold": threshold_samples(p, generator.random(count)),
        f"Gaussian copula, {LENGTH:g} px": copula(p, count, generator),
        "majority": np.repeat((p > 0.5)[None], count, axis=0),
    }


def copula(p: NDArray[Any], count: int, generator: np.random.Generator) -> Samples:
    """Mark pixels where a smooth Gaussian field of unit variance lies below the p-quantile."""
    noise = generator.standard_normal((count, *p.shape))
    field = ndimage.gaussian_filter(noise, (0, LENGTH, LENGTH), mode="wrap")
    unit = np.zeros(p.shape)
    unit[0, 0] = 1
    scale = np.sqrt((ndimage.gaussian_filter(unit, LENGTH, mode="wrap") ** 2).sum())
    return field / scale < stats.norm.ppf(np.clip(p, 1e-12, 1 - 1e-12))


def samples_of(
    dataset: Dataset, chains: Predictor, direct: Predictor, count: int, seed: int
) -> Iterator[tuple[NDArray[Any], dict[str, Samples]]]:
    """Give the raters' masks of each image and the samples of every method, by name."""
    for index in range(len(dataset)):
        sample = dataset[index]
        raters = sample.mask[:, 0]
        generator = np.random.default_rng((seed, index))
        options = PredictOptions(seed=seed, chains=MEAN_OF * count, keep_chains=True)
        said = chains.predict(sample.image, options).chains
        assert said is not None
        found = {CHAINS: said[:count] > CHAIN}
        found["chains' mean, shared threshold"] = threshold_samples(said.mean(0), generator.random(count))
        p = direct.predict(sample.image, PredictOptions()).probability
        for name, masks in drawn(p, count, generator).items():
            found[f"direct head, {name}"] = masks
        for name, masks in drawn(raters.mean(0), count, generator).items():
            found[f"exact share, {name}"] = masks
        yield raters, found


def score(samples: Samples, raters: NDArray[Any]) -> dict[str, float]:
    """Score the samples of one image."""
    scores = rater_scores(samples, raters, smoothed_mean(samples))
    areas = samples.sum((1, 2))
    return {**scores, "area_crps": float(crps(areas, raters.sum((1, 2))).mean())}


def table_of(rows: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> dict[str, Any]:
    """Means over seeds and images by method and score, with their intervals; and paired differences of the chains."""
    columns = {
        method: {key: np.array([[row[key] for row in one] for one in seeds]) for key in seeds[0][0]}
        for method, seeds in rows.items()
    }
    table: dict[str, Any] = {}
    for method, values in columns.items():
        table[method] = {key: _summary(array) for key, array in values.items()}
        if method != CHAINS:
            table[method]["chains_minus_this"] = {
                key: _summary(columns[CHAINS][key] - values[key]) for key in SHOWN.values()
            }
    return table


def _summary(array: NDArray[np.float64]) -> dict[str, Any]:
    interval = bootstrap_interval(array.mean(0).tolist())
    return {
        "mean": float(array.mean()),
        "low_high": None if interval is None else list(interval),
        "seeds": array.mean(1).tolist(),
    }


def lines(table: Mapping[str, Any]) -> Iterator[str]:
    """Give the rows of both tables."""
    yield "| samples of | " + " | ".join(SHOWN) + " |"
    yield "| --- " * (1 + len(SHOWN)) + "|"
    for method, found in table.items():
        cells = [f"{found[key]['mean']:.{DIGITS.get(key, 3)}f}" for key in SHOWN.values()]
        yield f"| {method} | " + " | ".join(cells) + " |"
    yield ""
    yield "| chains less | GED, unbiased | HM-IoU | CRPS, area |"
    yield "| --- | --- | --- | --- |"
    for method, found in table.items():
        if method != CHAINS:
            cells = [_difference(found["chains_minus_this"], key) for key in ("ged_unbiased", "hm_iou", "area_crps")]
            yield f"| {method} | " + " | ".join(cells) + " |"


def _difference(differences: Mapping[str, Any], key: str) -> str:
    digits, one = DIGITS.get(key, 3), differences[key]
    low, high = one["low_high"]
    return f"{one['mean']:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of the LIDC crops")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, help="of both trainings (default: those of experiment=lidc)")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--limit", type=int, help="the first so many images of the fold only")
    parser.add_argument("--runs", default="runs/raters")
    parser.add_argument("--json")
    args = parser.parse_args()
    dataset = build_dataset("lidc", args.root, "val", fold=args.fold)
    dataset.names = dataset.names[: args.limit]
    rows: dict[str, list[list[dict[str, float]]]] = {}
    for seed in args.seeds:
        networks = [trained(network, seed, args) for network in NETWORKS]
        for raters, found in samples_of(dataset, networks[0], networks[1], args.samples, seed):
            for method, samples in found.items():
                of_seeds = rows.setdefault(method, [])
                if len(of_seeds) <= args.seeds.index(seed):
                    of_seeds.append([])
                of_seeds[-1].append(score(samples, raters))
    table = table_of(rows)
    floor = table[CHAINS]["ged_floor"]["mean"]
    print(f"{len(dataset)} images, {args.samples} samples, 4 raters; floor of the biased GED {floor:.3f}\n")
    print("\n".join(lines(table)))
    if args.json:
        settings = {name: getattr(args, name) for name in ("fold", "seeds", "steps", "samples", "limit")}
        command = ["DIR" if one == args.root else one for one in sys.argv]
        about = {"command": command, "machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        write_json(args.json, {**about, **settings, "images": len(dataset), "both_empty": 1.0, "table": table})


if __name__ == "__main__":
    main()
