"""Threshold and temperature of a model, fitted on validation images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.temperature import LIMIT, log_odds

BINS = 3201  # of log-odds, 0.01 apart: so many numbers stand for all pixels of an image
LOWEST, HIGHEST = 0.2, 5.0  # temperatures that are looked at
FEWEST = 5  # images that a threshold is fitted to: of fewer, each would have its own way
THRESHOLDS = np.arange(5, 96) / 100


@dataclass
class Calibration:
    """Collects what a model says of validation images, then finds what would have been better.

    Each image is kept as two histograms of its log-odds, of background and of object, so that memory does not grow
    with pixels.
    """

    images: list[NDArray[np.float64]] = field(default_factory=list)  # one for each rater
    count: int = 0  # of images

    def add(self, probability: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """One image: probability (H, W) or (M, H, W), before any temperature; truth (R, M, H, W)."""
        self.count += 1
        place = np.rint((log_odds(probability) + LIMIT) / (2 * LIMIT) * (BINS - 1)).astype(np.int64).ravel()
        for rater in truth:
            object_ = rater.ravel() != 0
            self.images.append(
                np.stack([np.bincount(place[object_ == kind], minlength=BINS) for kind in (False, True)]).astype(float)
            )

    def temperature(self) -> float:
        """That of the least negative log-likelihood over all pixels, to two digits after the point; 1 of no image.

        Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
        """
        from scipy.optimize import minimize_scalar

        if not self.images:
            return 1.0
        background, object_ = np.sum(self.images, 0)
        centres = np.linspace(-LIMIT, LIMIT, BINS)

        def likelihood(log_temperature: float) -> float:
            z = centres / np.exp(log_temperature)
            return float(background @ np.logaddexp(0, z) + object_ @ np.logaddexp(0, -z))

        bounds = (np.log(LOWEST), np.log(HIGHEST))
        return round(float(np.exp(minimize_scalar(likelihood, bounds=bounds, method="bounded").x)), 2)

    def threshold(self, temperature: float) -> float:
        """That of the best mean Dice over images, of probabilities at this temperature; the nearest to 0.5 of equals.

        0.05 to 0.95 in steps of 0.01; 0.5 of fewer than five images.
        """
        if self.count < FEWEST:
            return 0.5
        cuts = np.log(THRESHOLDS / (1 - THRESHOLDS)) * temperature
        first = np.searchsorted(np.linspace(-LIMIT, LIMIT, BINS), cuts, side="right")  # above the threshold: object
        dice = np.zeros(len(THRESHOLDS))
        for background, object_ in self.images:
            above = [np.append(np.cumsum(counts[::-1])[::-1], 0)[first] for counts in (background, object_)]
            size = above[0] + above[1] + object_.sum()
            dice += np.divide(2 * above[1], size, out=np.zeros_like(size), where=size > 0)
        best = np.flatnonzero(dice >= dice.max() - 1e-9 * len(self.images))
        return float(THRESHOLDS[best[np.argmin(np.abs(THRESHOLDS[best] - 0.5))]])
