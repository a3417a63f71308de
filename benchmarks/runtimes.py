"""PyTorch, ONNX Runtime and OpenVINO side by side: the fast network and smp Unet(resnet34) on a 512 x 512 image.

    python benchmarks/runtimes.py [--threads 2] [--repeats 9] [--json FILE]

Weights at random; one picture, one window; 8 chains of 2 steps. All of `Predictor.predict` and, less the noise, the
normalisation and the statistics, the network alone. In turns in one run, the median. Differences of the probability
are to PyTorch in float32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fast_cost import SIZE, picture, predictor, untrained
from published_cost import measure

from segdiff.artifacts.exports import save_onnx
from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.data.writers import write_json
from segdiff.models.device import PRECISIONS, autocast, resolve_precision
from segdiff.training.configs import compose
from segdiff.workflows.load import load_predictor
from segdiff.workflows.record import versions

WAYS = [("torch", "float32"), ("torch", "bf16"), ("onnx", "float32"), ("openvino", "float32"), ("openvino", "bf16")]


def saved(model: str, folder: Path) -> Path:
    """The network with random weights as a model folder, exported."""
    made = predictor(model)
    config = compose([f"model={model}", "diffusion=few_steps", "dataset.root=unused"])
    inference = {"window": None, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5}
    artifact = Artifact(
        untrained(model), config["model"], config["diffusion"], made.normalisation, made.sampling, inference
    )
    save_artifact(artifact, folder / model)
    save_onnx(load_artifact(folder / model))
    return folder / model


def network_call(segmenter: Any, precision: str) -> Callable[[], Any]:
    """The network's own part of a prediction."""
    image, x_t = torch.randn(1, 3, SIZE, SIZE), torch.randn(8, 1, SIZE, SIZE)

    @torch.inference_mode()
    def run() -> Any:
        with autocast(torch.device("cpu"), precision):
            if not hasattr(segmenter.network, "encode"):
                return segmenter.network(image)
            features = segmenter.network.encode(image)
            return [segmenter.network(x_t, t, features, x_t) for t in (-9.0, -4.0)]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    assert {way[1] for way in WAYS} <= set(PRECISIONS)
    torch.set_num_threads(args.threads)
    pixels, calls, answers = picture(SIZE), {}, {}
    bf16 = resolve_precision(torch.device("cpu")) == "bf16"
    with tempfile.TemporaryDirectory() as folder:
        for model in ("fast", "smp"):
            path = saved(model, Path(folder))
            for runtime, precision in WAYS:
                if precision == "bf16" and not bf16:
                    continue
                made = load_predictor(path, "cpu", precision, runtime)
                name = f"{model}, {runtime}, {precision}"
                calls[f"{name}, network"] = network_call(made.segmenter, precision)
                calls[f"{name}, predict"] = lambda made=made: made.predict(pixels)  # type: ignore[misc]
                answers[name] = made.predict(pixels).probability
        seconds = measure(calls, args.repeats)
    print(f"{args.threads} threads, torch {torch.__version__}, median of {args.repeats}\n")
    print("| network, runtime, precision | network, seconds | predict, seconds | largest difference |")
    print("| --- | --- | --- | --- |")
    rows: dict[str, Any] = {}
    for name, probability in answers.items():
        reference = answers[f"{name.split(',')[0]}, torch, float32"]
        row = {part: statistics.median(seconds[f"{name}, {part}"]) for part in ("network", "predict")}
        rows[name] = {**row, "difference": float(np.abs(probability - reference).max())}
        print(f"| {name} | {row['network']:.4f} | {row['predict']:.4f} | {rows[name]['difference']:.1e} |")
    if args.json:
        write_json(args.json, {"threads": args.threads, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
