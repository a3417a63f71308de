from __future__ import annotations

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.instances import aji, dq, ece_objects, matched, panoptic, pq
from segdiff.metrics.table import Scoring

TRUE = np.array([[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 0], [3, 3, 3, 0]])


def squares(rng, count=6, side=20):
    labels = np.zeros((side, side), int)
    for number in rng.permutation(count) + 1:
        top, left = rng.integers(0, side - 3, 2)
        labels[top : top + rng.integers(2, 7), left : left + rng.integers(2, 7)] = 5 * number  # numbers with gaps
    return labels


def plain_aji(pred, target):
    """The published algorithm, pixel by pixel."""
    ours = [pred == n for n in np.unique(pred) if n]
    theirs = [target == n for n in np.unique(target) if n]
    shared = united = 0
    chosen = set()
    for true in theirs:
        ious = [(true & one).sum() / (true | one).sum() for one in ours]
        best = int(np.argmax(ious)) if ious else 0
        if ious and ious[best] > 0:
            shared += (true & ours[best]).sum()
            united += (true | ours[best]).sum()
            chosen.add(best)
        else:
            united += true.sum()
    united += sum(one.sum() for number, one in enumerate(ours) if number not in chosen)
    return shared / united


def plain_pq(pred, target):
    ours = [pred == n for n in np.unique(pred) if n]
    theirs = [target == n for n in np.unique(target) if n]
    ious = [(a & b).sum() / (a | b).sum() for a in ours for b in theirs]
    good = [iou for iou in ious if iou > 0.5]
    return sum(good) / (0.5 * (len(ours) + len(theirs)))


@pytest.mark.parametrize("seed", range(30))
def test_they_are_what_their_definitions_say_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    target = squares(rng)
    pred = np.roll(target, rng.integers(0, 3), 0) if seed % 2 else squares(rng)
    assert aji(pred, target) == pytest.approx(plain_aji(pred, target), abs=1e-12)
    assert pq(pred, target) == pytest.approx(plain_pq(pred, target), abs=1e-12)
    found = panoptic(pred, target)
    if found["dq"]:
        assert found["pq"] == pytest.approx(found["dq"] * found["sq"])


def test_by_hand():
    pred = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 4, 0]])
    # 1 takes both 1 and 2 (iou 4/8, 2/8), 4 lies in 3 (iou 1/3): 4 + 2 + 1 shared; 8 + 8 + 3 united.
    assert aji(pred, TRUE) == pytest.approx(7 / 19)
    assert pq(pred, TRUE) == 0  # one half is not above one half
    assert matched(TRUE, TRUE).all() and dq(TRUE, TRUE) == aji(TRUE, TRUE) == pq(TRUE, TRUE) == 1


def test_nothing_found_and_nothing_there():
    none = np.zeros_like(TRUE)
    assert aji(none, TRUE) == aji(TRUE, none) == pq(none, TRUE) == pq(TRUE, none) == 0
    assert np.isnan([aji(none, none), pq(none, none), ece_objects(none, none, [])]).all()
    with pytest.raises(ShapeError, match=r"\(4, 4\) and \(4, 3\)"):
        aji(TRUE, TRUE[:, :3])


def test_confidence_that_is_right_has_no_error():
    pred = TRUE.copy()
    pred[3] = [0, 0, 0, 3]  # the third is another one
    assert ece_objects(pred, TRUE, [1.0, 1.0, 0.0]) == 0
    assert ece_objects(pred, TRUE, [0.5, 0.5, 0.5]) == pytest.approx(2 / 3 - 0.5)


def test_a_table_scores_objects():
    said = {"instances": TRUE, "true_instances": TRUE, "confidence": np.ones(3)}
    scores = Scoring(("dice", "aji", "pq", "ece_objects"))(TRUE > 0, TRUE > 0, None, said)
    assert scores == {"dice": 1, "aji": 1, "pq": 1, "ece_objects": 0}
    with pytest.raises(ConfigError, match="aji needs instances"):
        Scoring(("aji",))(TRUE > 0, TRUE > 0)
