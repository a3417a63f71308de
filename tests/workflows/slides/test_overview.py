"""A slide's mask over its thumbnail."""

from __future__ import annotations

import numpy as np
import pytest
from slide_files import write_aperio
from test_predict_slide import nuclei, predictor, run

from segdiff.data.images import read_image
from segdiff.data.sources.array import ArraySource
from segdiff.inference.overlay import draw_shares
from segdiff.workflows.slides import overview


@pytest.mark.parametrize(
    ("size", "small"), [((60, 90), (20, 30)), ((61, 97), (13, 20)), ((7, 5), (7, 5)), ((50, 3), (9, 1))]
)
@pytest.mark.parametrize("side", [16, 64])
def test_shares_are_means_whatever_the_blocks(monkeypatch, size, small, side):
    monkeypatch.setattr(overview, "SIDE", side)
    mask = np.random.default_rng(0).random(size) < 0.4
    found = overview.covered_shares(size, small, lambda window: mask[window.rows, window.columns])
    total, count = np.zeros(small), np.zeros(small)
    for row, column in np.ndindex(size):
        place = (int((row + 0.5) * small[0] / size[0]), int((column + 0.5) * small[1] / size[1]))
        total[place] += mask[row, column]
        count[place] += 1
    np.testing.assert_allclose(found, total / count, rtol=1e-6)


def test_tint_grows_with_the_share_and_nothing_stays_as_it_is():
    image = np.full((8, 8, 3), 120, np.uint8)
    shares = np.linspace(0, 1, 64).reshape(8, 8)
    drawn = draw_shares(image, shares).astype(int)
    change = np.abs(drawn - 120).sum(axis=2).ravel()
    assert change[0] == 0 and (np.diff(change) >= 0).all() and change[-1] > 150
    np.testing.assert_array_equal(draw_shares(image, np.zeros((8, 8))), image)


def test_slides_get_one(tmp_path):
    write_aperio(tmp_path / "a.svs", nuclei(), compression="zlib")
    facts = run(tmp_path / "a.svs", tmp_path / "out", outputs=("mask", "overlay"))
    picture = read_image(tmp_path / "out" / facts["outputs"]["overview"])
    assert facts["outputs"]["overview"] == "a_overview.png"
    mask = predictor().predict(nuclei()).mask
    changed = (picture != nuclei()).any(axis=2)
    np.testing.assert_array_equal(changed, mask)


def test_it_is_as_large_as_it_may_be():
    source = ArraySource(nuclei((300, 500)))
    drawn = overview.draw_overview(source, lambda window: np.zeros((window.height, window.width), bool), longest=100)
    assert drawn.shape == (60, 100, 3)
