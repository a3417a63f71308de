"""The confidence in single objects, fitted to pictures whose truth is known (`segdiff.inference.confidence`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.data.objects import numbered
from segdiff.inference.confidence import fit_object_confidence, object_terms
from segdiff.inference.objects import means_and_areas
from segdiff.inference.prediction import Prediction
from segdiff.metrics.instances import matched


@dataclass
class ConfidenceCalibration:
    """Collects which predicted objects of held-out pictures were true ones.

    Attributes:
        pictures: of each picture with objects the terms (n, 4) of these, and which of them are true (n,).
    """

    pictures: list[tuple[NDArray[np.float64], NDArray[np.bool_]]] = field(default_factory=list)

    def add(self, prediction: Prediction, sample: Sample) -> None:
        """Add a picture, predicted at the temperature that the confidence is for.

        Left out are pictures without predicted objects, models of several masks, and truths that do not tell objects
        apart.
        """
        truth = numbered(sample) if prediction.probability.ndim == 2 else None
        if truth is None:
            return
        labels = prediction.instances()
        if labels.any():
            probability, area = means_and_areas(labels, prediction.probability)
            self.pictures.append((object_terms(probability, area), matched(labels, truth)))

    def fit(self) -> list[float] | None:
        """Return the setting `inference.confidence`; None where there were too few objects, true or false."""
        return fit_object_confidence(self.pictures)
