"""Scores that the published evaluation gave for recorded masks."""

import json
import math

import numpy as np
import pytest

from segdiff.errors import ShapeError
from segdiff.metrics import dice, fbound_published, iou, wcov_published
from segdiff.metrics.published import published_boundary

FUNCTIONS = {"f1": dice, "iou": iou, "wcov": wcov_published, "fbound": fbound_published}
CASES = [
    "blobs0",
    "blobs1",
    "blobs2",
    "blobs3",
    "blobs4",
    "perfect",
    "empty_gt",
    "empty_pred",
    "both_empty",
    "all_ones_both",
    "all_ones_pred",
    "all_ones_gt",
    "disjoint",
    "same_area_disjoint_wcov_quirk",
    "single_pixel_shift3",
    "border_touching",
    "checkerboard",
    "checkerboard_vs_stripes",
    "corner_pixel_has_no_boundary?",
]


@pytest.fixture(scope="module")
def cases(golden_file):
    with np.load(golden_file("metrics.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(golden_file("metrics.json").read_text())


@pytest.mark.parametrize("score", FUNCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_recorded_score(name, score, cases):
    arrays, expected = cases
    got = FUNCTIONS[score](arrays[f"{name}__pred"], arrays[f"{name}__gt"])
    wanted = expected[name][score]
    if wanted is None:  # the published code divides by zero
        assert math.isnan(got)
    else:
        assert got == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_recorded_boundary(name, cases):
    arrays, _ = cases
    assert np.array_equal(published_boundary(arrays[f"{name}__gt"]), arrays[f"{name}__gt_boundary"] != 0)


def test_no_case_is_left_out(cases):
    assert set(cases[1]) == set(CASES)


def test_the_files_here_are_those_recorded(cases, shared_data):
    recorded = json.loads((shared_data / "golden" / "metrics" / "expected.json").read_text())["cases"]
    for name, scores in cases[1].items():
        assert scores == {score: recorded[name][score] for score in FUNCTIONS}


def test_masks_are_of_a_plane():
    for metric in (wcov_published, fbound_published):
        with pytest.raises(ShapeError, match="height, width"):
            metric(np.ones((1, 4, 4)), np.ones((1, 4, 4)))
        with pytest.raises(ShapeError, match="differ"):
            metric(np.ones((4, 4)), np.ones((4, 5)))
