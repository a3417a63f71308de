"""Which values of a mask are numbers of objects."""

import numpy as np
import pytest
from scipy import ndimage

from segdiff.data.masks import foreground, instances

LABELS = np.zeros((60, 90), np.uint8)
for number, left in enumerate(range(5, 85, 20), start=1):
    LABELS[10:25, left : left + 15] = number


def test_numbers_of_objects_are_taken():
    np.testing.assert_array_equal(instances(LABELS), LABELS)
    cut = LABELS.copy()
    cut[15:18, 5:20] = 0  # one object is in two parts
    np.testing.assert_array_equal(instances(cut), cut)


def test_objects_that_touch_are_taken():
    halves = np.zeros((20, 20), np.uint16)
    halves[5:15, 2:10], halves[5:15, 10:18] = 7, 300
    np.testing.assert_array_equal(instances(halves), halves)


def test_classes_are_not():
    classes = np.where(LABELS > 0, 1 + LABELS % 2, 0).astype(np.uint8)
    assert instances(classes) is None and foreground(classes).sum() == (LABELS > 0).sum()
    np.testing.assert_array_equal(instances(classes, sure=True), classes)


@pytest.mark.parametrize("blur", [1, 3])
def test_smoothed_edges_are_not(blur):
    grey = ndimage.uniform_filter(np.where(LABELS > 0, 255.0, 0.0), blur).astype(np.uint8)
    assert instances(grey) is None


def test_one_value_is_binary():
    assert instances(np.where(LABELS > 0, 255, 0).astype(np.uint8)) is None
    assert instances(np.zeros((4, 4), np.uint8)) is None and instances(LABELS > 0) is None
