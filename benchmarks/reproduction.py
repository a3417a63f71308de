"""Errors against tensors recorded from the published code, as a Markdown table.

python benchmarks/reproduction.py --golden DIR     # the folder that holds official_small/ and schedules/
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from segdiff.diffusion import samplers
from segdiff.diffusion.objectives import to_x_0_and_epsilon
from segdiff.diffusion.process import diffuse
from segdiff.diffusion.schedules import build_schedule, linear_schedule
from segdiff.models.official import from_official
from segdiff.models.segdiff import SegDiff


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


def tensors(path: Path) -> dict[str, Tensor]:
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def schedules(folder: Path) -> float:
    """Largest relative error of any table."""
    worst = 0.0
    for path in sorted(folder.glob("*_T*.npz")):
        kind, steps = path.stem.split("_T")
        schedule = build_schedule(kind, int(steps))
        with np.load(path) as file:
            for name in file.files:
                got, wanted = getattr(schedule, name.removeprefix("spaced_")), file[name]
                there = wanted != 0
                worst = max(worst, float(np.max(np.abs(got - wanted)[there] / np.abs(wanted[there]))))
    return worst


def forward(network: SegDiff, data: dict[str, Tensor]) -> dict[str, float]:
    with torch.no_grad():
        features, other = network.encode(data["image"]), network.encode(data["image2"])
        return {
            "G(I)": relative(features, data["G"]),
            "output, 64 x 64": relative(network(data["x_t"], data["t_a"], features), data["out_a"]),
            "output, 48 x 72": relative(network(data["x_t2"], data["t2"], other), data["out2"]),
        }


def gradients(network: SegDiff, data: dict[str, Tensor]) -> float:
    """Largest relative error of the recorded gradients of the published summed loss."""
    x_t = diffuse(data["x_start"], data["noise"], data["t"], linear_schedule(100))
    said = network(x_t, data["t"], network.encode(data["image"]))
    (said - data["noise"]).square().flatten(1).sum(1).mean().backward()
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    recorded = {name.removeprefix("grad__"): value for name, value in data.items() if name.startswith("grad__")}
    return max(relative(found[name], value) for name, value in recorded.items())


def chain(network: SegDiff, features: Tensor, inputs: dict[str, Tensor], settings: dict) -> Tensor:
    options, schedule = settings["diffusion"], linear_schedule(100)
    scale = 10 if options["rescale_timesteps"] else 1

    def denoise(x_t: Tensor, t: int, previous: Tensor | None) -> samplers.Denoised:
        alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
        said = network(x_t, t * scale, features)
        return samplers.Denoised(*to_x_0_and_epsilon(said, x_t, alpha, sigma, "epsilon"))

    times, clip = settings["timestep_map"][::-1], settings["clip_denoised"]
    noise = inputs["noise"].__getitem__
    if settings["sampler"] == "ddim":
        return samplers.ddim(denoise, inputs["x_T"], schedule, times, noise=noise, clip=clip, eta=settings["eta"])
    variance = "small" if options["sigma_small"] else "large"
    return samplers.ddpm(denoise, inputs["x_T"], schedule, times, noise=noise, clip=clip, variance=variance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--golden", type=Path, required=True)
    golden = parser.parse_args().golden
    folder = golden / "official_small"
    network = from_official(load_file(folder / "model.safetensors"))
    rows = {"schedule tables (float64)": schedules(golden / "schedules")}
    rows |= forward(network, tensors(folder / "forward.npz"))
    rows["gradients of the summed loss"] = gradients(network, tensors(folder / "losses.npz"))
    inputs, recorded = tensors(folder / "chain_inputs.npz"), tensors(folder / "chains.npz")
    with torch.no_grad():
        features = network.encode(inputs["image"])
        for name, settings in json.loads((folder / "config.json").read_text())["chains"].items():
            x = chain(network, features, inputs, settings)
            rows[f"chain {name}"] = relative(x, recorded[f"{name}__final"])
    print("| what | error |\n| --- | --- |")
    for name, error in rows.items():
        print(f"| {name} | {error:.1e} |")


if __name__ == "__main__":
    main()
