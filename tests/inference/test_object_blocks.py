"""Objects found block by block are those of the whole mask, to the last pixel and number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdiff.data.windows import Window, tiles
from segdiff.inference.components import find_components, plan_units
from segdiff.inference.object_blocks import BlockObjects
from segdiff.inference.objects import separate

BLOCKS = (64, 128, 256)


def nuclei(size, count, seed, largest=14, smallest=2):
    """Discs that touch and overlap, specks among them: a mask, and a core that is high in their middles."""
    rng = np.random.default_rng(seed)
    mask, core = np.zeros(size, bool), np.zeros(size, np.float32)
    for _ in range(count):
        radius = rng.uniform(smallest, largest)
        row, column = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        top, left = (max(int(c - radius) - 1, 0) for c in (row, column))
        rows, columns = np.mgrid[top : int(row + radius) + 2, left : int(column + radius) + 2]
        distance = np.hypot(rows - row, columns - column)[: size[0] - top, : size[1] - left]
        place = (slice(top, top + distance.shape[0]), slice(left, left + distance.shape[1]))
        mask[place] |= distance < radius
        core[place] = np.maximum(core[place], np.clip(1.3 * (1 - distance / radius), 0, 1))
    core += rng.uniform(0, 0.02, size).astype(np.float32)
    return mask, np.where(rng.random(size) < 0.001, np.float32(0.9), core)  # and stray cores


def assert_same(mask, core, side):
    expected = separate(mask, core)
    found = BlockObjects(mask, core, side)
    assert found.count == expected.max()
    np.testing.assert_array_equal(found.read(Window(0, 0, *mask.shape)), expected)
    for window in tiles(*mask.shape, 100):
        np.testing.assert_array_equal(found.read(window), expected[window.rows, window.columns])


@pytest.mark.parametrize("side", BLOCKS)
@pytest.mark.parametrize("cores", [True, False], ids=["cores", "distance"])
@pytest.mark.parametrize(("count", "seed"), [(20, 0), (100, 1), (400, 2)], ids=["sparse", "dense", "packed"])
def test_blocks_give_what_the_whole_gives(side, cores, count, seed):
    mask, core = nuclei((270, 330), count, seed)
    assert_same(mask, core if cores else None, side)


@pytest.mark.parametrize("cores", [True, False], ids=["cores", "distance"])
def test_specks_alone_and_among_nuclei(cores):
    mask, core = nuclei((150, 260), 160, 3, largest=5, smallest=0.6)
    mask[:, 120:] = False
    mask[10:40, 200:240] = True
    core[20:30, 215:225] = 0.9
    assert_same(mask, core if cores else None, 64)
    specks = np.zeros((150, 200), bool)
    specks[::19, ::17] = True
    assert_same(specks, np.zeros(specks.shape, np.float32) if cores else None, 64)
    specks[100:103, 100:103] = True
    assert_same(specks, np.zeros(specks.shape, np.float32) if cores else None, 64)


def rings():
    """Rings one within the other, a nucleus in the middle, a speck between them, a line over the whole height."""
    rows, columns = np.mgrid[:260, :300]
    distance = np.hypot(rows - 130.3, 1.1 * (columns - 150.6))
    mask = (np.abs(distance - 110) < 9) | (np.abs(distance - 65) < 6) | (distance < 14)
    mask |= np.hypot(rows - 130, columns - 192) < 2
    mask[:, 20:26] = True
    return mask


@pytest.mark.parametrize("side", BLOCKS)
def test_a_component_over_many_blocks_and_nuclei_in_its_holes(side):
    mask = rings()
    core = np.where(distance_to_edge(mask) > 3, np.float32(0.9), np.float32(0.1))
    core += np.random.default_rng(0).uniform(0, 0.05, core.shape).astype(np.float32)
    assert_same(mask, core, side)


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("core", [None, 0.5], ids=["distance", "even cores"])
def test_equal_heights_are_divided_alike_in_all_blocks(side, core):
    mask = rings()
    assert_same(mask, None if core is None else np.where(distance_to_edge(mask) > 3, np.float32(0.9), core), side)


def distance_to_edge(mask):
    return ndimage.distance_transform_edt(mask)


@pytest.mark.parametrize("side", BLOCKS)
def test_a_nucleus_on_the_corner_of_four_blocks(side):
    mask = np.zeros((2 * side, 2 * side), bool)
    rows, columns = np.mgrid[: 2 * side, : 2 * side]
    for row, column in ((side, side), (side - 0.5, 20), (30, side), (side + 20, side + 14)):
        mask |= np.hypot(rows - row, columns - column) < 12
    core = (distance_to_edge(mask) > 6).astype(np.float32)
    assert_same(mask, core, side)
    assert_same(mask, None, side)


@pytest.mark.parametrize("seed", range(12))
def test_masks_of_any_shape(seed):
    """Smoothed noise: components within holes of components, holes that touch at corners, objects without cores."""
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(20, 90, 2))
    field = ndimage.gaussian_filter(rng.random(size), rng.uniform(0.5, 3))
    mask = field > np.quantile(field, rng.uniform(0.2, 0.8))
    core = ndimage.gaussian_filter(rng.random(size), rng.uniform(0.5, 2)).astype(np.float32)
    core = (core - core.min()) / (core.max() - core.min())
    assert_same(mask, core, 8)
    assert_same(mask, None, 8)


def test_diagonal_neighbours_are_two_objects_across_a_corner():
    mask = np.zeros((128, 128), bool)
    mask[44:64, 44:64] = mask[64:84, 64:84] = True
    found = BlockObjects(mask, None, 64)
    assert found.count == 2
    assert_same(mask, None, 64)


@pytest.mark.parametrize("mask", [np.zeros((70, 90), bool), np.ones((70, 90), bool), np.eye(80, dtype=bool)])
def test_empty_full_and_thin_masks(mask):
    assert_same(mask, None, 64)
    assert_same(mask, np.where(mask, np.float32(0.7), np.float32(0)), 64)


def test_more_objects_than_16_bits_number():
    mask = np.zeros((1100, 1000), bool)
    for row in range(2):
        for column in range(2):
            mask[row::4, column::4] = True
    found = BlockObjects(mask, np.where(mask, np.float32(0.9), np.float32(0)), 256)
    assert found.count == 275 * 250 > np.iinfo(np.uint16).max
    labels = found.read(Window(0, 0, *mask.shape))
    numbers = np.arange(1, found.count + 1).reshape(275, 250)
    np.testing.assert_array_equal(labels[::4, ::4], numbers)
    np.testing.assert_array_equal(labels[1::4, 1::4], numbers)


def test_blocks_change_no_component():
    mask, _ = nuclei((200, 317), 100, 5)
    expected = find_components(mask, 1000)
    labels, count = ndimage.label(mask)
    assert len(expected) == count and sorted(expected.area) == sorted(np.bincount(labels.ravel())[1:])
    for side in (23, 64, 200):
        found = find_components(mask, side)
        for one, other in ((found.first, expected.first), (found.area, expected.area), (found.box, expected.box)):
            np.testing.assert_array_equal(one, other)
        units = plan_units(found, side)
        assert sorted(np.concatenate([unit.owned for unit in units])) == list(range(count))


def test_label_maps_are_kept_where_they_are_told_to_be():
    mask, core = nuclei((300, 300), 80, 6)
    store = {}
    found = BlockObjects(mask, core, 64, store)
    assert len(store) == len(found.units)
    np.testing.assert_array_equal(found[0:300, 0:300], separate(mask, core))
