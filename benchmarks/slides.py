"""What a whole slide costs beside its network: seconds by step, memory and bytes.

    python benchmarks/slides.py --side 10000 --json slides_10000.json
    python benchmarks/slides.py --side 30000 --tissue 4096 --json slides_30000.json

Makes a slide of that side by repeating an H&E picture of `examples/tissue` (tiles of 256, deflate, a pyramid, Aperio's
description), and predicts it with a formula in place of the network: where more red light is lost than Otsu's threshold
of the picture says is nucleus, where more yet is its middle. All else is as in `segdiff predict --instances`: reading,
blending, the strips on disk, objects, label map, table, outlines, overview. With `--tissue` only a square of so many
pixels a side is tissue, the rest is glass, which is left out. The formula's own time, and that of the noise, which a
network would need, are told apart.

Memory is the peak of this process beyond what it had when the predictor was loaded; the slide is made by another one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from torch import Tensor

from segdiff.data.images import read_image
from segdiff.data.windows import tiles
from segdiff.diffusion.sampling import Sampling
from segdiff.inference.options import ComputeOptions, InferenceSettings
from segdiff.inference.predictor import ModelPredictor
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter
from segdiff.targets.instances import InstancesTarget
from segdiff.workflows.predict_files import failures, predict_files
from segdiff.workflows.slides import outputs, store

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "tissue" / "images"
TILE = 256
GLASS = 243
seconds: dict[str, float] = {}


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose time is added up under a name."""

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - began

    return call


def lost_light(image: Tensor) -> Tensor:
    """What is missing of red, smoothed: (N, 1, H, W) of (N, 3, H, W) in 0 to 1."""
    return torch.nn.functional.avg_pool2d(1 - image[:, :1], 7, stride=1, padding=3)


def example() -> np.ndarray:
    """The picture that slides are made of."""
    return read_image(sorted(EXAMPLES.iterdir())[0])[..., :3]


def threshold_of(picture: np.ndarray) -> float:
    """Otsu's, of the light that is lost."""
    from skimage.filters import threshold_otsu

    image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return float(threshold_otsu(lost_light(image).numpy()))


class Formula(Segmenter):
    """Nucleus where red light is lost, middle where more of it is, two chains of it."""

    image_channels, mask_channels, size_multiple = 3, 2, 16
    target = InstancesTarget()

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def loss(self, image: Tensor, mask: Tensor, draw: Any) -> dict[str, Tensor]:
        raise AssertionError("a formula is not trained")

    def sample(self, image: Tensor, noise: Any, sampling: Sampling, group_size: int | None = None) -> Iterator[Tensor]:
        began = time.process_time()
        lost = lost_light(image)
        mask = torch.sigmoid((lost - self.threshold) * 30)
        core = torch.sigmoid((lost - self.threshold - 0.08) * 30)
        said = torch.cat([mask, core], dim=1)
        found = torch.stack([said, said * 0.98])
        seconds["network"] = seconds.get("network", 0.0) + time.process_time() - began
        yield found


def make_slide(path: Path, side: int, tissue: int) -> None:
    """Write the slide, a tile at a time; beyond `tissue` pixels from its upper left corner it is glass."""
    one = example()

    def content(step: int) -> Iterator[np.ndarray]:
        size = -(-side // step)
        for window in tiles(size, size, TILE):
            rows = np.arange(window.top, window.top + TILE) * step % one.shape[0]
            columns = np.arange(window.left, window.left + TILE) * step % one.shape[1]
            tile = one[rows[:, None], columns]
            beyond = [np.arange(start, start + TILE) * step >= tissue for start in window[:2]]
            tile[beyond[0][:, None] | beyond[1]] = GLASS
            yield tile

    text = f"Aperio Image Library\n{side}x{side}|AppMag = 40|MPP = 0.25"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for step in (1, 4, 16):
            size = -(-side // step)
            shape = (size, size, 3)
            file.write(
                content(step), shape=shape, dtype=np.uint8, tile=(TILE, TILE), photometric="rgb", compression="deflate",
                compressionargs={"level": 1}, description=text, metadata=None, subfiletype=int(step > 1), maxworkers=1,
            )  # fmt: skip


def measure(side: int, tissue: int, folder: Path) -> dict[str, Any]:
    """Predict the slide; seconds of the processor by step, bytes of memory and of files."""
    slide = folder / "slide.svs"
    maker = multiprocessing.get_context("spawn").Process(target=make_slide, args=(slide, side, tissue))
    maker.start()
    maker.join()
    predictor = ModelPredictor(
        Formula(threshold_of(example())),
        Normalisation("fixed", [0.0] * 3, [255.0] * 3),
        Sampling(chains=2),
        InferenceSettings(window=256, overlap=0.25, class_name="Nucleus"),
        compute=ComputeOptions("cpu", "float32"),
    )
    store.StripStore.write = timed("strips to disk", store.StripStore.write)  # type: ignore[method-assign]
    outputs.SlideFiles.write = named(outputs.SlideFiles.write)  # type: ignore[method-assign]
    outputs.BlockObjects = timed("telling apart", outputs.BlockObjects)  # type: ignore[assignment, misc]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, wall = time.process_time(), time.perf_counter()
    chosen = ("mask", "overlay", "labels", "objects", "outlines")
    record = predict_files(predictor, [slide], folder / "out", outputs=chosen, tissue=tissue < side)
    assert not failures(record), failures(record)
    total = time.process_time() - began
    rest = total - sum(seconds.values())
    files = {path.name: path.stat().st_size for path in sorted((folder / "out").iterdir())}
    with (folder / "out" / "slide_objects.csv").open() as file:
        objects = sum(1 for _ in file) - 1
    return {
        "side": side,
        "pixels": side**2,
        "pixels_of_tissue": min(tissue, side) ** 2,
        "objects": objects,
        "processor_seconds": {**{k: round(v, 2) for k, v in seconds.items()}, "reading and blending": round(rest, 2)},
        "processor_seconds_in_all": round(total, 2),
        "seconds_per_1e8_pixels_of_tissue_without_network": round(
            (total - seconds["network"]) / min(tissue, side) ** 2 * 1e8, 2
        ),
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "peak_memory_beyond_predictor_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "slide_bytes": slide.stat().st_size,
        "file_bytes": files,
        "machine": platform.processor() or platform.machine(),
    }


def named(write: Callable[..., Any]) -> Callable[..., Any]:
    """Time the writing of each file under its name."""

    def call(self: Any, name: str, path: Path) -> Any:
        if name == "labels":
            self.objects  # noqa: B018  told apart now, under a name of its own
        return timed(f"writing {name}", write)(self, name, path)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=10_000, help="of the slide in pixels")
    parser.add_argument("--tissue", type=int, help="side of the square that is tissue (default: all of it)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(args.side, args.tissue or args.side, Path(folder))
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
