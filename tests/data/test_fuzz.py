"""Whatever the bytes are: a result or a UserError, and nothing else. Random bytes, and real files that are damaged."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save

from segdiff.artifacts.folder import load_artifact
from segdiff.data.annotations import read_annotations
from segdiff.data.annotations.aperio import parse_aperio
from segdiff.data.annotations.coco import coco_parts
from segdiff.data.annotations.geojson import feature
from segdiff.data.annotations.imagej import roi_zip
from segdiff.data.annotations.labelme import labelme_file
from segdiff.data.annotations.outlines import outlines as traced
from segdiff.data.annotations.rasterise import rasterise
from segdiff.data.annotations.shapes import AnnotatedPicture, Annotation
from segdiff.data.datasets.cityscapes import Cityscapes
from segdiff.data.datasets.folder import Folder
from segdiff.data.hdf5 import find_array, open_hdf5, read_array
from segdiff.data.images import read_image, read_size, to_rgb
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.objects import object_areas
from segdiff.errors import UserError
from segdiff.training.checkpoint import load_checkpoint
from segdiff.workflows.compare import compare, read_scores

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis")
st = pytest.importorskip("hypothesis.strategies")

EXAMPLES = hypothesis.settings(max_examples=150, deadline=None, derandomize=True, database=None)


def encoded(save_to) -> bytes:
    file = io.BytesIO()
    save_to(file)
    return file.getvalue()


def pillow(array, kind, **options) -> bytes:
    return encoded(lambda file: Image.fromarray(array).save(file, format=kind, **options))


def tiff(array, **options) -> bytes:
    return encoded(lambda file: tifffile.imwrite(file, array, **options))


def hdf5() -> bytes:
    def fill(file):
        with h5py.File(file, "w") as handle:
            handle["imgs"] = np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3)

    return encoded(fill)


rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (9, 11)).astype(np.uint8)
COLOUR = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
DEEP = rng.integers(0, 65536, (9, 11, 3)).astype(np.uint16)
PICTURES = {
    "grey.png": pillow(GREY, "PNG"),
    "colour.png": pillow(COLOUR, "PNG"),
    "palette.png": encoded(lambda file: Image.fromarray(GREY).convert("P").save(file, format="PNG")),
    "grey.jpg": pillow(GREY, "JPEG"),
    "colour.jpg": pillow(COLOUR, "JPEG", progressive=True),
    "colour.bmp": pillow(COLOUR, "BMP"),
    "colour.tif": pillow(COLOUR, "TIFF", compression="tiff_lzw"),
    "deep.tif": tiff(DEEP, photometric="rgb", compression="zlib"),
    "float.tif": tiff(GREY / 255, photometric="minisblack"),
    "tiled.tif": tiff(GREY, tile=(16, 16)),
    "planes.tif": tiff(DEEP.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
}
XML = (
    b'<?xml version="1.0"?><Annotations><Annotation><Regions><Region><Vertices>'
    b'<Vertex X="1.5" Y="2"/><Vertex X="7" Y="2"/><Vertex X="7" Y="8.25"/>'
    b"</Vertices></Region></Regions></Annotation></Annotations>"
)


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """A file with bytes changed, cut out, put in or cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        how = draw(st.sampled_from(["change", "cut", "insert", "end", "number"]))
        if how == "change" and content:
            content[place] = draw(st.integers(0, 255))
        elif how == "cut":
            del content[place : place + draw(st.integers(1, 40))]
        elif how == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=20))
        elif how == "number":  # sizes and offsets are numbers of four bytes
            content[place : place + 4] = struct.pack(">I", draw(st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**32 - 1])))
        else:
            del content[place:]
    return bytes(content)


