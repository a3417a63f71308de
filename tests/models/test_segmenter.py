"""The segmenter: how often G runs, chains and groups, views, loss."""

from types import SimpleNamespace

import pytest
import torch
from fakes import TINY_MODEL

from segdiff.diffusion.noise import NoiseField, TrainingDraw
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.models.build import MODELS, build_segmenter
from segdiff.models.views import dihedral, undo_dihedral
from segdiff.targets.mask import MaskTarget


def tiny(**diffusion):
    torch.manual_seed(0)
    segmenter = build_segmenter(TINY_MODEL, {"steps": 30, **diffusion})
    for parameter in segmenter.parameters():  # the convolutions that begin at zero would hide mistakes
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return segmenter.eval()


def noise(chain, draw):
    maps = [NoiseField(0, key).rectangle(chain, draw, 0, 0, 8, 12) for key in range(2)]
    return torch.stack([torch.from_numpy(m) for m in maps])


IMAGE = torch.from_numpy(NoiseField(1, 0).rectangle(0, 0, 0, 0, 8, 12, 6)).reshape(2, 3, 8, 12)


def chains(segmenter, sampling, **options):
    return torch.cat(list(segmenter.sample(IMAGE, noise, sampling, **options)))


@pytest.mark.parametrize("steps", [1, 5, None])
@pytest.mark.parametrize("count", [1, 7])
def test_g_runs_once_an_image_whatever_the_steps_and_chains(steps, count):
    segmenter = tiny()
    seen = []
    segmenter.network.rrdb.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    calls = []
    segmenter.network.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    chains(segmenter, Sampling(steps=steps, chains=count), group_size=4)
    assert seen == [2]
    assert sum(calls) == 2 * count * (steps or 30)


def test_g_runs_once_a_view():
    segmenter, seen = tiny(), []
    segmenter.network.rrdb.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    chains(segmenter, Sampling(steps=2, chains=7, views=3))
    assert len(seen) == 3
    seen.clear()
    chains(segmenter, Sampling(steps=2, chains=2, views=8))
    assert len(seen) == 2


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("views", [1, 8])
def test_a_chain_is_the_same_in_any_group_and_among_any_number(sampler, views):
    segmenter = tiny(prediction="x_0")  # a random network's epsilon would be amplified a hundred times
    settings = {"sampler": sampler, "steps": 4, "views": views, "eta": 0.5 if sampler == "ddim" else 0}
    many = chains(segmenter, Sampling(chains=9, **settings), group_size=100)
    assert many.shape == (9, 2, 1, 8, 12)
    assert (many[0] - many[8]).abs().max() > 1e-3
    few = chains(segmenter, Sampling(chains=3, **settings), group_size=1)
    torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-5)


def test_images_of_a_batch_do_not_meet():
    segmenter, sampling = tiny(prediction="x_0"), Sampling(steps=4, chains=2)
    both = chains(segmenter, sampling)
    first = torch.cat(list(segmenter.sample(IMAGE[:1], lambda c, d: noise(c, d)[:1], sampling)))
    torch.testing.assert_close(both[:, :1], first, rtol=0, atol=1e-5)


def test_a_view_shows_the_turned_picture_and_turns_the_mask_back():
    segmenter = tiny()
    eight = chains(segmenter, Sampling(steps=2, chains=8, views=8))
    for view in range(8):
        turned = segmenter.sample(
            dihedral(IMAGE, view), lambda c, d, v=view: dihedral(noise(v, d), v), Sampling(steps=2, chains=1)
        )
        torch.testing.assert_close(undo_dihedral(next(iter(turned))[0], view), eight[view], rtol=0, atol=1e-5)


def test_views_are_eight_different_ones_and_undone():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    pictures = {str(dihedral(x, view).tolist()) for view in range(8)}
    assert len(pictures) == 8
    assert all(torch.equal(undo_dihedral(dihedral(x, view), view), x) for view in range(8))


