"""A report of predictions: what the page holds is what lies in the folder, whatever the record is like."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from reports import NAMES, SIZE, data_of, decoded, details_of, make_pictures, make_predictions, thumbnails_of
from slide_files import write_aperio, write_ome

from segdiff.cli.main import main
from segdiff.errors import ConfigError
from segdiff.workflows.outputs import DEFAULT_OUTPUTS
from segdiff.workflows.report import write
from segdiff.workflows.report.objects import MOST
from segdiff.workflows.report.write import ReportOptions, write_report

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with `pictures` and `out`, the predictions of them."""
    folder = tmp_path_factory.mktemp("made")
    make_predictions(make_pictures(folder / "pictures"), folder / "out")
    return folder


@pytest.fixture
def out(made, tmp_path):
    """A copy of the predictions, to be spoilt; the record names the pictures by their whole paths."""
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def rewrite(folder, change, name="prediction.json"):
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def reported(*paths, page=None, **options):
    """The page's data, its rows by name, and the page."""
    written = write_report(paths, page, ReportOptions(**options))
    data = data_of(written.page)
    return data, {row["name"]: row for row in data["rows"]}, written.page


def test_rows_say_what_the_files_say(made, tmp_path):
    data, rows, page = reported(made / "out", page=tmp_path / "report.html")
    assert data["kind"] == "predictions" and set(rows) == {*NAMES, "broken"}
    assert {column["key"] for column in data["columns"]} == {
        *("objects", "area", "share", "confidence", "probability", "uncertainty")
    }
    for name in NAMES:
        row, values = rows[name], rows[name]["values"]
        with (made / "out" / f"{name}_objects.csv").open() as file:
            objects = list(csv.DictReader(file))
        mask = np.asarray(Image.open(made / "out" / f"{name}_mask.png")) > 0
        uncertainty = tifffile.imread(made / "out" / f"{name}_uncertainty.tif")
        assert row["status"] == "done" and row["size"] == [SIZE[1], SIZE[0]] and row["scale"] == 1
        assert values["objects"] == len(objects)
        assert values["area"] == np.median([int(one["area"]) for one in objects])
        assert values["confidence"] == pytest.approx(np.mean([float(one["confidence"]) for one in objects]), rel=1e-5)
        assert values["share"] == pytest.approx(100 * mask.mean(), rel=1e-5)
        assert values["uncertainty"] == pytest.approx(uncertainty[mask].mean(), rel=1e-5)
        links = {kind: (page.parent / link).resolve() for kind, link in row["files"]}
        assert links["picture"] == made / "pictures" / f"{name}.png" and links["objects"].suffix == ".csv"
        assert all(link.is_file() for link in links.values())


def test_failures_come_first_and_say_why(made, tmp_path):
    data, rows, page = reported(made / "out", page=tmp_path / "report.html")
    assert rows["broken"]["status"] == "failed" and "not an image" in rows["broken"]["error"]
    assert rows["broken"]["rank"] == 0 and sorted(row["rank"] for row in data["rows"]) == list(range(6))
    assert thumbnails_of(page)[list(rows).index("broken")] is None


def test_layers_are_the_maps(made, tmp_path):
    data, rows, page = reported(made / "out", page=tmp_path / "report.html", size=64 * 4)
    index = list(rows).index("c")
    details = details_of(page, index)
    layers = {kind: decoded(address) for kind, address in details["layers"].items()}
    assert set(layers) == {"picture", "mask", "outlines", "probability", "uncertainty"}
    mask = np.asarray(Image.open(made / "out" / "c_mask.png")) > 0
    labels = tifffile.imread(made / "out" / "c_labels.tif")
    assert np.array_equal(layers["mask"][..., 3] > 0, mask)
    truth = np.asarray(Image.open(made / "pictures" / "c.png")).astype(float)
    assert np.abs(layers["picture"] - truth).mean() < 12  # compressed
    # Outlines lie on a grid three times as fine: inside objects, and each object has some.
    fine = labels.repeat(3, 0).repeat(3, 1)
    line = (layers["outlines"] == (255, 225, 60, 255)).all(axis=2)
    assert line.shape == fine.shape and not line[fine == 0].any()
    assert set(np.unique(fine[line])) == set(np.unique(labels)) - {0}
    assert details["objects"]["id"] == list(range(1, labels.max() + 1))
    sure = layers["probability"][mask].astype(float).mean(0)
    unsure = layers["probability"][~mask].astype(float).mean(0)
    assert sure[1] > unsure[1] + 50  # viridis goes from dark purple to yellow