def check(name: str, content: bytes, *readers) -> None:
    """Each reader gives a result or a UserError of one line, quietly."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        for reader in readers:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries about odd files
                try:
                    reader(path)
                except UserError as error:
                    assert str(error) and len(str(error).splitlines()) == 1


def as_image(path):
    array = to_rgb(read_image(path))
    assert array.ndim == 3 and array.shape[2] == 3 and array.size


def as_mask(path):
    mask = read_mask(path)
    assert set(np.unique(foreground(mask))) <= {0, 1}
    labels = instances(mask)
    if labels is not None:
        assert labels.min() >= 0 and labels.max() <= 2**20


@EXAMPLES
@hypothesis.given(content=st.binary(max_size=300), suffix=st.sampled_from([".png", ".jpg", ".tif", ".bmp"]))
def test_random_bytes_are_no_picture(content, suffix):
    check(f"x{suffix}", content, as_image, as_mask, read_size)


@pytest.mark.parametrize("name", PICTURES)
def test_damaged_pictures(name):
    @EXAMPLES
    @hypothesis.given(content=damaged(PICTURES[name]))
    def run(content):
        check(name, content, as_image, as_mask, read_size)

    run()


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=300), damaged(XML)))
def test_outlines(content):
    def read(path):
        polygons = parse_aperio(path.read_bytes(), path)
        labels, report = rasterise(polygons, 12, 12)
        assert labels.shape == (12, 12) and report["polygons"] == len(polygons)

    check("x.xml", content, read)
    check("x.xml.gz", gzip.compress(content), read)
    check("y.xml.gz", content, read)


DRAWN = np.zeros((9, 11), np.int32)
DRAWN[1:7, 1:8], DRAWN[3, 3], DRAWN[8, 2], DRAWN[2:5, 9:11] = 1, 0, 1, 2  # a hole, an island, a second object
PICTURE = AnnotatedPicture([Annotation(polygons, class_name="cell") for _, polygons in traced(DRAWN)], DRAWN.shape, "x")
FEATURES = [feature(one.polygons, "cell", str(i), {"Area": 1.0}) for i, one in enumerate(PICTURE.annotations)]
ANNOTATIONS = {
    "x.geojson": json.dumps({"type": "FeatureCollection", "features": FEATURES}).encode(),
    "x.geojson.gz": gzip.compress(json.dumps(FEATURES).encode()),
    "coco.json": b"".join(coco_parts([PICTURE])),
    "labelme.json": labelme_file(PICTURE),
    "x.zip": roi_zip(PICTURE.annotations, "x"),
    "x.roi": zipfile.ZipFile(io.BytesIO(roi_zip(PICTURE.annotations, "x"))).read("000001.roi"),
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations(name):
    def read(path):
        for picture in read_annotations(path, "cell").values():
            labels, report = rasterise(picture.annotations, 12, 12, small_on_top=True)
            assert labels.shape == (12, 12) and report["polygons"] == len(picture.annotations)

    @EXAMPLES
    @hypothesis.given(content=st.one_of(st.binary(max_size=100), damaged(ANNOTATIONS[name])))
    def run(content):
        check(name, content, read)

    run()


@EXAMPLES
@hypothesis.given(
    points=st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=6).map(
        lambda points: np.array(points, dtype=np.float64).reshape(-1, 2)
    )
)
def test_polygons_of_any_numbers(points):
    labels, report = rasterise([Annotation(((points,),))], 12, 12)
    assert report["drawn"] + report["degenerate"] + report["hidden"] == 1 and labels.max() == report["drawn"]


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=200), damaged(hdf5())))
def test_hdf5(content):
    def read(path):
        with open_hdf5(path) as file:
            read_array(find_array(file, "imgs", path), path)

    check("x.h5", content, read)


def pairs(folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir()
        for stem in ("a", "b", "c"):
            (folder / name / f"{stem}.png").write_bytes(PICTURES["grey.png"])


INDEX = b"stem,split,group\na,train,1\nb,train,2\nc,val,3\n"


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=100), damaged(INDEX)))
def test_tables_of_splits(content):
    def read(path):
        pairs(path.parent)
        assert len(Folder(path.parent, "train"))

    check("index.csv", content, read)


OBJECTS = json.dumps(
    [
        [
            {
                "img_path": "leftImg8bit/train/x/x_leftImg8bit.png",
                "label": "car",
                "img_height": 12,
                "img_width": 12,
                "bbox": [0, 0, 4, 4],
                "components": [{"poly": [[0, 0], [4, 0], [4, 4]]}],
            }
        ]
    ]
).encode()


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=100), damaged(OBJECTS)))
def test_files_of_objects(content):
    def read(path):
        (path.parent / "train").mkdir()
        path.rename(path.parent / "train" / "all_classes_instances.json")
        data = Cityscapes(path.parent, "train")
        object_areas(data[0])

    check("objects.json", content, read)


SCORES = json.dumps({"format": 2, "per_image": [{"name": "a", "dice": 0.5}], "metrics": {"dice": {"mean": 0.5}}})


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=100), damaged(SCORES.encode())))
def test_files_of_scores(content):
    check("a.json", content, lambda path: compare(read_scores(path), read_scores(path)))


CONFIG = b"format_version: 1\nmodel: {kind: segdiff, channels: 8}\ndiffusion: {steps: 25}\nscale: {mpp: null}\n"
TENSORS = save({"a": torch.zeros(2, 3), "b": torch.ones(4)})


@EXAMPLES
@hypothesis.given(
    config=st.one_of(st.binary(max_size=100), st.text(max_size=100).map(str.encode), damaged(CONFIG)),
    tensors=st.one_of(st.binary(max_size=100), damaged(TENSORS)),
)
def test_model_folders(config, tensors):
    def read(path):
        (path.parent / "model.safetensors").write_bytes(tensors)
        load_artifact(path.parent)

    check("config.yaml", config, read)


@EXAMPLES
@hypothesis.given(content=st.one_of(st.binary(max_size=200), damaged(encoded(lambda f: torch.save({"step": 1}, f)))))
def test_checkpoints(content):
    check("last.pt", content, load_checkpoint)


# Bombs: a few bytes that stand for gigabytes.


def png_of(width: int, height: int) -> bytes:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def tiff_of(width: int, height: int) -> bytes:
    """A header that promises so many pixels of 16 bits and holds none."""
    content = bytearray(tiff(np.zeros((8, 8), np.uint16)))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for tag, value in ((256, width), (257, height), (278, height)):
            entry = file.pages[0].tags[tag]
            content[entry.valueoffset : entry.valueoffset + 4] = struct.pack("<I", value)
    return bytes(content)


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_pictures_that_swell_are_refused_at_once(tmp_path, size):
    for name, content in (("x.png", png_of(size, size)), ("x.tif", tiff_of(size, size))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(UserError, match="a decompression bomb"):
        read_image(tmp_path / "x.png")


def test_text_in_a_png_that_swells(tmp_path):
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    data = b"Comment\0\0" + bomb
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    content = PICTURES["grey.png"]
    (tmp_path / "x.png").write_bytes(content[:33] + chunk + content[33:])
    check("x.png", (tmp_path / "x.png").read_bytes(), as_image)


def test_outlines_that_swell(tmp_path, monkeypatch):
    monkeypatch.setattr("segdiff.data.annotations.files.MOST_BYTES", 2**20)
    with pytest.raises(UserError, match="more than 1 MB of text"):
        parse_aperio(gzip.compress(bytes(2**21)), Path("x.xml.gz"))
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    laughs = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><Annotations>&a9;</Annotations>'
    with pytest.raises(UserError, match="not a complete XML"):
        parse_aperio(laughs.encode(), Path("x.xml"))
