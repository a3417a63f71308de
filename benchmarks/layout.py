"""Channels-last beside contiguous memory: a step of training and one of prediction, segdiff_small, as ratios.

python benchmarks/layout.py [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from segdiff.diffusion.noise import TrainingDraw
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import DiffusionSegmenter
from segdiff.training.configs import compose


def seconds(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(segmenter: DiffusionSegmenter, layout: torch.memory_format, repeats: int) -> dict[str, float]:
    segmenter.to(memory_format=layout)
    crops = torch.randn(4, 3, 128, 128).contiguous(memory_format=layout)
    windows = torch.randn(4, 3, 256, 256).contiguous(memory_format=layout)
    mask, draw, network = crops[:, :1].sign(), TrainingDraw(0, range(4)), segmenter.network

    def train() -> None:
        segmenter.loss(crops, mask, draw)["loss"].backward()

    with torch.no_grad():
        features = network.encode(windows)  # type: ignore[operator]
        results = {
            "G, 4 windows of 256 x 256": seconds(lambda: network.encode(windows), repeats),  # type: ignore[operator]
            "a sampling step of them": seconds(lambda: network(windows[:, :1], 5, features), repeats),
        }
    results["a training step, 4 crops of 128 x 128"] = seconds(train, repeats)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = compose(["model=segdiff_small", "diffusion=published", "dataset.root=unused"])
    segmenter = build_segmenter(config["model"], config["diffusion"])
    assert isinstance(segmenter, DiffusionSegmenter)
    # In turns, so that what else the machine does meets both.
    plain = measure(segmenter, torch.contiguous_format, args.repeats)
    last = measure(segmenter, torch.channels_last, args.repeats)
    again = measure(segmenter, torch.contiguous_format, args.repeats)
    print(
        f"| {args.threads} threads, float32 | contiguous (s) | channels-last (s) | ratio |\n| --- | --- | --- | --- |"
    )
    for name, value in last.items():
        base = (plain[name] + again[name]) / 2
        print(f"| {name} | {base:.3f} | {value:.3f} | {base / value:.2f} |")


if __name__ == "__main__":
    main()