def test_a_picture_larger_than_the_view_is_made_small(made, tmp_path):
    data, rows, page = reported(made / "out", page=tmp_path / "report.html", size=64)
    assert rows["a"]["scale"] == pytest.approx(64 / 80) and rows["a"]["size"] == [64, 51]
    shapes = {decoded(address).shape[:2] for address in details_of(page, list(rows).index("a"))["layers"].values()}
    assert shapes == {(51, 64)}


def test_the_least_sure_objects_are_cut_out(made, tmp_path):
    data, rows, _ = reported(made / "out", page=tmp_path / "report.html")
    every = []
    for name in NAMES:
        with (made / "out" / f"{name}_objects.csv").open() as file:
            every += [(float(one["confidence"]), float(one["probability"]), name) for one in csv.DictReader(file)]
    first = data["objects"][0]
    assert (first["sureness"], data["rows"][first["row"]]["name"]) == (min(every)[0], min(every)[2])
    assert [one["sureness"] for one in data["objects"]] == sorted(one["sureness"] for one in data["objects"])
    assert max([one["row"] for one in data["objects"]].count(row) for row in range(6)) <= 4
    assert decoded(first["picture"]).shape == (96, 96, 3)


# Records of other versions, and folders where something is missing.


def test_warnings_by_either_name(out):
    def change(content):
        content["images"][0]["remarks"] = ["paler than any"]
        content["images"][1].pop("remarks", None)
        content["images"][1]["warnings"] = "darker than any"
        content["images"][2]["remarks"] = {"not": "a list"}
        content["something_new"] = {"nested": [1, 2]}
        content["images"][3]["something_new"] = 5

    rewrite(out, change)
    data, rows, _ = reported(out)
    said = {row["name"]: row["warnings"] for row in data["rows"]}
    assert said["a"] == ["paler than any"] and said["b"] == ["darker than any"]
    assert ["something_new.nested", "1, 2"] in data["settings"]
    assert {rows[name]["rank"] for name in "ab"} == {1, 2}  # after what failed


def test_a_record_that_does_not_name_its_files(out):
    rewrite(out, lambda content: [image.pop("outputs", None) for image in content["images"]])
    _, rows, page = reported(out)
    assert rows["a"]["values"]["objects"] >= 1
    assert set(details_of(page, 0)["layers"]) == {"picture", "mask", "outlines", "probability", "uncertainty"}


@pytest.mark.parametrize(
    ("kept", "layers", "columns"),
    [
        (["mask"], {"picture", "mask", "outlines"}, {"share"}),
        (["labels"], {"picture", "mask", "outlines"}, {"share", "objects", "area"}),
        (["objects"], {"picture"}, {"objects", "area", "confidence"}),
        (["probability"], {"picture", "probability"}, set()),
        (["outlines"], {"picture"}, set()),
        ([], {"picture"}, set()),
    ],
)
def test_only_some_outputs_were_written(out, kept, layers, columns):
    def change(content):
        for image in content["images"]:
            image["outputs"] = {kind: name for kind, name in image.get("outputs", {}).items() if kind in kept}

    rewrite(out, change)
    data, rows, page = reported(out)
    assert set(details_of(page, 0)["layers"]) == layers
    assert {column["key"] for column in data["columns"]} == columns
    assert not rows["a"]["warnings"]


def test_files_that_are_gone_or_broken_become_warnings(out):
    (out / "a_uncertainty.tif").unlink()
    (out / "b_probability.tif").write_bytes((out / "b_probability.tif").read_bytes()[:200])
    tifffile.imwrite(out / "c_labels.tif", np.ones((9, 9), np.uint16))
    (out / "d_objects.csv").write_text("no table\n1\n")
    _, rows, page = reported(out)
    assert "uncertainty: the file is no longer there" in rows["a"]["warnings"]
    assert any(said.startswith("probability: ") for said in rows["b"]["warnings"])
    assert any("labels: it is 9 x 9 pixels (height x width), not 64 x 80" in said for said in rows["c"]["warnings"])
    assert any("no column id" in said for said in rows["d"]["warnings"])
    assert rows["d"]["values"]["objects"] >= 1  # counted on the label map
    assert not rows["e"]["warnings"] and "mask" in details_of(page, list(rows).index("b"))["layers"]


