"""Protocols: what is resized how, and where they apply."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segdiff.data.datasets.base import Sample
from segdiff.data.protocols import PROTOCOLS, get_protocol, resize_image
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
    paper = PROTOCOLS["paper"]
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
    assert PROTOCOLS["native"].prepare(sample) is sample
    assert PROTOCOLS["native"].mpp(0.25, 1000) == 0.25


def test_micrometres_per_pixel_follow_the_resizing():
    assert PROTOCOLS["paper"].mpp(0.25, 1000) == 0.25 * 1000 / 512
    assert PROTOCOLS["paper"].mpp(None, 1000) is None


def test_floats_are_resized_like_bytes_to_rounding(sample):
    as_floats = resize_image(sample.image.astype(np.float32), (33, 47))
    assert as_floats.dtype == np.float32 and as_floats.shape == (33, 47, 3)
    # Pillow rounds bytes after each of its two passes.
    np.testing.assert_allclose(as_floats, resize_image(sample.image, (33, 47)), atol=1.01)


def test_paper_is_only_for_its_data_set():
    assert get_protocol("paper", "monuseg").name == "paper"
    assert get_protocol("native", "folder").name == "native"
    with pytest.raises(ConfigError, match="for monuseg, not for folder"):
        get_protocol("paper", "folder")
    with pytest.raises(ConfigError, match="there are native, paper"):
        get_protocol("papre", "monuseg")


def test_a_sample_whose_parts_differ_in_size_is_refused():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(DataError, match="pic: the image is 4 x 6 .* its mask 6 x 4"):
        Sample("pic", image, np.zeros((1, 1, 6, 4), np.uint8))
    with pytest.raises(DataError, match="its mask 4 x 5"):
        Sample("pic", image, np.zeros((1, 1, 4, 6), np.uint8), np.zeros((4, 5), np.int32))
