"""Protocols: what is resized how, and where they apply."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from segdiff.data.datasets.base import Sample
from segdiff.data.protocols import NATIVE, PAPER, default_protocol, get_protocol
from segdiff.data.resize import interpolate, resize_image
from segdiff.errors import ConfigError, DataError


@pytest.fixture
def sample() -> Sample:
    rng = np.random.default_rng(0)
    instances = rng.integers(0, 70000, (100, 60)).astype(np.int32)
    return Sample(
        "one",
        rng.integers(0, 256, (100, 60, 3), dtype=np.uint8),
        (instances > 9)[None, None].astype(np.uint8),
        instances,
    )


def test_paper_resizes_as_published(sample):
    paper = PAPER["monuseg"]
    assert (paper.window, paper.overlap, paper.adapt_scale) == (256, 0.0, False)
    prepared = paper.prepare(sample)
    bilinear = Image.fromarray(sample.image).resize((512, 512), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepared.image, np.array(bilinear))
    nearest = Image.fromarray(sample.mask[0, 0]).resize((512, 512), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(prepared.mask, np.array(nearest)[None, None])
    assert prepared.mask.dtype == np.uint8 and prepared.instances.dtype == np.int32
    assert set(np.unique(prepared.instances)) <= set(np.unique(sample.instances))
    np.testing.assert_array_equal(prepared.instances > 9, prepared.mask[0, 0] > 0)


def test_native_changes_nothing(sample):
    assert NATIVE.prepare(sample) is sample
    assert NATIVE.mpp(0.25, 1000) == 0.25


def test_micrometres_per_pixel_follow_the_resizing():
    assert PAPER["monuseg"].mpp(0.25, 1000) == 0.25 * 1000 / 512
    assert PAPER["monuseg"].mpp(None, 1000) is None


def test_floats_are_resized_like_bytes_to_rounding(sample):
    as_floats = resize_image(sample.image.astype(np.float32), (33, 47))
    assert as_floats.dtype == np.float32 and as_floats.shape == (33, 47, 3)
    # Pillow rounds bytes after each of its two passes.
    np.testing.assert_allclose(as_floats, resize_image(sample.image, (33, 47)), atol=1.01)


def test_paper_is_only_for_its_data_set():
    assert get_protocol("paper", "monuseg").name == "paper"
    assert get_protocol("native", "folder").name == "native"
    with pytest.raises(ConfigError, match="for monuseg, vaihingen, cityscapes, not for folder"):
        get_protocol("paper", "folder")
    with pytest.raises(ConfigError, match="there are native, paper"):
        get_protocol("papre", "monuseg")


def test_default_is_the_protocol_made_for_the_data():
    assert [default_protocol(kind) for kind in ("monuseg", "cityscapes", "folder")] == ["paper", "paper", "native"]


def test_a_grid_changes_what_the_network_sees_and_not_what_is_scored(sample):
    paper = PAPER["cityscapes"]
    assert paper.prepare(sample) is sample
    seen = paper.as_seen(sample)
    planes = torch.from_numpy(sample.image.astype(np.float32)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, (128, 128), mode="bilinear")[0].permute(1, 2, 0)
    np.testing.assert_array_equal(seen.image, expected.round().numpy())
    assert seen.image.dtype == np.uint8
    nearest = torch.nn.functional.interpolate(torch.from_numpy(sample.mask), (128, 128), mode="nearest")
    np.testing.assert_array_equal(seen.mask, nearest.numpy())
    assert seen.mask.shape == (1, 1, 128, 128) and seen.instances.shape == (128, 128)
    np.testing.assert_array_equal(seen.instances > 9, seen.mask[0, 0] > 0)
    assert NATIVE.as_seen(sample) is sample


def test_without_averaging_fine_stripes_stay():
    stripes = np.tile([0.0, 0.0, 255.0, 0.0], 10)[None, :, None] * np.ones((40, 1, 1))
    assert interpolate(stripes, (40, 10), antialias=True).max() < 255 / 2
    assert interpolate(stripes, (40, 10), antialias=False).max() == 255 / 2  # between two columns, seen nothing else


def test_a_sample_whose_parts_differ_in_size_is_refused():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(DataError, match="pic: the image is 4 x 6 .* its mask 6 x 4"):
        Sample("pic", image, np.zeros((1, 1, 6, 4), np.uint8))
    with pytest.raises(DataError, match="its mask 4 x 5"):
        Sample("pic", image, np.zeros((1, 1, 4, 6), np.uint8), np.zeros((4, 5), np.int32))
