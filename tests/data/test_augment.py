"""Augmentation: replayable, image and mask together, and with the published distributions."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from segdiff.data.augment import build_augmentation
from segdiff.errors import ConfigError

PAPER = {
    "crop": 64, "horizontal_flip": True, "vertical_flip": True, "rotation": 22, "scale": [0.75, 1.25],
    "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1,
}  # fmt: skip


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 80, 3), dtype=np.uint8)
    return image, rng.integers(0, 2, (2, 96, 80), dtype=np.uint8)


def test_the_seed_is_all_that_counts(pair):
    one, two = build_augmentation(PAPER), build_augmentation(PAPER)
    first = one(*pair, 7)
    one(*pair, 8)  # what came before changes nothing
    np.random.seed(1)  # noqa: NPY002
    for again in (one(*pair, 7), two(*pair, 7), pickle.loads(pickle.dumps(one))(*pair, 7)):
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != one(*pair, 8)[0]).any()


def test_inputs_are_left_as_they_were_and_types_stay(pair):
    image, mask = pair
    before = image.copy(), mask.copy()
    out_image, out_mask = build_augmentation(PAPER)(image, mask, 3)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])
    assert out_image.dtype == np.uint8 and out_image.shape == (64, 64, 3)
    assert out_mask.dtype == np.uint8 and out_mask.shape == (2, 64, 64)
    assert set(np.unique(out_mask)) <= {0, 1}


def test_image_and_mask_move_together():
    # The mask's channel m is the image's channel m: whatever moves one must move the other. Nearest and
    # bilinear agree on flips, turns and crops.
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (3, 50, 70), dtype=np.uint8)
    image = np.moveaxis(mask, 0, -1) * np.uint8(255)
    augment = build_augmentation({"crop": 32, "horizontal_flip": True, "vertical_flip": True, "rotate90": True})
    for seed in range(20):
        out_image, out_mask = augment(image, mask, seed)
        np.testing.assert_array_equal(np.moveaxis(out_image, -1, 0), out_mask * 255)


def test_the_affine_moves_image_and_mask_together():
    rows, columns = np.indices((96, 96))
    disk = ((rows - 40) ** 2 + (columns - 55) ** 2 < 20**2).astype(np.uint8)
    image = np.repeat(disk[..., None] * np.uint8(200), 3, axis=2)
    augment = build_augmentation({"rotation": 22, "scale": [0.75, 1.25]})
    for seed in range(10):
        out_image, out_mask = augment(image, disk[None], seed)
        differ = (out_image[..., 0] > 100) != (out_mask[0] > 0)
        assert differ.sum() < 0.25 * np.sqrt(out_mask.sum()) * 4  # a quarter of the outline's pixels at most


def test_flips_are_independent_and_fair():
    # `Compose.set_random_seed` of albumentations seeds all transforms alike, and both flips go together.
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    augment = build_augmentation({"horizontal_flip": True, "vertical_flip": True})
    seen = Counter(tuple(augment(image, image[None, ..., 0], seed)[1].ravel().tolist()) for seed in range(400))
    assert set(seen) == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}
    assert min(seen.values()) > 60  # 100 each, standard deviation 8.7


def test_dihedral_reaches_all_eight():
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    augment = build_augmentation({"horizontal_flip": True, "rotate90": True})
    seen = Counter(tuple(augment(image, image[None, ..., 0], seed)[1].ravel().tolist()) for seed in range(800))
    assert len(seen) == 8 and min(seen.values()) > 60


def test_crops_reach_every_corner_and_are_cut_first(pair):
    image = np.zeros((10, 12, 3), np.uint8)
    image[..., 0], image[..., 1] = np.indices((10, 12))
    augment = build_augmentation({"crop": 8})
    corners = {tuple(augment(image, image[None, ..., 0], seed)[0][0, 0, :2].tolist()) for seed in range(300)}
    assert corners == {(top, left) for top in range(3) for left in range(5)}


def test_what_comes_from_outside_is_black_and_background():
    white = np.full((64, 64, 3), 255, np.uint8)
    augment = build_augmentation({"scale": [0.5, 0.5]})
    image, mask = augment(white, np.ones((1, 64, 64), np.uint8), 0)
    assert (image[:14] == 0).all() and (mask[0, :14] == 0).all()
    assert (image[18:46, 18:46] == 255).all() and (mask[0, 18:46, 18:46] == 1).all()
    # About the centre, with one factor for both axes: what is left is symmetric and square.
    for array in (mask[0], image[..., 0]):
        np.testing.assert_allclose(array.astype(float), array.T.astype(float), atol=1)
    assert np.ptp(np.nonzero(mask[0].any(axis=0))[0]) == np.ptp(np.nonzero(mask[0].any(axis=1))[0])


def test_rotation_and_scale_have_their_ranges_and_no_shift():
    # A cross of four marks: their middle stays, their distances are the scale, their angle the rotation.
    image = np.zeros((129, 129, 3), np.uint8)
    mask = np.zeros((4, 129, 129), np.uint8)
    mask[0, 62:67, 94:99] = mask[1, 62:67, 30:35] = 1
    mask[2, 94:99, 62:67] = mask[3, 30:35, 62:67] = 1
    augment = build_augmentation({"rotation": 22, "scale": [0.75, 1.25]})
    angles, scales = [], []
    for seed in range(200):
        out = augment(image, mask, seed)[1]
        right, left, bottom, top = (np.argwhere(plane).mean(axis=0) for plane in out)
        np.testing.assert_allclose([(right + left) / 2, (top + bottom) / 2], 64, atol=0.6)
        down, across = right - left
        np.testing.assert_allclose(bottom - top, [across, -down], atol=1.2)  # one scale, no shear
        angles.append(np.degrees(np.arctan2(-down, across)))
        scales.append(np.hypot(down, across) / 64)
    for values, low, high in ((angles, -22, 22), (scales, 0.75, 1.25)):
        margin = 0.02 * (high - low)
        assert low - margin < min(values) < low + 4 * margin and high - 4 * margin < max(values) < high + margin
        assert abs(np.mean(values) - (low + high) / 2) < 0.1 * (high - low)


def test_brightness_factors_are_uniform_about_one():
    image = np.full((4, 4, 3), 100, np.uint8)
    augment = build_augmentation({"brightness": 0.4})
    factors = np.array([augment(image, image[None, ..., 0], seed)[0].mean() / 100 for seed in range(300)])
    assert 0.6 <= factors.min() < 0.63 and 1.37 < factors.max() <= 1.4
    assert abs(factors.mean() - 1) < 0.04


def test_contrast_and_saturation_keep_what_they_should():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(90, 160, (16, 16, 1), dtype=np.uint8), 3, axis=2)
    saturated = build_augmentation({"saturation": 0.4})
    stretched = build_augmentation({"contrast": 0.4})
    spreads = []
    for seed in range(50):
        np.testing.assert_array_equal(saturated(grey, grey[None, ..., 0], seed)[0], grey)  # greys have no colour
        out = stretched(grey, grey[None, ..., 0], seed)[0]
        assert abs(out.mean() - grey.mean()) < 1.5  # contrast goes about the mean
        spreads.append(out.std() / grey.std())
    assert min(spreads) < 0.7 and max(spreads) > 1.3


def test_hue_turns_by_parts_of_the_circle():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    augment = build_augmentation({"hue": 0.1})
    hues = []
    for seed in range(300):
        r, g, b = augment(red, red[None, ..., 0], seed)[0][0, 0].astype(float)
        hues.append((g if g >= b else -b) / 255 / 6)  # 60 degrees, a sixth of the circle, lead from red to yellow
        assert r == 255
    assert -0.108 < min(hues) < -0.09 and 0.09 < max(hues) < 0.103


def test_colours_change_the_image_only(pair):
    image, mask = pair
    augment = build_augmentation({"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1})
    out_image, out_mask = augment(image, mask, 1)
    np.testing.assert_array_equal(out_mask, mask)
    assert (out_image != image).any()


def test_floats_are_augmented_on_their_own_scale(pair):
    image, mask = pair
    augment = build_augmentation(PAPER | {"hue": 0})
    as_bytes, _ = augment(image, mask, 5)
    as_floats, _ = augment(image.astype(np.float32), mask, 5)
    assert as_floats.dtype == np.float32
    # Rounding after each step, and bytes are interpolated with coarser weights.
    assert np.abs(as_floats - as_bytes).mean() < 3


def test_small_images_are_reflected_at_the_right_and_bottom():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1).repeat(3, axis=2)
    out_image, out_mask = build_augmentation({"crop": 6})(image, image[None, ..., 0], 0)
    expected = np.pad(image[..., 0], ((0, 3), (0, 2)), mode="reflect")
    np.testing.assert_array_equal(out_image[..., 0], expected)
    np.testing.assert_array_equal(out_mask[0], expected)
    one = np.full((1, 1, 3), 9, np.uint8)
    assert (build_augmentation({"crop": 5})(one, one[None, ..., 0], 0)[0] == 9).all()


def test_nothing_set_changes_nothing(pair):
    image, mask = build_augmentation({})(*pair, 0)
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(mask, pair[1])


@pytest.mark.parametrize(
    "config",
    [{"crop": 0}, {"scale": [1.2, 0.8]}, {"scale": [1]}, {"hue": 0.6}, {"contrast": -1}, {"rotate": 3}],
)
def test_settings_that_cannot_be_are_refused(config):
    with pytest.raises(ConfigError, match="augmentation") as error:
        build_augmentation(config)
    assert "\n" not in str(error.value)


def test_nothing_is_asked_of_the_network_at_import():
    code = (
        "import socket\n"
        "def refuse(*_args, **_kwargs): raise SystemExit('the network was asked')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import segdiff.data.augment\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_stains_are_made_weaker_and_stronger_each_by_its_own():
    from skimage.color import hed2rgb, rgb2hed

    stains = np.random.default_rng(0).uniform(0.004, 0.05, (40, 40, 3))
    image = (hed2rgb(stains) * 255).astype(np.float32)
    augment = build_augmentation({"stain": 0.3})
    factors = []
    for seed in range(40):
        found = rgb2hed(augment(image, np.zeros((1, 40, 40), np.uint8), seed)[0] / 255)
        for stain in range(3):
            # Amounts are a straight line of what they were: its slope is the factor.
            slope, shift = np.polyfit(stains[..., stain].ravel(), found[..., stain].ravel(), 1)
            factors.append((stain, slope, shift))
    slopes = np.array([slope for _, slope, _ in factors]).reshape(-1, 3)
    assert 0.69 < slopes.min() < 0.75 and 1.25 < slopes.max() < 1.31
    assert abs(np.corrcoef(slopes.T)[np.triu_indices(3, 1)]).max() < 0.5
    assert max(abs(shift) for *_, shift in factors) < 0.06 / -np.log(1e-6) + 1e-3  # in units of that library


def test_stains_leave_white_white_and_black_dark_without_a_shift(pair):
    image = np.full((8, 8, 3), 255, np.uint8)
    found = build_augmentation({"stain": 1e-6})(image, np.zeros((1, 8, 8), np.uint8), 0)[0]
    assert found.dtype == np.uint8 and (found == 255).all()
    image[:] = 0
    assert build_augmentation({"stain": 0.5})(image, np.zeros((1, 8, 8), np.uint8), 0)[0].max() < 120


def test_a_counterstain_takes_green_light_everywhere_and_leaves_the_mask():
    image, mask = np.full((64, 64, 3), 230, np.uint8), np.zeros((1, 64, 64), np.uint8)
    mask[:, 10:20] = 1
    augment = build_augmentation({"counterstain": 1.5})
    lost = []
    for seed in range(20):
        found, same = augment(image, mask, seed)
        assert np.array_equal(same, mask) and found.dtype == np.uint8 and (found <= image).all()
        lost.append((230 - found.astype(float)).mean((0, 1)))
    red, green, blue = np.mean(lost, 0)
    assert green > 3 * red and green > 3 * blue > 0
    cloudy = augment(image, mask, 1)[0][..., 1].astype(float)
    assert cloudy.std() > 5 and np.abs(np.diff(cloudy, axis=0)).max() < 0.5 * np.ptp(cloudy)  # clouds, not noise


def test_grey_is_a_share():
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    augment = build_augmentation({"grey": 0.25})
    grey = [np.ptp(augment(image, image[None, ..., 0] > 0, seed)[0], axis=2).max() == 0 for seed in range(400)]
    assert 0.18 < np.mean(grey) < 0.32
    with pytest.raises(ConfigError, match="grey"):
        build_augmentation({"grey": 1.5})


def test_a_margin_shows_real_pixels_around_what_is_shrunk():
    rows = np.arange(96, dtype=np.uint8)
    image = np.broadcast_to(rows[:, None, None] + np.uint8(100), (96, 96, 3)).copy()
    mask = np.ones((1, 96, 96), np.uint8)
    half = {"crop": 32, "scale": [0.5, 0.5], "border": "black"}
    for margin, seen in ((1.0, 16), (2.0, 32)):
        out, truth = build_augmentation({**half, "margin": margin})(image, mask, 1)
        assert out.shape == (32, 32, 3) and truth.shape == (1, 32, 32)
        assert abs(int((out[:, 16, 0] > 0).sum()) - seen) <= 1
    with pytest.raises(ConfigError, match=r"augmentation.margin is 0.5"):
        build_augmentation({"margin": 0.5})


def test_exposure_is_one_factor_for_all_channels(pair):
    image = np.full((8, 8, 3), (40, 60, 80), np.uint8)
    augment = build_augmentation({"exposure": 0.5})
    factors = [augment(image, pair[1][:, :8, :8], seed)[0][0, 0] / image[0, 0] for seed in range(60)]
    assert all(np.ptp(factor) < 0.03 for factor in factors)
    logarithms = np.log([factor[2] for factor in factors])
    assert -0.53 < logarithms.min() < -0.35 and 0.35 < logarithms.max() < 0.53
    floats = augment(image.astype(np.float32), pair[1][:, :8, :8], 3)[0]
    np.testing.assert_allclose(floats, augment(image, pair[1][:, :8, :8], 3)[0], atol=0.51)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("config", [{"blur": 3.0}, {"noise": 0.2}, {"jpeg": 10}], ids=str)
def test_a_share_of_samples_is_degraded_and_never_the_mask(pair, config, kind):
    image, mask = pair[0].astype(kind), pair[1]
    augment = build_augmentation(config)
    done = [augment(image, mask, seed) for seed in range(60)]
    assert all(np.array_equal(out[1], mask) and out[0].dtype == image.dtype for out in done)
    changed = np.mean([not np.allclose(out[0], image, atol=1e-3) for out in done])
    assert 0.1 < changed < 0.5
    assert all(out[0].min() >= 0 and out[0].max() <= 255 for out in done)


def test_jpeg_qualities_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"augmentation.jpeg is 5; a quality of 10 to 100"):
        build_augmentation({"jpeg": 5})


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_context_changes_its_colours_with_the_crop_and_changes_nothing_else(pair, kind):
    colours = {"hue": 0.1, "saturation": 0.4, "stain": 0.4, "exposure": 0.3, "colour_mix": 0.1}
    image = np.full((64, 64, 3), (150, 90, 160), kind)
    context = np.full((100, 3), (150, 90, 160), kind)
    augment = build_augmentation({"crop": 32, "rotation": 20, **colours})
    for seed in range(5):
        out, mask, around = augment(image, pair[1][:, :64, :64], seed, context)
        assert around.shape[1] == 3 and len(around) >= 100 and around.dtype == image.dtype
        inner = out[12:20, 12:20].reshape(-1, 3)  # away from the black corners
        np.testing.assert_allclose(inner, np.broadcast_to(around[0], inner.shape), atol=0.01)
        alone = augment(image, pair[1][:, :64, :64], seed)
        np.testing.assert_array_equal(alone[1], mask)
