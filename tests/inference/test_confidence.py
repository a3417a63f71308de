"""Confidence in objects: a logistic regression whose truth is known gives back its own coefficients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segdiff.data.datasets.base import Sample
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.confidence import FEWEST, fit_object_confidence, object_confidence, object_terms
from segdiff.inference.objects import means_and_areas, typical_area
from segdiff.inference.options import InferenceSettings, PredictOptions, needs_chains
from segdiff.inference.prediction import Prediction
from segdiff.workflows.confidence import ConfidenceCalibration

KNOWN = (0.3, 1.2, 0.5, -0.8)


def pictures(number: int, objects: int = 60) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(3)
    seen = []
    for _ in range(number):
        probability, area = random.uniform(0.3, 0.98, objects), random.integers(20, 400, objects)
        true = random.random(objects) < object_confidence(KNOWN, probability, area)
        seen.append((object_terms(probability, area), true))
    return seen


def test_fit_finds_the_law_that_made_the_objects() -> None:
    found = fit_object_confidence(pictures(400))
    assert found == pytest.approx(KNOWN, abs=0.12)


@pytest.mark.parametrize("kind", [True, False])
def test_fit_needs_both_kinds(kind: bool) -> None:
    terms, _ = pictures(1, 200)[0]
    true = np.full(200, kind)
    true[: FEWEST - 1] = not kind
    assert fit_object_confidence([(terms, true)]) is None
    true[FEWEST - 1] = not kind
    assert fit_object_confidence([(terms, true)]) is not None
    assert fit_object_confidence([]) is None


def test_separable_objects_keep_coefficients_finite() -> None:
    probability = np.repeat([0.4, 0.95], 100)
    found = fit_object_confidence([(object_terms(probability, np.full(200, 50)), probability > 0.5)])
    assert found is not None and np.isfinite(found).all()
    low, high = object_confidence(found, np.array([0.4, 0.95]), np.array([50, 50]))
    assert low < 0.05 and high > 0.95


def test_terms_of_certain_objects_are_finite_and_no_object_is_no_confidence() -> None:
    assert np.isfinite(object_terms(np.array([0.0, 1.0]), np.array([1, 9]))).all()
    assert object_confidence(KNOWN, np.zeros(0), np.zeros(0, int)).shape == (0,)
    assert typical_area(np.array([1, 1, 1, 10])) == 10


def squares(values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Label map and probability of squares in a row."""
    labels = np.zeros((12, 12 * len(values)), np.int32)
    for number, _ in enumerate(values, start=1):
        labels[2:10, 12 * number - 10 : 12 * number - 2] = number
    probability = np.concatenate([[0.0], values])[labels].astype(np.float32)
    return labels, probability


def prediction(values: list[float]) -> Prediction:
    return Prediction(squares(values)[1], None, 0.5, Sampling(), 0, "model@0", confidence_coefficients=KNOWN)


def test_prediction_uses_the_coefficients_without_chains() -> None:
    said = prediction([0.6, 0.9])
    labels, objects = said.objects()
    assert labels.max() == 2
    expected = object_confidence(KNOWN, *means_and_areas(labels, said.probability))
    assert [one.confidence for one in objects] == pytest.approx(expected.tolist())
    assert objects[0].confidence < objects[1].confidence
    # At another temperature the probabilities are not those that the coefficients are for.
    assert replace(said, raw_probability=said.probability).at(2.0, 0.5).confidence(labels) is None


def test_calibration_collects_matches() -> None:
    found, said = ConfidenceCalibration(), prediction([0.6, 0.9])
    truth = squares([1.0, 1.0])[0] * (np.arange(24) < 12)
    mask = (truth > 0)[None, None].astype(np.uint8)
    found.add(said, Sample("a", said.probability, mask, truth.astype(np.int32)))
    ((terms, true),) = found.pictures
    assert terms.shape == (2, 4) and true.tolist() == [True, False]
    assert found.fit() is None  # too few objects
    empty = prediction([0.1])
    found.add(empty, Sample("b", empty.probability, np.zeros((1, 1, 12, 12), np.uint8), np.zeros((12, 12), np.int32)))
    assert len(found.pictures) == 1


def test_settings_check_the_coefficients_and_say_when_chains_are_needed() -> None:
    settings = InferenceSettings(confidence=KNOWN)
    assert not needs_chains(settings, PredictOptions())
    assert not needs_chains(settings, PredictOptions(threshold=0.4))
    assert needs_chains(settings, PredictOptions(temperature=2.0))
    assert needs_chains(InferenceSettings(), PredictOptions())
    for wrong in ((1.0, 2.0), (1.0, 2.0, 3.0, float("nan"))):
        with pytest.raises(ConfigError, match="confidence=.*4 finite numbers"):
            InferenceSettings(confidence=wrong)
