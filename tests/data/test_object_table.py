"""The table of objects against scikit-image's `regionprops_table`, and what it adds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import regionprops_table

from segdiff.data.annotations.outlines import trace
from segdiff.data.object_table import LENGTHS, in_micrometres, measure_objects, object_table, table_rows

SAME = {
    "id": "label",
    "y_min": "bbox-0",
    "x_min": "bbox-1",
    "y_max": "bbox-2",
    "x_max": "bbox-3",
    "mean_red": "intensity_mean-0",
    "mean_blue": "intensity_mean-2",
} | {
    name: name
    for name in (
        *("area", "perimeter", "eccentricity", "solidity", "orientation"),
        *("axis_major_length", "axis_minor_length", "equivalent_diameter_area"),
    )
}
PROPERTIES = ("label", "bbox", "intensity_mean", "centroid", *[name for name in SAME.values() if "-" not in name][1:])


def compare(labels, image):
    ours = measure_objects(labels, image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convex hulls of objects that are thin
        theirs = regionprops_table(labels, image, properties=PROPERTIES)
    for name, other in SAME.items():
        difference = np.abs(ours[name] - theirs[other])
        if name == "orientation":
            round_ones = ours["axis_major_length"] - ours["axis_minor_length"] < 1e-6  # have none
            difference = np.where(round_ones, 0, np.minimum(difference, np.pi - difference))
        assert difference.max(initial=0) < 1e-6, name
    np.testing.assert_allclose(ours["y"] - 0.5, theirs["centroid-0"])
    np.testing.assert_allclose(ours["x"] - 0.5, theirs["centroid-1"])


@settings(max_examples=60, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 3)))
def test_any_label_map_is_measured_as_by_scikit_image(labels):
    """Several parts, holes, single pixels, lines, numbers that are left out."""
    if labels.any():
        compare(labels, np.arange(labels.size * 3).reshape(*labels.shape, 3) % 251)


def test_blobs_are_measured_as_by_scikit_image():
    rng = np.random.default_rng(1)
    labels = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(180, 200)), 4) > 0.03)[0]
    assert labels.max() > 15
    compare(labels, rng.integers(0, 65535, (180, 200, 3)).astype(np.uint16))


def test_what_touches_the_border():
    labels = np.zeros((7, 9), np.int32)
    labels[0, 0], labels[2, 3], labels[4, 8], labels[6, 4], labels[5, 1] = 1, 2, 3, 4, 5
    assert measure_objects(labels)["touches_border"].tolist() == [True, False, True, True, False]
    part = measure_objects(labels, origin=(10, 20), shape=(17, 40))
    assert part["touches_border"].tolist() == [False, False, False, True, False]
    whole = measure_objects(labels)
    for name, shift in {"x": 20, "x_min": 20, "x_max": 20, "y": 10, "y_min": 10, "y_max": 10}.items():
        assert np.array_equal(part[name], whole[name] + shift)
    assert np.array_equal(part["solidity"], whole["solidity"])


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        (0, ["mean_intensity"]),
        (1, ["mean_intensity"]),
        (2, ["mean_channel_1", "mean_channel_2"]),
        (3, ["mean_red", "mean_green", "mean_blue"]),
        (4, [f"mean_channel_{i}" for i in range(1, 5)]),
    ],
)
def test_intensities_by_channel(channels, names):
    labels = np.array([[1, 1, 0], [0, 2, 2]])
    image = np.arange(6 * max(channels, 1), dtype=np.float32).reshape(2, 3, *([channels] if channels else []))
    found = measure_objects(labels, image)
    assert [name for name in found if name.startswith("mean_")] == names
    for i, name in enumerate(names):
        channel = image[..., i] if channels else image
        assert found[name].tolist() == [channel[labels == n].mean() for n in (1, 2)]


def test_micrometres_are_added_where_their_scale_is_known():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 1:4] = 3
    found = object_table(labels, mpp=0.25, more={"probability": np.array([0.5])})
    assert found["area_um2"].tolist() == [12 / 16]
    for name in LENGTHS:
        assert found[f"{name}_um"] == found[name] * 0.25
    names = list(found)
    assert names.index("solidity") < names.index("probability") < names.index("x_um")
    assert set(in_micrometres(found, 0.25)) == {name for name in names if "_um" in name}
    assert not [name for name in object_table(labels) if "_um" in name]


def test_rows_begin_with_the_picture_and_are_rounded():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 1:4], labels[7, 7] = 3, 5
    columns = object_table(labels, more={"confidence": np.array([np.nan, 1 / 3])})
    rows = list(table_rows(columns, "slide.png"))
    assert [list(row)[0] for row in rows] == ["image"] * 2 and list(rows[0])[1:] == list(columns)
    assert [(row["image"], row["id"], row["confidence"], row["touches_border"]) for row in rows] == [
        ("slide.png", 3, None, "false"),
        ("slide.png", 5, 0.3333, "false"),
    ]
    assert isinstance(rows[0]["area"], int) and rows[0]["x"] == 2.5


def test_an_empty_label_map_has_all_columns_and_no_row():
    columns = object_table(np.zeros((4, 5), np.int32), np.zeros((4, 5, 3), np.uint8), 0.5)
    full = object_table(np.ones((4, 5), np.int32), np.zeros((4, 5, 3), np.uint8), 0.5)
    assert list(columns) == list(full) and all(not len(values) for values in columns.values())
    assert list(table_rows(columns, "a")) == []


def test_outlines_that_are_there_already_are_used():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 1:4], labels[4, 3], labels[7, 7] = 3, 0, 5
    given = measure_objects(labels, batches=list(trace(labels)))
    assert given["solidity"].tolist() == measure_objects(labels)["solidity"].tolist() == [11 / 12, 1.0]
