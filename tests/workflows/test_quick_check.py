"""The quick checks of truths: what is told, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import BINARY, LABELS
from PIL import Image

from segdiff.data.datasets import build_dataset
from segdiff.errors import DataError
from segdiff.metrics.table import Scoring
from segdiff.workflows.check.quick import check_truths
from segdiff.workflows.score import find_pairs, score_files


def folder(root, masks):
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number, mask in enumerate(masks):
        Image.fromarray(np.dstack([mask.astype(np.uint8)] * 3) // 2 + 90).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return build_dataset("folder", root, "train", val_fraction=0)


MASK = BINARY.astype(np.uint8) * 255


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        ([255 - MASK] * 3, "train: 3 of 3 masks look inverted"),
        ([MASK * 0] * 2, "train: every mask is empty"),
        ([MASK | 255] * 2, "train: 2 of 2 masks are object everywhere"),
    ],
)
def test_what_all_masks_have_wrong_is_refused(tmp_path, masks, told):
    with pytest.raises(DataError) as error:
        check_truths(folder(tmp_path, masks), range(len(masks)), print)
    assert told in str(error.value) and "segdiff check-data tells more" in str(error.value)


def test_what_some_have_is_told(tmp_path):
    lines: list[str] = []
    soft = np.array(Image.fromarray(MASK).resize((300, 200), Image.Resampling.BICUBIC).resize((128, 96)))
    check_truths(folder(tmp_path, [MASK, 255 - MASK, soft]), range(3), lines.append)
    assert any("warning: train: 1 of 3 masks look inverted" in line and ": 1." in line for line in lines)
    assert any("note: train, 1 of 3: its" in line and "soft edges" in line and line.endswith(": 2") for line in lines)


def test_only_the_chosen_are_looked_at(tmp_path):
    check_truths(folder(tmp_path, [MASK, 255 - MASK]), [0], lambda line: pytest.fail(line))


def test_numbered_objects_are_never_inverted(tmp_path):
    from skimage.segmentation import expand_labels

    dense = expand_labels(LABELS, 20)
    dense[30:34, 40:44] = 0
    check_truths(folder(tmp_path, [dense]), [0], lambda line: None)


def test_score_tells_how_masks_were_understood(tmp_path):
    for side, mask in (("pred", MASK), ("truth", LABELS)):
        (tmp_path / side).mkdir()
        for name in "ab":
            Image.fromarray(mask).save(tmp_path / side / f"{name}.png")
    violet = np.zeros((*LABELS.shape, 3), np.uint8)
    violet[BINARY] = (90, 0, 140)
    Image.fromarray(violet).save(tmp_path / "pred" / "a.png")
    scores = score_files(find_pairs(tmp_path / "pred", tmp_path / "truth"))
    assert scores["metrics"]["dice"]["mean"] == 1 and scores["warnings"] == []
    soft = Image.fromarray(MASK).resize((300, 200), Image.Resampling.BICUBIC).resize((128, 96))
    soft.save(tmp_path / "pred" / "b.png")
    scores = score_files(find_pairs(tmp_path / "pred", tmp_path / "truth"))
    assert any("predictions, 1 of 2: its" in line and "soft edges" in line for line in scores["warnings"])


def test_objects_of_a_binary_truth(tmp_path):
    """One object with a stray pixel is one; several are not numbered."""
    one = np.zeros((64, 64), np.uint16)
    one[20:40, 20:40], one[3, 3] = 1, 1
    several = np.zeros((64, 64), np.uint8)
    several[5:20, 5:20] = several[30:45, 30:45] = 255
    for name, mask in (("one", one), ("several", several)):
        for side in ("pred", "truth"):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(mask).save(tmp_path / side / f"{name}.png")
    scoring = Scoring(("aji", "pq"))
    scores = score_files(find_pairs(tmp_path / "pred" / "one.png", tmp_path / "truth" / "one.png"), scoring)
    assert scores["per_image"][0]["aji"] == scores["per_image"][0]["pq"] == 1
    with pytest.raises(DataError, match="does not number its objects.*one value in 2 parts"):
        score_files(find_pairs(tmp_path / "pred" / "several.png", tmp_path / "truth" / "several.png"), scoring)
