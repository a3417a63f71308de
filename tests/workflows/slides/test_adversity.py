"""What goes wrong around slides: replaced files, full disks, two runs at once, pens, padding, odd sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fakes import make_predictor, picture
from PIL import Image
from slide_files import write_aperio
from test_predict_slide import OUTPUTS, contents, nuclei, predictor, run, stained

from segdiff.data.annotations.geojson import feature
from segdiff.data.annotations.outlines import outlines
from segdiff.data.images import read_image
from segdiff.data.sources.open import open_source
from segdiff.data.versions import version_of
from segdiff.data.writers import write_json
from segdiff.errors import ConfigError
from segdiff.inference.objects import separate
from segdiff.workflows.alone import alone_in
from segdiff.workflows.parts import Part
from segdiff.workflows.predict_files import failures, predict_files
from segdiff.workflows.slides import predict as slide_predict


def begin(path, folder, monkeypatch, **options):
    """A run that dies when all strips are there."""

    def fail(*args, **kwargs):
        raise OSError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(slide_predict.SlideFiles, "write", fail)
        record = predict_files(predictor(), [path], folder, **{"outputs": OUTPUTS, "tissue": False, **options})
    assert failures(record)


def touch(path, seconds=1):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "in").mkdir()
    write_aperio(tmp_path / "in" / "a.svs", nuclei(), compression="zlib", mpp="0.25")
    return tmp_path / "in" / "a.svs"


@pytest.mark.parametrize("kind", ["other pixels", "same bytes, other time"])
@pytest.mark.parametrize("moment", ["in the middle", "when it was done"])
def test_a_slide_that_was_replaced_is_predicted_anew(slide, tmp_path, monkeypatch, kind, moment):
    if moment == "in the middle":
        begin(slide, tmp_path / "out", monkeypatch)
    else:
        run(slide, tmp_path / "out")
    if kind == "other pixels":
        write_aperio(slide, nuclei(seed=1), compression="zlib", mpp="0.25")
    touch(slide)
    model = predictor()
    run(slide, tmp_path / "out", model, resume=True)
    fresh = predictor()
    run(slide, tmp_path / "fresh", fresh)
    assert model.segmenter.calls == fresh.segmenter.calls  # every window again
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    idle = predictor()
    assert predict_files(idle, [slide], tmp_path / "out", outputs=OUTPUTS, tissue=False, resume=True)["done_before"]
    assert not idle.segmenter.calls


def test_strips_of_a_slide_of_another_name_are_not_thrown_away(slide, tmp_path, monkeypatch):
    begin(slide, tmp_path / "out", monkeypatch)
    other = slide.with_suffix(".tif")
    slide.rename(other)
    with pytest.raises(ConfigError, match="a_strips exists"):
        predict_files(predictor(), [other], tmp_path / "out", outputs=OUTPUTS, tissue=False, resume=True)
    assert list((tmp_path / "out" / "a_strips" / "model_0").glob("*.zip"))


def test_versions_are_of_all_files_of_an_image(tmp_path):
    (tmp_path / "a.zarr" / "c").mkdir(parents=True)
    (tmp_path / "a.zarr" / "c" / "0").write_bytes(b"12")
    (tmp_path / "b.mrxs").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "Data0000.dat").write_bytes(b"123")
    for image, inside in (("a.zarr", "a.zarr/c/0"), ("b.mrxs", "b/Data0000.dat")):
        before = version_of(tmp_path / image)
        touch(tmp_path / inside, seconds=100)
        later = version_of(tmp_path / image)
        assert before != later
        (tmp_path / inside).write_bytes(b"12345")
        assert version_of(tmp_path / image)["bytes"] > later["bytes"]


def test_a_region_file_that_changed_is_another_setting(slide, tmp_path):
    region = tmp_path / "r.geojson"
    for side in (100, 150):
        ring = np.array([[0, 0], [side, 0], [side, side], [0, side], [0, 0]], float)
        write_json(region, {"type": "FeatureCollection", "features": [feature([(ring,)], None, "r")]})
        given = {"outputs": ("mask",), "tissue": False, "region": str(region), "resume": True}
        if side == 100:
            run(slide, tmp_path / "out", **given)
            assert predict_files(predictor(), [slide], tmp_path / "out", **given)["done_before"] == 1
        else:
            with pytest.raises(ConfigError, match="other settings .region="):
                predict_files(predictor(), [slide], tmp_path / "out", **given)


FULL = """
import sys
sys.path[:0] = {paths!r}
import resource, signal, torch
torch.set_num_threads(1)
from pathlib import Path
from test_predict_slide import predictor, OUTPUTS
from segdiff.workflows.parts import Part
from segdiff.workflows.predict_files import failures, predict_files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.RLIM_INFINITY))
record = predict_files(predictor(), [Path({slide!r})], {folder!r}, outputs=OUTPUTS, tissue=False)
print(failures(record)[0]["error"])
"""


@pytest.mark.parametrize("most", [40_000, 250_000])
def test_a_disk_that_is_full_in_the_middle_costs_nothing_that_was_done(slide, tmp_path, most):
    """A bound on the size of a file stands for the disk: strips do not fit, or they do and a map does not."""
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[2]), str(here.parents[3])]
    code = FULL.format(paths=paths, most=most, slide=str(slide), folder=str(tmp_path / "out"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], timeout=120, env=environment, capture_output=True, text=True)
    assert "cannot be written" in ended.stdout and len(ended.stdout.splitlines()) == 1, ended.stderr
    left = [path for path in (tmp_path / "out").rglob("*") if path.suffix == ".tmp"]
    assert not left
    strips = list((tmp_path / "out" / "a_strips" / "model_0").glob("*.zip"))
    model = predictor()
    run(slide, tmp_path / "out", model, resume=True)
    assert bool(strips) == (most > 100_000) == (not model.segmenter.calls)
    run(slide, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_runs_at_once_in_one_folder_are_one_too_many(slide, tmp_path):
    with alone_in(tmp_path / "out"), pytest.raises(ConfigError, match="another run is at work in .*out"):
        predict_files(predictor(), [slide], tmp_path / "out", outputs=("mask",))
    assert not (tmp_path / "out").exists()
    with alone_in(tmp_path / "out", shared=True):  # parts share it
        Image.fromarray(picture(20, 24)).save(tmp_path / "in" / "b.png")
        record = predict_files(make_predictor(), [tmp_path / "in"], tmp_path / "out", part=Part(2, 2), tissue=False)
        assert not failures(record)


def test_two_runs_one_after_the_other_keep_both_in_record_and_table(slide, tmp_path):
    write_aperio(tmp_path / "in" / "b.svs", nuclei(seed=1), compression="zlib")
    for name in ("a.svs", "b.svs"):
        run(tmp_path / "in" / name, tmp_path / "out", outputs=("mask",))
    rows = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["image", "a.svs", "b.svs"]
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert [image["stem"] for image in record["earlier_runs"][0]["images"]] == ["a"]


def test_slides_of_one_name_in_different_folders(slide, tmp_path):
    (tmp_path / "in" / "more").mkdir()
    write_aperio(tmp_path / "in" / "more" / "a.svs", nuclei(seed=1), compression="zlib")
    with pytest.raises(ConfigError, match="would be written to the same files"):
        predict_files(predictor(), [slide, tmp_path / "in" / "more" / "a.svs"], tmp_path / "out")
    given = {"outputs": ("labels",), "tissue": False, "recursive": True}
    record = predict_files(predictor(), [tmp_path / "in"], tmp_path / "out", **given)
    assert not failures(record)
    for where, seed in (("", 0), ("more", 1)):
        said = predictor().predict(nuclei(seed=seed))
        found = tifffile.imread(tmp_path / "out" / where / "a_labels.ome.tif")
        np.testing.assert_array_equal(found, separate(said.mask, said.core))
    rows = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["image", "a.svs", "more/a.svs"]


@pytest.mark.parametrize("size", [(257, 300), (128, 129), (40, 700), (700, 40), (9, 8)])
def test_edges_smaller_than_a_tile_and_slides_smaller_than_a_window(tmp_path, size):
    write_aperio(tmp_path / "a.svs", nuclei(size), compression="zlib", steps=(2,))
    run(tmp_path / "a.svs", tmp_path / "out", outputs=("mask", "labels"))
    said = predictor().predict(nuclei(size))
    labels = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    np.testing.assert_array_equal(labels, separate(said.mask, said.core))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a_mask.ome.tif") > 0, said.mask)


@pytest.mark.parametrize("padding", [0, 255])
def test_padding_and_pens_are_not_predicted(tmp_path, padding):
    image = stained()
    image[:, 600:] = padding  # not scanned
    image[20:60, 40:560] = (20, 160, 60)  # a green pen
    write_aperio(tmp_path / "a.svs", image, compression="zlib", mpp="0.5")
    run(tmp_path / "a.svs", tmp_path / "out", tissue=True, outputs=("mask",))
    tissue = read_image(tmp_path / "out" / "a_tissue.png") > 0
    assert tissue[120:280, 150:380].all() and not tissue[:70].any() and not tissue[:, 590:].any()


@pytest.mark.parametrize(("mpp", "said"), [("352.7778", "352"), ("0.001", "0.001")])
def test_sizes_that_no_microscope_has_are_unknown_and_named(tmp_path, mpp, said):
    write_aperio(tmp_path / "a.svs", nuclei(), compression="zlib", mpp=mpp)
    facts = run(tmp_path / "a.svs", tmp_path / "out", predictor(scale={"mpp": 0.5}), outputs=("objects",))
    assert facts["mpp"] is None and said in facts["mpp_origin"]
    assert "area_um2" not in (tmp_path / "out" / "a_objects.csv").read_text().splitlines()[0]


@pytest.mark.parametrize("kind", ["picture", "slide"])
def test_pixels_that_are_not_square_have_no_one_length(tmp_path, kind):
    options = {"resolution": (40000, 20000), "resolutionunit": 3}
    tiles = {"tile": (64, 64)} if kind == "slide" else {}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (1, 2) if kind == "slide" else (1,):
            file.write(stained()[::step, ::step], photometric="rgb", subfiletype=step - 1, **tiles, **options)
    facts = run(tmp_path / "a.tif", tmp_path / "out", tissue=True, outputs=("mask", "labels"))
    assert facts["mpp"] is None and "the pixels are not square: 0.25 x 0.5" in facts["mpp_origin"]
    assert facts.get("tissue_mm2") is None and facts["found"]["median_area_um2"] is None
    record = predict_files(predictor(), [tmp_path / "a.tif"], tmp_path / "other", outputs=("objects",))
    assert "the pixels are not square" in failures(record)[0]["error"]


def test_what_mpp_says_reaches_maps_and_tissue(tmp_path):
    write_aperio(tmp_path / "a.svs", stained(), compression="zlib", mpp="")
    model = predictor(scale={"mpp": 0.5})
    facts = run(tmp_path / "a.svs", tmp_path / "out", model, tissue=True, outputs=("mask", "labels"), mpp=0.5)
    tissue = read_image(tmp_path / "out" / "a_tissue.png") > 0
    assert facts["tissue_mm2"] == pytest.approx(tissue.sum() * 0.25e-6, abs=5e-5)
    assert open_source(tmp_path / "out" / "a_mask.ome.tif").mpp.isotropic() == 0.5


def test_one_object_over_many_blocks_and_one_on_a_corner_of_four(tmp_path, monkeypatch):
    image = np.full((300, 420, 3), (100, 40, 150), np.uint8)
    image[20:24, 10:400, :2] = image[20:260, 10:14, :2] = image[256:260, 10:400, :2] = (210, 240)
    image[108:150, 108:150, :2] = (210, 240)  # a corner of four blocks of 128 pixels lies within
    write_aperio(tmp_path / "a.svs", image, compression="zlib")
    monkeypatch.setattr("segdiff.workflows.slides.outputs.SIDE", 128)
    facts = run(tmp_path / "a.svs", tmp_path / "out", outputs=("labels", "outlines"))
    labels = tifffile.imread(tmp_path / "out" / facts["outputs"]["labels"])
    said = predictor().predict(image)
    expected = separate(said.mask, said.core)
    assert expected.max() == 2
    np.testing.assert_array_equal(labels, expected)
    features = json.loads((tmp_path / "out" / "a_outlines.geojson").read_text())["features"]
    assert [one["geometry"] for one in features] == [feature(p, None, "")["geometry"] for _, p in outlines(expected)]


def test_more_objects_than_16_bits_number(tmp_path):
    image = np.full((1024, 1056, 3), (100, 40, 150), np.uint8)
    image[1::4, 1::4, :2] = (210, 240)
    write_aperio(tmp_path / "a.svs", image, compression="zlib")
    model = make_predictor(window=512, threshold=0.6)
    record = predict_files(model, [tmp_path / "a.svs"], tmp_path / "out", outputs=("labels", "mask"), tissue=False)
    assert not failures(record)
    labels = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    assert labels.dtype == np.uint32 and labels.max() == 256 * 264 == record["images"][0]["found"]["objects"]
    assert len(np.unique(labels)) == 256 * 264 + 1
