from __future__ import annotations

import numpy as np
import pytest
import tifffile
from fakes import make_predictor, noisy, picture
from PIL import Image

from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.overlay import outline
from segdiff.inference.prediction import output_paths


def test_what_is_saved_is_what_was_predicted(tmp_path):
    image = picture()
    prediction = make_predictor(noisy, chains=3).predict(image)
    paths = prediction.save(tmp_path / "new", "slide", image)
    assert {kind: path.name for kind, path in paths.items()} == {
        "mask": "slide_mask.png",
        "probability": "slide_probability.tif",
        "uncertainty": "slide_uncertainty.tif",
        "overlay": "slide_overlay.png",
    }
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths.values())
    mask = np.array(Image.open(paths["mask"]))
    assert mask.dtype == np.uint8 and np.array_equal(mask, prediction.mask * np.uint8(255))
    for kind in ("probability", "uncertainty"):
        written = tifffile.imread(paths[kind])
        assert written.dtype == np.float32 and np.array_equal(written, getattr(prediction, kind))
    assert np.array_equal(np.array(Image.open(paths["overlay"])), prediction.overlay(image))


def test_a_single_chain_leaves_no_uncertainty_of_an_earlier_run(tmp_path):
    image = picture()
    make_predictor(noisy, chains=3).predict(image).save(tmp_path, "slide", image)
    single = make_predictor(noisy, chains=1).predict(image)
    with pytest.raises(ConfigError, match="slide_mask.png exists"):
        single.save(tmp_path, "slide", image)
    assert (tmp_path / "slide_uncertainty.tif").exists()
    paths = single.save(tmp_path, "slide", image, overwrite=True)
    assert "uncertainty" not in paths and not output_paths(tmp_path, "slide")["uncertainty"].exists()


def test_stems_may_hold_dots(tmp_path):
    assert output_paths(tmp_path, "a.b")["mask"].name == "a.b_mask.png"


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


def test_outline_is_the_inner_border_and_open_at_the_edge():
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    ring = mask.copy()
    ring[2:5, 2:5] = False
    assert np.array_equal(outline(mask), ring)
    mask[0] = mask[1]  # now cut by the upper edge
    assert not outline(mask)[0, 3] and outline(mask)[0, 1]
    assert np.array_equal(outline(mask, 9), mask)


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
    assert make_predictor(threshold=1.0).predict(dark).overlay(dark).max() == 255
    with pytest.raises(ShapeError):
        prediction.overlay(image[1:])
