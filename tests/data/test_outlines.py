"""From label maps to outlines and back: exact, valid, nothing superfluous."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage
from skimage.draw import polygon as skimage_polygon

from segdiff.data.annotations import outlines as module
from segdiff.data.annotations.outlines import outlines, trace
from segdiff.data.annotations.rasterise import rasterise
from segdiff.data.annotations.shapes import Annotation

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
# Of few numbers: objects of several parts, with holes, touching at sides and corners, at the border.
LABELS = arrays(np.int32, SHAPES, elements=st.integers(0, 4))


def renumbered(labels):
    """Without gaps, in the order of the numbers, as `rasterise` numbers."""
    present = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(present, labels) + 1, 0)


@settings(max_examples=200, deadline=None)
@given(LABELS)
def test_outlines_are_valid_and_give_the_labels_back(labels):
    found = list(outlines(labels))
    assert [number for number, _ in found] == np.unique(labels[labels > 0]).tolist()
    for number, polygons in found:
        whole = shapely.MultiPolygon([shapely.Polygon(rings[0], rings[1:]) for rings in polygons])
        assert whole.is_valid and len(polygons) == ndimage.label(labels == number)[1]
        for ring in (ring for rings in polygons for ring in rings):
            assert (ring[0] == ring[-1]).all() and len({tuple(p) for p in ring.tolist()}) == len(ring) - 1 >= 4
            steps = np.diff(np.concatenate([ring, ring[1:2]]), axis=0)
            assert (
                np.cross(np.pad(steps[:-1], ((0, 0), (0, 1))), np.pad(steps[1:], ((0, 0), (0, 1))))[:, 2] != 0
            ).all()
            assert (ring * 2 == np.rint(ring * 2)).all()
            assert (ring >= 0).all() and (ring <= labels.shape[::-1]).all()
    back, report = rasterise([Annotation(polygons) for _, polygons in found], *labels.shape)
    assert np.array_equal(back, renumbered(labels)) and report["degenerate"] == report["clipped"] == 0


@settings(max_examples=60, deadline=None)
@given(arrays(bool, SHAPES))
def test_other_rasterisers_of_this_frame_agree(shape):
    """pycocotools at +0, scikit-image at -0.5, of what has no hole."""
    labels = ndimage.label(ndimage.binary_fill_holes(shape))[0]
    for number, (rings, *_) in outlines(labels):
        if len(rings) > 1:
            continue
        own = labels == number
        (code,) = coco.frPyObjects([rings[0][:-1].ravel().tolist()], *labels.shape)
        assert np.array_equal(coco.decode(code) > 0, own)
        other = np.zeros(labels.shape, bool)
        other[skimage_polygon(rings[0][:, 1] - 0.5, rings[0][:, 0] - 0.5, labels.shape)] = True
        assert np.array_equal(other, own)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int64])
def test_any_type_of_labels_and_any_place(kind):
    labels = np.zeros((30, 40), kind)
    labels[3:9, 5:11], labels[3:20, 12:30], labels[25, 39] = 7, 200, 3
    plain = dict(outlines(labels))
    moved = dict(outlines(labels, origin=(100, 2000)))
    assert list(plain) == [3, 7, 200]
    for number, polygons in plain.items():
        for rings, others in zip(polygons, moved[number], strict=True):
            for ring, other in zip(rings, others, strict=True):
                assert np.array_equal(ring + [2000, 100], other)


def test_batches_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    labels = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(90, 120)), 3) > 0.02)[0]
    whole = list(outlines(labels))
    assert len(list(trace(labels))) == 1 and len(whole) > 10
    monkeypatch.setattr(module, "MOSAIC", 400)
    assert len(list(trace(labels))) > 3
    for (number, polygons), (other, others) in zip(whole, outlines(labels), strict=True):
        assert number == other
        for ring, again in zip(
            (r for rings in polygons for r in rings), (r for rings in others for r in rings), strict=True
        ):
            assert {tuple(p) for p in ring.tolist()} == {tuple(p) for p in again.tolist()}


def test_nothing_has_no_outline():
    assert list(outlines(np.zeros((3, 4), np.int32))) == []
    assert list(trace(np.zeros((3, 4), np.uint16))) == []


def test_areas_are_those_of_corners_cut():
    labels = np.zeros((8, 9), np.int32)
    labels[1:6, 1:6], labels[3, 3], labels[7, 8] = 2, 0, 2
    ((number, polygons),) = outlines(labels)
    found = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    assert number == 2 and sorted(len(one.interiors) for one in found) == [0, 1]
    # A corner loses an eighth of a pixel; a single pixel, or a hole of one, is half of one.
    assert sorted(one.area for one in found) == [1 / 2, 25 - 4 / 8 - 1 / 2]
