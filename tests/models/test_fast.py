"""The fast network: one encoding, light steps, the contract of a denoiser; and the plain networks beside it."""

import pytest
import torch
from fakes import TINY_FAST
from torch.utils.flop_counter import FlopCounterMode

from segdiff.diffusion.noise import NoiseField, TrainingDraw
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, ShapeError
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import DiffusionSettings
from segdiff.models.finer import finer_weights
from segdiff.training.configs import compose

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = {"schedule": "cosine", "steps": 100, "signal_scale": 0.1, "prediction": "logits", "condition": "log_snr"}
BOTH = {"mse_weight": 0.0, "cross_entropy_weight": 1.0, "dice_weight": 1.0}
IMAGE = torch.from_numpy(NoiseField(1, 0).rectangle(0, 0, 0, 0, 32, 48, 6)).reshape(2, 3, 32, 48)
MASK = IMAGE[:, :1].sign()


def built(model=None, **diffusion):
    torch.manual_seed(0)
    segmenter = build_segmenter({**TINY_FAST, **(model or {})}, {**FEW, **BOTH, **diffusion})
    for parameter in segmenter.parameters():  # what begins at zero would hide mistakes
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return segmenter.eval()


def noise(chain, draw):
    maps = [NoiseField(0, key).rectangle(chain, draw, 0, 0, 32, 48) for key in range(2)]
    return torch.stack([torch.from_numpy(m) for m in maps])


def chains(segmenter, sampling, image=IMAGE, **options):
    return torch.cat(list(segmenter.sample(image, lambda c, d: noise(c, d)[: len(image)], sampling, **options)))


def shipped():
    """The networks of conf/model at their real size, without memory."""
    found = {}
    for name in ("fast", "fast_direct", "smp"):
        config = compose([f"model={name}", "diffusion=few_steps", "dataset.root=unused"])
        with torch.device("meta"):
            found[name] = build_segmenter(config["model"], config["diffusion"]).network.eval()
    return found


def operations(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_operations_of_the_shipped_network():
    """Counted on tensors without memory: the figures that docs/benchmarks.md gives for a 512 x 512 image."""
    network = shipped()["fast"]
    image, x_t = torch.zeros(1, 3, 512, 512, device="meta"), torch.zeros(1, 1, 512, 512, device="meta")
    features = [torch.zeros(1, c, 512 // f, 512 // f, device="meta") for c, f in ((32, 4), (64, 8), (64, 16), (16, 4))]
    once = operations(lambda: network.encode(image))
    step = operations(lambda: network(x_t, 0.0, features, x_t))
    chains, steps = 8, 2
    assert once + chains * steps * step < 0.05e12  # the published procedure: 6144e12
    assert (once + 9 * steps * step) / (once + steps * step) < 1.5


def test_g_runs_once_and_features_are_shared_by_chains():
    segmenter, seen, calls = built(), [], []
    segmenter.network.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    segmenter.network.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    result = chains(segmenter, Sampling("ddim", steps=2, chains=5), group_size=4)
    assert seen == [2] and sum(calls) == 2 * 2 * 5
    assert result.shape == (5, 2, 1, 32, 48)
    assert (result[0] - result[4]).abs().max() > 1e-4  # chains differ
    assert result.min() >= 0 and result.max() <= 1  # log-odds leave no mask outside


@pytest.mark.parametrize("views", [1, 3])
def test_rule_2_a_chain_is_the_same_in_any_company(views):
    segmenter = built(self_conditioning=0.5)
    many = chains(segmenter, Sampling("ddpm", steps=4, chains=7, views=views), group_size=100)
    few = chains(segmenter, Sampling("ddpm", steps=4, chains=3, views=views), group_size=1)
    torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-5)
    alone = chains(segmenter, Sampling("ddpm", steps=4, chains=3, views=views), image=IMAGE[:1])
    torch.testing.assert_close(alone, many[:3, :1], rtol=0, atol=1e-5)


def test_times_of_each_entry_are_those_of_all():
    network = built().network
    features, x = network.encode(IMAGE), noise(0, 0)
    together = network(x, [0.5, -3.0], features, x)
    for n, t in enumerate((0.5, -3.0)):
        alone = network(x[n : n + 1], t, [f[n : n + 1] for f in features], x[n : n + 1])
        torch.testing.assert_close(together[n : n + 1], alone, rtol=0, atol=1e-5)


def test_self_conditioning_shows_the_last_guess_where_it_was_trained():
    for share, seen in ((0.0, False), (0.5, True)):
        segmenter, shown = built(self_conditioning=share), []
        segmenter.network.register_forward_pre_hook(
            lambda m, i, kw, shown=shown: shown.append(i[3] is not None), with_kwargs=True
        )
        chains(segmenter, Sampling("ddim", steps=3, chains=1))
        assert shown == [False, seen, seen]


def test_sizes_that_do_not_go_are_told():
    network = built().network
    with pytest.raises(ShapeError, match="pad to 48 x 48"):
        network.encode(torch.zeros(1, 3, 40, 48))
    with pytest.raises(ShapeError, match="does not go"):
        network(torch.zeros(3, 1, 32, 48), 0.0, network.encode(IMAGE))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"encoder_channels": [8, 8]}, "4 numbers"),
        ({"denoiser_channels": [8, 8, 10]}, "does not divide"),
        ({"mask_channels": 0}, "mask_channels=0"),
        ({"encoder": "resnett34"}, "did you mean resnet34"),
        ({"encoder": "tu-nothing"}, "timm has no model nothing"),
        ({"encodr": None}, "encodr is not known"),
    ],
)
def test_settings_that_cannot_be(model, said):
    with pytest.raises(ConfigError, match=said):
        build_segmenter({**TINY_FAST, **model}, {})


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", "tu-convnext_atto"])
def test_encoders_of_other_libraries(encoder):
    """mit_b0 and convnext have no channels at half the size."""
    segmenter = built({"encoder": encoder})
    assert chains(segmenter, Sampling("ddim", steps=1, chains=2)).shape == (2, 2, 1, 32, 48)


