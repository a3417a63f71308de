"""Small files of kinds that people brought and that were read wrongly: `../shared/faults`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segdiff.data.images import read_image, to_rgb
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.nodata import find_no_data
from segdiff.data.stored import ReadOptions
from segdiff.errors import DataError
from segdiff.workflows.score import find_pairs, score_files


@pytest.fixture(scope="module")
def faults(shared_data) -> Path:
    folder = shared_data / "faults"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


def rgb(path: Path, **options: object) -> np.ndarray:
    return to_rgb(read_image(path, ReadOptions(**options)))


@pytest.mark.parametrize(
    ("name", "plain", "options", "tolerance"),
    [
        ("rgb8_o6.tif", "he.png", {}, 0),
        ("rgb16_lzw.tif", "he.png", {}, 0),
        ("rgb16_12bit.tif", "he.png", {}, 1),
        ("rgb16_12bit.tif", "he.png", {"value_range": (0, 4080)}, 1e-4),
        ("big_text_chunk.png", "he.png", {}, 0),
        ("macro_first_main_second.tif", "he.png", {}, 0),
        ("macro_first_main_second.tif", "he.png", {"page": 2}, 0),
        ("zstack_f64_01.tif", "fluorescence.png", {"z": "max"}, 0),
        ("zstack_f64_01.tif", "fluorescence.png", {"z": 3}, 0),
        ("zstack_f64_01.tif", "fluorescence.png", {"page": 3}, 0),
        ("two_channels_nuclei_second.tif", "fluorescence.png", {"channel": 2}, 0),
    ],
)
def test_pictures_are_those_of_the_plain_file(faults, name, plain, options, tolerance):
    images = faults / "images"
    np.testing.assert_allclose(rgb(images / name, **options), rgb(images / plain), atol=tolerance)


def test_overshoot_and_an_odd_orientation(faults):
    images = faults / "images"
    plain = rgb(images / "he.png")
    wrong = np.abs(rgb(images / "float_slightly_over_1.tif") - plain).max(axis=2) > 0.01
    assert wrong.sum() == 1  # the pixel at 1.002 itself
    assert rgb(images / "g8_o6.tif").shape == (200, 256, 3)  # as stored, not turned


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("zstack_f64_01.tif", {}, "a stack of 3 pictures: choose one"),
        ("zstack_f64_01.tif", {"page": 4}, "has 3 pages"),
        ("two_channels_nuclei_second.tif", {}, "has 2 channels: choose one"),
        ("two_channels_nuclei_second.tif", {"channel": 3}, "has 2 channels"),
    ],
)
def test_what_needs_a_choice_says_so(faults, name, options, told):
    with pytest.raises(DataError) as error:
        read_image(faults / "images" / name, ReadOptions(**options))
    assert told in str(error.value) and name in str(error.value) and "\n" not in str(error.value)


def test_the_smaller_picture_is_told_of(faults):
    notes: list[str] = []
    read_image(faults / "images" / "macro_first_main_second.tif", notes=notes)
    assert len(notes) == 1 and "120 x 90 is left out" in notes[0]


def test_the_black_half_holds_no_data(faults):
    image = read_image(faults / "images" / "half_black.png")
    found = find_no_data(image, to_rgb)
    empty = found.within(image, slice(0, 256), slice(0, 320), to_rgb)
    np.testing.assert_array_equal(empty, (image == 0).all(axis=2))
    assert "50% of it is black without data" in found.note
    assert find_no_data(read_image(faults / "images" / "he.png"), to_rgb) is None


@pytest.mark.parametrize(
    ("name", "least", "objects"),
    [
        ("bool.tif", 1, None),
        ("pal_adaptive2.png", 1, None),
        ("rgba_black_paint_on_transparent.png", 1, None),
        ("rgb_colours_black_bg.png", 1, 70),
        ("soft_edges.png", 0.999, None),
        ("voc_maroon_q90.jpg", 0.999, None),
    ],
)
def test_masks_are_those_of_the_labels(faults, name, least, objects):
    truth = read_mask(faults / "masks" / "he_labels.png")
    mask = read_mask(faults / "masks" / name)
    assert (foreground(mask) == foreground(truth)).mean() >= least
    numbers = instances(mask)
    assert (None if numbers is None else len(np.unique(numbers)) - 1) == objects


@pytest.mark.parametrize("name", ["one.png", "rgb_colours_black_bg.png"])
def test_a_copy_of_numbered_objects_scores_one(faults, tmp_path, name):
    from segdiff.metrics.table import Scoring

    copy = tmp_path / name
    copy.write_bytes((faults / "masks" / name).read_bytes())
    scores = score_files(find_pairs(copy, faults / "masks" / name), Scoring(("dice", "aji", "pq")))
    assert [scores["per_image"][0][metric] for metric in ("dice", "aji", "pq")] == [1, 1, 1]


@pytest.fixture(scope="module")
def predicted(faults):
    import segdiff

    predictor = segdiff.load("nuclei")
    return lambda name: predictor.predict(read_image(faults / "images" / name))


def test_predictions_are_those_of_the_plain_file(predicted):
    plain = predicted("he.png").mask
    for name in ("rgb16_12bit.tif", "float_slightly_over_1.tif"):
        other = predicted(name).mask
        assert 2 * (plain & other).sum() / (plain.sum() + other.sum()) >= 0.97
    half = predicted("half_black.png")
    assert not half.mask[:, :160].any() and "without data" in half.remarks[0]
    rest, whole = half.mask[:, 160:], plain[:, 160:]
    assert 2 * (rest & whole).sum() / (rest.sum() + whole.sum()) >= 0.97
