from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdiff.data.datasets.base import Sample
from segdiff.targets.instances import InstancesTarget, cores
from segdiff.targets.mask import MaskTarget


def disc(y, x, radius, size=60):
    rows, columns = np.mgrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_the_core_of_a_disc_is_the_disc_of_half_the_radius():
    core = cores(disc(30, 30, 20).astype(int))
    assert core.sum() == pytest.approx(np.pi * 10**2, rel=0.15)
    assert ndimage.center_of_mass(core) == (30, 30)


def test_touching_objects_have_a_core_each_and_small_ones_too():
    labels = np.where(disc(30, 20, 10), 1, 0)
    labels[disc(30, 40, 10) & (labels == 0)] = 2
    labels[5, 5] = labels[5, 6] = 3
    found = cores(labels)
    assert ndimage.label(labels > 0)[1] == 2 and ndimage.label(found)[1] == 3
    assert set(np.unique(labels[found > 0])) == {1, 2, 3}


def test_what_the_frame_cuts_goes_on_beyond_it():
    labels = np.zeros((20, 20), int)
    labels[:, :10] = 1
    core = cores(labels)
    assert core[:, 0].all() and core[:, 4].all() and not core[:, 5:].any()
    assert cores(np.ones((4, 4), int)).all()


def test_a_sample_with_cores():
    labels = disc(30, 30, 20).astype(np.int32)
    sample = Sample("a", np.zeros((60, 60, 3), np.uint8), (labels > 0).astype(np.uint8)[None, None], labels)
    assert MaskTarget().encode(sample) is sample
    both = InstancesTarget().encode(sample)
    assert both.mask.shape == (1, 2, 60, 60) and both.mask.dtype == np.uint8
    assert np.array_equal(both.mask[0, 0], sample.mask[0, 0]) and np.array_equal(both.mask[0, 1], cores(labels))


def test_without_instances_each_raters_connected_parts_have_cores():
    masks = np.stack([disc(15, 15, 10), disc(40, 40, 10)])[:, None].astype(np.uint8)
    found = InstancesTarget().encode(Sample("a", np.zeros((60, 60, 3), np.uint8), masks)).mask
    assert found.shape == (2, 2, 60, 60)
    assert all(np.array_equal(found[r, 1], cores(masks[r, 0].astype(int))) for r in range(2))
