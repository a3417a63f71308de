"""Seconds of a whole prediction beside one pass of a U-Net over the same picture, in turns in one process.

    python benchmarks/predict_cost.py --image examples/tissue/images/human_pancreas_05.jpg [--model nuclei] \\
        [--sides 512 1000] [--views 2 1] [--threads 2] [--repeats 5] [--json FILE]

The picture is tiled to each side. "predict" is all of `Predictor.predict` with the model's own settings but for the
views; "Unet(resnet34)" is one pass of segmentation-models-pytorch's network, weights at random, channels-last, in the
same precision, over the picture as a tensor that is there already. Medians; read the ratios.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from published_cost import measure

from segdiff.data.images import read_image
from segdiff.data.writers import write_json
from segdiff.models.device import autocast
from segdiff.workflows.load import load_predictor

MULTIPLE = 32  # of a U-Net's sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1000])
    parser.add_argument("--views", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    predictor = load_predictor(args.model, device="cpu")
    network = smp.Unet("resnet34", encoder_weights=None).eval().to(memory_format=torch.channels_last)
    rows = []
    for side in args.sides:
        picture = tiled(read_image(args.image), side)
        ways = {f"predict, {views} view(s)": predicting(predictor, picture, views) for views in args.views}
        ways["Unet(resnet34)"] = passing(network, picture, predictor.machine()["precision"])
        seconds = {name: statistics.median(times) for name, times in measure(ways, args.repeats).items()}
        unet = seconds["Unet(resnet34)"]
        rows.append({"side": side, "seconds": seconds, "ratios": {name: one / unet for name, one in seconds.items()}})
        print(rows[-1], flush=True)
    if args.json:
        about = {"model": predictor.identity, "machine": predictor.machine(), "threads": args.threads}
        write_json(args.json, {**about, "torch": torch.__version__, "rows": rows})


def tiled(picture: np.ndarray, side: int) -> np.ndarray:
    """Repeat a picture to `side` x `side` pixels."""
    down, across = (-(-side // length) for length in picture.shape[:2])
    return np.ascontiguousarray(np.tile(picture, (down, across, 1))[:side, :side])


def predicting(predictor: Any, picture: np.ndarray, views: int) -> Callable[[], Any]:
    """A prediction with so many views."""
    return lambda: predictor.predict(picture, views=views)


def passing(network: torch.nn.Module, picture: np.ndarray, precision: str) -> Callable[[], Any]:
    """A pass of a network over the picture, padded to what it takes."""
    missing = -len(picture) % MULTIPLE
    padded = np.pad(picture, ((0, missing), (0, missing), (0, 0)), mode="reflect")
    tensor = torch.from_numpy(padded).permute(2, 0, 1)[None].float().div(255).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.no_grad(), autocast(torch.device("cpu"), precision):
            return network(tensor)

    return run


if __name__ == "__main__":
    main()
