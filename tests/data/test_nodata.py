"""Which pixels hold no data, and which black and white ones do."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import brightfield

from segdiff.data.images import to_rgb
from segdiff.data.nodata import DataOnly, fill_no_data, find_no_data
from segdiff.models.normalisation import Normalisation

ROWS, COLUMNS = np.mgrid[:300, :400]
TISSUE = brightfield((300, 400))


def fluorescence(ground: int) -> np.ndarray:
    """Bright discs on a ground, grey."""
    rng = np.random.default_rng(5)
    image = np.full((300, 400), ground, np.uint8)
    for y, x in rng.integers(20, 280, (30, 2)):
        image[(ROWS - y) ** 2 + (COLUMNS - x) ** 2 < 120] = 180
    if ground:
        image += rng.integers(0, 3, image.shape).astype(np.uint8)
    return image


AREAS = {
    "half": COLUMNS < 200,
    "most": COLUMNS < 300,
    "frame": (ROWS < 20) | (COLUMNS < 30) | (COLUMNS >= 380),
    "corner": ROWS + COLUMNS < 200,
    "turned scan": (np.abs(ROWS - COLUMNS) > 170) | (np.abs(ROWS + COLUMNS - 350) > 250),
    "missing tile": (ROWS < 100) & (COLUMNS >= 200),
}


def found_in(image: np.ndarray) -> np.ndarray | None:
    """Bool (H, W) of the pixels without data; None of none."""
    found = find_no_data(image, to_rgb)
    if found is None:
        return None
    return found.within(image, slice(0, image.shape[0]), slice(0, image.shape[1]), to_rgb)


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_areas_in_stained_tissue(area, value, kind):
    image = TISSUE.copy()
    image[AREAS[area]] = value
    image = (
        image.astype(np.uint16) * 257 if kind == "uint16" else image / np.float32(255) if kind == "float32" else image
    )
    np.testing.assert_array_equal(found_in(image.astype(kind)), AREAS[area])


@pytest.mark.parametrize("area", ["half", "most", "frame", "corner"])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("colours", [None, (0.5, 0.33, 1), (0.9, 0.5, 0.4), (0.3, 1, 0.3)])
def test_straight_areas_in_other_pictures(area, value, colours):
    image = np.clip(fluorescence(12), 1, 254)
    image[AREAS[area]] = value
    if colours is not None:
        image = (image[..., None] * np.array(colours)).astype(np.uint8)
        image[AREAS[area]] = value
    np.testing.assert_array_equal(found_in(image), AREAS[area])


@pytest.mark.parametrize("level", ["noisy", "even"])
def test_ink_at_the_border_of_tissue_need_not_be_exactly_black(level):
    image = TISSUE.copy()
    ink = np.random.default_rng(6).integers(3, 22, TISSUE.shape) if level == "noisy" else np.full(TISSUE.shape, 14)
    image[AREAS["frame"]] = ink[AREAS["frame"]]
    np.testing.assert_array_equal(found_in(image), AREAS["frame"])


def test_alpha_is_no_data_whatever_the_colour_beneath():
    holes = (ROWS - 100) ** 2 + (COLUMNS - 100) ** 2 < 900
    image = np.dstack([TISSUE, np.where(holes, 0, 255).astype(np.uint8)])
    np.testing.assert_array_equal(found_in(image), holes)
    assert "transparent" in find_no_data(image, to_rgb).note
    image[..., 3] = TISSUE[..., 0]  # a picture of its own, which is not alpha
    image[0, 0, 3] = 0
    assert find_no_data(image, to_rgb) is None


@pytest.mark.parametrize(
    "image",
    [
        TISSUE,
        fluorescence(12),
        fluorescence(0),
        np.dstack([fluorescence(0)] * 3),
        np.dstack([fluorescence(12) // 2, fluorescence(12) // 3, fluorescence(12)]),
        np.dstack([np.zeros_like(fluorescence(0))] * 2 + [fluorescence(0)]),
        np.where((ROWS - 150) ** 2 + (COLUMNS - 200) ** 2 < 120**2, 150, 0).astype(np.uint8),  # a single object
        np.where((ROWS - 150) ** 2 / 140**2 + (COLUMNS - 200) ** 2 / 190**2 < 1, 150, 0).astype(np.uint8),  # an embryo
        np.where(fluorescence(9)[..., None] > 90, 255, np.dstack([fluorescence(9)] * 3)),  # saturated
        np.where(ROWS[..., None] < 150, 253, TISSUE).astype(np.uint8),  # near-white glass
        np.zeros((300, 400, 3), np.uint8),
        np.full((300, 400, 3), 255, np.uint8),
    ],
    ids=lambda image: f"{image.shape}",
)
def test_ordinary_data(image):
    assert find_no_data(image, to_rgb) is None


def test_statistics_are_those_of_the_data():
    image = TISSUE.copy()
    image[AREAS["half"]] = 0
    for kind in ("per_image", "nuclear", "nuclear_colour"):
        whole = Normalisation(kind).fit(TISSUE[:, 200:])(TISSUE[:, 200:])
        half = Normalisation(kind).fit(DataOnly(image, find_no_data(image)))(TISSUE[:, 200:])
        spoiled = Normalisation(kind).fit(image)(TISSUE[:, 200:])
        assert np.abs(half - whole).mean() < 0.1 < np.abs(spoiled - whole).mean(), kind


def test_pictures_without_such_areas_are_untouched():
    same = DataOnly(TISSUE, find_no_data(TISSUE))
    np.testing.assert_array_equal(same[::5, ::7], TISSUE[::5, ::7])


def test_filled_with_the_mirror_image_and_then_with_the_ground():
    part = np.arange(12, dtype=np.float32).reshape(1, 12, 1)
    empty = np.zeros((1, 12), bool)
    empty[0, :8] = True
    filled = fill_no_data(part, empty, np.array([-1.0]))
    np.testing.assert_array_equal(filled[0, :, 0], [-1, -1, -1, -1, -1, 11, 10, 9, 8, 9, 10, 11])
    assert (fill_no_data(part, np.ones((1, 12), bool), np.array([-1.0])) == -1).all()
