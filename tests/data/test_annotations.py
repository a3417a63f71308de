"""Annotations of other tools: what each format means, round trips, and what is refused in one line."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as pycoco
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from segdiff.data.annotations import is_annotation, read_annotations
from segdiff.data.annotations.coco import CocoFile, coco_parts, decode
from segdiff.data.annotations.geojson import feature, read_geojson
from segdiff.data.annotations.imagej import read_rois, roi_zip
from segdiff.data.annotations.labelme import labelme_file, read_labelme
from segdiff.data.annotations.outlines import outlines
from segdiff.data.annotations.rasterise import rasterise, whole
from segdiff.data.annotations.shapes import NO_AREA, AnnotatedPicture, Annotation
from segdiff.errors import DataError, MissingError

PATH = Path("folder/file")
SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]
SQUARE_PIXELS = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]  # rows and columns


def drawn(picture, height=8, width=9, **options):
    return rasterise(picture.annotations, height, width, **options)[0]


def pixels_of(picture, number=1):
    return [tuple(place) for place in np.argwhere(drawn(picture) == number).tolist()]


def said(call, *argv):
    with pytest.raises((DataError, MissingError)) as error:
        call(*argv)
    message = str(error.value)
    assert message and "\n" not in message and len(message.replace(str(argv[-1]) if argv else "", "")) < 250
    return message


def picture_of(labels, name="Nucleus"):
    found = [Annotation(polygons, class_name=name) for _, polygons in outlines(labels)]
    return AnnotatedPicture(found, labels.shape, "a.png")


def as_geojson(picture):
    found = [feature(one.polygons, one.class_name, str(i)) for i, one in enumerate(picture.annotations)]
    return read_geojson(json.loads(json.dumps({"type": "FeatureCollection", "features": found})), PATH)


def as_coco(picture):
    return CocoFile(json.loads(b"".join(coco_parts([picture]))), PATH)["a"]


def as_labelme(picture):
    return read_labelme(json.loads(labelme_file(picture)), PATH)


def as_rois(picture):
    return read_rois(roi_zip(picture.annotations, "x"), PATH)


FORMATS = {"geojson": as_geojson, "coco": as_coco, "labelme": as_labelme, "roi": as_rois}


@pytest.mark.parametrize("name", FORMATS)
def test_label_maps_survive_any_format(name):
    """Exactly: objects of several parts, with holes, touching each other and the border."""

    @settings(max_examples=60, deadline=None)
    @given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
    def run(labels):
        present = np.unique(labels[labels > 0])
        if name == "roi" and not present.size:
            return  # an empty zip is refused
        back = FORMATS[name](picture_of(labels))
        expected = np.where(labels > 0, np.searchsorted(present, labels) + 1, 0)
        assert np.array_equal(drawn(back, *labels.shape, small_on_top=True), expected)
        assert back.classes() == ({"Nucleus"} if present.size else set())

    run()


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
def test_one_format_becomes_another(first, second):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (12, 13)).astype(np.int32)
    back = FORMATS[second](AnnotatedPicture(FORMATS[first](picture_of(labels)).annotations, labels.shape, "a.png"))
    assert np.array_equal(drawn(back, 12, 13), labels)


def test_files_are_known_by_their_content(tmp_path):
    picture = picture_of(np.array([[1, 1, 0], [0, 0, 2]]))
    collection = {"type": "FeatureCollection", "features": [feature(picture.annotations[0].polygons, None, "1")]}
    files = {
        "a.geojson": json.dumps(collection).encode(),
        "b.geojson.gz": gzip.compress(json.dumps(collection).encode()),
        "c.json": b"\xef\xbb\xbf" + json.dumps(collection["features"]).encode(),  # a list, a mark of byte order
        "d.json": labelme_file(picture),
        "e.json": b"".join(coco_parts([picture])),
        "f.zip": roi_zip(picture.annotations, "x"),
        "g.roi": zipfile.ZipFile(io.BytesIO(roi_zip(picture.annotations[:1], "x"))).read("000001.roi"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        found = read_annotations(tmp_path / name)
        assert list(found) == (["a"] if name == "e.json" else [None]), name
        assert is_annotation(tmp_path / name) and len(next(iter(found.values())).annotations) in (1, 2)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:  # as QuPath exports it
        packed.writestr("a.geojson", files["a.geojson"])
    (tmp_path / "h.zip").write_bytes(file.getvalue())
    assert len(read_annotations(tmp_path / "h.zip")[None].annotations) == 1
    with zipfile.ZipFile(tmp_path / "h.zip", "a") as packed:
        packed.writestr("b.geojson", b"[]")
    assert "holds 2 GeoJSON files" in said(read_annotations, tmp_path / "h.zip")
    assert not is_annotation(Path("a.png")) and is_annotation(Path("A.GEOJSON"))
    assert "no such annotation" in said(read_annotations, tmp_path / "gone.json")


# QuPath


def qupath(geometry=None, **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": [SQUARE]}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, "Tumor"),
        ({"name": "Tumor", "colorRGB": -3670016}, "Tumor"),
        ({"names": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ("Tumor", "Tumor"),
        (None, None),
        ({}, None),
    ],
)
def test_classes_of_qupath(classification, name):
    found = read_geojson([qupath(classification=classification, objectType="annotation")], PATH)
    assert [one.class_name for one in found.annotations] == [name] and pixels_of(found) == SQUARE_PIXELS


def test_geometries_of_qupath():
    hole = {"type": "Polygon", "coordinates": [SQUARE, [[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]]}
    other = [[[6, 6], [8, 6], [8, 7], [6, 7], [6, 6]]]
    multi = {"type": "MultiPolygon", "coordinates": [[SQUARE], other]}
    collection = {"type": "GeometryCollection", "geometries": [hole, {"type": "Point", "coordinates": [1, 1]}]}
    elevated = {"type": "Polygon", "coordinates": [[[*point, 0] for point in SQUARE]]}
    assert (1, 2) not in pixels_of(read_geojson(qupath(hole), PATH))
    assert pixels_of(read_geojson(qupath(multi), PATH)) == [*SQUARE_PIXELS, (6, 6), (6, 7)]
    assert len(pixels_of(read_geojson(qupath(collection), PATH))) == 5
    assert pixels_of(read_geojson(qupath(elevated), PATH)) == SQUARE_PIXELS
    assert pixels_of(read_geojson(multi, PATH))[:6] == SQUARE_PIXELS  # a bare geometry
    empty = read_geojson({"type": "FeatureCollection", "features": []}, PATH)
    assert not empty.annotations and not empty.left_out and not read_geojson([], PATH).annotations


def test_what_qupath_holds_beside_objects_is_left_out_and_counted():
    features = [
        qupath({"type": "Point", "coordinates": [1, 1]}),
        qupath({"type": "LineString", "coordinates": [[1, 1], [2, 2]]}),
        {"type": "Feature", "geometry": None, "properties": None},
        qupath(objectType="tmaCore"),
        qupath(classification={"name": "Ignore*"}),
        qupath(objectType="annotation", childObjects=[qupath(objectType="detection")]),
    ]
    found = read_geojson({"type": "FeatureCollection", "features": features}, PATH)
    assert len(found.annotations) == 2
    assert found.left_out == {NO_AREA: 3, "containers": 1, "objects of the class Ignore*": 1}


def test_cells_have_two_outlines():
    cell = qupath(objectType="cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [[[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]]}
    message = said(read_geojson, cell, PATH)
    assert "--outline cell (or nucleus)" in message
    assert pixels_of(read_geojson(cell, PATH, "cell")) == SQUARE_PIXELS
    assert pixels_of(read_geojson(cell, PATH, "nucleus")) == [(1, 2)]


def test_objects_of_several_planes_are_refused():
    geometry = {"type": "Polygon", "coordinates": [SQUARE], "plane": {"c": -1, "z": 3, "t": 0}}
    assert read_geojson([qupath(geometry), qupath(geometry)], PATH).annotations
    assert "2 planes of a stack" in said(read_geojson, [qupath(geometry), qupath()], PATH)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [[["a", 1], [2, 2], [3, 3]]]},
        {"type": "Polygon", "coordinates": [[[1, 1], [2], [3, 3]]]},
        {"type": "Polygon", "coordinates": [[1, 2, 3]]},
        {"type": "Polygon", "coordinates": 5},
        {"type": "Polygon", "coordinates": [[[1, 1], [2, float("inf")], [3, 3]]]},
        {"type": "MultiPolygon", "coordinates": [[5]]},
        {"type": "Circle", "coordinates": [[1, 1]]},
        {"coordinates": [SQUARE]},
        "all",
    ],
)
def test_geometries_that_cannot_be_read_name_their_feature(geometry):
    assert "folder/file: feature 2" in said(read_geojson, [qupath(), {**qupath(), "geometry": geometry}], PATH)


@pytest.mark.parametrize("content", [{}, {"type": "Topology"}, {"type": "FeatureCollection"}, 5, [1], None, "x"])
def test_what_is_no_geojson(content):
    assert "folder/file" in said(read_geojson, content, PATH)


# COCO


def coco(annotations, images=None, categories=None):
    images = images or [{"id": 1, "file_name": "train/a.png", "height": 8, "width": 9}]
    categories = [{"id": 5, "name": "cell"}] if categories is None else categories
    return {"images": images, "annotations": annotations, "categories": categories}


LARGE = [{"id": 1, "file_name": "a.png", "height": 16384, "width": 16384}]


def entry(segmentation, **more):
    return {"id": 1, "image_id": 1, "category_id": 5, "segmentation": segmentation, **more}


def test_polygons_and_codes_of_coco():
    own = np.zeros((8, 9), np.uint8)
    own[1:3, 1:4] = 1
    packed = pycoco.encode(np.asfortranarray(own))
    packed["counts"] = packed["counts"].decode()
    counts = np.diff(np.flatnonzero(np.diff(own.ravel(order="F"), prepend=own[0, 0], append=2)), prepend=0)
    plain = {"size": [8, 9], "counts": counts.tolist()}
    for segmentation in ([[1, 1, 4, 1, 4, 3, 1, 3]], packed, plain):
        found = CocoFile(coco([entry(segmentation)]), PATH)["a"]
        assert pixels_of(found) == SQUARE_PIXELS and found.size == (8, 9)
        assert found.picture == "train/a.png" and found.classes() == {"cell"}
    parts = CocoFile(coco([entry([[1, 1, 4, 1, 4, 3, 1, 3], [2, 1, 6, 1, 6, 3, 2, 3]])]), PATH)["a"]
    assert len(pixels_of(parts)) == 10  # parts that overlap are united


@settings(max_examples=100, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.sampled_from([False] * 5 + [True])))
def test_run_length_codes_are_those_of_pycocotools(pixels):
    """Read and written: long runs, that is numbers of several characters, and negative differences among them."""
    code = pycoco.encode(np.asfortranarray(pixels.astype(np.uint8)))
    found = decode({"size": list(code["size"]), "counts": code["counts"].decode()}, pixels.shape, "x")
    assert np.array_equal(whole(found, *pixels.shape), pixels)
    written = b"".join(coco_parts([AnnotatedPicture([Annotation(bitmap=found)], pixels.shape, "a.png")]))
    for one in json.loads(written)["annotations"]:
        assert one["segmentation"]["counts"] == code["counts"].decode()
        assert one["area"] == pycoco.area(code) and one["bbox"] == pycoco.toBbox(code).tolist()


def test_one_coco_file_for_many_pictures():
    images = [{"id": i, "file_name": f"{name}.png", "height": 8, "width": 9} for i, name in enumerate("abc")]
    file = CocoFile(coco([entry([[1, 1, 4, 1, 4, 3]], image_id=i) for i in (2, 0, 2)], images), PATH)
    assert {stem: len(file[stem].annotations) for stem in file} == {"a": 1, "b": 0, "c": 2} and len(file) == 3


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (coco([entry([[1, 1, 2, 2]])]), "annotation 1 has neither polygons"),
        (coco([entry([])]), "boxes alone are no outlines"),
        (coco([entry([[1, 1, 2, 2, "x", 3]])]), "annotation 1 has neither polygons"),
        (coco([entry({"size": [8, 9], "counts": [5]})]), "do not add up to 8 x 9"),
        (coco([entry({"size": [9, 8], "counts": [70, 2]})]), "is of 9 x 8 pixels"),
        (coco([entry({"size": [8, 9], "counts": "zzz"})]), "cannot be read"),
        (coco([entry({"size": [8, 9], "counts": "P"})]), "cannot be read"),
        (coco([entry({"size": [8, 9], "counts": "05"})]), "do not add up to 8 x 9"),
        (coco([entry({"size": [8, 9], "counts": ""})]), "do not add up to 8 x 9"),
        (coco([entry({"size": [8, 9], "counts": [2.5, 69.5]})]), "cannot be read"),
        (coco([entry({"size": [8, 9], "counts": [-1, 73]})]), "do not add up to 8 x 9"),
        (coco([entry({"size": [8, 9], "counts": ["x"]})]), "cannot be read"),
        (coco([entry({"size": [16384, 16384], "counts": [0, 2**28]})], LARGE), "give it as polygons"),
        (coco([entry({"size": [8, 9]})]), "neither polygons nor a run-length code"),
        (coco([entry([[1, 1, 4, 1, 4, 3]], image_id=7)]), "of an image that is not listed"),
        (coco([entry([[1, 1, 4, 1, 4, 3]], category_id=7)]), "the category 7, which is not listed"),
        (coco([], [{"id": 1, "file_name": "a.png"}]), "image 1 lacks"),
        (coco([], [{"id": 1, "file_name": "a.png", "height": 0, "width": 5}]), "image 1 is no picture"),
        (coco([], [{"id": 1, "file_name": "a.png", "height": 2**20, "width": 2**20}]), "image 1 is no picture"),
        (coco([], [{"id": i, "file_name": f"{i}/a.png", "height": 5, "width": 5} for i in (1, 2)]), "two images"),
        (coco([], [{"id": 1, "file_name": n, "height": 5, "width": 5} for n in ("a", "b")]), "is there twice"),
        (coco([], None, [{"name": "x"}]), "a category without id or name"),
        ({"images": [], "annotations": 5}, "is no COCO file"),
        ([], "is no COCO file"),
    ],
)
def test_coco_files_that_cannot_be(content, part):
    def read():
        file = CocoFile(content, PATH)
        return [file[stem] for stem in file]

    message = said(read)
    assert part in message and "folder/file" in message


# Labelme


def labelme(*shapes, **more):
    return {"shapes": list(shapes), "imagePath": "..\\images\\a.png", "imageHeight": 8, "imageWidth": 9, **more}


def shape(points, kind="polygon", **more):
    return {"label": "cell", "points": points, "shape_type": kind, "group_id": None, **more}


def test_shapes_of_labelme():
    square = shape(SQUARE[:-1])
    png = io.BytesIO()
    Image.fromarray(np.array([[1, 1, 0], [1, 0, 1]], np.uint8)).save(png, "PNG")
    mask = shape([[2, 4], [4, 5]], "mask", mask=base64.b64encode(png.getvalue()).decode())
    circle = shape([[5.5, 5.5], [5.5, 6.6]], "circle")
    others = [shape([[1, 1]], "point"), shape([[1, 1], [2, 2]], "line"), shape([[1, 1], [2, 2]], "linestrip")]
    found = read_labelme(labelme(square, *others), PATH)
    assert pixels_of(found) == SQUARE_PIXELS and found.left_out == {NO_AREA: 3}
    assert (found.size, found.picture, found.classes()) == ((8, 9), "a.png", {"cell"})
    assert pixels_of(read_labelme(labelme(shape([[4, 3], [1, 1]], "rectangle")), PATH)) == SQUARE_PIXELS
    assert pixels_of(read_labelme(labelme(shape(SQUARE[:-1], "oriented_rectangle")), PATH)) == SQUARE_PIXELS
    assert pixels_of(read_labelme(labelme(mask), PATH)) == [(4, 2), (4, 3), (5, 2), (5, 4)]
    assert pixels_of(read_labelme(labelme(circle), PATH)) == [(4, 5), (5, 4), (5, 5), (5, 6), (6, 5)]


def test_groups_of_labelme_are_one_object():
    far = shape([[6, 6], [8, 6], [8, 7], [6, 7]], group_id=1)
    content = labelme(shape(SQUARE[:-1], group_id=1), far, shape([[5, 5], [6, 5], [6, 6]]), {**far, "label": "b"})
    found = read_labelme(content, PATH)
    assert len(found.annotations) == 3 and len(found.annotations[0].polygons) == 2


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (labelme(shape([[1, 1], [2, 2], [3, 3]], "rectangle")), "a rectangle of 3 points"),
        (labelme(shape([[1, 1], [2, 2], [3, 3]], "star")), "of the type 'star'"),
        (labelme(shape([[1, 1], ["x", 2]])), "shape 1 has no points"),
        (labelme(shape([[1, 1], [float("nan"), 2]])), "shape 1 has no points"),
        (labelme({"label": "x"}), "shape 1 has no points"),
        (labelme(5), "shape 1 has no points"),
        (labelme(shape([[1, 1], [2, 2]], "mask", mask="no")), "no PNG"),
        (labelme(shape([[1, 1], [1e9, 2]], "circle")), "shape 1 has no points"),
        (labelme(imageHeight="8"), "the size of its picture"),
        ({"imagePath": "a.png"}, "is no Labelme file"),
    ],
)
def test_labelme_files_that_cannot_be(content, part):
    assert part in said(read_labelme, content, PATH)


# ImageJ


def zipped(*rois) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:  # of no time: every worker names parameters alike
        for number, roi in enumerate(rois):
            packed.writestr(zipfile.ZipInfo(f"{number}.roi"), roi if isinstance(roi, bytes) else roi.tobytes())
        packed.writestr(zipfile.ZipInfo("readme.txt"), b"")
        packed.writestr(zipfile.ZipInfo("__MACOSX/._0.roi"), b"x")
    return file.getvalue()


def corners(kind, left, top, right, bottom, **more) -> ImagejRoi:
    return ImagejRoi(roitype=kind, left=left, top=top, right=right, bottom=bottom, **more)


def test_regions_of_imagej():
    whole = ImagejRoi.frompoints(np.array(SQUARE[:-1], np.int32))
    exact = ImagejRoi.frompoints(np.array(SQUARE[:-1], np.float32) + 0.25)
    rectangle = corners(ROI_TYPE.RECT, 1, 1, 4, 3)
    for roi in (whole, exact, rectangle):
        assert pixels_of(read_rois(roi.tobytes(), PATH)) == SQUARE_PIXELS
        assert pixels_of(read_rois(zipped(roi), PATH)) == SQUARE_PIXELS
    (shifted,) = read_rois(exact.tobytes(), PATH).annotations
    assert shifted.polygons[0][0].tolist() == (np.array(SQUARE[:-1]) + 0.25).tolist()
    assert pixels_of(read_rois(corners(ROI_TYPE.OVAL, 4, 4, 7, 7).tobytes(), PATH)) == [
        *((4, 4), (4, 5), (4, 6), (5, 4), (5, 5), (5, 6), (6, 4), (6, 5), (6, 6))
    ]
    oval = read_rois(corners(ROI_TYPE.OVAL, 1, 1, 7, 7).tobytes(), PATH)
    assert len(pixels_of(oval)) == 32  # a disc of diameter 6: 36 less its four corners
    subpixel = corners(ROI_TYPE.RECT, 1, 1, 4, 3, options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION)
    subpixel.xd, subpixel.yd, subpixel.widthd, subpixel.heightd = 0.75, 0.75, 3.0, 2.0
    assert pixels_of(read_rois(subpixel.tobytes(), PATH)) == SQUARE_PIXELS


def test_composite_regions_have_holes_and_islands():
    def path(*rings):
        steps = [[*([1, *p] for p in ring), [4]] for ring in rings]
        for ring in steps:
            ring[0][0] = 0
        values = np.array([value for ring in steps for step in ring for value in step], np.float32)
        roi = corners(ROI_TYPE.RECT, 0, 0, 8, 8, shape_roi_size=len(values), multi_coordinates=values)
        return read_rois(roi.tobytes(), PATH)

    def ring(low, high):
        return [(low, low), (high, low), (high, high), (low, high)]

    rows, columns = np.indices((8, 9))
    depth = np.minimum(np.minimum(rows, columns), np.minimum(7 - rows, 7 - columns))
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        rings = [[ring(0, 8), ring(1, 7), ring(3, 5)][i] for i in order]
        assert np.array_equal(drawn(path(*rings)) > 0, (depth == 0) | (depth >= 3))
    crossing = drawn(path(ring(0, 5), ring(3, 8))) > 0
    assert crossing[0, 0] and crossing[7, 7] and not crossing[3:5, 3:5].any() and crossing.sum() == 25 + 25 - 8


def test_what_imagej_holds_beside_areas_is_left_out():
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x2=5.0, y2=5.0)
    point = ImagejRoi.frompoints(np.array([[1, 1]], np.int32))
    point.roitype = ROI_TYPE.POINT
    text = corners(ROI_TYPE.RECT, 1, 1, 4, 3, subtype=ROI_SUBTYPE.TEXT)
    found = read_rois(zipped(line, point, text, corners(ROI_TYPE.RECT, 1, 1, 4, 3)), PATH)
    assert len(found.annotations) == 1 and found.left_out == {NO_AREA: 3}


def test_regions_of_several_planes_are_refused():
    planes = [corners(ROI_TYPE.RECT, 1, 1, 4, 3, position=i) for i in (0, 1, 2)]
    assert len(read_rois(zipped(*planes[:2]), PATH).annotations) == 2
    assert "2 planes of a stack" in said(read_rois, zipped(*planes), PATH)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "no region of ImageJ"),
        (zipped(b"nothing"), "0.roi is no region"),
        (zipped(corners(ROI_TYPE.RECT, 1, 1, 4, 3, rounded_rect_arc_size=2)), "round corners"),
        (zipped()[:40], "no region of ImageJ"),
        (zipped(), "holds no region of ImageJ"),
    ],
)
def test_regions_that_cannot_be(content, part):
    assert part in said(read_rois, content, PATH)


def test_imagej_does_not_hold_large_coordinates():
    far = Annotation(((np.array(SQUARE[:-1], np.float64) + 70000,),))
    assert "outside 0 to 60535" in said(roi_zip, [far], "slide.zip")


# Files


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.json", b"{", "is not a complete JSON file"),
        ("a.geojson", b"\xff\xfe", "is not a complete JSON file"),
        ("a.geojson.gz", b"{}", "is not a complete gzip file"),
        ("a.geojson.gz", gzip.compress(b"[]", mtime=0)[:12], "is not a complete gzip file"),
        ("a.json", b'{"a": 1}', "neither GeoJSON nor of COCO or Labelme"),
        ("a.json", b"[" * 100000, "is n"),
        ("a.zip", b"x", "no region of ImageJ"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, part):
    (tmp_path / name).write_bytes(content)
    message = said(read_annotations, tmp_path / name)
    assert part in message and name in message


def test_files_that_swell_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("segdiff.data.annotations.files.MOST_BYTES", 2**16)
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(bytes(2**20)))
    assert "MB of text" in said(read_annotations, tmp_path / "a.geojson.gz")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.roi", bytes(2**20))
    (tmp_path / "a.zip").write_bytes(file.getvalue())
    assert "holds more than 0 MB" in said(read_annotations, tmp_path / "a.zip")
