"""What a user would install instead, each from PyPI into a virtual environment of its own: seconds, memory, size.

    python benchmarks/peers.py [--peers segdiff smp cellpose ...] [--threads 2] [--repeats 3] [--json FILE] [...]

One picture of 1000 x 1000 pixels and three channels. All that are installed are held ready and asked in turns, so that
what else the machine does meets all alike: read the ratios. Each runs as its own library would by default: precision,
tiles, batches. Weights are at random but for segdiff's, since time does not depend on them; so what is timed of the
others is their network's way over the picture, without what turns its answer into objects, and of segdiff all of
`predict`. Procedures of many equal steps are timed for one step of one window and multiplied, not run.

Memory is the highest of the process while it answers, less what it held before. Size is that of the installed packages
on disk, of builds that plain `pip install` takes (for PyTorch on Linux, those for GPUs).

An environment that exists already is used as it is, so a run that was cut goes on; one that cannot be made is left out,
and the reason is told.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZE, WINDOW = 1000, 256
WINDOWS = (-(-SIZE // WINDOW)) ** 2
STEPS, CHAINS = 100, 9
INSTALL_MINUTES = 60
MARK = "packages.json"  # in an environment that is complete: its size


def picture() -> Any:
    """uint8 (1000, 1000, 3)."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def tensor(multiple: int) -> Any:
    """float32 (1, 3, H, W), the picture with its sides made multiples."""
    import torch

    side = SIZE + -SIZE % multiple
    return torch.rand(1, 3, side, side)


def _segdiff() -> Callable[[], Any]:
    import segdiff

    model, pixels = segdiff.load("nuclei", device="cpu"), picture()
    return lambda: model.predict(pixels)


def _unet(bf16: bool) -> Callable[[], Any]:
    import segmentation_models_pytorch as smp
    import torch

    network, image = smp.Unet("resnet34", encoder_weights=None).eval(), tensor(32)

    def run() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network(image)

    return run


def monai_parts() -> tuple[Any, Any, Any]:
    """MONAI's network of about the published size, a scheduler that takes one step, and the inferer of both."""
    from monai.inferers import DiffusionInferer
    from monai.networks.nets import DiffusionModelUNet
    from monai.networks.schedulers import DDIMScheduler

    network = DiffusionModelUNet(
        spatial_dims=2,
        in_channels=4,  # the image is concatenated to x_t
        out_channels=1,
        channels=(128, 128, 256, 256, 512, 512),
        attention_levels=(False, False, False, False, True, True),
        num_res_blocks=3,
        num_head_channels=64,
    ).eval()
    scheduler = DDIMScheduler(num_train_timesteps=STEPS)
    scheduler.set_timesteps(1)
    return network, scheduler, DiffusionInferer(scheduler)


def _monai() -> Callable[[], Any]:
    import torch

    network, scheduler, inferer = monai_parts()
    x_t, image = torch.randn(1, 1, WINDOW, WINDOW), torch.rand(1, 3, WINDOW, WINDOW)
    return lambda: inferer.sample(x_t, network, scheduler, conditioning=image, mode="concat", verbose=False)


def _published() -> Callable[[], Any]:
    import torch

    from segdiff.models.build import build_segmenter
    from segdiff.training.configs import compose

    config = compose(["experiment=published_monuseg", "dataset.root=unused"])
    config["model"].pop("init")
    network: Any = build_segmenter(config["model"], config["diffusion"]).eval().network  # type: ignore[union-attr]
    image, x_t = torch.rand(1, 3, WINDOW, WINDOW), torch.randn(1, 1, WINDOW, WINDOW)
    return lambda: network(x_t, 50, network.encode(image))


def _cellpose() -> Callable[[], Any]:
    import torch
    from cellpose import core, vit

    network = vit.CPSAM(dtype=torch.bfloat16).to(torch.bfloat16).eval()  # as it is after loading
    pixels = (picture() / 255).astype("float32")[None]
    return lambda: core.run_net(network, pixels, batch_size=8, bsize=256, tile_overlap=0.1)


def _stardist() -> Callable[[], Any]:
    import tensorflow as tf
    from stardist.models import Config2D, StarDist2D

    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))
    network = StarDist2D(Config2D(n_channel_in=3, n_rays=32, grid=(2, 2)), name=None, basedir=None)
    pixels = (picture() / 255).astype("float32")
    return lambda: network.predict(pixels, axes="YXC", show_tile_progress=False, verbose=0)


