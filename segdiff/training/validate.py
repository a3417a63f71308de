"""Validation with the very code that predicts and evaluates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from segdiff.artifacts.folder import Artifact
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import Protocol
from segdiff.inference.options import PredictOptions
from segdiff.inference.prediction import Prediction
from segdiff.metrics.conformal import least_images
from segdiff.metrics.table import OF_RATERS, Scoring
from segdiff.models.segmenter import Segmenter
from segdiff.targets.base import Target
from segdiff.training.panels import draw_panels
from segdiff.training.settings import TrainerSettings
from segdiff.training.tracking import Tracking
from segdiff.workflows.calibrate import Calibration
from segdiff.workflows.confidence import ConfidenceCalibration
from segdiff.workflows.evaluate import EvaluateOptions, Watch, evaluate
from segdiff.workflows.load import predictor_of
from segdiff.workflows.numbers import NumberCalibration
from segdiff.workflows.scoring import mean_of


@dataclass
class Validation:
    """Scores a segmenter on the validation split and draws panels.

    Args:
        artifact: wraps a segmenter with the settings of this training.
        panels: folder for pictures.
        tracking: shown the pictures as well.
    """

    artifact: Callable[[Segmenter], Artifact]
    dataset: Dataset
    protocol: Protocol
    settings: TrainerSettings
    device: torch.device
    panels: Path
    seed: int
    tracking: Tracking = field(default_factory=Tracking)

    def during(self, segmenter: Segmenter, step: int) -> dict[str, float]:
        """With few steps and chains (`trainer.validation`), while training goes on."""
        if not hasattr(self, "_during"):
            self._during = self.artifact(segmenter)  # the same averaged weights each time: wrapped once
        limit = self.settings.validation_images
        scores = self._score(self._during, limit, f"step_{step:06}.png", step, during=True)
        return {
            **{name: mean_of(scores, name) for name in segmenter.target.validation_scores},
            "blank": scores["blank"],
        }

    def final(self, artifact: Artifact, step: int) -> dict[str, Any]:
        """With the model's own sampling, over all images; gives what `segdiff evaluate` writes."""
        return self._score(artifact, None, "final.png", step, during=False)

    def calibrated(self, artifact: Artifact) -> Artifact:
        """The artifact with what its target has to be fitted to all validation images.

        Temperature and threshold come first; then confidence of objects and, where there are enough images, intervals
        of numbers. These are of masks by the fitted threshold, which is known only when all images were seen: they are
        predicted once more.
        """
        fits = artifact.segmenter.target.calibrated
        if "temperature" in fits:
            artifact = self._with_temperature(artifact)
        if "conformal" not in fits and "confidence" not in fits:
            return artifact
        numbers, confidence = NumberCalibration(), ConfidenceCalibration()
        enough = "conformal" in fits and len(self.dataset) >= least_images()

        def watch(sample: Sample, said: Prediction) -> None:
            if "confidence" in fits:
                confidence.add(said, sample)
            if enough:
                numbers.add(said, sample)

        self._predicted(artifact, watch)
        fitted = {"confidence": confidence.fit(), **({"conformal": numbers.fit()} if enough else {})}
        return replace(artifact, inference={**artifact.inference, **fitted})

    def _with_temperature(self, artifact: Artifact) -> Artifact:
        found = Calibration()
        self._predicted(artifact, lambda sample, said: found.add(said.probability, sample.mask), temperature=1.0)
        temperature = found.temperature()
        fitted: dict[str, Any] = {"temperature": temperature, "threshold": found.threshold(temperature)}
        return replace(artifact, inference={**artifact.inference, **fitted})

    def _predicted(self, artifact: Artifact, watch: Watch, temperature: float | None = None) -> None:
        """Show `watch` what the artifact predicts of all validation images."""
        predictor = predictor_of(artifact, device=str(self.device), precision=self.settings.precision)
        options = EvaluateOptions(PredictOptions(seed=self.seed, temperature=temperature), Scoring())
        evaluate(predictor, self.dataset, self.protocol, options, watch=watch)

    def _final_metrics(self, target: Target) -> tuple[str, ...]:
        """What the last validation scores."""
        of_raters = OF_RATERS if self.dataset.raters > 1 else ()
        return (*self.protocol.metrics, *target.final_scores, *of_raters)

    def _score(self, artifact: Artifact, limit: int | None, panel: str, step: int, *, during: bool) -> dict[str, Any]:
        target = artifact.segmenter.target
        kept: list[tuple[Sample, Prediction]] = []
        blank: list[bool] = []

        def keep(sample: Sample, prediction: Prediction) -> None:
            if sample.mask.any() and not sample.mask.all():  # elsewhere a blank mask may be right
                blank.append(not prediction.mask.any() or bool(prediction.mask.all()))
            if len(kept) < self.settings.panels:
                kept.append((sample, prediction))

        predictor = predictor_of(artifact, device=str(self.device), precision=self.settings.precision)
        scores = evaluate(
            predictor,
            self.dataset,
            self.protocol,
            EvaluateOptions(
                PredictOptions(seed=self.seed, sampling=self.settings.validation if during else None),
                Scoring(target.validation_scores) if during else Scoring(self._final_metrics(target)),
                limit,
            ),
            watch=keep,
        )
        if kept:
            draw_panels(kept, self.panels / panel)
            self.tracking.pictures(step, self.panels / panel, kept)
        return {**scores, "blank": bool(blank) and all(blank)}
