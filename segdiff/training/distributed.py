"""Several processes that train one model: PyTorch's own DistributedDataParallel, started by torchrun.

Every process holds the whole model and its share of each batch; gradients are averaged, so that all hold the same
weights after each step. Process 0 alone writes and validates.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from segdiff.diffusion.noise import TrainingDraw
from segdiff.errors import ConfigError
from segdiff.models.segmenter import Segmenter

PATIENCE = timedelta(hours=6)  # the others wait so long for process 0 to validate


@dataclass(frozen=True)
class Processes:
    """This process among all of a training.

    Attributes:
        rank: 0 .. world - 1.
        world: how many there are.
        local_rank: which of those on this machine: the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Processes:
        """What torchrun says: RANK, WORLD_SIZE, LOCAL_RANK; one process where it does not.

        Raises:
            ConfigError: they are there and are no such numbers.
        """
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
            return cls()
        try:
            rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            found = cls(rank, world, int(environment.get("LOCAL_RANK", rank)))
        except ValueError as error:
            raise ConfigError("RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers: start by torchrun") from error
        if not 0 <= rank < world:
            raise ConfigError(f"RANK={rank} of WORLD_SIZE={world}: start by torchrun")
        return found

    @property
    def several(self) -> bool:
        """Return whether there is more than one."""
        return self.world > 1

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: of several on one machine each takes a GPU of its own."""
        if self.several and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank}"
        return name

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Within the block all processes of the training can talk to each other."""
        if not self.several:
            yield
            return
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE
        )
        try:
            yield
            torch.distributed.barrier()  # one that leaves while others still talk breaks their connections
        finally:
            gc.collect()  # what still holds the group (DistributedDataParallel, in rings) would abort at exit
            torch.distributed.destroy_process_group()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.several:
            torch.distributed.barrier()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process: the same answer in all."""
        if not self.several:
            return flag
        told = torch.tensor(int(flag))
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return bool(told)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes of a scalar."""
        if not self.several:
            return value
        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total / self.world

    def from_first(self, value: Any) -> Any:
        """What process 0 has, plain values, in all processes."""
        if not self.several:
            return value
        told = [value]
        torch.distributed.broadcast_object_list(told)
        return told[0]

    def parallel(self, segmenter: Segmenter, device: torch.device) -> nn.Module:
        """(image, mask, draw) to the loss of this process' share; its gradients are those of the whole batch."""
        loss: nn.Module = _Loss(segmenter)
        if not self.several:
            return loss
        return nn.parallel.DistributedDataParallel(loss, device_ids=[device] if device.type == "cuda" else None)


class _Loss(nn.Module):
    """A segmenter as a module whose call is the loss: what DistributedDataParallel wraps."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> Tensor:
        return self.segmenter.loss(image, mask, draw)["loss"]
