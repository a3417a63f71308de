"""What a 512 x 512 image costs: the published procedure, the fast network, a plain U-Net, MONAI's diffusion.

    python benchmarks/fast_cost.py [--threads 2] [--repeats 7] [--precision auto] [--json FILE]

Weights at random, which change no cost; all networks channels-last, in one precision, in turns in one run, so that what
else the machine does meets all alike: read the ratios. Operations are 2 x multiply-adds of convolutions, linear layers
and attention products, by torch's counter. The published procedure (4 windows, 9 chains, 100 steps) and MONAI's are
measured for one step of one window and multiplied, not run. "network" is the tensors' way through the network with its
noise made; "predict" all of `Predictor.predict`: normalisation, noise, chains, statistics. Memory is the highest of a
fresh process, less what the same process holds before it predicts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import monai_parts
from published_cost import CHAINS, STEPS, WINDOWS, measure, operations

from segdiff.data.writers import write_json
from segdiff.diffusion.noise import NoiseField
from segdiff.diffusion.sampling import Sampling
from segdiff.inference.options import ComputeOptions, InferenceSettings
from segdiff.inference.predictor import ModelPredictor
from segdiff.models.build import build_segmenter
from segdiff.models.device import autocast, resolve_precision
from segdiff.models.folding import fold_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter
from segdiff.training.configs import compose
from segdiff.workflows.record import versions

SIZE = 512
CPU = torch.device("cpu")
GRID = [(1, 1), (2, 1), (2, 8), (2, 9), (4, 8), (2, 32)]  # (steps, chains)
SIZES, COUNTS = (256, 512, 1024, 2048), (1, 2, 4, 8, 16, 32, 64)


def untrained(model: str) -> Segmenter:
    """The network of conf/model with random weights."""
    torch.manual_seed(0)
    diffusion = "published" if model.startswith("segdiff") else "few_steps"
    config = compose([f"model={model}", f"diffusion={diffusion}", "dataset.root=unused"])
    return build_segmenter(config["model"], config["diffusion"]).eval()


def predictor(model: str, precision: str = "auto", **sampling: Any) -> ModelPredictor:
    """Of `untrained`, ready as a model is when it is loaded."""
    segmenter = fold_segmenter(untrained(model), resolve_precision(CPU, precision))
    chosen = Sampling("ddim", steps=2, chains=8, clip=True)
    published = model.startswith("segdiff")
    windows = InferenceSettings(window=256, overlap=0.0) if published else InferenceSettings(window=None)
    compute = ComputeOptions("cpu", precision)
    return ModelPredictor(segmenter, Normalisation(), replace(chosen, **sampling), windows, compute=compute)


def picture(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def noise(size: int) -> Callable[[int, int], torch.Tensor]:
    return lambda chain, draw: torch.from_numpy(NoiseField(0, 0).rectangle(chain, draw, 0, 0, size, size))[None]


def sample(made: ModelPredictor, image: torch.Tensor, steps: int, chains: int) -> Callable[[], Any]:
    chosen = replace(made.sampling, steps=steps, chains=chains)
    return lambda: list(made.segmenter.sample(image, noise(image.shape[-1]), chosen))


def monai_step() -> tuple[Callable[[], Any], int]:
    """One step of MONAI's inferer for one window with a network of about the published size; its parameters."""
    network, scheduler, inferer = monai_parts()
    network.to(memory_format=torch.channels_last)
    x_t, image = torch.randn(1, 1, 256, 256), torch.randn(1, 3, 256, 256)

    def step() -> Any:
        return inferer.sample(x_t, network, scheduler, conditioning=image, mode="concat", verbose=False)

    return step, sum(p.numel() for p in network.parameters())


