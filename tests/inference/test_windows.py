from __future__ import annotations

import itertools

import pytest

from segdiff.errors import ConfigError
from segdiff.inference.windows import Window, plan_windows, round_up, window_starts


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (110, 64, 0.5, [0, 23, 46]),
        (512, 256, 0.0, [0, 256]),
        (100, 256, 0.25, [0]),
        (256, 256, 0.25, [0]),
        (257, 256, 0.0, [0, 1]),
        (3, 1, 0.9, [0, 1, 2]),
        (1000, 256, 0.25, [0, 186, 372, 558, 744]),
    ],
)
def test_known_starts(length, window, overlap, starts):
    assert window_starts(length, window, overlap) == starts


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_starts_cover_overlap_and_spread_evenly(overlap):
    for length, window in itertools.product(range(1, 90, 7), (1, 5, 16, 64)):
        starts = window_starts(length, window, overlap)
        if window >= length:
            assert starts == [0]
            continue
        assert starts[0] == 0 and starts[-1] == length - window
        gaps = [after - before for before, after in itertools.pairwise(starts)]
        assert min(gaps) >= 1 and max(gaps) - min(gaps) <= 1
        assert max(gaps) <= max(1, window * (1 - overlap)) + 1e-9


def test_plan_goes_row_by_row_and_stays_inside():
    assert plan_windows(5, 7, 4, 0.0) == [(0, 0, 4, 4), (0, 3, 4, 4), (1, 0, 4, 4), (1, 3, 4, 4)]
    assert plan_windows(3, 7, 4, 0.0) == [(0, 0, 3, 4), (0, 3, 3, 4)]


def test_no_window_means_the_whole_image():
    assert plan_windows(500, 900, None, 0.25) == [Window(0, 0, 500, 900)]


@pytest.mark.parametrize(("window", "overlap"), [(0, 0.0), (-4, 0.0), (8, 1.0), (8, -0.1), (8, float("nan"))])
def test_impossible_windows_are_refused(window, overlap):
    with pytest.raises(ConfigError):
        window_starts(100, window, overlap)


def test_round_up():
    assert [round_up(n, 16) for n in (1, 16, 17, 100)] == [16, 16, 32, 112]