def _instanseg() -> Callable[[], Any]:
    import torch
    from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

    network = InstanSeg_UNet(3, [[2, 2, 1]], layers=[256, 128, 64, 32], norm="BATCH").eval()
    network, image = network.to(memory_format=torch.channels_last), tensor(8)
    image = image.to(memory_format=torch.channels_last)
    return lambda: network(image)


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Attributes:
        what: is timed.
        packages: for pip, into the environment named `place`; "." is this repository.
        build: gives what is timed, in that environment.
        times: of it, an image takes.
    """

    what: str
    place: str
    packages: tuple[str, ...]
    build: Callable[[], Callable[[], Any]]
    times: int = 1


HERE = (str(Path(__file__).resolve().parents[1]),)
SMP = ("segmentation-models-pytorch",)
PEERS = {
    "segdiff": Peer("all of predict, model nuclei, 8 chains of 2 steps", "segdiff", HERE, _segdiff),
    "smp": Peer("Unet(resnet34), one pass, float32", "smp", SMP, lambda: _unet(False)),
    "smp-bf16": Peer("Unet(resnet34), one pass, autocast to bfloat16", "smp", SMP, lambda: _unet(True)),
    "monai": Peer(
        f"DiffusionModelUNet, DiffusionInferer: {WINDOWS} windows, 1 chain of {STEPS} steps, by multiplication",
        "monai",
        ("monai", "einops"),
        _monai,
        WINDOWS * STEPS,
    ),
    "published": Peer(
        f"the published network: {WINDOWS} windows, {CHAINS} chains of {STEPS} steps, by multiplication",
        "segdiff",
        HERE,
        _published,
        WINDOWS * CHAINS * STEPS,
    ),
    "cellpose": Peer("network of cpsam, tiles of 256, bfloat16", "cellpose", ("cellpose",), _cellpose),
    "stardist": Peer("network of 2D_versatile_he", "stardist", ("stardist", "tensorflow"), _stardist),
    "instanseg": Peer("InstanSeg_UNet, one pass", "instanseg", ("instanseg-torch",), _instanseg),
}


def answer(name: str, threads: int) -> None:
    """In a peer's environment: build it, then time it at each line that comes in, and tell the memory."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    call = PEERS[name].build()
    in_turn = _without_gradients(call, threads) if "torch" in sys.modules else call
    before, highest = _resident(), 0.0
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        in_turn()
        seconds = time.perf_counter() - began
        highest = max(highest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        print(json.dumps({"seconds": seconds, "gib": highest - before}), flush=True)


def _without_gradients(call: Callable[[], Any], threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)

    def run() -> Any:
        with torch.inference_mode():
            return call()

    return run


def _resident() -> float:
    """GiB that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def install(peer: Peer, venvs: Path) -> float:
    """The environment of a peer, made where it is not complete; gives the size of its packages in GB.

    Raises:
        RuntimeError: it cannot be made.
    """
    folder = venvs / peer.place
    mark = folder / MARK
    if mark.is_file():
        return float(json.loads(mark.read_text())["gb"])
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *peer.packages],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 * INSTALL_MINUTES)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"{command[1:4]}: {error}") from error
        if done.returncode:
            raise RuntimeError(_reason(done.stderr))
    files = (path for path in folder.glob("lib/python*/site-packages/**/*") if path.is_file())
    own = sum(path.stat().st_size for path in files if "__pycache__" not in path.parts and not path.is_symlink())
    mark.write_text(json.dumps({"gb": own / 1e9, "packages": peer.packages}))
    return own / 1e9


def _reason(errors: str) -> str:
    """The line of a program's complaints that says most: pip ends with warnings, Python with the error."""
    lines = errors.strip().splitlines() or ["no message"]
    return next((line for line in lines if line.startswith("ERROR")), lines[-1])


class Worker:
    """A peer that is ready in its own process."""

    def __init__(self, name: str, venvs: Path, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
        python = venvs / PEERS[name].place / "bin/python"
        command = [str(python), str(Path(__file__).resolve()), "--answer", name, "--threads", str(threads)]
        self.errors = (venvs / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment
        )
        self._read()

    def ask(self) -> dict[str, float]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError(self._last_words()) from error
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # libraries print what they like
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(self._last_words())

    def _last_words(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        return _reason(self.errors.read())


def measure(names: list[str], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Rows by name: seconds of each repetition, GiB, GB of packages, or why a peer was left out."""
    rows: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    for name in names:
        try:
            print(f"{name}: made ready", file=sys.stderr)
            rows[name] = {"packages_gb": install(PEERS[name], args.venvs), "seconds": []}
            workers[name] = Worker(name, args.venvs, args.threads)
        except RuntimeError as error:
            rows[name] = {"left_out": str(error)}
    for turn in range(args.repeats + 1):  # the first warms up
        for name, worker in list(workers.items()):
            try:
                told = worker.ask()
            except RuntimeError as error:
                rows[name] = {"left_out": str(error)}
                worker.close()
                del workers[name]
                continue
            rows[name]["gib"] = told["gib"]
            if turn:
                rows[name]["seconds"].append(told["seconds"] * PEERS[name].times)
    for worker in workers.values():
        worker.close()
    return rows


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown; times are relative to smp's in float32 where that was measured."""
    medians = {name: statistics.median(row["seconds"]) for name, row in rows.items() if row.get("seconds")}
    lines = [
        "| | what | seconds | times the U-Net's | GiB more | GB installed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        if name in medians:
            ratio = f"{medians[name] / medians['smp']:.2f}" if "smp" in medians else ""
            size = f"{row['packages_gb']:.1f}"
            lines.append(f"| {name} | {PEERS[name].what} | {medians[name]:.2f} | {ratio} | {row['gib']:.2f} | {size} |")
    lines += [f"\n{name} was left out: {row['left_out']}" for name, row in rows.items() if "left_out" in row]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--venvs", type=Path, default=Path.home() / ".cache" / "segdiff-peers")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer:
        answer(args.answer, args.threads)
        return
    args.venvs.mkdir(parents=True, exist_ok=True)
    rows = measure(args.peers, args)
    print(f"{args.threads} threads, {platform.processor() or platform.machine()}, median of {args.repeats}\n")
    print(table(rows))
    if args.json:
        facts = {"threads": args.threads, "size": SIZE, "python": platform.python_version(), "rows": rows}
        args.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
