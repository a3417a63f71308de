"""What the published procedure costs: operations (counted) and seconds (measured) of its network and of a plain U-Net.

    python benchmarks/published_cost.py [--threads 2] [--repeats 5] [--json FILE]

One denoising step of the published MoNuSeg network (164 M parameters) for one window of 256 x 256 pixels, with G
computed in it as published, and with G's features cached; beside them one pass of segmentation-models-pytorch's
Unet(resnet34) over a whole image of 512 x 512. All in float32, weights at random (they change no cost), in turns, so
that what else the machine does meets all alike. Operations are 2 x multiply-adds of convolutions, linear layers and
attention products, by torch's counter. The cost of an image (4 windows, 9 chains, 100 steps) is computed from these by
multiplication, not run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segdiff.data.writers import write_json
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import DiffusionSegmenter
from segdiff.training.configs import compose
from segdiff.workflows.record import versions

WINDOWS, CHAINS, STEPS = 4, 9, 100
AS_PUBLISHED, G, CACHED, UNET = "step as published, G in it", "G alone", "step with G cached", "smp Unet(resnet34)"


def operations(call: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def calls() -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    config = compose(["experiment=published_monuseg", "dataset.root=unused"])
    segmenter = build_segmenter(config["model"], config["diffusion"]).eval()
    assert isinstance(segmenter, DiffusionSegmenter)
    network: Any = segmenter.network
    unet = smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=1).eval()
    image, x_t, whole = torch.randn(1, 3, 256, 256), torch.randn(1, 1, 256, 256), torch.randn(1, 3, 512, 512)
    features = network.encode(image)
    return {
        AS_PUBLISHED: lambda: network(x_t, 50, network.encode(image)),
        G: lambda: network.encode(image),
        CACHED: lambda: network(x_t, 50, features),
        UNET: lambda: unet(whole),
    }


def measure(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each repetition; the first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if round_:
                times[name].append(time.perf_counter() - began)
    return times


def image_cost(once: float, step: float, cached: float) -> tuple[float, float]:
    """(as published, with G cached) of one image: G once a window, or in each step of each chain."""
    evaluations = WINDOWS * CHAINS * STEPS
    return evaluations * step, WINDOWS * once + evaluations * cached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.no_grad():
        measured = calls()
        flops = {name: operations(call) for name, call in measured.items()}
        times = measure(measured, args.repeats)
    seconds = {name: statistics.median(values) for name, values in times.items()}

    print(f"| {args.threads} threads, float32 | GFLOP | seconds | range |\n| --- | --- | --- | --- |")
    for name in measured:
        size = "512 x 512" if name == UNET else "256 x 256"
        low, high = min(times[name]), max(times[name])
        print(f"| {name}, {size} | {flops[name] / 1e9:,.1f} | {seconds[name]:.2f} | {low:.2f} to {high:.2f} |")
    ratios = [a / b for a, b in zip(times[AS_PUBLISHED], times[CACHED], strict=True)]
    print(
        f"\nA step with G cached: {flops[AS_PUBLISHED] / flops[CACHED]:.3f} times fewer operations, "
        f"{statistics.median(ratios):.2f} times faster (rounds: {min(ratios):.2f} to {max(ratios):.2f})."
    )
    published, cached = image_cost(flops[G], flops[AS_PUBLISHED], flops[CACHED])
    slow, fast = image_cost(seconds[G], seconds[AS_PUBLISHED], seconds[CACHED])
    print(
        f"An image of 512 x 512 ({WINDOWS} windows, {CHAINS} chains, {STEPS} steps), by multiplication: "
        f"{published / 1e12:,.0f} TFLOP and {slow / 3600:.1f} hours as published, {cached / 1e12:,.0f} TFLOP and "
        f"{fast / 3600:.1f} hours with G once a window: {published / cached:.2f} times fewer operations, "
        f"{slow / fast:.2f} times faster. A pass of {UNET}: {flops[UNET] / 1e12:.4f} TFLOP, {seconds[UNET]:.2f} s: "
        f"{published / flops[UNET]:,.0f} and {cached / flops[UNET]:,.0f} times fewer."
    )
    if args.json:
        facts = {"threads": args.threads, "versions": versions(), "flop": flops, "seconds": times}
        write_json(args.json, facts)


if __name__ == "__main__":
    main()
