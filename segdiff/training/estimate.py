"""How long a training will take and how much memory it has taken, told once after its first steps."""

from __future__ import annotations

import statistics
import sys

import torch

from segdiff.training.progress import clock

WARM_UP, STEPS, SECONDS = 3, 20, 30.0  # steps that do not count, then as many as fit these two


class Estimate:
    """Takes the seconds of one step after the other.

    Args:
        steps_left: of the training, before the first of them.
    """

    def __init__(self, steps_left: int) -> None:
        self.left = steps_left
        self._seen = 0
        self._seconds: list[float] = []
        self._told = False

    def step(self, seconds: float, device: torch.device) -> str | None:
        """Another step is done; gives the estimate, once, when enough are known and some are left."""
        self.left -= 1
        self._seen += 1
        if self._seen > WARM_UP:
            self._seconds.append(seconds)
        enough = len(self._seconds) >= STEPS or (len(self._seconds) >= WARM_UP and sum(self._seconds) >= SECONDS)
        if self._told or not enough or not self.left:
            return None
        self._told = True
        each = statistics.median(self._seconds)
        memory = peak_memory(device)
        told = "" if memory is None else f"; {memory / 2**30:.1f} GiB of memory so far"
        return (
            f"about {each:.2f} s a step: {clock(each * self.left)} for the {self.left:,} steps left, "
            f"without validation{told}"
        )


def peak_memory(device: torch.device) -> int | None:
    """The most bytes held so far: on a GPU what PyTorch allocated there, else of this process; None where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
