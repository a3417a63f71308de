"""How fast training samples are made: samples a second of `batches` on MoNuSeg, protocol `paper`.

    python benchmarks/loading.py --root DIR [--workers 0 2] [--augmentation published_small published]

Images are decoded and resized before the clock starts, as from the second pass of a training on. One line for
each setting: the median of the repetitions, and their range.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml

from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import dataset_from_config
from segdiff.data.loader import TrainingSamples, batches
from segdiff.data.protocols import get_protocol
from segdiff.training.configs import compose

CONF = Path(__file__).resolve().parents[1] / "conf"


def normalise(image: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    return (image.astype(np.float32) - np.array(mean, np.float32)) / np.array(std, np.float32)


def samples_per_second(samples: TrainingSamples, batch_size: int, steps: int, workers: int) -> float:
    """Samples a second over `steps` batches, once every image is in the memory of every worker."""
    images = len(samples.dataset)
    # A worker gets every `workers`-th batch: twice as many passes leave few images unseen by any of them.
    warm = 4 * max(1, workers) * (images // batch_size + 1)
    stream = batches(samples, batch_size, 0, warm + steps, workers=workers)
    for _ in itertools.islice(stream, warm):
        pass
    start = time.perf_counter()
    for _ in stream:
        pass
    return steps * batch_size / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True, help="folder that holds 'MoNuSeg 2018 Training Data'")
    parser.add_argument(
        "--augmentation", nargs="+", default=["published_small", "published"], help="choices of conf/augmentation"
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2], help="numbers of worker processes")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100, help="batches that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    config = yaml.safe_load((CONF / "dataset" / "monuseg.yaml").read_text()) | {"root": options.root}
    protocol = get_protocol(config["protocol"], config["kind"])
    fixed = partial(normalise, mean=config["normalisation"]["mean"], std=config["normalisation"]["std"])
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, batches of {options.batch_size}")
    for name, workers in itertools.product(options.augmentation, options.workers):
        augment = build_augmentation(compose([f"augmentation={name}", "dataset.root=unused"])["augmentation"])
        speeds = []
        for repeat in range(options.repeats):
            dataset = dataset_from_config(config, "train")
            samples = TrainingSamples(dataset, fixed, augment, seed=repeat, prepare=protocol.as_seen)
            speeds.append(samples_per_second(samples, options.batch_size, options.steps, workers))
        middle = statistics.median(speeds)
        print(f"{name:12s} workers={workers}  {middle:6.0f} samples/s  ({min(speeds):.0f} to {max(speeds):.0f})")


if __name__ == "__main__":
    main()