@pytest.mark.parametrize(
    "diffusion",
    [
        {"noise_draws": 3},
        {"training_scales": [0.1, 0.5]},
        {"recycling": 1.0, "self_conditioning": 1.0},
        {"recycling": 0.5},
        {"prediction": "v", "cross_entropy_weight": 0.0, "mse_weight": 1.0, "weighting": "min_snr"},
        {"prediction": "velocity", "schedule": "flow", "cross_entropy_weight": 0.0, "mse_weight": 1.0},
        {"prediction": "epsilon", "cross_entropy_weight": 0.0, "mse_weight": 1.0, "weighting": "snr_plus_1"},
        {"weighting": "snr_plus_1"},
    ],
)
def test_training_options_give_a_loss_that_falls(diffusion):
    segmenter = built(**diffusion).train()
    optimizer = torch.optim.Adam(segmenter.parameters(), 3e-3)
    losses = []
    for _ in range(12):  # one and the same draw: what remains can only be learned
        terms = segmenter.loss(IMAGE, MASK, TrainingDraw(0, [4, 9]))
        losses.append(terms["loss"].item())
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    again = segmenter.eval().loss(IMAGE, MASK, TrainingDraw(0, [4, 9]))["loss"]
    assert again == segmenter.loss(IMAGE, MASK, TrainingDraw(0, [4, 9]))["loss"]
    assert again != segmenter.loss(IMAGE, MASK, TrainingDraw(0, [4, 10]))["loss"]


@pytest.mark.parametrize("diffusion", [{}, {"noise_draws": 2, "recycling": 0.5, "self_conditioning": 0.5}])
def test_rule_2_the_loss_of_a_sample_does_not_depend_on_its_batch(diffusion):
    segmenter = built(**diffusion)  # in evaluation: batch norm, in training, is of the batch
    together = segmenter.loss(IMAGE, MASK, TrainingDraw(0, [4, 9]))
    alone = [segmenter.loss(IMAGE[i : i + 1], MASK[i : i + 1], TrainingDraw(0, [n])) for i, n in enumerate((4, 9))]
    for name, value in together.items():
        torch.testing.assert_close(value, (alone[0][name] + alone[1][name]) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prediction": "x0"}, "prediction=x0 is not known"),
        ({"condition": "snr"}, "condition=snr is not known"),
        ({"weighting": "min"}, "weighting=min is not known"),
        ({"cross_entropy_weight": 1.0}, "needs diffusion.prediction=logits"),
        ({"mse_weight": 0.0}, "must be above 0"),
        ({"dice_weight": -1.0}, "0 or more"),
        ({"training_scales": (0.5, 0.1), "condition": "log_snr"}, "lowest, highest"),
        ({"training_scales": (0.1, 0.5)}, "needs diffusion.condition=log_snr"),
        ({"self_conditioning": 1.5}, "between 0 and 1"),
        ({"noise_draws": 0}, "noise_draws=0"),
        ({"recycling": 0.5}, "x_0 or logits"),
        ({"training_scales": (0.1, 0.5), "condition": "log_snr", "schedule": "flow"}, "preserves variance"),
    ],
)
def test_diffusion_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        DiffusionSettings(**settings)


