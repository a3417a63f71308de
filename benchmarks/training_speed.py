"""Images a second of a training step: the fast network, its direct head, smp Unet(resnet34), the published network.

    python benchmarks/training_speed.py [--threads 2] [--precision auto] [--json FILE]

Batches of 8 random crops of 192 x 192 (the published network: one of 256 x 256), forward, backward and AdamW, without
loading; in turns in one run, the median of five.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fast_cost import CPU
from published_cost import measure

from segdiff.data.writers import write_json
from segdiff.diffusion.noise import TrainingDraw
from segdiff.models.build import build_segmenter
from segdiff.models.device import autocast, resolve_precision
from segdiff.training.configs import compose
from segdiff.workflows.record import versions

BATCH = {"segdiff_monuseg": (1, 256)}


def step(model: str, precision: str) -> tuple[Callable[[], Any], int]:
    """A step of training, and its images."""
    torch.manual_seed(0)
    published = model.startswith("segdiff")
    config = compose(
        [f"model={model}", f"diffusion={'published' if published else 'few_steps'}", "dataset.root=unused"]
    )
    segmenter = build_segmenter(config["model"], config["diffusion"]).train().to(memory_format=torch.channels_last)
    count, side = BATCH.get(model, (8, 192))
    image, mask = torch.randn(count, 3, side, side), torch.randn(count, 1, side, side).sign()
    optimizer = torch.optim.AdamW(segmenter.parameters())

    def run() -> None:
        with autocast(CPU, precision):
            loss = segmenter.loss(image, mask, TrainingDraw(0, range(count)))["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    precision = resolve_precision(CPU, args.precision)
    steps = {model: step(model, precision) for model in ("fast", "fast_direct", "smp", "segdiff_monuseg")}
    seconds = measure({model: run for model, (run, _) in steps.items()}, 5)
    print(f"{args.threads} threads, {precision}, torch {torch.__version__}\n")
    print("| network | crops | images a second |\n| --- | --- | --- |")
    rows = {}
    for model, (_, count) in steps.items():
        size = BATCH.get(model, (8, 192))[1]
        rows[model] = count / statistics.median(seconds[model])
        print(f"| {model} | {count} of {size} x {size} | {rows[model]:.2f} |")
    if args.json:
        about = {"threads": args.threads, "precision": precision, "versions": versions()}
        write_json(args.json, {**about, "images_per_second": rows})


if __name__ == "__main__":
    main()
