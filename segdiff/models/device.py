"""Where and in which precision a network runs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from segdiff.errors import ConfigError

PRECISIONS = ("auto", "bf16", "bfloat16", "float32")  # bf16 and bfloat16 are one


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name: "auto" takes cuda, then mps, then cpu.

    Raises:
        ConfigError: an unknown name, or a device that this machine does not have.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name} is not known; use auto, cpu, cuda, cuda:1 or mps") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise ConfigError(f"device={name}: this machine has none that PyTorch can use; use device=auto or device=cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device={name}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return device


def resolve_precision(device: torch.device, precision: str = "auto") -> str:
    """ "bf16" or "float32"; "auto" takes bf16 on GPUs and processors that compute in it (elsewhere it is slower)."""
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision} is not known; known: {', '.join(PRECISIONS)}")
    if precision != "auto":
        return "bf16" if precision == "bfloat16" else precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return "bf16" if any(test() for test in tests if test is not None) else "float32"
    return "float32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Context in which a network computes in `precision` ("bf16" or "float32", as `resolve_precision` gives it)."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
