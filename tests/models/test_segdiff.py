"""What holds of the network without reference to the published one."""

import numpy as np
import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from segdiff.diffusion.noise import NoiseField, normals
from segdiff.errors import ConfigError, ShapeError
from segdiff.models.segdiff import SegDiff, SegDiffConfig
from segdiff.models.unet import timestep_embedding
from segdiff.training.configs import conf_folder

TINY = SegDiffConfig(
    channels=8,
    channel_mult=(1, 2, 2),
    num_res_blocks=1,
    attention_factors=(4,),
    num_heads=2,
    norm_groups=4,
    rrdb_blocks=1,
    rrdb_channels=8,
    rrdb_growth=4,
)


def with_weights(config: SegDiffConfig) -> SegDiff:
    """A network whose every parameter is a fixed function of its place, none of them zero."""
    network = SegDiff(config).eval()
    for i, (name, parameter) in enumerate(sorted(network.named_parameters())):
        count = parameter.numel()
        values = normals((1, i), (0, 0, 0), count + count % 2)[:count].reshape(parameter.shape)
        scale = 0.5 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.1
        shift = 1.0 if ".norm." in name or "_layers.0." in name or name == "out.0.weight" else 0.0
        shift *= name.endswith("weight") and parameter.ndim == 1
        parameter.data.copy_(torch.from_numpy(values * scale + shift))
    return network


@pytest.fixture(scope="module")
def network():
    return with_weights(TINY)


def picture(channels, height, width, key=0):
    return torch.from_numpy(NoiseField(0, key).rectangle(0, 0, 0, 0, height, width, channels))[None]


def test_rule_1_output_is_the_recorded_one(golden_file):
    """Recorded when the published tensors were reproduced to 1e-6; guards a clone that has not got those."""
    config = SegDiffConfig(
        channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_factors=(2,), rrdb_blocks=1,
        rrdb_channels=16, rrdb_growth=8, scale_shift_norm=True, learned_variance=True,
    )  # fmt: skip
    golden = np.load(golden_file("network.npz"))
    network = with_weights(config)
    with torch.no_grad():
        features = network.encode(picture(3, 12, 16))
        out = network(picture(1, 12, 16, key=1), 42.5, features)
    for got, name in ((features, "features"), (out, "out")):
        wanted = torch.from_numpy(golden[name])
        assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name


def test_time_embedding_is_the_published_one(golden_file):
    golden = np.load(golden_file("timestep_embedding.npz"))
    for width in (32, 33, 64, 128):
        for kind in ("int", "float"):
            got = timestep_embedding(torch.from_numpy(golden[f"t_{kind}"]), width)
            # A last bit of a frequency, which processors round differently, times a time of up to 1000.
            np.testing.assert_allclose(got, golden[f"dim{width}_{kind}"], rtol=0, atol=1e-4)


def test_features_are_added_chain_major_without_copies(network):
    images = torch.cat([picture(3, 16, 24, key) for key in range(2)])
    x_t = torch.cat([picture(1, 16, 24, key) for key in range(10, 16)])
    times = torch.tensor([5, 80, 5, 80, 1, 2])
    with torch.no_grad():
        features = network.encode(images)
        together = network(x_t, times, features)
        for entry in range(6):
            alone = network(x_t[entry : entry + 1], times[entry], features[entry % 2 : entry % 2 + 1])
            torch.testing.assert_close(together[entry : entry + 1], alone, rtol=0, atol=1e-5)


def test_time_is_one_number_or_one_an_entry_integer_or_float(network):
    features, x_t = network.encode(picture(3, 8, 8)), picture(1, 8, 8, key=1).expand(2, 1, 8, 8)
    with torch.no_grad():
        wanted = network(x_t, torch.tensor([7, 7]), features)
        for t in (
            7,
            7.0,
            torch.tensor(7),
            torch.tensor([7.0]),
            [7, 7],
            torch.tensor([7.0, 7.0], dtype=torch.float64),
        ):
            torch.testing.assert_close(network(x_t, t, features), wanted, rtol=0, atol=1e-6)
        assert (network(x_t, 8, features) - wanted).abs().max() > 1e-4
        with pytest.raises(ShapeError, match="3 times for 2"):
            network(x_t, [1, 2, 3], features)


def test_image_and_mask_both_act(network):
    with torch.no_grad():
        a = network(picture(1, 8, 8), 5, network.encode(picture(3, 8, 8)))
        assert (network(picture(1, 8, 8), 5, network.encode(picture(3, 8, 8, 9))) - a).abs().max() > 1e-3
        assert (network(picture(1, 8, 8, 9), 5, network.encode(picture(3, 8, 8))) - a).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(10, 8), (8, 9)])
def test_sizes_that_do_not_divide_say_what_to_pad_to(network, size):
    with pytest.raises(ShapeError, match="pad to 12 x 8" if size == (10, 8) else "pad to 8 x 12"):
        network.encode(torch.zeros(1, 3, *size))