@pytest.mark.parametrize("prediction", ["epsilon", "x_0", "v"])
def test_loss_of_a_sample_does_not_depend_on_its_batch(prediction):
    segmenter = tiny(prediction=prediction, dice_weight=0.5)
    mask = IMAGE[:, :1].sign()
    together = segmenter.loss(IMAGE, mask, TrainingDraw(0, [4, 9]))
    alone = [segmenter.loss(IMAGE[i : i + 1], mask[i : i + 1], TrainingDraw(0, [n])) for i, n in enumerate((4, 9))]
    for key in ("loss", "mse", "dice"):
        mean = (alone[0][key] + alone[1][key]) / 2
        torch.testing.assert_close(together[key], mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(together["loss"], together["mse"] + 0.5 * together["dice"])


def test_first_loss_of_an_untrained_network_is_the_variance_of_the_noise():
    segmenter = build_segmenter(TINY_MODEL, {})
    loss = segmenter.loss(IMAGE, IMAGE[:, :1].sign(), TrainingDraw(0, range(2)))["mse"]
    noise_maps = TrainingDraw(0, range(2)).normal((1, 8, 12), 1)
    assert loss.item() == pytest.approx((noise_maps**2).mean(), rel=1e-5)


def test_learned_variance_trains_and_samples():
    segmenter = build_segmenter({**TINY_MODEL, "learned_variance": True}, {"steps": 30})
    torch.nn.init.normal_(segmenter.network.out[2].weight, std=0.1)
    terms = segmenter.loss(IMAGE, IMAGE[:, :1].sign(), TrainingDraw(0, range(2)))
    assert terms["variational"].item() > 0
    terms["variational"].backward()
    gradient = segmenter.network.out[2].weight.grad
    assert gradient[1].abs().max() > 0 and gradient[0].abs().max() == 0  # the mean learns from the error alone
    masks = torch.cat(list(segmenter.eval().sample(IMAGE, noise, Sampling(variance="learned", steps=3, chains=2))))
    assert masks.shape == (2, 2, 1, 8, 12) and masks.isfinite().all()


def test_learned_variance_of_a_network_without_is_an_error():
    with pytest.raises(ConfigError, match="learned"):
        tiny().check(Sampling(variance="learned"))


def test_times_that_the_schedule_has_not_are_an_error():
    with pytest.raises(ConfigError, match="1 to 30"):
        tiny().check(Sampling(steps=31))


def test_rescaled_times_reach_the_network():
    seen = []
    segmenter = tiny(rescale_times=True)
    segmenter.network.register_forward_pre_hook(lambda module, inputs: seen.append(float(inputs[1])))
    chains(segmenter, Sampling(times=(0, 15, 29), chains=1))
    assert seen == pytest.approx([29 * 1000 / 30, 15 * 1000 / 30, 0])


def test_soft_dice_loss_of_known_masks():
    mask = torch.tensor([1.0, 1, -1, -1]).reshape(1, 1, 2, 2)
    assert MaskTarget().soft_dice(mask, mask).item() == pytest.approx(0, abs=1e-4)
    assert MaskTarget().soft_dice(-mask, mask).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "diffusion", "said"),
    [
        ({"kind": "unet"}, {}, "model.kind=unet is not known; known: segdiff"),
        ({**TINY_MODEL, "width": 3}, {}, "model.width"),
        (TINY_MODEL, {"stpes": 3}, "diffusion.stpes"),
        (TINY_MODEL, {"prediction": "y"}, "diffusion.prediction=y"),
        (TINY_MODEL, {"schedule": "sigmoid"}, "linear, cosine"),
        (TINY_MODEL, {"steps": 10}, "21 steps"),
    ],
)
def test_configurations_that_cannot_be(model, diffusion, said):
    with pytest.raises(ConfigError, match=said):
        build_segmenter(model, diffusion)


def test_own_code_can_add_a_kind(monkeypatch):
    monkeypatch.setitem(MODELS, "mine", lambda model, diffusion: SimpleNamespace(settings=dict(model)))
    assert build_segmenter({"kind": "mine", "a": 1}, {}).settings == {"a": 1}
