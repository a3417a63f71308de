"""Reports of evaluations and trainings, alone and beside predictions; what is unusual, and how values are counted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from fakes import make_predictor, noisy
from hypothesis import given, settings
from hypothesis import strategies as st
from made import discs
from PIL import Image
from reports import data_of, decoded, details_of, make_predictions

from segdiff.cli.main import main
from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.errors import DataError
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.outputs import DEFAULT_OUTPUTS
from segdiff.workflows.report.attention import judge, order
from segdiff.workflows.report.histograms import histogram
from segdiff.workflows.report.layers import Shown
from segdiff.workflows.report.rows import Column, Row, command_line, flattened
from segdiff.workflows.report.scores import title_of
from segdiff.workflows.report.training import read_charts
from segdiff.workflows.report.write import ReportOptions, write_report

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = [
    *("dataset=folder", "model=segdiff_tiny", "model.channels=8", "model.norm_groups=4", "model.rrdb_channels=8"),
    *("augmentation=dihedral", "augmentation.crop=16", "trainer.max_steps=2", "trainer.batch_size=2", "device=cpu"),
    *("trainer.validate_every=2", "trainer.log_every=1", "trainer.panels=1", "sampling.chains=2", "sampling.steps=1"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return discs(tmp_path_factory.mktemp("discs") / "data")


@pytest.fixture(scope="module")
def scores(root, tmp_path_factory):
    """What `segdiff evaluate --json` writes."""
    dataset = build_dataset("folder", root, "val")
    found = evaluate(make_predictor(noisy, chains=3), dataset, get_protocol("native", "folder"))
    path = tmp_path_factory.mktemp("scores") / "scores.json"
    write_json(path, {**found, "root": str(root), "command": ["segdiff", "evaluate", "--root", str(root)]})
    return path


def reported(*paths, page, **options):
    written = write_report(paths, page, ReportOptions(**options))
    data = data_of(written.page)
    return data, {row["name"]: row for row in data["rows"]}


def test_an_evaluation_shows_scores_pictures_and_truth(scores, root, tmp_path):
    data, rows = reported(scores, page=tmp_path / "r.html")
    told = json.loads(scores.read_text())
    assert data["kind"] == "evaluation" and [column["key"] for column in data["columns"]][:2] == ["dice", "iou"]
    for one in told["per_image"]:
        assert rows[one["name"]]["values"]["dice"] == pytest.approx(one["dice"], rel=1e-5)
        assert rows[one["name"]]["truth"]
    (dice,) = [one for one in data["means"] if one["title"] == "Dice"]
    assert dice["mean"] == told["metrics"]["dice"]["mean"] and dice["low"] == told["metrics"]["dice"]["low"]
    worst = min(told["per_image"], key=lambda one: one["dice"])["name"]
    assert rows[worst]["rank"] == 0 and data["doubt"] == "dice"
    truth = decoded(details_of(tmp_path / "r.html", 0)["layers"]["truth"])
    mask = np.asarray(Image.open(root / "val" / "masks" / f"{data['rows'][0]['name']}.png")) > 0
    finer = truth.shape[0] // mask.shape[0]
    line = (truth == (255, 120, 220, 255)).all(axis=2)
    assert finer == 4 and line.any() and not line[~mask.repeat(finer, 0).repeat(finer, 1)].any()


def test_the_default_page_lies_beside_the_scores(scores, tmp_path):
    shutil.copy(scores, tmp_path / "mine.json")
    assert main(["report", str(tmp_path / "mine.json")]) == 0
    assert (tmp_path / "mine_report.html").is_file()


def test_without_its_data_set_an_evaluation_has_its_scores(scores, tmp_path):
    content = json.loads(scores.read_text())
    for change, said in [({"root": "/nowhere"}, "/nowhere"), ({"dataset": "gone"}, "gone"), ({"root": None}, "None")]:
        (tmp_path / "s.json").write_text(json.dumps({**content, **change}))
        data, rows = reported(tmp_path / "s.json", page=tmp_path / "r.html", overwrite=True)
        assert any("No pictures are shown" in note and said in note for note in data["notes"]), data["notes"]
        assert len(rows) == 2 and all(row["size"] is None for row in rows.values())


def test_options_of_the_data_set_are_those_of_the_command(scores, root, tmp_path):
    content = json.loads(scores.read_text())
    for words, fits in [
        (["--option", "objects=auto"], True),
        (["--option=objects=auto"], True),
        (["--option", "x=1"], False),
    ]:
        (tmp_path / "s.json").write_text(json.dumps({**content, "command": [*content["command"], *words]}))
        data, _ = reported(tmp_path / "s.json", page=tmp_path / "r.html", overwrite=True)
        assert (not data["notes"]) == fits, data["notes"]


def test_scores_of_the_first_version_and_of_a_part(tmp_path):
    rows = [{"name": "x", "dice": 0.5, "iou": 0.25}, {"name": "y", "dice": 0.75, "iou": None}]
    (tmp_path / "old.json").write_text(json.dumps({"format_version": 1, "per_image": rows, "part": "1/2"}))
    data, found = reported(tmp_path / "old.json", page=tmp_path / "r.html")
    assert found["y"]["values"] == {"dice": 0.75, "iou": None} and found["x"]["rank"] == 0
    assert any("part 1/2 alone" in note for note in data["notes"]) and data["means"] == []


def test_scores_of_masks(root, tmp_path):
    masks = root / "val" / "masks"
    shutil.copytree(masks, tmp_path / "pred")
    for path in (tmp_path / "pred").iterdir():
        path.rename(path.with_stem(f"{path.stem}_cp"))
    argv = ["--pred", tmp_path / "pred", "--truth", masks, "--pred-suffix", "_cp", "--json", tmp_path / "s.json"]
    assert main(["score", *map(str, argv)]) == 0
    _, rows = reported(tmp_path / "s.json", page=tmp_path / "r.html")
    assert {row["values"]["dice"] for row in rows.values()} == {1}
    assert set(details_of(tmp_path / "r.html", 0)["layers"]) == {"mask", "outlines", "truth"}


def test_predictions_and_scores_together(scores, root, tmp_path):
    out = make_predictions(root / "val" / "images", tmp_path / "out")
    data, rows = reported(scores, out, page=tmp_path / "r.html")
    assert data["kind"] == "predictions" and len(rows) == 2
    assert {"dice", "objects"} <= set(rows["0"]["values"]) and rows["0"]["truth"]
    assert {"truth", "uncertainty", "mask"} <= set(details_of(tmp_path / "r.html", 0)["layers"])
    content = json.loads(scores.read_text())
    content["per_image"][0]["name"] = "another"
    (tmp_path / "some.json").write_text(json.dumps(content))
    data, rows = reported(out, tmp_path / "some.json", page=tmp_path / "r.html", overwrite=True)
    assert len(rows) == 3 and any("2 of 3 pictures are not in both" in note for note in data["notes"])


def test_sources_that_do_not_go_together(scores, root, tmp_path):
    out = make_predictions(root / "train" / "images", tmp_path / "out", outputs=DEFAULT_OUTPUTS)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"per_image": [{"name": "z", "dice": 1.0, "iou": 1.0}]}))
    with pytest.raises(DataError, match="share no picture: 0 is in the first only, z in the second"):
        write_report([out, other], tmp_path / "r.html")
    with pytest.raises(DataError, match=r"2 of the paths are of one kind \(evaluation\)"):
        write_report([scores, other], tmp_path / "r.html")
    assert not list(tmp_path.glob("r*"))


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    assert main(["train", *TINY, f"dataset.root={root}", f"run.dir={folder}"]) == 0
    return folder


def test_a_training(run, tmp_path):
    data, rows = reported(run, page=tmp_path / "r.html")
    assert data["kind"] == "training" and data["title"] == "Training mine"
    assert [chart["title"] for chart in data["curves"]] == ["Training loss", "Validation"]
    assert [line["name"] for line in data["curves"][1]["lines"]] == ["Dice", "IoU"]
    assert [step for step, _ in data["curves"][1]["lines"][0]["points"]] == [2]
    assert [panel["caption"] for panel in data["panels"]] == ["step 2", "final"]
    assert decoded(data["panels"][0]["picture"]).ndim == 3
    assert len(rows) == 2 and all(row["truth"] for row in rows.values())
    assert data["command"].startswith("segdiff train dataset=folder") or "pytest" in data["command"]
    assert ["trainer.max_steps", "2"] in data["settings"]


def test_a_training_that_was_cut_or_is_broken(run, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(run, folder)
    (folder / "validation.json").unlink()
    (folder / "environment.json").write_text("{")
    (folder / "panels" / "step_000002.png").write_bytes(b"")
    (folder / "result.json").write_text('{"status": "failed", "error": "the loss is nan"}')
    with (folder / "metrics.csv").open("a") as file:
        file.write("3,6,0.1,nan\n4,")
    data, rows = reported(folder, page=tmp_path / "r.html")
    assert not rows and [panel["caption"] for panel in data["panels"]] == ["final"]
    assert any("the loss is nan" in note for note in data["notes"])
    assert any("no final validation" in note for note in data["notes"])
    (folder / "config.yaml").write_text("just: this")
    with pytest.raises(DataError, match="is not the configuration of a training"):
        write_report([folder], tmp_path / "s.html")
    assert read_charts(folder / "none.csv") == []


# What is unusual.


def shown(**values):
    return Shown(Row("x"), values=values)


def test_outliers_are_told_in_the_direction_that_is_worse():
    dice = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.40, 0.99 + 1]
    columns = [Column("dice", "Dice", better=1)]
    found = judge([shown(dice=value) for value in dice], columns)
    assert [index for index, one in enumerate(found) if one.weight] == [7]
    assert found[7].reasons == ["Dice 0.400, of others typically 0.830"]
    either = judge([shown(dice=value) for value in dice], [Column("dice", "Dice")])
    assert [index for index, one in enumerate(either) if one.weight] == [7, 8]
    assert not any(one.weight for one in judge([shown(dice=value) for value in dice[-5:]], columns))  # too few
    assert not any(one.weight for one in judge([shown(dice=0.5)] * 9 + [shown(dice=0.1)], columns))  # no deviation


def test_order_is_by_reasons_then_by_the_measure():
    pictures = [shown(dice=0.9), shown(dice=0.5), shown(dice=None), Shown(Row("e"), values={"dice": 0.99}, empty=True)]
    pictures.append(Shown(Row("f", status="failed")))
    column = Column("dice", "Dice", better=1)
    assert order(pictures, judge(pictures, [column]), column) == [4, 3, 1, 0, 2]
    loss = Column("dice", "Dice", better=-1)
    assert order(pictures, judge(pictures, [loss]), loss) == [4, 3, 0, 1, 2]
    assert order(pictures, judge(pictures, []), None) == [4, 3, 0, 1, 2]


@given(st.lists(st.floats(-1e6, 1e9), min_size=1, max_size=300))
@settings(max_examples=100, deadline=None)
def test_histograms_count_every_value(values):
    chart = histogram("x", "", values, "x")
    edges, counts = np.array(chart["edges"]), chart["counts"]
    assert len(edges) == len(counts) + 1 and np.all(np.diff(edges) > 0)
    assert sum(counts) + chart["more"] == len(values) == chart["n"]
    assert chart["more"] <= len(values) * 0.01 + 1


@pytest.mark.parametrize("chains", [2, 3, 8, 9, 30])
def test_shares_of_chains_lie_in_the_middle_of_their_bins(chains):
    values = np.arange(chains + 1) / chains
    chart = histogram("Confidence", "", values.round(4).tolist(), "confidence")
    assert chart["counts"] == [1] * (chains + 1)
    assert np.allclose((np.array(chart["edges"][1:]) + chart["edges"][:-1]) / 2, values)


def test_edges_are_easy_to_read():
    areas = np.random.default_rng(0).gamma(3, 100, 5000)
    chart = histogram("Area", "px", areas.tolist(), "area")
    assert chart["edges"][:3] == [0, 50, 100] and chart["more"] > 0
    assert histogram("Area", "px", [], "area") is None
    assert histogram("Dice", "", [0.61, 0.72, 0.8], "dice")["edges"][-1] == 1


def test_words():
    assert [title_of(name) for name in ("dice", "iou", "ece_raw", "boundary_f", "error_auroc_chains")] == [
        *("Dice", "IoU", "ECE raw", "Boundary F", "Error AUROC chains")
    ]
    assert command_line(["segdiff train", "a=b c"]) == "segdiff train 'a=b c'" and command_line("x") is None
    nested = {"a": {"b": 1.50, "c": None, "d": []}, "e": [{"f": True}], "skip": 1}
    assert flattened(nested, ("skip",)) == [("a.b", "1.5"), ("e.1.f", "True")]
