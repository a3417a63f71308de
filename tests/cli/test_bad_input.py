"""What users get wrong, as they type it: one line that says what and where, an exit code, nothing left behind."""

from __future__ import annotations

import gzip
import io
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from fakes import picture
from made import discs, objects
from PIL import Image
from small_runs import TINY

from segdiff.cli.main import main

QUICK = ["--chains", "1", "--steps", "1", "--scale", "1", "--device", "cpu", "--precision", "float32"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; gives the exit code and the lines of stderr."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*argv):
        code = main([str(argument) for argument in argv])
        return code, capsys.readouterr().err.strip().splitlines()

    return call


def one_line(result, *said, code=2):
    got, lines = result
    assert got == code, lines
    (line,) = [line for line in lines if "error" in line]
    assert all(part in line for part in said), line
    assert "Traceback" not in "".join(lines) and "Errno" not in line
    return line


def encoded(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


PNG = encoded(lambda file: Image.fromarray(picture(60, 70)).save(file, format="PNG"))
TIFF = encoded(lambda file: tifffile.imwrite(file, picture(60, 70), photometric="rgb", compression="deflate"))
BROKEN = {
    "zero.png": (b"", "not an image"),
    "cut.png": (PNG[: len(PNG) // 2], "truncated"),
    "torn.tif": (TIFF[: len(TIFF) // 2], "cannot be read"),
    "text.png": (b"these are not the pixels you are looking for\n", "not an image"),
    "bands.tif": (
        encoded(lambda file: tifffile.imwrite(file, np.zeros((8, 9, 5), np.uint8), photometric="rgb")),
        "choose one (segdiff predict --channel N, 1 to 5)",
    ),
    "stack.tif": (
        encoded(lambda file: tifffile.imwrite(file, np.zeros((3, 40, 50), np.uint8), photometric="minisblack")),
        "a stack of 3",
    ),
    "nan.tif": (encoded(lambda file: tifffile.imwrite(file, np.full((8, 9), np.nan, np.float32))), "NaN"),
    "dark.tif": (encoded(lambda file: tifffile.imwrite(file, np.full((8, 9), -3, np.int16))), "-3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_picture_that_cannot_be_read(run, model, name):
    content, said = BROKEN[name]
    Path(name).write_bytes(content)
    one_line(run("predict", "--model", model, "--image", name, *QUICK), name, said)
    assert not list(Path("out").glob("*mask*"))


def test_in_a_batch_the_others_finish_and_the_failures_are_listed(run, model):
    Path("in").mkdir()
    for name, (content, _) in BROKEN.items():
        (Path("in") / name).write_bytes(content)
    (Path("in") / "good.png").write_bytes(PNG)
    code, lines = run("predict", "--model", model, "--image", "in", *QUICK)
    errors = [line for line in lines if "error" in line]
    assert code == 3 and len(errors) == len(BROKEN)
    assert all(any(name in line and said in line for line in errors) for name, (_, said) in BROKEN.items())
    assert Path("out/good_mask.png").is_file() and len(list(Path("out").glob("*_mask.png"))) == 1


def test_pictures_that_are_not_there(run, model):
    one_line(run("predict", "--model", model, "--image", "none.png", *QUICK), "no such image or folder: none.png")
    Path("folder.png").mkdir()
    one_line(run("predict", "--model", model, "--image", "folder.png", *QUICK), "folder.png", "holds no image")
    one_line(run("predict", "--model", model, "--image", "*.png", *QUICK), "no image matches *.png")
    assert not Path("out").exists()


def test_a_picture_without_pixels(model):
    import segdiff

    with pytest.raises(ValueError, match=r"has \(8, 9, 0\)"):
        segdiff.load(model, device="cpu").predict(np.zeros((8, 9, 0), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "no model folder"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "is not a model folder: config.yaml"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is not there"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "does not fit"),
        (lambda folder: rewrite(folder, format_version=7), "format version 7; this segdiff reads 2: update segdiff"),
        (lambda folder: rewrite(folder, format_version=0), "never was"),
        (lambda folder: (folder / "config.yaml").write_text("a: [1"), "not plain YAML"),
        (lambda folder: (folder / "config.yaml").write_text("hello"), "not a segdiff model"),
    ],
)
def test_a_model_that_is_none(run, model, data, tmp_path, spoil, said):
    folder = tmp_path / "spoilt"
    shutil.copytree(model, folder)
    spoil(folder)
    Path("x.png").write_bytes(PNG)
    one_line(run("predict", "--model", folder, "--image", "x.png", *QUICK), "spoilt", said)
    one_line(
        run("evaluate", "--model", folder, "--dataset", "folder", "--root", data, "--split", "val"), "spoilt", said
    )
    assert not Path("out").exists()


def rewrite(folder, **values):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **values}))


def test_a_checkpoint_that_is_not_ours(run):
    Path("x.pt").write_bytes(b"PK\x03\x04 and no more")
    line = one_line(run("import-official", "x.pt", "--preset", "monuseg", "--out", "model"), "x.pt")
    assert "checkpoint" in line and not Path("model").exists()


def test_results_that_cannot_be_written(run, model, tmp_path):
    Path("x.png").write_bytes(PNG)
    Path("file").write_text("")
    out = ["--output-dir", "file/under/it"]
    one_line(run("predict", "--model", model, "--image", "x.png", *out, *QUICK), "file", "Not a directory")
    one_line(run("predict", "--model", model, "--image", "x.png", "--output-dir", "file", *QUICK), "file is a file")
    if os.geteuid():  # root may write anywhere
        Path("locked").mkdir(mode=0o500)
        out = ["--output-dir", "locked"]
        one_line(run("predict", "--model", model, "--image", "x.png", *out, *QUICK), "locked", "Permission denied")


def test_a_disk_that_is_full(run, model):
    """No file may grow beyond 3000 bytes: the mask fits, the probabilities do not."""
    for name in ("x.png", "y.png"):
        Path(name).write_bytes(PNG)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        code, lines = run("predict", "--model", model, "--image", "x.png", "y.png", *QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2 and all("cannot be written: File too large" in line for line in lines if "error" in line)
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".")]  # nothing half-written
    assert run("predict", "--model", model, "--image", "x.png", "y.png", "--resume", *QUICK)[0] == 0
    assert len(list(Path("out").glob("*_probability.tif"))) == 2


# Data sets.


@pytest.fixture
def data(tmp_path):
    return discs(tmp_path / "discs")


def spoil_size(data):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(data / "train" / "masks" / "1.png")


def spoil_content(data):
    path = data / "train" / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:300])


def empty(data):
    for path in data.rglob("*.png"):
        path.unlink()


DATA = [
    (spoil_size, "1.png", "they must be of one size"),
    (spoil_content, "1.png", "truncated"),
    (lambda data: (data / "train" / "images" / "1.png").unlink(), "1.png", "mask"),
    (lambda data: (data / "train" / "masks" / "1.png").unlink(), "1.png", "image"),
    (empty, "train", "no image"),
    (lambda data: shutil.rmtree(data / "train"), "train", "no image for the split 'train'"),
    (lambda data: shutil.rmtree(data), "discs", "not a folder"),
]


@pytest.mark.parametrize(("spoil", "where", "said"), DATA)
def test_a_data_set_that_cannot_be_trained_on(run, data, spoil, where, said):
    spoil(data)
    one_line(run("train", *TINY, f"dataset.root={data}"), where, said)
    assert not list(Path().iterdir())


@pytest.mark.parametrize(("spoil", "where", "said"), DATA)
def test_a_data_set_that_cannot_be_scored_on(run, data, model, spoil, where, said):
    spoil(data)
    options = ["--dataset", "folder", "--root", data, "--split", "train", "--device", "cpu"]
    one_line(run("evaluate", "--model", model, *options, "--chains", "1", "--steps", "1"), where, said)


def monuseg(folder, xml, suffix=".xml"):
    images, truths = (folder / "MoNuSeg 2018 Training Data" / name for name in ("Tissue Images", "Annotations"))
    for path in (images, truths):
        path.mkdir(parents=True)
    for i in range(6):
        tifffile.imwrite(images / f"{i}.tif", picture(40, 40, seed=i), photometric="rgb")
        (truths / f"{i}{suffix}").write_bytes(xml)
    return folder


def outlines(*points):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in points)
    return (
        f"<Annotations><Annotation><Regions><Region>{vertices}</Region></Regions></Annotation></Annotations>".encode()
    )


GOOD = outlines((2, 2), (30, 2), (30, 30))


@pytest.mark.parametrize(
    ("xml", "suffix", "said"),
    [
        (GOOD[:-9], ".xml", "not a complete XML file"),
        (b"", ".xml", "not a complete XML file"),
        (GOOD.replace(b'"30"', b'"3o"'), ".xml", "not numbers"),
        (GOOD.replace(b"Annotations>", b"Notes>"), ".xml", "its root is <Notes>"),
        (gzip.compress(GOOD, mtime=0)[:-20], ".xml.gz", "not a complete gzip file"),
        (outlines((200, 200), (230, 200), (230, 230)), ".xml", "every mask is empty"),
    ],
)
def test_outlines_that_are_none(run, tmp_path, monkeypatch, xml, suffix, said):
    monkeypatch.setenv("SEGDIFF_CACHE", str(tmp_path / "cache"))
    root = monuseg(tmp_path / "monuseg", xml, suffix)
    argv = ["train", *TINY, "dataset=monuseg", "dataset.protocol=native", f"dataset.root={root}"]
    one_line(run(*argv), said)
    assert not list(Path().iterdir())


def test_an_outline_outside_is_counted_and_the_others_count(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDIFF_CACHE", str(tmp_path / "cache"))
    region = outlines((200, 200), (230, 200), (230, 230)).split(b"<Region>")[1].split(b"</Regions>")[0]
    xml = GOOD.replace(b"</Regions>", b"<Region>" + region + b"</Regions>")
    root = monuseg(tmp_path / "monuseg", xml)
    code, _ = run("check-data", "--dataset", "monuseg", "--root", root)
    assert code == 0


def test_a_class_that_is_not_known(run, tmp_path):
    objects_file = tmp_path / "train" / "all_classes_instances.json"
    objects_file.parent.mkdir()
    objects_file.write_text("[]")
    argv = ["train", *TINY, "dataset=cityscapes", f"dataset.root={tmp_path}", "dataset.class_name=99"]
    one_line(run(*argv), "99", "bicycle")
    assert objects  # what a file of known ones looks like: tests/data/test_cityscapes.py


def test_absurd_numbers(run, model):
    Path("x.png").write_bytes(PNG)
    for option, value, said in [
        ("--chains", "0", "--chains: 0"),
        ("--chains", "-3", "--chains: -3"),
        ("--chains", "1000000000", "1 to 10000"),
        ("--steps", "0", "--steps: 0"),
        ("--steps", "101", "use 1 to 100"),
        ("--seed", "-1", "--seed: -1"),
        ("--seed", "9" * 30, "2^63"),
        ("--scale", "0", "--scale: 0"),
        ("--scale", "inf", "--scale: inf"),
        ("--scale", "1e9", "scale 1e+09 makes"),
        ("--scale", "1e-9", "scale 1e-09 makes"),
        ("--scale", "9000", "scale 9000 makes"),
        ("--batch-size", "0", "--batch-size: 0"),
        ("--threshold", "nan", "--threshold: nan"),
        ("--threshold", "1.5", "--threshold: 1.5"),
        ("--device", "cuda:99", "cuda:99"),
        ("--device", "gpu", "device=gpu is not known"),
        ("--part", "5/4", "5/4"),
        ("--part", "0/4", "0/4"),
    ]:
        argv = ["predict", "--model", model, "--image", "x.png", "--output-dir", f"out{option}{value[:9]}"]
        argv += ["--mpp", "0.5"] if option != "--scale" else []
        one_line(run(*argv, option, value), said)
        assert not list(Path().glob("out*/*mask*"))


def test_resuming_a_prediction(run, model, capsys):
    for name in ("x.png", "y.png"):
        Path(name).write_bytes(PNG)
    argv = ["predict", "--model", model, *QUICK, "--image"]
    assert run(*argv, "x.png")[0] == 0
    made = Path("out/x_mask.png").stat().st_mtime_ns
    Path("z.png").write_bytes(b"")
    assert run(*argv, "z.png")[0] == 2  # another call in between does not make it forget
    assert main([str(argument) for argument in [*argv, "x.png", "y.png", "--resume"]]) == 0
    assert "2 of 2 image(s) predicted, 1 of them before" in capsys.readouterr().out
    assert Path("out/x_mask.png").stat().st_mtime_ns == made
    one_line(run(*argv, "x.png", "--resume", "--threshold", "0.4"), "inference.threshold=0.5 there, 0.4 here")
    one_line(run(*argv, "x.png", "--resume", "--seed", "7"), "seed=0 there, 7 here")


def test_options_of_files_that_cannot_be(run, data, model):
    line = run("check-data", "--dataset", "folder", "--root", data, "--sheet", "sheet.txt")
    one_line(line, "sheet.txt", "PNG")
    one_line(run("score", "--pred", data / "val" / "masks", "--truth", data / "val" / "masks"), "and as truth")
    one_line(run("predict", "--model", model, "--images", "x.png"), "did you mean --image?")


@pytest.mark.parametrize(
    ("index", "said"),
    [("stem;split\n0;train\n", "separate them by commas"), ("stem,split\n0.png,train\n", "without its suffix")],
)
def test_tables_as_spreadsheets_write_them(run, data, index, said):
    flat = data / "train"
    (flat / "index.csv").write_text(index)
    one_line(run("train", *TINY, f"dataset.root={flat}"), "index.csv", said)


def test_a_path_is_no_picture(model):
    import segdiff

    with pytest.raises(ValueError, match="read_image reads a file"):
        segdiff.load(model, device="cpu").predict("slide.png")