def test_pictures_that_were_moved(made, out, tmp_path):
    pictures = tmp_path / "pictures"
    shutil.copytree(made / "pictures", pictures)

    def change(content):
        for image in content["images"]:
            image["image"] = f"/nowhere/{Path(image['image']).name}"

    rewrite(out, change)
    _, rows, page = reported(out)
    assert any("--images" in said for said in rows["a"]["warnings"])
    assert "picture" in details_of(page, 0)["layers"]  # the overlay
    _, rows, page = reported(out, pictures=pictures, overwrite=True)
    assert not rows["a"]["warnings"] and "picture" in details_of(page, 0)["layers"]
    # Relative paths are seen from the folder, too, wherever the report is made; another picture is not taken.
    rewrite(out, lambda content: [one.update(image=f"pictures/{Path(one['image']).name}") for one in content["images"]])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(pictures / "a.png")
    _, rows, _ = reported(out, overwrite=True)
    assert any("picture: it is 9 x 9" in said for said in rows["a"]["warnings"]) and not rows["b"]["warnings"]


def test_a_run_that_was_cut_and_runs_before_it(out):
    def change(content):
        earlier = {**content, "images": [{**content["images"][0], "stem": "old"}]}
        content["images"][1].update(status="pending")
        content["images"][2].pop("status")
        content["earlier_runs"] = [earlier]

    rewrite(out, change)
    data, rows, _ = reported(out)
    assert rows["b"]["status"] == rows[data["rows"][3]["name"]]["status"] == "pending"
    assert "old" in rows and any("2 runs" in note for note in data["notes"])


def test_parts_are_one_folder_and_the_newest_run_counts(made, tmp_path):
    from segdiff.workflows.parts import Part

    out = tmp_path / "out"
    pictures = tmp_path / "pictures"
    shutil.copytree(made / "pictures", pictures)
    for index in (1, 2):
        make_predictions(pictures, out, part=Part(index, 2), outputs=DEFAULT_OUTPUTS)
    os.utime(out / "prediction_1of2.json", (1, 1))
    _, rows, _ = reported(out)
    assert set(rows) == {*NAMES, "broken"} and "objects" not in rows["a"]["values"]
    rewrite(
        out,
        lambda content: content["images"].append({"image": "a.png", "stem": "a", "status": "failed"}),
        "prediction_2of2.json",
    )
    data, rows, _ = reported(out, overwrite=True)
    assert rows["a"]["status"] == "failed" and len(data["rows"]) == 6
    alone, _, _ = reported(out / "prediction_1of2.json", page=tmp_path / "one.html")
    assert len(alone["rows"]) == 3


def test_one_stem_in_two_folders(out):
    def change(content):
        content["images"][1].update(stem="a", image="/elsewhere/a.png")

    rewrite(out, change)
    data, rows, _ = reported(out)
    assert len(rows) == len(data["rows"]) == 6 and "/elsewhere/a.png" in rows


def test_very_many_objects(out):
    header = "id,x,y,area,probability,uncertainty,confidence"
    lines = [f"{n},{n % 80},{n % 64},20,0.9,0.1,{1 if n % 2 else 0.5}" for n in range(1, 2 * MOST + 1)]
    (out / "a_objects.csv").write_text("\n".join([header, *lines]) + "\n")
    data, rows, page = reported(out)
    kept = details_of(page, 0)["objects"]
    assert rows["a"]["values"]["objects"] == 2 * MOST and len(kept["id"]) == MOST
    assert set(kept["confidence"]) == {0.5} and any(f"{MOST} least sure" in said for said in rows["a"]["warnings"])
    area = next(chart for chart in data["histograms"] if chart["key"] == "area")
    assert area["n"] >= 2 * MOST and sum(area["counts"]) + area["more"] == area["n"]


# The page as a file.


NASTY = [
    '</script><script>alert("1")</script>',
    "<img src=x onerror=alert(1)>",
    "a&amp;'\"<!-- details -->",
    "=1+1",
    "Zelle Ä 細胞 \u2028",
    "\udce4",  # a name of bytes that are not UTF-8
]


def test_names_are_never_markup(out, tmp_path):
    def change(content):
        for image, name in zip(content["images"], NASTY, strict=True):
            image.update(stem=name, error=name, remarks=[name])

    rewrite(out, change)
    data, rows, page = reported(out, title=NASTY[0] + NASTY[2])
    assert [row["name"] for row in data["rows"]] == NASTY
    text = page.read_text("utf-8")
    assert "alert(1)>" not in text and 'alert("1")' not in text
    assert (
        text.count("<script") == text.count("</script>") == 3 + sum(row["size"] is not None for row in data["rows"]) + 1
    )


