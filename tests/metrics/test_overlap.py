import numpy as np
import pytest

from segdiff.errors import ShapeError
from segdiff.metrics import dice, iou, precision, recall

A = np.array([[1, 1, 0], [1, 0, 0]])
B = np.array([[1, 0, 0], [1, 1, 1]])


def test_known_overlap():
    # 2 pixels in both, 3 and 4 in each, 5 in either.
    assert dice(A, B) == dice(B, A) == 4 / 7
    assert iou(A, B) == iou(B, A) == 2 / 5


def test_precision_and_recall():
    # Of the prediction's 3 pixels 2 are right; of the target's 4, 2 are found.
    assert precision(A, B) == 2 / 3 and recall(A, B) == 2 / 4
    nothing = A * 0
    assert precision(nothing, A) == recall(nothing, A) == precision(A, nothing) == recall(A, nothing) == 0
    assert precision(nothing, nothing) == recall(nothing, nothing) == 0


def test_any_value_but_zero_is_foreground():
    assert dice(A * 255, B > 0) == 4 / 7


def test_extremes_and_empty_masks():
    assert dice(A, A) == iou(A, A) == 1
    assert dice(A, 1 - A) == iou(A, 1 - A) == 0
    assert dice(A * 0, A * 0) == iou(A * 0, A * 0) == 0  # as published
    assert dice(A, A * 0) == iou(A * 0, A) == 0


def test_shapes_must_be_the_same():
    with pytest.raises(ShapeError, match="differ"):
        dice(A, A.T)
