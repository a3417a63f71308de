"""Scores of masks that other tools made."""

import json

import numpy as np
import pytest
from PIL import Image

from segdiff.cli.main import main
from segdiff.errors import DataError, MissingError
from segdiff.metrics import Scoring, dice
from segdiff.workflows.score import find_pairs, score_files
from segdiff.workflows.scoring import mean_of


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask)).save(path)


def truth(seed):
    return np.random.default_rng(seed).random((20, 30)) > 0.6


@pytest.fixture
def folders(tmp_path):
    """Truths as 0/255; predictions as numbered instances, the second one shifted."""
    for seed, name in enumerate(("a", "b")):
        save(tmp_path / "truth" / f"{name}.png", truth(seed).astype(np.uint8) * 255)
        labels = np.roll(truth(seed), seed, axis=1) * np.arange(1, 31, dtype=np.uint16)
        save(tmp_path / "pred" / f"{name}.tif", labels)
    return tmp_path / "pred", tmp_path / "truth"


def test_instances_and_binary_masks_are_scored_as_foreground(folders):
    scores = score_files(find_pairs(*folders))
    assert [row["name"] for row in scores["per_image"]] == ["a", "b"]
    expected = [1.0, dice(np.roll(truth(1), 1, axis=1), truth(1))]
    assert [row["dice"] for row in scores["per_image"]] == pytest.approx(expected)
    assert mean_of(scores, "dice") == pytest.approx(np.mean(expected))
    assert scores["protocol"] == "native" and scores["n"] == 2 and scores["versions"]["segdiff"]


def test_two_files_are_a_pair_whatever_their_names(folders):
    pred, target = folders
    (pair,) = find_pairs(pred / "a.tif", target / "b.png").found
    assert pair[0] == "b"
    with pytest.raises(DataError, match="two folders, or two files"):
        find_pairs(pred, target / "b.png")


def test_suffixes(folders, tmp_path):
    pred, target = folders
    for name in ("a", "b"):
        (pred / f"{name}.tif").rename(pred / f"{name}_mask.tif")
        save(pred / f"{name}_overlay.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(DataError, match="2 of 2 truths have no prediction of their name: a, b; --pred-suffix _mask"):
        score_files(find_pairs(pred, target))
    assert score_files(find_pairs(pred, target, pred_suffix="_mask"))["per_image"][0]["dice"] == 1
    for name in ("a", "b"):
        (target / f"{name}.png").rename(target / f"{name}_label.png")
        (pred / f"{name}_mask.tif").rename(pred / f"{name}.tif")
        (pred / f"{name}_overlay.png").unlink()
    with pytest.raises(DataError, match="--truth-suffix _label"):
        score_files(find_pairs(pred, target))
    assert score_files(find_pairs(pred, target, truth_suffix="_label"))["n"] == 2
    with pytest.raises(MissingError, match="ends with _seg"):
        find_pairs(pred, target, pred_suffix="_seg")


def test_a_missing_mask_is_not_passed_over_in_silence(folders):
    pred, target = folders
    (pred / "b.tif").unlink()
    save(pred / "c.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(DataError, match="1 of 2 truths have no prediction of their name: b; --partial"):
        score_files(find_pairs(pred, target))
    scores = score_files(find_pairs(pred, target), partial=True)
    assert scores["n"] == 1 and scores["without_prediction"] == ["b"] and scores["without_truth"] == ["c"]
    (pred / "a.tif").unlink()
    with pytest.raises(DataError, match="2 of 2"):
        score_files(find_pairs(pred, target), partial=True)


def test_all_pairs_are_tried_before_the_first_failure_is_told(folders):
    pred, target = folders
    save(pred / "a.tif", np.zeros((20, 31), np.uint8))
    (pred / "b.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.tif is 20 x 31, its truth 20 x 30.*and 1 more of 2 pairs") as error:
        score_files(find_pairs(pred, target))
    assert "\n" not in str(error.value)


def test_lengths_in_micrometres(folders):
    scoring = Scoring(("hausdorff_95",), unit="um")
    in_um = score_files(find_pairs(*folders), scoring, mpp=0.5)
    in_px = score_files(find_pairs(*folders), Scoring(("hausdorff_95",)))
    assert mean_of(in_um, "hausdorff_95") == mean_of(in_px, "hausdorff_95") / 2 > 0
    assert in_um["mpp"] == 0.5


def test_command(folders, tmp_path, capsys):
    pred, target = map(str, folders)
    files = ["--json", str(tmp_path / "s.json"), "--csv", str(tmp_path / "s.csv")]
    assert main(["score", "--pred", pred, "--truth", target, "--metrics", "all", "--tolerance", "1px", *files]) == 0
    said = capsys.readouterr().out
    assert "hausdorff_95 (px)" in said and "tolerance of boundaries: 1 px" in said and "95 % from" in said
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["tolerance"] == 1 and scores["command"][:2] == ["segdiff", "score"]
    assert (tmp_path / "s.csv").read_text().startswith("name,dice,iou,precision,")
    assert main(["compare", str(tmp_path / "s.json"), str(tmp_path / "s.json")]) == 0
    assert "+0.0000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--metrics", "dise"], "did you mean dice"),
        (["--metrics", "boundary_f", "--tolerance", "2"], "2px or 0.5um"),
        (["--metrics", "boundary_f", "--tolerance", "2um"], "--mpp"),
        (["--mpp", "0"], "above 0"),
        (["--pred-suffix", "_x"], "ends with _x"),
    ],
)
def test_wrong_options_are_a_line(more, said, folders, capsys):
    assert main(["score", "--pred", str(folders[0]), "--truth", str(folders[1]), *more]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("given", [["dice,iou"], ["dice", "iou"], ["dice,", "iou"], ["dice", ",iou"]])
def test_metrics_with_commas_or_spaces(folders, capsys, given):
    pred, true = folders
    assert main(["score", "--pred", str(pred), "--truth", str(true), "--metrics", *given]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["image", "dice", "iou"]
