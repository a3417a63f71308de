from __future__ import annotations

import numpy as np
import pytest
from fakes import make_predictor

from segdiff.errors import ConfigError
from segdiff.inference.looks import measure, ranges, remarks_on_objects, remarks_on_picture
from segdiff.inference.options import PredictOptions


def tissue(seed=0, shift=(0, 0, 0)):
    rng = np.random.default_rng(seed)
    image = np.array([200, 150, 190]) + rng.normal(0, 25, (90, 80, 1)) + np.array(shift)
    return image.clip(0, 255).astype(np.uint8)


TRAINED = ranges([measure(tissue(seed)) for seed in range(6)])


def test_a_picture_like_those_of_training_is_not_remarked_on():
    assert remarks_on_picture(measure(tissue(9)), TRAINED) == []


@pytest.mark.parametrize(
    "image, word",
    [
        (255 - tissue(), "darker"),
        (tissue(shift=(-80, 40, -80)), "greener"),
        (tissue() // 4 + 140, "paler"),
        (np.full((50, 50, 3), 240, np.uint8), "even"),
        (np.zeros((50, 50, 3), np.uint8), "even"),
    ],
)
def test_others_are(image, word):
    (said,) = remarks_on_picture(measure(image), TRAINED)
    assert word in said


def test_grey_pictures_are_laid_beside_grey_ones():
    grey = tissue()[..., :1]
    assert set(measure(grey)) == {"grey_lightness", "grey_contrast"} == set(measure(grey.repeat(3, 2)))
    (said,) = remarks_on_picture(measure(grey), TRAINED)
    assert "grey" in said and "coloured pictures only" in said
    both = ranges([measure(tissue(seed)) for seed in range(3)] + [measure(grey)])
    assert remarks_on_picture(measure(grey), both) == remarks_on_picture(measure(tissue(5)), both) == []
    assert "darker" in remarks_on_picture(measure(grey // 3), both)[0]


def test_a_picture_that_uses_little_of_the_scale_is_not_even():
    """Of 16 bits, say; what the training's pictures had is no sign of an empty one."""
    pale = {**TRAINED, "coloured_contrast": [3.0, 60.0], "coloured_lightness": [0.0, 255.0]}
    assert remarks_on_picture({"coloured_lightness": 10.0, "coloured_contrast": 2.0}, pale) == []
    assert "even" in remarks_on_picture({"coloured_lightness": 10.0, "coloured_contrast": 1.0}, pale)[0]


def test_a_picture_of_few_objects_is_not_even():
    image = np.full((256, 256), 7, np.uint8)
    assert measure(image[..., None])["grey_contrast"] == 0
    image[40:48, 60:68] = image[200:208, 90:98] = 150  # less than a hundredth
    assert measure(image[..., None])["grey_contrast"] == 143
    blue = np.stack([image * 0, image * 0, image], axis=-1)
    assert measure(blue)["coloured_contrast"] == pytest.approx(143 / 3)


def test_objects_of_another_magnification():
    trained = {"diameter_px": [12.0, 40.0]}
    assert remarks_on_objects(20.0, trained, 1.0) == [] == remarks_on_objects(20.0, {}, 1.0)
    (said,) = remarks_on_objects(90.0, trained, 1.0)
    assert "90 pixels" in said and "12 to 40" in said
    assert remarks_on_objects(90.0, trained, 0.25) == []
    assert "no object" in remarks_on_objects(None, trained, 1.0)[0]


def test_a_prediction_carries_them():
    predictor = make_predictor()
    image = tissue()
    assert predictor.predict(image).remarks == ()  # nothing is known of the training
    predictor.looks = {**TRAINED, "diameter_px": [10.0, 20.0]}
    assert "even" in predictor.predict(np.full((40, 40, 3), 250, np.uint8)).remarks[0]


def test_a_diameter_sets_the_scale():
    predictor = make_predictor(scale={"mpp": None, "object_diameter_px": 20.0})
    assert predictor.scale_factor(PredictOptions(diameter=40.0)) == 0.5
    image = tissue()
    by_scale, by_diameter = predictor.predict(image, scale=0.5), predictor.predict(image, diameter=40.0)
    assert np.array_equal(by_scale.probability, by_diameter.probability)
    with pytest.raises(ConfigError, match="one of mpp, scale and diameter"):
        predictor.predict(image, scale=1.0, diameter=20.0)
    with pytest.raises(ConfigError, match="diameter=0"):
        predictor.predict(image, diameter=0)
    with pytest.raises(ConfigError, match="does not know its own"):
        make_predictor().predict(image, diameter=20.0)


def test_one_training_picture_is_like_itself_and_like_its_neighbours():
    trained = ranges([measure(tissue(0))])
    assert remarks_on_picture(measure(tissue(0)), trained) == remarks_on_picture(measure(tissue(1)), trained) == []