def test_the_page_may_load_nothing_from_a_network(made, tmp_path):
    _, _, page = reported(made / "out", page=tmp_path / "report.html")
    text = page.read_text("utf-8")
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    policy = policy.replace("&#39;", "'")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    for content in (style, script):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_large_reports_have_files_beside_them(made, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "INLINE", 30_000)
    page = tmp_path / "report.html"
    written = write_report([made / "out"], page)
    assert written.beside == tmp_path / "report_files" and data_of(page)["files"] == "report_files"
    assert sorted(path.name for path in written.beside.iterdir()) == [f"{index:05}.js" for index in range(6)]
    assert "mask" in details_of(page, 0)["layers"] and "details-0" not in page.read_text("utf-8")
    assert data_of(page)["id"] in (written.beside / "00000.js").read_text()
    alone = write_report([made / "out"], page, ReportOptions(single_file=True, overwrite=True))
    assert alone.beside is None and sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]
    assert data_of(page)["files"] is None and "mask" in details_of(page, 0)["layers"]


def test_nothing_is_left_of_a_report_that_was_not_finished(made, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "INLINE", 0)
    before = write_report([made / "out"], tmp_path / "report.html")
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prepare, seen = write.prepare, []

    def cut(row, size):
        seen.append(row.name)
        if len(seen) > 4:
            raise KeyboardInterrupt
        return prepare(row, size)

    monkeypatch.setattr(write, "prepare", cut)
    with pytest.raises(KeyboardInterrupt):
        write_report([made / "out"], before.page, ReportOptions(overwrite=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_the_same_report_is_the_same_file(made, tmp_path):
    pages = [write_report([made / "out"], tmp_path / name / "report.html").page for name in ("one", "two")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_text_has_contrast_in_light_and_dark():
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for the borders of controls."""
    style = (files("segdiff.workflows.report") / "templates" / "report.css").read_text()
    pairs = dict(re.findall(r"--([a-z-]+): light-dark\((#\w+, #\w+)\)", style))
    for scheme in (0, 1):
        colours = {name: luminance(pair.split(", ")[scheme]) for name, pair in pairs.items()}
        for ground in ("ground", "surface", "raised"):
            for text in ("text", "muted", "accent", "good", "warn", "bad"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (scheme, text, ground)
            assert contrast(colours["control"], colours[ground]) >= 3, (scheme, "control", ground)
        assert contrast(colours["text"], colours["soft"]) >= 4.5
        assert contrast(colours["accent"], colours["soft"]) >= 4.5
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_decisions_are_of_a_run_not_of_a_place(out, tmp_path):
    first = reported(out)[0]["id"]
    rewrite(out, lambda content: content["images"].append({"image": "x.png", "stem": "x", "status": "pending"}))
    assert reported(out, page=tmp_path / "other.html")[0]["id"] == first
    rewrite(out, lambda content: content.update(versions={"segdiff": "9"}, command=["segdiff", "predict", "--resume"]))
    assert reported(out, overwrite=True)[0]["id"] == first
    rewrite(out, lambda content: content.update(model="another@1"))
    assert reported(out, overwrite=True)[0]["id"] != first


def test_of_a_slide_an_overview(tmp_path, monkeypatch):
    """Where a picture is too large to be read as a whole; here, above 10,000 pixels."""
    monkeypatch.setattr("segdiff.workflows.report.maps.MOST_PIXELS", 10_000)
    rows, columns = np.mgrid[:400, :600]
    labels = ((rows - 100) ** 2 + (columns - 150) ** 2 < 2500) + 2 * ((rows - 250) ** 2 + (columns - 450) ** 2 < 4900)
    image = np.where(labels[..., None] > 0, np.uint8(200), np.uint8(30)).repeat(3, 2)
    write_aperio(tmp_path / "s.svs", image)
    write_ome(tmp_path / "s_labels.tif", labels.astype(np.uint32), "YX")
    write_ome(tmp_path / "s_probability.tif", (labels > 0).astype(np.float32) * 0.75, "YX")
    Image.fromarray((labels > 0) * np.uint8(255)).save(tmp_path / "s_mask.png")
    (tmp_path / "s_objects.csv").write_text(
        "id,x,y,area,probability\n1,150.5,100.5,7825,0.7\n2,450.5,250.5,15373,0.8\n"
    )
    outputs = {"mask": "s_mask.png", "labels": "s_labels.tif"}
    outputs |= {"probability": "s_probability.tif", "objects": "s_objects.csv"}
    one = {"image": str(tmp_path / "s.svs"), "status": "done", "shape": [400, 600, 3], "outputs": outputs}
    (tmp_path / "prediction.json").write_text(json.dumps({"images": [one]}))
    _, found, page = reported(tmp_path, size=150)
    row = found["s"]
    assert row["size"] == [150, 100] and row["scale"] == 0.25 and row["values"]["objects"] == 2
    assert row["values"]["share"] == pytest.approx(100 * (labels > 0).mean(), rel=0.05)
    layers = {kind: decoded(address) for kind, address in details_of(page, 0)["layers"].items()}
    assert set(layers) == {"picture", "mask", "outlines", "probability"}
    mask = layers["mask"][..., 3] > 0
    assert (mask == (labels[2::4, 2::4] > 0)).mean() > 0.98
    assert abs(layers["picture"][mask].mean() - 200) < 10 and abs(layers["picture"][~mask].mean() - 30) < 10
    (said,) = row["warnings"]
    assert said.startswith("mask: it is too large to be read as a whole")


def test_label_maps_are_numbers_whatever_they_look_like(out):
    """A single object, or a ramp of them, which as a mask would be something else."""
    for name, labels in (("a", np.eye(*SIZE, dtype=np.uint16)), ("b", np.arange(64 * 80).reshape(SIZE) // 20)):
        tifffile.imwrite(out / f"{name}_labels.tif", labels.astype(np.uint16))
        (out / f"{name}_objects.csv").unlink()
    rewrite(out, lambda content: [image.get("outputs", {}).pop("objects", None) for image in content["images"]])
    _, rows, _ = reported(out)
    assert rows["a"]["values"]["objects"] == 1 and rows["b"]["values"]["objects"] == 64 * 80 / 20 - 1


# What is refused.


def test_what_is_no_source(tmp_path, made, out, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text("nothing")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "other.json").write_text('{"format_version": 1, "comparisons": []}')
    (tmp_path / "scores.json").write_text('{"per_image": []}')
    for name, text in [("cut", '{"images": ['), ("none", '{"images": []}'), ("odd", '{"images": [3]}'), ("no", "{}")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "prediction.json").write_text(text)
    for path, said in [
        ("nowhere", "nowhere is not there: give a folder that segdiff predict wrote"),
        ("empty", "empty holds no prediction.json and no training"),
        (".", "holds no prediction.json and no training; give"),
        ("list.json", "list.json is not a file that a report is made of"),
        ("text.json", "text.json is not a file"),
        ("bytes.json", "bytes.json is not a file"),
        ("other.json", "other.json is not a file"),
        ("scores.json", "scores.json scores no image"),
        ("cut", "prediction.json is not complete JSON"),
        ("none", "prediction.json lists no image"),
        ("odd", "prediction.json is not a record"),
        ("no", "prediction.json is not a record"),
    ]:
        refused(capsys, said, path, "--out", "report.html")
    assert not (tmp_path / "report.html").exists() and not list(tmp_path.glob(".*"))


def refused(capsys, said, *argv):
    assert main(["report", *map(str, argv)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line and line.startswith("segdiff report: error: "), line


def test_outputs_that_cannot_be(tmp_path, out, capsys, monkeypatch):
    monkeypatch.setattr(write, "INLINE", 0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "there.html").write_text("mine")
    foreign = tmp_path / "other_files"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    for argv, said in [
        (["--out", "there.html"], "there.html exists: choose another --out, or --overwrite"),
        (["--out", "folder.html", "--overwrite"], "folder.html is a folder"),
        (["--out", "report.png"], "report.png: a report is an HTML file"),
        (["--out", "other.html"], "other_files exists"),
        (["--out", "other.html", "--overwrite"], "other_files holds files that no report wrote"),
        (["--out", "file/report.html"], "file"),
        (["--size", "0"], "--size: 0"),
        (["--size", "9"], "size=9"),
        (["--images", "none"], "none is not a folder"),
        (["--title"], "--title"),
    ]:
        refused(capsys, said, out, *argv)
    assert (tmp_path / "there.html").read_text() == "mine" and (foreign / "letter.txt").is_file()
    assert not (out / "report.html").exists() and not list(tmp_path.glob("**/.*"))
    assert main(["report", str(out)]) == 0
    said = capsys.readouterr().out
    assert "6 picture(s), 1 failed" in said and str(out / "report_files") in said
    refused(capsys, "report.html exists", out)
    assert main(["report", str(out), "--overwrite"]) == 0


def test_options_are_checked_in_python_too(tmp_path):
    with pytest.raises(ConfigError, match="64 to 8192"):
        ReportOptions(size=10**6)
    assert replace(ReportOptions(), size=64).size == 64
