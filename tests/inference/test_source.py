from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import make_predictor, noisy, picture
from PIL import Image

from segdiff.data.resize import pad_to
from segdiff.errors import DataError, ShapeError
from segdiff.inference.source import Source
from segdiff.inference.windows import Window


class Slide:
    """Gives slices only, and remembers the largest."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.largest = 0

    def __getitem__(self, index):
        part = self._array[index]
        self.largest = max(self.largest, part.shape[0] * part.shape[1])
        return part


def test_a_slide_is_read_in_windows():
    array = picture(300, 280)
    slide = Slide(array)
    predictor = make_predictor(noisy, chains=3, window=64)
    got = predictor.predict(slide, seed=5)
    assert slide.largest == 150 * 140  # every other row and column, to look for what holds no data
    assert np.array_equal(got.probability, predictor.predict(array, seed=5).probability)


def test_results_may_go_to_disk(tmp_path):
    made = []

    def allocate(shape):
        made.append(np.memmap(tmp_path / f"{len(made)}", np.float32, "w+", shape=shape))
        return made[-1]

    array = picture()
    predictor = make_predictor(noisy, chains=3)
    got, expected = predictor.predict(array, allocate=allocate), predictor.predict(array)
    assert got.probability is made[0] and got.uncertainty is made[1]
    assert np.array_equal(got.probability, expected.probability)
    assert np.array_equal(got.uncertainty, expected.uncertainty)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.full((5, 6), 51, np.uint8), 51),
        (np.full((5, 6, 1), 51, np.uint8), 51),
        (np.full((5, 6, 4), 51, np.uint8), 51),
        (np.full((5, 6), 51 * 257, np.uint16), 51),
        (np.full((5, 6, 3), 0.2), 51),
        (np.ones((5, 6), bool), 255),
    ],
)
def test_any_picture_becomes_rgb(array, value):
    part = Source(array).read(Window(1, 2, 3, 4))
    assert part.shape == (3, 4, 3)
    np.testing.assert_allclose(part, value, rtol=1e-6)


def test_the_meaning_of_floats_comes_from_the_whole_picture():
    array = np.zeros((40, 40, 3), np.float32)
    array[:20] = 1.0  # these rows alone would look like white on the scale 0..1
    array[30:] = 200.0
    assert Source(array).read(Window(0, 0, 10, 10)).max() == 1.0


def test_what_is_resized_keeps_its_meaning():
    # A picture with nothing brighter than 1 on the 0..255 scale must not be taken for one on 0..1.
    dark = np.ones((40, 40, 3), np.uint8)
    assert make_predictor().predict(dark, scale=0.5).probability.max() == pytest.approx(1 / 255, rel=1e-5)


def test_other_channels_are_taken_as_they_are():
    array = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5) - 100
    assert np.array_equal(Source(array, channels=5).read(Window(0, 0, 2, 3)), array)
    assert Source(array[..., 0], channels=1).read(Window(0, 0, 2, 3)).shape == (2, 3, 1)
    with pytest.raises(ShapeError, match="sees 4 channels"):
        Source(array, channels=4)


def test_what_is_no_picture_is_refused():
    for shape in ((5,), (2, 3, 3, 3), (0, 4, 3)):
        with pytest.raises(ShapeError):
            Source(np.zeros(shape, np.uint8))
    with pytest.raises(DataError):
        Source(np.full((4, 4, 3), np.nan))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.zeros(20, 30, 3), "of a tensor give tensor.cpu().numpy()"),
        (Image.new("RGB", (20, 30)), "numpy.asarray(image) may make one"),
        ("slide.png", "read_image reads a file"),
        (np.zeros((3, 20, 30), np.uint8), "its channels first: give numpy.moveaxis(array, 0, -1)"),
        (np.zeros((1, 20, 30), np.float32), "its channels first"),
        ([[1, 2], [3, 4]], "numpy.asarray(list) may make one"),
    ],
    ids=["tensor", "picture", "name", "channels first", "one channel first", "list"],
)
def test_what_is_no_array_is_told_how_to_become_one(wrong, said):
    with pytest.raises(ShapeError) as error:
        Source(wrong)
    assert said in str(error.value)


def test_padding_mirrors_at_the_right_and_bottom():
    part = np.arange(6).reshape(2, 3, 1)
    assert pad_to(part, 3, 5)[..., 0].tolist() == [[0, 1, 2, 1, 0], [3, 4, 5, 4, 3], [0, 1, 2, 1, 0]]
    assert pad_to(part[:1, :1], 4, 4).max() == 0  # a single pixel has no mirror image but itself
    assert pad_to(part, 2, 3) is part