def test_features_of_another_size_are_refused(network):
    with pytest.raises(ShapeError, match="does not go with"):
        network(torch.zeros(3, 1, 8, 8), 1, torch.zeros(2, 8, 8, 8))


def test_untrained_network_predicts_nothing():
    """The last convolution begins at zero, so that the first loss is the variance of the target."""
    network = SegDiff(TINY)
    assert network(picture(1, 8, 8), 3, network.encode(picture(3, 8, 8))).abs().max() == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channel_mult": (2, 2)}, "begin with 1"),
        ({"attention_factors": (3,)}, "attention_factors"),
        ({"channel_mult": (1, 2), "attention_factors": (4,)}, "attention_factors"),
        ({"channels": 40, "channel_mult": (1,), "attention_factors": ()}, "norm_groups"),
        ({"channels": 32, "channel_mult": (1,), "attention_factors": (), "num_heads": 3}, "num_heads"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        SegDiff(SegDiffConfig(**{"rrdb_blocks": 1, **settings}))


def published(name):
    """A configuration file with those it builds on."""
    settings = yaml.safe_load((conf_folder() / "model" / f"{name}.yaml").read_text())
    base = settings.pop("defaults", [])
    merged = {key: value for b in base for key, value in published(b).items()}
    return {**merged, **settings}


@pytest.mark.parametrize(
    ("name", "parameters", "tensors", "in_g"),
    [
        ("segdiff_monuseg", 164_154_753, 1_062, 8_782_592),
        ("segdiff_vaihingen", 159_838_209, 882, 4_466_048),
        ("segdiff_cityscapes", 162_766_017, 1_070, 10_940_864),
    ],
)
def test_published_presets_have_the_published_size(name, parameters, tensors, in_g):
    settings = published(name)
    assert settings.pop("kind") == "segdiff" and "init" not in settings
    with torch.device("meta"):
        network = SegDiff(SegDiffConfig(**settings))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors
    assert sum(p.numel() for p in network.rrdb.parameters()) == in_g
    assert network.size_multiple == (32 if "cityscapes" in name else 64)
    assert settings["dropout"] == (0.1 if "vaihingen" in name else 0.0)
    assert network.input_blocks[0][0].weight.numel() == 1_152


@pytest.mark.parametrize(
    ("name", "size", "gigaflops", "in_g"),
    [
        ("segdiff_monuseg", 256, 1706.7, 1150.2),
        ("segdiff_vaihingen", 256, 1141.4, 584.9),
        ("segdiff_cityscapes", 128, 525.3, 358.2),
    ],
)
def test_operations_of_a_published_step(name, size, gigaflops, in_g):
    settings = {k: v for k, v in published(name).items() if k not in ("kind", "init")}
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = SegDiff(SegDiffConfig(**settings)).eval()
        features = network.encode(torch.zeros(1, 3, size, size))
        once = counter.get_total_flops()
        network(torch.zeros(1, 1, size, size), torch.tensor([50]), features)
    assert once / 1e9 == pytest.approx(in_g, abs=0.06)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflops, abs=0.06)
    if size == 256 and "monuseg" in name:  # 4 windows, 9 chains of 100 steps: G once a window, or in every step
        step = counter.get_total_flops()
        assert 3600 * step / (4 * once + 3600 * (step - once)) == pytest.approx(3.06, abs=0.005)


def test_published_names_lie_where_the_published_code_has_them():
    """By the published block numbers, so that names do not only agree with our own code."""
    settings = {k: v for k, v in published("segdiff_monuseg").items() if k not in ("kind", "init")}
    with torch.device("meta"):
        names = set(SegDiff(SegDiffConfig(**settings)).state_dict())

    def having(pattern):
        return {i for i in range(28) if pattern.format(i) in names}

    downs, attention = {4, 8, 12, 16, 20, 24}, {17, 18, 19, 21, 22, 23}
    assert having("input_blocks.{}.0.op.weight") == downs
    assert having("input_blocks.{}.1.qkv.weight") == attention
    assert having("input_blocks.{}.0.in_layers.2.weight") == set(range(1, 28)) - downs
    assert having("output_blocks.{}.1.qkv.weight") == set(range(4, 12))
    assert having("output_blocks.{}.2.conv.weight") == {7, 11}  # the upsampling comes after the attention, ...
    assert having("output_blocks.{}.1.conv.weight") == {3, 15, 19, 23}  # ... or is the second layer without one
    assert {"input_blocks.0.0.weight", "middle_block.1.proj_out.bias", "out.2.weight", "time_embed.2.bias"} <= names
    assert {"rrdb.RRDB_trunk.11.RDB3.conv5.bias", "rrdb.HRconv.weight", "rrdb.conv_last.weight"} <= names
    assert "rrdb.RRDB_trunk.12.RDB1.conv1.weight" not in names
