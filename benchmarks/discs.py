"""Pictures of discs whose masks follow a law that is known exactly: the data of benchmarks/positive_control.py.

A picture shows candidate discs, apart from each other. Each is in the mask with a probability of its own, by itself:
its grey value says which. All discs of a mask are larger or smaller than drawn by one shared shift of their radius, one
of `SHIFTS` with equal chances. Nothing else is random, so that the law of a mask, of its area and of its count given
the picture can be computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from segdiff.data.datasets import Dataset, Sample

SIZE, CELL = 64, 16  # of the picture; of the cells that hold a disc each, at most
OCCUPIED = 0.85  # share of cells with a candidate
PRESENCE = (0.1, 0.9)
RADIUS = (3.5, 5.0)
JITTER = 1.0  # of a centre within its cell: two discs stay at least 2 pixels apart at the largest shift
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
GREY = (40, 60, 240)  # of the background, of a disc of presence 0 and of presence 1
SPECK = 10  # fewer pixels are no object: about half of the smallest disc


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its law.

    Attributes:
        image: uint8 (64, 64, 3).
        presence: (n,), of each candidate, in [0, 1].
        owner: int (64, 64), in whose cell a pixel lies, 0 to n - 1; n where the cell is empty.
        reach: (64, 64), the least shift of the radius at which a pixel belongs to its disc.
    """

    image: NDArray[np.uint8]
    presence: NDArray[np.float64]
    owner: NDArray[np.int64]
    reach: NDArray[np.float64]

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.bool_]:
        """Draw masks of the law: bool (count, 64, 64)."""
        shifts = np.array(SHIFTS)[generator.integers(0, len(SHIFTS), count)]
        there = generator.random((count, len(self.presence))) < self.presence
        there = np.concatenate([there, np.zeros((count, 1), bool)], axis=1)
        return there[:, self.owner] & (self.reach <= shifts[:, None, None])

    def marginal(self) -> NDArray[np.float64]:
        """Give the exact probability that a pixel is foreground: (64, 64)."""
        inside = np.mean([self.reach <= shift for shift in SHIFTS], axis=0)
        return np.append(self.presence, 0.0)[self.owner] * inside

    def posterior_mean(self, x_t: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
        """Compute E[x_0 | x_t, picture] of x_t = alpha x_0 + sigma epsilon, x_0 = 2 mask - 1: the exact denoiser.

        Given a shift the candidates are independent: the odds of one are its prior odds times the likelihood ratio of
        its pixels. A shift weighs as the product over candidates of their total likelihoods.

        x_t: float32 (B, 1, 64, 64). Returns the same shape.
        """
        log_ratio = (2 * alpha / sigma**2 * x_t).flatten(1)  # of a pixel, foreground against background
        log_odds = self._log_prior_odds + torch.einsum("bp,snp->bsn", log_ratio, self._pixels)
        shift = torch.softmax(F.softplus(log_odds).sum(2), dim=1)
        mean = torch.einsum("bsn,snp->bp", shift[..., None] * torch.sigmoid(log_odds), self._pixels)
        return (2 * mean - 1).view_as(x_t)

    @cached_property
    def _pixels(self) -> torch.Tensor:
        """float32 (S, n, 64 * 64): which pixels each candidate has at each shift."""
        own = self.owner == np.arange(len(self.presence))[:, None, None]
        discs = np.stack([own & (self.reach <= shift) for shift in SHIFTS])
        return torch.from_numpy(discs.reshape(len(SHIFTS), len(self.presence), -1)).float()

    @cached_property
    def _log_prior_odds(self) -> torch.Tensor:
        return torch.from_numpy(np.log(self.presence / (1 - self.presence))).float()

    def count_law(self) -> NDArray[np.float64]:
        """Give the exact chance of 0, 1, ..., n discs: the Poisson binomial distribution."""
        law = np.ones(1)
        for p in self.presence:
            law = np.convolve(law, [1 - p, p])
        return law

    def area_law(self) -> NDArray[np.float64]:
        """Give the exact chance of each area in pixels, 0 to the largest."""
        n = len(self.presence)
        areas = [np.bincount(self.owner[self.reach <= shift], minlength=n)[:n] for shift in SHIFTS]
        law = np.zeros(int(areas[-1].sum()) + 1)
        for row in areas:
            one = np.ones(1)
            for p, area in zip(self.presence, row, strict=True):
                longer = np.zeros(one.size + area)
                longer[: one.size] += (1 - p) * one
                longer[area:] += p * one
                one = longer
            law[: one.size] += one / len(SHIFTS)
        return law


def scene(number: int, seed: int = 0) -> Scene:
    """Draw picture `number` of an endless series: the same one for the same number and seed."""
    generator = np.random.default_rng((seed, number))
    side = SIZE // CELL
    occupied = np.flatnonzero(generator.random(side**2) < OCCUPIED)
    n = len(occupied)
    centres = np.full((side**2, 2), np.inf)
    centres[occupied] = (np.stack(np.divmod(occupied, side), 1) + 0.5) * CELL - 0.5
    centres[occupied] += generator.uniform(-JITTER, JITTER, (n, 2))
    radii = np.zeros(side**2)
    presence, radii[occupied] = generator.uniform(*PRESENCE, n), generator.uniform(*RADIUS, n)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    cell = rows // CELL * side + columns // CELL
    reach = np.hypot(rows - centres[cell, 0], columns - centres[cell, 1]) - radii[cell]
    numbers = np.full(side**2, n)
    numbers[occupied] = np.arange(n)
    owner = numbers[cell]
    greys = np.append(np.rint(GREY[1] + presence * (GREY[2] - GREY[1])), GREY[0])
    image = np.where(reach <= 0, greys[owner], GREY[0]).astype(np.uint8)
    return Scene(np.repeat(image[..., None], 3, axis=2), presence, owner, reach)


def count_objects(mask: NDArray[np.bool_]) -> int:
    """Count the connected parts of a mask that are no specks."""
    areas = np.bincount(ndimage.label(mask)[0].ravel())[1:]
    return int((areas >= SPECK).sum())


class Discs(Dataset):
    """The first `length` pictures of a seed, each with `raters` masks drawn of its law."""

    kind = "discs"

    def __init__(self, length: int, seed: int = 0, raters: int = 1) -> None:
        super().__init__("train", [str(i) for i in range(length)], None)
        self.seed, self.raters = seed, raters

    def read(self, index: int) -> Sample:
        one = scene(index, self.seed)
        masks = one.draw(np.random.default_rng((self.seed, index, 1)), self.raters)
        return Sample(self.names[index], one.image, masks[:, None].astype(np.uint8))
