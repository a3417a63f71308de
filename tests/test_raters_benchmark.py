"""The rivals of benchmarks/raters.py draw what they say, and its tables hold what was scored."""

from __future__ import annotations

import numpy as np
import pytest
import raters as benchmark


def test_every_way_of_drawing_has_the_same_share_of_pixels():
    p = np.linspace(0, 1, 24)[None].repeat(24, 0)
    found = benchmark.drawn(p, 4000, np.random.default_rng(0))
    assert len(found) == 4
    for name, masks in found.items():
        assert masks.shape == (4000, 24, 24) and masks.dtype == bool
        if name != "majority":
            assert np.abs(masks.mean(0) - p).max() < 0.05, name
    nested = found["shared threshold"].sum((1, 2))
    assert set(nested.tolist()) <= {24 * k for k in range(25)}
    pixels, copula, threshold = (
        found[n][:, 12].sum(1).std() for n in list(found)[0:1] + list(found)[2:3] + list(found)[1:2]
    )
    assert pixels < copula < threshold  # areas of a row: the more pixels go together, the more they differ


def test_the_chains_are_compared_image_by_image():
    generator = np.random.default_rng(1)
    raters = [generator.random((4, 16, 16)) < 0.3 for _ in range(5)]
    right = [[benchmark.score(one, one) for one in raters]]
    wrong = [[benchmark.score(~one, one) for one in raters]]
    table = benchmark.table_of({benchmark.CHAINS: right, "other": wrong})
    assert table["other"]["chains_minus_this"]["hm_iou"]["mean"] == pytest.approx(
        table[benchmark.CHAINS]["hm_iou"]["mean"] - table["other"]["hm_iou"]["mean"]
    )
    assert table[benchmark.CHAINS]["hm_iou"]["mean"] == 1 and table[benchmark.CHAINS]["ged"]["mean"] == pytest.approx(0)
    assert table["other"]["chains_minus_this"]["ged_unbiased"]["low_high"][1] < 0
    said = list(benchmark.lines(table))
    assert any(line.startswith("| other | -") for line in said) and len(said) == 4 + 4
