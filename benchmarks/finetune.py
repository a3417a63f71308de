"""From a few annotated pictures: going on from a model against training from scratch, on held-out pictures.

    python benchmarks/finetune.py --root DIR --work WORK [--images 1 3 10 20] [--seeds 0] [--json FILE]

DIR is MoNuSeg's. The pictures of fold 0 (6 of 30) are held out and scored at their own size; of the other 24 the first
1, 3, 10 and 20 of an order drawn by the seed are trained on. Both ways take the same steps, crops, augmentation and
network (experiment=finetune); from scratch at the learning rate of a whole training. WORK keeps data and
runs: the same command again goes on. Model `nuclei` alone, without any picture, is the first row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdiff.artifacts.folder import load_artifact
from segdiff.data.datasets import build_dataset
from segdiff.data.datasets.base import Sample
from segdiff.data.protocols import NATIVE
from segdiff.data.writers import write_json
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.table import Scoring
from segdiff.training.configs import compose
from segdiff.training.environment import environment
from segdiff.training.run import run_training
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor, predictor_of
from segdiff.workflows.scoring import mean_of

WAYS = {
    "from nuclei": ["trainer.init_from=nuclei"],
    "from scratch": [
        "trainer.init_from=null",
        "target=instances",
        "optimizer.lr=1.5e-3",
        "optimizer.warmup_steps=60",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 3, 10, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    held_out = build_dataset("monuseg", args.root, "val", fold=0)
    train = build_dataset("monuseg", args.root, "train", fold=0)
    rows = [{"way": "nuclei as it is", "images": 0, **_scores(load_predictor("nuclei", device="cpu"), held_out)}]
    _tell(rows[-1])
    for seed in args.seeds:
        order = np.random.default_rng(seed).permutation(len(train))
        for count in args.images:
            data = args.work / f"data_{seed}_{count}"
            for index in order[:count]:
                _write(train[int(index)], data / "train")
            for way in args.ways:
                run = args.work / f"{way.replace(' ', '_')}_{seed}_{count}"
                overrides = ["experiment=finetune", f"dataset.root={data}", f"trainer.max_steps={args.steps}"]
                overrides += ["trainer.panels=0", "device=cpu", "resume=auto", f"seed={seed}", *WAYS[way]]
                config = compose(overrides)
                run_training(config, run)
                minutes = json.loads((run / "environment.json").read_text())["minutes"]
                found = _scores(predictor_of(load_artifact(run / "model"), device="cpu"), held_out)
                rows.append({"way": way, "images": count, "seed": seed, "minutes": minutes, **found})
                _tell(rows[-1])
    for one in (paired := differences(rows)):
        low, high = one["interval"]
        print(f"{one['images']:3} images, seed {one['seed']}: Dice {one['dice']:+.4f} [{low:+.4f}, {high:+.4f}]")
    if args.json:
        about = environment(args.seeds[0], 0.0)
        write_json(args.json, {"steps": args.steps, **about, "differences": paired, "rows": rows})


def differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From nuclei less from scratch on the same pictures: mean of Dice, and its 95 % interval over held-out ones."""
    found = []
    for row in rows:
        for other in rows:
            same = row["images"] == other["images"] and row.get("seed") == other.get("seed")
            if same and (row["way"], other["way"]) == ("from nuclei", "from scratch"):
                less = [value - other["per_image"][name] for name, value in row["per_image"].items()]
                interval = [round(value, 4) for value in bootstrap_interval(less) or ()]
                dice = round(float(np.mean(less)), 4)
                found.append({"images": row["images"], "seed": row["seed"], "dice": dice, "interval": interval})
    return found


def _scores(predictor: Any, dataset: Any) -> dict[str, Any]:
    found = evaluate(predictor, dataset, NATIVE, scoring=Scoring(("dice", "iou", "aji", "pq")), threshold=0.5)
    per_image = {row["name"]: row["dice"] for row in found["per_image"]}
    return {**{name: round(mean_of(found, name), 4) for name in ("dice", "iou", "aji", "pq")}, "per_image": per_image}


def _tell(row: dict[str, Any]) -> None:
    values = "  ".join(f"{name} {row[name]:.4f}" for name in ("dice", "iou", "aji", "pq"))
    print(f"{row['way']:16} {row['images']:3} images  {values}", flush=True)


def _write(sample: Sample, folder: Path) -> None:
    assert sample.instances is not None
    for kind, array in (("images", sample.image), ("masks", sample.instances.astype(np.uint16))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{sample.name}.png")


if __name__ == "__main__":
    main()
