"""How many entries (chains times windows) a network takes in one call."""

from __future__ import annotations

import torch

# Entries x pixels that a first try takes. On CPUs larger batches gain nothing and cost memory; on GPUs a
# batch that turns out too large is halved.
PIXELS_CPU, PIXELS_GPU = 4 * 256**2, 64 * 256**2


def first_guess(device: torch.device, pixels: int, finest: int = 1) -> int:
    """Entries of `pixels` pixels to begin with: 4 of 256 x 256 on a CPU, 64 on a GPU; 1 to 64.

    finest: of the segmenter; one that computes its chains at a quarter of the size takes sixteen times as many.
    """
    budget = PIXELS_CPU if device.type == "cpu" else PIXELS_GPU
    return min(max(budget * finest**2 // pixels, 1), 64)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed. PyTorch has a type for it on CUDA only; CPU and MPS say it in words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "not enough memory", "can't allocate memory", "storage size calculation overflowed")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def free_memory(device: torch.device) -> None:
    """Give cached blocks back, so that the next try starts from what is really in use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
