from __future__ import annotations

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture

from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.overlay import outline


def test_instances_hang_together_by_their_sides():
    image = np.zeros((8, 8, 3), np.uint8)
    image[1, 1] = image[2, 2] = image[6, 6] = 255  # two pixels that touch at a corner only, and one apart
    labels = make_predictor().predict(image).instances()
    assert labels.dtype == np.int32 and labels.max() == 3
    assert [labels[1, 1], labels[2, 2], labels[6, 6], labels[0, 0]] == [1, 2, 3, 0]


def test_several_channels_are_chosen_from_before_they_are_drawn():
    prediction = make_predictor(lambda image, noise, chain: image[:, :2], mask_channels=2).predict(picture())
    with pytest.raises(ShapeError, match="2 mask channels"):
        prediction.instances()


def test_at_another_temperature_and_threshold_as_predicted_there():
    image, predictor = picture(), make_predictor(noisy, chains=3)
    kept = predictor.predict(image, keep_raw=True, keep_chains=True).at(2.0, 0.6)
    wanted = predictor.predict(image, temperature=2.0, threshold=0.6, keep_chains=True)
    assert np.array_equal(kept.probability, wanted.probability) and np.array_equal(kept.mask, wanted.mask)
    assert (kept.threshold, kept.chain_threshold) == (wanted.threshold, wanted.chain_threshold)
    labels = kept.instances()
    assert np.array_equal(kept.confidence(labels), wanted.confidence(labels))
    with pytest.raises(ConfigError, match="keep_raw"):
        predictor.predict(image).at(2.0, 0.6)


def test_outline_is_the_inner_border_and_open_at_the_edge():
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    ring = mask.copy()
    ring[2:5, 2:5] = False
    assert np.array_equal(outline(mask), ring)
    mask[0] = mask[1]  # now cut by the upper edge
    assert not outline(mask)[0, 3] and outline(mask)[0, 1]
    assert np.array_equal(outline(mask, 9), mask)


def test_touching_objects_have_an_outline_each():
    labels = np.zeros((12, 20), np.int32)
    labels[2:10, 2:10], labels[2:10, 10:18] = 1, 2
    line = outline(labels)
    assert line[2:10, 9:11].all() and not outline(labels > 0)[4:8, 9:11].any()
    for number in (1, 2):  # as each alone, with the other as its background
        assert np.array_equal(line & (labels == number), outline(labels == number))


@pytest.mark.parametrize("colour", [(230, 180, 210), (20, 20, 20), (120, 60, 150), (250, 240, 20), (0, 250, 250)])
def test_the_outline_stands_out(colour):
    image = np.empty((60, 60, 3), np.uint8)
    image[:] = colour
    image[20:40, 20:40, 0] //= 2
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    prediction = make_predictor().predict(image)
    object.__setattr__(prediction, "probability", mask.astype(np.float32))
    drawn = prediction.overlay(image).astype(int)
    line = drawn[20, 30]
    assert np.linalg.norm(line - drawn[10, 10]) > 120 and np.linalg.norm(line - drawn[30, 30]) > 100
    assert not np.array_equal(drawn[30, 30], image[30, 30])  # tinted


def test_overlay_without_objects_is_the_picture_and_dark_ones_are_brightened():
    image = picture()
    prediction = make_predictor(threshold=1.0).predict(image)
    assert np.array_equal(prediction.overlay(image), image)
    dark = image[..., 0].astype(np.uint16) * 16  # 12 bits of 16
    assert make_predictor(threshold=1.0).predict(dark).overlay(dark).max() >= 254  # 4080 of 4095
    with pytest.raises(ShapeError):
        prediction.overlay(image[1:])