@pytest.mark.parametrize("kind", ["fast_direct", "smp"])
def test_plain_networks_keep_the_contract(kind):
    torch.manual_seed(0)
    model = (
        {**TINY_FAST, "kind": "fast_direct"} if kind == "fast_direct" else {"kind": "smp", "encoder": "mobileone_s0"}
    )
    image = IMAGE if kind == "fast_direct" else torch.cat((IMAGE, IMAGE), 2)[..., :32]
    segmenter = build_segmenter(model, {**FEW, **BOTH}).eval()

    def unused(chain, draw):
        raise AssertionError("a plain network has no use for noise")

    (one,) = segmenter.sample(image, unused, Sampling(chains=5, steps=3))
    assert one.shape == (1, 2, 1, *image.shape[2:]) and one.min() >= 0 and one.max() <= 1
    eight = list(segmenter.sample(image, unused, Sampling(views=8)))
    assert len(eight) == 8
    torch.testing.assert_close(eight[0], one)
    terms = segmenter.loss(image, image[:, :1].sign(), TrainingDraw(0, [1, 2]))
    torch.testing.assert_close(terms["loss"], terms["cross_entropy"] + terms["dice"])


def test_the_direct_network_is_the_same_g():
    networks = shipped()
    ours = {name: tensor.shape for name, tensor in networks["fast"].encoder.state_dict().items()}
    assert ours == {name: tensor.shape for name, tensor in networks["fast_direct"].encoder.state_dict().items()}
    image = torch.zeros(1, 3, 512, 512, device="meta")
    encode = operations(lambda: networks["fast"].encode(image))
    assert operations(lambda: networks["fast_direct"](image)) == pytest.approx(encode, rel=0.02)


@pytest.mark.parametrize(
    ("model", "said"),
    [({"arch": "Unat"}, "arch=Unat is not known"), ({"encoder": "resnett34"}, "did you mean resnet34")],
)
def test_networks_that_smp_does_not_know(model, said):
    with pytest.raises(ConfigError, match=said):
        build_segmenter({"kind": "smp", **model}, {})


@pytest.mark.parametrize("kind", ["fast", "fast_direct"])
def test_a_finer_network_sees_half_the_blocks(kind):
    finer = built({"kind": kind, "finest": 2, "mask_channels": 2})
    assert finer.size_multiple == 8
    image = IMAGE[..., :24]  # 32 x 24: no multiple of 16

    def noise_of_two(chain, draw):
        return torch.zeros(2, 2, 32, 24)

    (found,) = finer.sample(image, noise_of_two, Sampling("ddim", steps=2, chains=1))
    assert found.shape == (1, 2, 2, 32, 24)
    losses = finer.loss(image, MASK[..., :24].repeat(1, 2, 1, 1), TrainingDraw(0, [0, 1]))
    assert torch.isfinite(losses["loss"])
    if kind == "fast":
        assert [tuple(x.shape[2:]) for x in finer.network.encode(image)[:3]] == [(16, 12), (8, 6), (4, 3)]


@pytest.mark.parametrize("model", [{"finest": 3}, {"finest": 2, "encoder": "mobileone_s0"}])
def test_other_finenesses_are_refused(model):
    with pytest.raises(ConfigError, match="model.finest"):
        build_segmenter({**TINY_FAST, **model}, {})


def test_finer_weights_say_of_a_picture_what_the_old_ones_said_of_the_enlarged_one():
    two = {"mask_channels": 2}
    old = built(two)
    new = built({**two, "finest": 2})
    new.load_state_dict(finer_weights(old.state_dict(), 2))
    image, x_t, previous = (torch.randn(1, c, 96, 96, generator=torch.Generator().manual_seed(c)) for c in (3, 2, 2))
    large = torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear")
    repeated = [x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (x_t, previous)]

    def says(segmenter, image, x_t, previous):
        network = segmenter.network
        return network.direct(network.encoder(image)[0]), network(x_t, 3.0, network.encode(image), previous)

    with torch.no_grad():
        (guess, fine), (old_guess, coarse) = says(new, image, x_t, previous), says(old, large, *repeated)
    # Group norms see the whole picture and so its borders; G's own guess sees 32 pixels around each of its own.
    shuffled = [torch.nn.functional.pixel_shuffle(x, f) for x, f in ((guess, 2), (old_guess, 4))]
    expected = torch.nn.functional.avg_pool2d(shuffled[1], 2)
    middle = (..., slice(40, 56), slice(40, 56))
    torch.testing.assert_close(shuffled[0][middle], expected[middle], atol=1e-5, rtol=1e-5)
    assert (fine - torch.nn.functional.avg_pool2d(coarse, 2))[middle].abs().max() < 0.05 * fine.std()


@pytest.mark.parametrize("settings", [{"finest": 2}, {"kind": "fast_direct"}])
def test_finer_weights_are_made_of_those_of_the_fast_network_only(settings):
    with pytest.raises(ConfigError, match="finest=4"):
        finer_weights(built(settings).state_dict(), 1)