def calls(precision: str, without: list[str]) -> tuple[dict[str, Callable[[], Any]], dict[str, int]]:
    """What is measured, by name; and by how much its operations and seconds are multiplied for an image."""
    fast, unet = predictor("fast", precision), predictor("smp", precision)
    image = torch.randn(1, 3, SIZE, SIZE)
    unet_network: Any = unet.segmenter.network
    pixels = picture(SIZE)
    found: dict[str, Callable[[], Any]] = {
        "smp Unet(resnet34), network": lambda: unet_network(image),
        "smp Unet(resnet34), predict": lambda: unet.predict(pixels),
    }
    times = dict.fromkeys(found, 1)
    for steps, chains in GRID:
        found[f"fast, {steps} x {chains}, network"] = sample(fast, image, steps, chains)
    shipped = replace(fast.sampling, steps=2, chains=8)
    found["fast, 2 x 8, predict"] = lambda: fast.predict(pixels, sampling=shipped)
    fast_network: Any = fast.segmenter.network
    found["fast, G alone"] = lambda: fast_network.encode(image)
    if "published" not in without:
        network: Any = predictor("segdiff_monuseg", precision).segmenter.network
        window, x_t = torch.randn(1, 3, 256, 256), torch.randn(1, 1, 256, 256)
        features = network.encode(window)
        found["published step"] = lambda: network(x_t, 50, network.encode(window))
        found["published step, G cached"] = lambda: network(x_t, 50, features)
        times |= dict.fromkeys(("published step", "published step, G cached"), WINDOWS * CHAINS * STEPS)
    if "monai" not in without:
        step, parameters = monai_step()
        name = f"MONAI DiffusionInferer step ({parameters / 1e6:.0f} M)"
        found[name], times[name] = step, WINDOWS * CHAINS * STEPS
    return found, {name: times.get(name, 1) for name in found}


def memory(size: int, chains: int, threads: int, precision: str) -> tuple[float, float]:
    """(GiB, seconds) of predicting a picture in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_memory, (size, chains, threads, precision))


def _memory(size: int, chains: int, threads: int, precision: str) -> tuple[float, float]:
    torch.set_num_threads(threads)
    made, pixels = predictor("fast", precision, chains=chains), picture(size)
    made.predict(picture(64))  # what a first prediction imports and allocates for good
    before = _kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the highest so far
    seconds = measure({"": lambda: made.predict(pixels)}, 2)[""]
    return (_kilobytes("VmHWM") - before) / 2**20, min(seconds)


def _kilobytes(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--without", nargs="*", default=[], choices=["published", "monai"])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    precision = resolve_precision(CPU, args.precision)
    found, times = calls(precision, args.without)
    rows: dict[str, Any] = {}
    with torch.inference_mode():
        counted = {name: operations(call) * times[name] for name, call in found.items()}
        with autocast(CPU, precision):
            seconds = measure(found, args.repeats)
    reference = statistics.median(seconds["smp Unet(resnet34), network"])
    print(f"{args.threads} threads, {precision}, torch {torch.__version__}, median of {args.repeats}\n")
    print("| a 512 x 512 image | TFLOP | seconds | times the U-Net's |\n| --- | --- | --- | --- |")
    for name in found:
        took = statistics.median(seconds[name]) * times[name]
        computed = ", by multiplication" if times[name] > 1 else ""
        print(f"| {name}{computed} | {counted[name] / 1e12:.4f} | {took:.3f} | {took / reference:.2f} |")
        rows[name] = {"operations": counted[name], "seconds": took, "all": seconds[name], "multiplied": times[name]}
    once, nine = counted["fast, 2 x 1, network"], counted["fast, 2 x 9, network"]
    print(f"\n9 chains against 1, 2 steps, operations: {nine / once:.2f}\n")
    print("| fast, predict | GiB more | seconds |\n| --- | --- | --- |")
    growth = {}
    for size, chains in [(size, 8) for size in SIZES] + [(SIZE, count) for count in COUNTS]:
        gib, took = memory(size, chains, args.threads, precision)
        print(f"| {size} x {size}, {chains} chains | {gib:.2f} | {took:.3f} |", flush=True)
        growth[f"{size}, {chains}"] = {"gib": gib, "seconds": took}
    if args.json:
        about = {"threads": args.threads, "precision": precision, "versions": versions()}
        write_json(args.json, {**about, "rows": rows, "nine_to_one": nine / once, "growth": growth})


if __name__ == "__main__":
    main()
