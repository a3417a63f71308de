"""The paired difference between files of scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from segdiff.cli.main import main
from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.metrics import bootstrap_interval
from segdiff.workflows.compare import compare, read_scores

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def write(path, rows, **about):
    """A file as evaluate writes it: {image: {metric: score}}."""
    metrics = {name: {} for row in rows.values() for name in row}
    content = {"metrics": metrics, **about, "per_image": [{"name": name, **row} for name, row in rows.items()]}
    path.write_text(json.dumps(content))
    return read_scores(path)


def dices(*values):
    return {f"image {i}": {"dice": value} for i, value in enumerate(values)}


def test_differences_are_paired(tmp_path):
    first = write(tmp_path / "a.json", dices(0.1, 0.5, 0.9))
    other = write(tmp_path / "b.json", dict(reversed(dices(0.2, 0.7, 0.8).items())))
    found = compare(first, other)
    row = found["metrics"]["dice"]
    low, high = bootstrap_interval(np.array([0.1, 0.2, -0.1]))
    assert (row["first"], row["other"], row["difference"]) == pytest.approx((0.5, 17 / 30, 1 / 15))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert (row["better"], row["worse"], found["n"], found["notes"]) == (2, 1, 3, [])


def test_less_is_better_of_a_distance(tmp_path):
    rows = [{"a": {"hausdorff_95": value}} for value in (5.0, 2.0)]
    first, other = (write(tmp_path / f"{i}.json", row, unit="px", tolerance=None) for i, row in enumerate(rows))
    row = compare(first, other)["metrics"]["hausdorff_95"]
    assert row["difference"] == -3 and (row["better"], row["worse"]) == (1, 0) and row["low"] is None


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ({"protocol": "paper"}, {"protocol": "native"}, "different protocols: paper and native"),
        ({"dataset": "monuseg"}, {"dataset": "folder"}, "different data sets: monuseg and folder"),
        ({"split": "val"}, {"split": "test"}, "different splits: val and test"),
        ({"unit": "px", "tolerance": 2}, {"unit": "um", "tolerance": 0.5}, "tolerance 2 px and tolerance 0.5 um"),
    ],
)
def test_what_else_differs_is_said(here, there, said, tmp_path):
    rows = {"a": {"boundary_f": 0.5}}
    found = compare(write(tmp_path / "a.json", rows, **here), write(tmp_path / "b.json", rows, **there))
    assert len(found["notes"]) == 1 and said in found["notes"][0]
    unknown = {"unit": "px", "tolerance": 2} if "unit" in here else {}  # a file that says nothing contradicts nothing
    assert compare(write(tmp_path / "a.json", rows, **here), write(tmp_path / "b.json", rows, **unknown))["notes"] == []


def test_only_images_of_both_files_are_compared(tmp_path):
    first = write(tmp_path / "a.json", dices(0.1, 0.5, 0.9))
    other = write(tmp_path / "b.json", {**dices(0.2, 0.6), "else": {"dice": 0.0}})
    found = compare(first, other)
    assert found["n"] == 2 and found["metrics"]["dice"]["difference"] == pytest.approx(0.1)
    assert found["notes"] == [
        f"1 image(s) of {tmp_path / 'a.json'} are not in the other file and were left out",
        f"1 image(s) of {tmp_path / 'b.json'} are not in the other file and were left out",
    ]
    with pytest.raises(DataError, match="share no image"):
        compare(first, write(tmp_path / "c.json", {"else": {"dice": 0.0}}))


def test_images_without_a_value_are_left_out_of_that_metric(tmp_path):
    first = write(
        tmp_path / "a.json", {"a": {"dice": 0.1, "wcov_published": None}, "b": {"dice": 1, "wcov_published": 1}}
    )
    found = compare(first, first)
    assert found["metrics"]["wcov_published"]["n"] == 1 and found["metrics"]["dice"]["n"] == 2


def test_metrics_can_be_chosen(tmp_path):
    first = write(tmp_path / "a.json", {"a": {"dice": 0.1, "iou": 0.2}})
    other = write(tmp_path / "b.json", {"a": {"iou": 0.2, "recall": 1.0}})
    assert list(compare(first, other)["metrics"]) == ["iou"]
    with pytest.raises(ConfigError, match="no dice in both files; they share iou"):
        compare(first, other, ["dice"])


def test_files_of_the_first_format_are_read():
    found = compare(*(read_scores(RESULTS / f"{name}.json") for name in ("otsu", "x_0_ddim2x9")))
    row = found["metrics"]["dice"]  # as docs/benchmarks.md has it
    assert [round(row[key], 4) for key in ("other", "difference", "low", "high")] == [0.7829, 0.0679, 0.0209, 0.1273]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"per_image": [{"dice": 1}]}', '{"per_image": 3}', "\xff"])
def test_other_files_are_refused(text, tmp_path):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.json is not a file that"):
        read_scores(tmp_path / "a.json")


def test_files_without_use(tmp_path):
    with pytest.raises(MissingError):
        read_scores(tmp_path / "gone.json")
    (tmp_path / "a.json").write_text('{"metrics": {}, "per_image": []}')
    with pytest.raises(DataError, match="no image"):
        read_scores(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"metrics": {}, "per_image": [{"name": "a"}, {"name": "a"}]}')
    with pytest.raises(DataError, match="twice"):
        read_scores(tmp_path / "a.json")


def test_command(tmp_path, capsys):
    paths = [str(RESULTS / f"{name}.json") for name in ("otsu", "x_0_ddim2x9", "epsilon_ddim10x9")]
    assert main(["compare", *paths, "--metrics", "dice", "--json", str(tmp_path / "c.json")]) == 0
    said = capsys.readouterr().out
    assert "+0.0679  [+0.0209, +0.1273]" in said and "(0 lies within)" in said and "another training" in said
    assert len(json.loads((tmp_path / "c.json").read_text())["comparisons"]) == 2
    assert main(["compare", paths[0]]) == 2
    assert main(["compare", paths[0], str(tmp_path / "c.json")]) == 2
