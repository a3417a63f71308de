"""From outlines to label maps: which pixels are inside, and what is counted; the outlines of Aperio."""

from __future__ import annotations

import gzip
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdiff.data.annotations.aperio import read_aperio
from segdiff.data.annotations.rasterise import TILE, cover, extent, rasterise
from segdiff.data.annotations.shapes import Annotation, Bitmap, ellipse
from segdiff.errors import DataError, MissingError


def xml(*regions: list[tuple[float, float]]) -> str:
    body = "".join(
        "<Region><Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in region) + "</Vertices></Region>"
        for region in regions
    )
    return f"<Annotations><Annotation><Regions>{body}</Regions></Annotation></Annotations>"


def drawn(*rings) -> Annotation:
    """An object of one polygon: the outside, then holes."""
    return Annotation((tuple(np.array(ring, dtype=float).reshape(-1, 2) for ring in rings),))


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def counts(**given: int) -> dict[str, int]:
    return {"polygons": 0, "drawn": 0, "degenerate": 0, "clipped": 0, "hidden": 0} | given


def test_a_box_along_pixel_edges_fills_exactly_its_pixels():
    labels, report = rasterise([drawn(box(2, 1, 5, 3))], 5, 7)
    expected = np.zeros((5, 7), np.int32)
    expected[1:3, 2:5] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32 and report == counts(polygons=1, drawn=1)


def test_a_triangle_holds_the_pixels_whose_centres_are_inside():
    labels, _ = rasterise([drawn([(0, 0), (4.5, 0), (0, 4.5)])], 6, 6)  # x + y < 4.5 with x, y > 0
    rows, columns = np.indices((6, 6))
    np.testing.assert_array_equal(labels > 0, (rows + 0.5) + (columns + 0.5) < 4.5)


COORDINATES = st.integers(-4, 20).map(lambda n: Fraction(n, 2))
RINGS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=7)


def inside_or_on(ring, x, y) -> bool:
    """Even-odd in exact arithmetic; the line itself belongs to the polygon."""
    odd = False
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        turn = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        if turn == 0 and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
            return True
        if (y0 > y) != (y1 > y) and (x0 + (y - y0) * (x1 - x0) / (y1 - y0)) > x:
            odd = not odd
    return odd


@settings(max_examples=150, deadline=None)
@given(RINGS)
def test_any_polygon_is_filled_as_by_exact_arithmetic(ring):
    """Crossing itself, along pixel centres, outside the picture: all the same rule."""
    labels, report = rasterise([drawn([(float(x), float(y)) for x, y in ring])], 8, 9)
    if report["degenerate"]:
        assert not labels.any()
        return
    half = Fraction(1, 2)
    expected = [[inside_or_on(ring, column + half, row + half) for column in range(9)] for row in range(8)]
    np.testing.assert_array_equal(labels > 0, expected)


def test_holes_and_parts_of_one_object():
    ring_with_island = Annotation(
        (
            (np.array(box(0, 0, 7, 7), float), np.array(box(1, 1, 6, 6), float)),
            (np.array(box(3, 3, 4, 4), float),),
        )
    )
    labels, report = rasterise([ring_with_island], 7, 8)
    expected = np.zeros((7, 8), bool)
    expected[:7, :7] = True
    expected[1:6, 1:6] = False
    expected[3, 3] = True
    np.testing.assert_array_equal(labels > 0, expected)
    assert report["drawn"] == 1


def test_large_polygons_are_filled_by_tiles_as_small_ones_are():
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 260 + 30 * np.sin(9 * angles)
    ring = np.column_stack([310 + radius * np.cos(angles), 290 + radius * np.sin(angles)])
    hole = np.column_stack([300 + 100 * np.cos(angles), 300 + 90 * np.sin(angles)])
    one = Annotation(((ring, hole),))
    own = cover(one, 600, 600)
    assert min(own.pixels.shape) > 4 * TILE
    whole = np.zeros((600, 600), bool)
    whole[own.top : own.top + own.pixels.shape[0], own.left : own.left + own.pixels.shape[1]] = own.pixels
    pieces = np.zeros_like(whole)
    for row in range(0, 600, 150):  # windows that are small enough to be tested by pixel
        for column in range(0, 600, 150):
            moved = Annotation(tuple(tuple(r - [column, row] for r in rings) for rings in one.polygons))
            part = cover(moved, 150, 150)
            place = pieces[row + part.top :, column + part.left :]
            place[: part.pixels.shape[0], : part.pixels.shape[1]] |= part.pixels
    np.testing.assert_array_equal(whole, pieces)
    assert not whole[300, 300] and whole[300, 420]


