"""How sure it is that an object is a true one: a logistic regression on what a prediction says of it.

Chains agree with one another more than with the truth, so the share of them that has an object is no probability. How
often objects of such a mean probability and such a size were true on pictures that the model was not trained on, is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.objects import typical_area

TERMS = ("intercept", "log-odds", "relative size", "relative size squared")
MOST_SURE = 0.99  # mean probabilities beyond are taken as this, or as its complement: their log-odds tell no more
RIDGE = 1e-3  # of the coefficients, in objects: keeps them finite where both kinds can be told apart exactly
FEWEST = 30  # objects of either kind, true and false, that a fit needs


def object_terms(
    probability: NDArray[np.floating], area: NDArray[np.integer], typical: float | None = None
) -> NDArray[np.float64]:
    """Return what the regression takes of each object: (n, 4), in the order of `TERMS`.

    Args:
        probability: (n,), the mean over each object's pixels, in [0, 1].
        area: (n,) in pixels.
        typical: area of an object that is usual in the picture (`objects.typical_area`); None: that of these objects.
    """
    mean = np.asarray(probability, np.float64).clip(1 - MOST_SURE, MOST_SURE)
    usual = typical_area(area) if typical is None else typical
    size = np.log(np.asarray(area, np.float64) / usual)
    return np.column_stack([np.ones_like(mean), np.log(mean / (1 - mean)), size, size**2])


def object_confidence(
    coefficients: Sequence[float],
    probability: NDArray[np.floating],
    area: NDArray[np.integer],
    typical: float | None = None,
) -> NDArray[np.float64]:
    """Return how likely each object is a true one, which means that one overlaps it with an IoU above 0.5: (n,).

    Args:
        coefficients: four, as `fit_object_confidence` gives them.
        probability, area, typical: see `object_terms`.
    """
    if not len(area):
        return np.zeros(0)
    return np.asarray(_sigmoid(object_terms(probability, area, typical) @ np.asarray(coefficients)))


def fit_object_confidence(pictures: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> list[float] | None:
    """Fit the coefficients by the largest likelihood.

    Args:
        pictures: of each picture the terms (n, 4) of its objects, and which of them are true ones (n,). A picture's
            objects count with the square root of their number together: they resemble one another.
    Returns:
        Four coefficients to four digits after the point; None where fewer than 30 objects are true, or false.
    """
    from scipy.optimize import minimize

    seen = [(terms, true) for terms, true in pictures if len(true)]
    if not seen:
        return None
    terms, true = (np.concatenate(part) for part in zip(*seen, strict=True))
    if min(true.sum(), (~true).sum()) < FEWEST:
        return None
    weight = np.concatenate([np.full(len(one), len(one) ** -0.5) for _, one in seen])

    def loss(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = terms @ coefficients
        value = weight @ (np.logaddexp(0, odds) - true * odds) + RIDGE * coefficients[1:] @ coefficients[1:]
        slope = terms.T @ (weight * (_sigmoid(odds) - true))
        slope[1:] += 2 * RIDGE * coefficients[1:]
        return float(value), slope

    found = minimize(loss, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B").x
    return [round(float(value), 4) for value in found]


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    return np.asarray(expit(odds), np.float64)
