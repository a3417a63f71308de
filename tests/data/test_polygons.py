"""Outlines: what is read, which pixels are inside, and what is counted."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from segdiff.data.polygons import rasterise, read_annotations
from segdiff.errors import DataError, MissingError


def xml(*regions: list[tuple[float, float]]) -> str:
    body = "".join(
        "<Region><Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in region) + "</Vertices></Region>"
        for region in regions
    )
    return f"<Annotations><Annotation><Regions>{body}</Regions></Annotation></Annotations>"


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)


def test_regions_are_read_in_order_as_x_and_y(tmp_path):
    text = xml([(1, 2), (3.5, 4), (5, 6)], [(7, 8)], [])
    (tmp_path / "a.xml").write_text(text)
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.xml", "a.xml.gz"):
        polygons = read_annotations(tmp_path / name)
        assert [polygon.tolist() for polygon in polygons] == [[[1, 2], [3.5, 4], [5, 6]], [[7, 8]], []]
        assert polygons[2].shape == (0, 2)


def test_a_box_along_pixel_edges_fills_exactly_its_pixels():
    labels, report = rasterise([box(1.5, 0.5, 4.5, 2.5)], 5, 7)
    expected = np.zeros((5, 7), np.int32)
    expected[1:3, 2:5] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert report == {"polygons": 1, "drawn": 1, "degenerate": 0, "clipped": 0, "hidden": 0}


def test_a_triangle_holds_the_pixels_whose_centres_are_inside():
    # x + y < 3.5 with x, y > -0.5
    labels, _ = rasterise([np.array([(-0.5, -0.5), (4.0, -0.5), (-0.5, 4.0)])], 6, 6)
    rows, columns = np.indices((6, 6))
    np.testing.assert_array_equal(labels > 0, rows + columns < 3.5)


def test_the_earlier_polygon_keeps_the_overlap_and_numbers_have_no_gaps():
    hidden = box(1.5, 1.5, 2.5, 2.5)
    line = np.array([(0.0, 0.0), (3.0, 3.0), (1.0, 1.0)])
    labels, report = rasterise([box(-0.5, -0.5, 3.5, 3.5), hidden, line, box(2.5, 2.5, 5.5, 5.5)], 8, 8)
    assert report == {"polygons": 4, "drawn": 2, "degenerate": 1, "clipped": 0, "hidden": 1}
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[3, 3] == 1 and (labels == 1).sum() == 16 and (labels == 2).sum() == 9 - 1


def test_polygons_over_the_border_are_clipped_and_those_outside_hidden():
    over = box(-3.2, 1.5, 1.5, 20.0)
    labels, report = rasterise([over, box(-9, -9, -2, -2), box(2.1, 2.1, 2.4, 2.4)], 4, 6)
    assert report == {"polygons": 3, "drawn": 1, "degenerate": 0, "clipped": 1, "hidden": 2}
    expected = np.zeros((4, 6), bool)
    expected[2:, :2] = True
    np.testing.assert_array_equal(labels > 0, expected)


def test_degenerate_polygons_are_counted_not_drawn():
    few = [np.zeros((0, 2)), np.array([(1.0, 1.0), (3.0, 3.0)])]
    repeated = np.array([(1.0, 1.0), (1.0, 1.0), (4.0, 4.0), (4.0, 4.0)])
    infinite = box(0, 0, np.inf, 3)
    labels, report = rasterise([*few, repeated, infinite], 5, 5)
    assert report["degenerate"] == 4 and report["drawn"] == 0 and not labels.any()


def test_no_polygon_gives_an_empty_map():
    labels, report = rasterise([], 2, 3)
    assert labels.shape == (2, 3) and not labels.any() and report["polygons"] == 0


def test_broken_annotations_give_one_line_that_names_the_file(tmp_path):
    whole = gzip.compress(xml([(1, 2), (3, 4), (5, 7)]).encode())
    broken = {
        "cut.xml": xml([(1, 2)])[:60].encode(),
        "cut.xml.gz": whole[: len(whole) // 2],
        "plain.xml.gz": b"<Annotations/>",
        "empty.xml": b"",
        "page.xml": b"<html/>",
        "words.xml": xml([("one", "two")]).encode(),  # type: ignore[list-item]
        "half.xml": b'<Annotations><Region><Vertex X="1"/></Region></Annotations>',
    }
    for name, content in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as error:
            read_annotations(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(MissingError, match=r"gone\.xml"):
        read_annotations(tmp_path / "gone.xml")
