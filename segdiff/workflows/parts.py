"""Shares of a list of files: part i of n, for several processes or array jobs that never talk to each other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from segdiff.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Part `index` of `count`, 1 <= index <= count."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ConfigError(f"part {self.index}/{self.count}: it is written i/n with 1 <= i <= n")

    def of(self, items: Sequence[T]) -> list[T]:
        """The items of this part: every `count`-th, so that all parts take about as long."""
        return list(items[self.index - 1 :: self.count])

    @property
    def suffix(self) -> str:
        """What names of files of this part alone end with: "" for the whole, "_2of4" for a part."""
        return "" if self.count == 1 else f"_{self.index}of{self.count}"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_part(text: str) -> Part:
    """ "2/4" to a part. ConfigError for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None:
        raise ConfigError(f"part {text!r}: it is written i/n, as in 2/4")
    return Part(int(found[1]), int(found[2]))


def part_of_environment(environment: Mapping[str, str] = os.environ) -> Part:
    """The part of a process that torchrun started (RANK of WORLD_SIZE, from 0); the whole elsewhere.

    Raises:
        ConfigError: variables of those names that are no such numbers.
    """
    rank, world = environment.get("RANK"), environment.get("WORLD_SIZE")
    if rank is None or world is None:
        return Part()
    try:
        return Part(int(rank) + 1, int(world))
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"RANK={rank} and WORLD_SIZE={world} are not a rank and a number of processes") from error
