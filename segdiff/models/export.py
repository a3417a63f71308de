"""A trained network as ONNX files, and the runtimes that run them behind the network's own interface.

A denoiser becomes two files, its encoder and one call of it; a plain network one. Sizes and batch are free in all.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segdiff.errors import ConfigError, MissingError
from segdiff.models.denoising import DiffusionSegmenter
from segdiff.models.plain import PlainSegmenter
from segdiff.models.segmenter import Segmenter

RUNTIMES = ("auto", "torch", "onnx", "openvino")
# What "auto" takes of an exported model on a CPU, by precision: the fastest in benchmarks/runtimes.py.
FASTEST = {"bf16": "openvino", "float32": "onnx"}
ENCODER, DENOISER, NETWORK = "encoder.onnx", "denoiser.onnx", "network.onnx"
OPSET = 18
INSTALL = {"onnx": "onnxruntime", "openvino": "openvino"}
Session = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]


class _Encoder(nn.Module):
    """`encode` as the forward pass that an exporter wants."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(image)
        return (features,) if isinstance(features, Tensor) else tuple(features)


class _Denoiser(nn.Module):
    """One call of the denoiser, its features one by one."""

    def __init__(self, network: Any, single: bool) -> None:
        super().__init__()
        self.network, self.single = network, single

    def forward(self, x_t: Tensor, t: Tensor, previous: Tensor, *features: Tensor) -> Tensor:
        return self.network(x_t, t, features[0] if self.single else features, previous)


def export_onnx(segmenter: Segmenter, folder: Path) -> list[Path]:
    """Write the ONNX files of a segmenter into a folder that is there; gives their paths.

    Raises:
        ConfigError: a segmenter that is neither a denoiser nor a plain network, or a network with a part that ONNX, or
            PyTorch's exporter, does not have.
        MissingError: the package `onnx` is not installed.
    """
    try:
        import onnx  # noqa: F401  the exporter needs it
    except ImportError as error:
        raise MissingError("exporting needs the package onnx: pip install 'segdiff[onnx]'") from error
    multiple = segmenter.size_multiple
    image = torch.zeros(2, segmenter.image_channels, 2 * multiple, 3 * multiple)
    if isinstance(segmenter, PlainSegmenter):
        return [_export(segmenter.network, (image,), folder / NETWORK, ["image"], ["log_odds"])]
    if not isinstance(segmenter, DiffusionSegmenter):
        raise ConfigError(f"a {type(segmenter).__name__} cannot be exported")
    network: Any = segmenter.network
    with torch.no_grad():
        given = network.eval().encode(image)
    features = [given] if isinstance(given, Tensor) else list(given)
    names = [f"feature_{i}" for i in range(len(features))]
    x_t = torch.zeros(6, segmenter.mask_channels, *image.shape[2:])
    call = _Denoiser(network, isinstance(given, Tensor))
    return [
        _export(_Encoder(network), (image,), folder / ENCODER, ["image"], names),
        _export(
            call, (x_t, torch.zeros(1), x_t, *features), folder / DENOISER, ["x_t", "t", "previous", *names], ["said"]
        ),
    ]


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, takes: list[str], gives: list[str]) -> Path:
    # Each input of four axes has a free batch, height and width; their names differ: x_t has more entries than images.
    axes = {name: {0: f"{name}_n", 2: f"{name}_h", 3: f"{name}_w"} for name in (*takes, *gives) if name != "t"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of checks of sizes, which a file does not repeat
            torch.onnx.export(
                module.eval(),
                inputs,
                str(path),
                input_names=takes,
                output_names=gives,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except OSError:
        raise
    except Exception as error:  # the exporter has many kinds of its own
        said = " ".join(str(error).split())[:160]
        raise ConfigError(f"PyTorch cannot write this network as ONNX: {type(error).__name__}, {said}") from error
    return path


def check_runtime(runtime: str) -> str:
    """ConfigError for a runtime that is not known, MissingError for one that is not installed."""
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime={runtime} is not known; known: {', '.join(RUNTIMES)}")
    if runtime in INSTALL and not is_installed(runtime):
        raise MissingError(f"runtime={runtime} needs the package {INSTALL[runtime]}: pip install 'segdiff[{runtime}]'")
    return runtime


def is_installed(runtime: str) -> bool:
    """Whether a runtime other than torch can be imported."""
    return importlib.util.find_spec(INSTALL[runtime]) is not None


def open_session(path: Path, runtime: str, precision: str, threads: int) -> Session:
    """A function of named arrays to a list of arrays, run by ONNX Runtime or OpenVINO on the CPU.

    precision: "float32", or for OpenVINO "bf16", where the processor computes in it.
    """
    if runtime == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        wanted = [given.name for given in loaded.get_inputs()]  # an exporter leaves out what a network does not use
        return lambda inputs: loaded.run(None, {name: inputs[name] for name in wanted})
    import openvino

    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)
    takes = [given.names for given in compiled.inputs]  # each may have several

    def run(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        found = compiled([next(inputs[name] for name in names if name in inputs) for names in takes])
        return [np.array(found[i]) for i in range(len(compiled.outputs))]  # copied: the next call overwrites them

    return run


class ExportedDenoiser(nn.Module):
    """A `Denoiser` that is run by another runtime; features are arrays between its calls."""

    def __init__(self, encoder: Session, denoiser: Session, size_multiple: int) -> None:
        super().__init__()
        self.run_encoder, self.run_denoiser, self.size_multiple = encoder, denoiser, size_multiple

    def encode(self, image: Tensor) -> list[NDArray[Any]]:
        return self.run_encoder({"image": _array(image)})

    def forward(self, x_t: Tensor, t: Any, features: Sequence[NDArray[Any]], previous: Tensor | None = None) -> Tensor:
        inputs = {
            "x_t": _array(x_t),
            "t": np.asarray([t], dtype=np.float32).reshape(-1),
            "previous": _array(torch.zeros_like(x_t) if previous is None else previous),
            **{f"feature_{i}": feature for i, feature in enumerate(features)},
        }
        return torch.from_numpy(self.run_denoiser(inputs)[0])


class ExportedNetwork(nn.Module):
    """A plain network that is run by another runtime."""

    def __init__(self, network: Session, size_multiple: int) -> None:
        super().__init__()
        self.run_network, self.size_multiple = network, size_multiple

    def forward(self, image: Tensor) -> Tensor:
        return torch.from_numpy(self.run_network({"image": _array(image)})[0])


def with_runtime(segmenter: Segmenter, folder: Path, runtime: str, precision: str, threads: int) -> Segmenter:
    """The segmenter with its network run from the ONNX files of a folder; the torch network is let go."""
    check_runtime(runtime)
    multiple = segmenter.size_multiple
    names = (NETWORK,) if isinstance(segmenter, PlainSegmenter) else (ENCODER, DENOISER)
    sessions = [open_session(folder / name, runtime, precision, threads) for name in names]
    if isinstance(segmenter, PlainSegmenter):
        segmenter.network = ExportedNetwork(sessions[0], multiple)
    elif isinstance(segmenter, DiffusionSegmenter):
        segmenter.network = ExportedDenoiser(sessions[0], sessions[1], multiple)
    else:
        raise ConfigError(f"a {type(segmenter).__name__} cannot be run by {runtime}")
    return segmenter


def _array(x: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(x.detach().float().numpy())
