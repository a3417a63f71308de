"""The table of targets, and what each kind keeps to."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from segdiff.data.datasets.base import Sample
from segdiff.errors import ConfigError
from segdiff.metrics.table import METRICS
from segdiff.targets.build import TARGETS, build_target, target_settings
from segdiff.targets.mask import MaskTarget
from segdiff.training.configs import conf_folder


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "masks"}, "target.kind=masks is not known; known: mask, instances"),
        ({}, "target.kind=None"),
        ({"kind": ["mask"]}, "target.kind="),
        ({"kind": "mask", "depth": 1}, "target.depth is not known"),
    ],
)
def test_targets_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said.replace("[", "\\[")):
        build_target(settings)


def test_own_code_can_add_a_target(monkeypatch):
    @dataclass(frozen=True)
    class Mine(MaskTarget):
        kind = "mine"
        width: int = 2

    monkeypatch.setitem(TARGETS, "mine", Mine)
    mine = build_target({"kind": "mine", "width": 3})
    assert mine == Mine(3) and target_settings(mine) == {"kind": "mine", "width": 3}


def test_every_target_has_a_choice_of_conf():
    assert {path.stem for path in (conf_folder() / "target").glob("*.yaml")} == set(TARGETS)


@pytest.mark.parametrize("kind", TARGETS)
def test_what_every_target_keeps_to(kind):
    target = build_target({"kind": kind})
    assert build_target(target_settings(target)) == target and hash(target) == hash(build_target({"kind": kind}))
    assert target.monitor in target.validation_scores
    assert {*target.validation_scores, *target.final_scores} <= set(METRICS)
    channels = len(target.channel_names)
    rng = np.random.default_rng(0)
    numbers = np.kron(np.arange(16).reshape(4, 4), np.ones((8, 8), int))
    mask = (numbers % 3 > 0)[None, None].astype(np.uint8)
    sample = target.encode(Sample("a", rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), mask, instances=numbers))
    assert sample.mask.shape == (1, channels, 32, 32) and sample.mask.dtype == np.uint8
    x_0 = torch.from_numpy(2.0 * sample.mask - 1).float()
    # Logits that are sure of the truth become it, at no loss; the two ways to x_0 are one.
    sure = 30 * x_0
    torch.testing.assert_close(target.activate(sure), x_0)
    output = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(2 * target.soft_mask(output) - 1, target.activate(output), rtol=0, atol=1e-6)
    assert target.cross_entropy(sure, x_0).item() < 1e-6 < 0.5 < target.cross_entropy(output, x_0).item()
    assert target.soft_dice(x_0, x_0).item() < 1e-3 < 0.3 < target.soft_dice(target.activate(output), x_0).item()


@pytest.mark.parametrize("kind", TARGETS)
def test_decoded_shapes(kind):
    target = build_target({"kind": kind})
    channels = len(target.channel_names)
    chains = np.random.default_rng(0).random((3, channels, 8, 9), dtype=np.float32)[
        :, 0 if channels == 1 else slice(None)
    ]
    found = target.decode(chains.mean(0), chains.std(0), chains)
    assert found.probability.shape == found.uncertainty.shape == (8, 9) and found.chains.shape == (3, 8, 9)
    alone = target.decode(chains.mean(0), None)
    assert alone.uncertainty is None and alone.chains is None and alone.core_chains is None
    assert (found.core is None) == (kind != "instances")