def test_the_earlier_polygon_keeps_the_overlap_and_numbers_have_no_gaps():
    hidden, line = drawn(box(2, 2, 3, 3)), drawn([(0.5, 0.5), (3.5, 3.5), (1.5, 1.5)])
    labels, report = rasterise([drawn(box(0, 0, 4, 4)), hidden, line, drawn(box(3, 3, 6, 6))], 8, 8)
    assert report == counts(polygons=4, drawn=2, degenerate=1, hidden=1)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[3, 3] == 1 and (labels == 1).sum() == 16 and (labels == 2).sum() == 9 - 1


def test_small_on_top_shows_what_lies_within_a_region():
    region, first, second = drawn(box(0, 0, 8, 8)), drawn(box(1, 1, 3, 3)), drawn(box(4, 4, 7, 7))
    labels, report = rasterise([region, first, second], 8, 8, small_on_top=True)
    assert report["drawn"] == 3 and report["hidden"] == 0
    assert [(labels == n).sum() for n in (1, 2, 3)] == [64 - 4 - 9, 4, 9]  # numbered as in the file


def test_polygons_over_the_border_are_clipped_and_those_outside_hidden():
    over = drawn(box(-2.7, 2, 2, 20.5))
    labels, report = rasterise([over, drawn(box(-9, -9, -2, -2)), drawn(box(2.6, 2.6, 2.9, 2.9))], 4, 6)
    assert report == counts(polygons=3, drawn=1, clipped=1, hidden=2)
    expected = np.zeros((4, 6), bool)
    expected[2:, :2] = True
    np.testing.assert_array_equal(labels > 0, expected)


def test_bitmaps_are_clipped_too():
    one = Annotation(bitmap=Bitmap(-1, 3, np.ones((3, 4), bool)))
    assert extent(one) == (3, -1, 7, 2)
    labels, report = rasterise([one, Annotation(bitmap=Bitmap(9, 9, np.ones((2, 2), bool)))], 4, 5)
    assert report == counts(polygons=2, drawn=1, clipped=1, hidden=1)
    assert np.argwhere(labels).tolist() == [[0, 3], [0, 4], [1, 3], [1, 4]]


def test_an_ellipse_holds_the_centres_within():
    one = ellipse(5.0, 4.5, 3.0, 2.5)
    labels, _ = rasterise([Annotation(bitmap=one)], 9, 10)
    rows, columns = np.indices((9, 10)) + 0.5
    np.testing.assert_array_equal(labels > 0, ((columns - 5) / 3) ** 2 + ((rows - 4.5) / 2.5) ** 2 <= 1)
    assert ellipse(3, 3, 0, 0).pixels.size == 0
    for radius in (np.inf, np.nan, 1e9):
        with pytest.raises(ValueError):
            ellipse(3, 3, radius, 1)


def test_degenerate_polygons_are_counted_not_drawn():
    few = [drawn([]), drawn([(1.0, 1.0), (3.0, 3.0)]), Annotation()]
    repeated = drawn([(1, 1), (1, 1), (4, 4), (4, 4)])
    wild = [drawn(box(0, 0, np.inf, 3)), drawn(box(0, 0, 1e300, 3))]
    labels, report = rasterise([*few, repeated, *wild], 5, 5)
    assert report["degenerate"] == 6 and report["drawn"] == 0 and not labels.any()


def test_no_polygon_gives_an_empty_map():
    labels, report = rasterise([], 2, 3)
    assert labels.shape == (2, 3) and not labels.any() and report["polygons"] == 0


def test_regions_of_aperio_are_read_in_order_and_brought_into_the_frame(tmp_path):
    text = xml([(1, 2), (3.5, 4), (5, 6)], [(7, 8)], [])
    (tmp_path / "a.xml").write_text(text)
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.xml", "a.xml.gz"):
        found = read_aperio(tmp_path / name)
        rings = [ring for one in found for (ring,) in one.polygons]
        assert [ring.tolist() for ring in rings] == [[[1.5, 2.5], [4, 4.5], [5.5, 6.5]], [[7.5, 8.5]], []]
        assert rings[2].shape == (0, 2)


def test_broken_aperio_files_give_one_line_that_names_the_file(tmp_path):
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
            read_aperio(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(MissingError, match=r"gone\.xml"):
        read_aperio(tmp_path / "gone.xml")
