"""Losses of masks of several raters: one for each noise draw, at one encoding."""

from __future__ import annotations

import pytest
import torch
from fakes import TINY_FAST

from segdiff.diffusion.noise import TrainingDraw
from segdiff.errors import ShapeError
from segdiff.models import losses
from segdiff.models.build import build_segmenter

DIFFUSION = {"schedule": "cosine", "steps": 20, "prediction": "logits", "condition": "log_snr", "noise_draws": 3}
WEIGHTS = {"mse_weight": 0.5, "cross_entropy_weight": 1.0, "dice_weight": 0.3}
DRAW = TrainingDraw(0, [4, 9])


def made(kind: str):
    torch.manual_seed(0)
    segmenter = build_segmenter({**TINY_FAST, "kind": kind}, {**DIFFUSION, **WEIGHTS})
    for parameter in segmenter.parameters():  # the last layer begins at zero, which would say nothing of anything
        torch.nn.init.normal_(parameter, std=0.2)
    image, masks = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 1, 32, 32).sign()
    return segmenter.eval(), image, masks


@pytest.mark.parametrize("kind", ["fast", "fast_direct"])
def test_the_same_mask_of_all_raters_is_that_of_one(kind):
    segmenter, image, masks = made(kind)
    one = segmenter.loss(image, masks[:, 0], DRAW)
    same = segmenter.loss(image, masks[:, :1].repeat(1, 3, 1, 1, 1), DRAW)
    assert all(torch.allclose(one[name], same[name], atol=1e-6) for name in one)


def test_a_plain_network_learns_the_mean_of_its_raters():
    segmenter, image, masks = made("fast_direct")
    each = [segmenter.loss(image, masks[:, rater], DRAW)["loss"] for rater in range(3)]
    assert torch.allclose(segmenter.loss(image, masks, DRAW)["loss"], torch.stack(each).mean(), atol=1e-6)
    assert segmenter.noise_draws == 3


def test_each_draw_is_of_its_own_rater():
    """Draw d is trained on mask d: another mask there changes the loss, and only as much as its share."""
    segmenter, image, masks = made("fast")
    calls = []
    network = segmenter.network
    hook = network.register_forward_pre_hook(lambda module, given: calls.append(given[0].clone()))
    segmenter.loss(image, masks, DRAW)
    changed = masks.clone()
    changed[1, 2] = -changed[1, 2]
    segmenter.loss(image, changed, DRAW)
    hook.remove()
    different = (calls[0] != calls[1]).flatten(1).any(1)
    assert different.tolist() == [False, False, False, False, False, True]  # draw-major: draw 2 of image 1


def test_another_number_of_raters_is_refused():
    with pytest.raises(ShapeError, match="masks of 2 raters for each image, and diffusion.noise_draws=3"):
        losses.per_draw(torch.zeros(4, 2, 1, 8, 8), 3)
