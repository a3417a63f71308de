"""The published network, tensor for tensor."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segdiff.diffusion import samplers
from segdiff.diffusion.objectives import to_x_0_and_epsilon
from segdiff.diffusion.process import diffuse
from segdiff.diffusion.schedules import linear_schedule
from segdiff.diffusion.timesteps import respace
from segdiff.errors import ConfigError
from segdiff.models.official import config_from_official, from_official
from segdiff.models.segdiff import SegDiff, SegDiffConfig


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def tensors(path):
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def golden(shared_data):
    return shared_data / "golden" / "official_small"


@pytest.fixture(scope="module")
def network(golden):
    return from_official(load_file(golden / "model.safetensors"))


def test_rule_1_outputs_and_features(network, golden):
    data = tensors(golden / "forward.npz")
    with torch.no_grad():
        features = network.encode(data["image"])
        assert relative(features, data["G"]) <= 1e-5
        assert relative(network(data["x_t"], data["t_a"], features), data["out_a"]) <= 1e-5
        assert relative(network(data["x_t"], data["t_b"].double(), features), data["out_b"]) <= 1e-5
        other = network.encode(data["image2"])
        assert relative(other[:1], data["G2_sample0"]) <= 1e-5
        assert relative(network(data["x_t2"], data["t2"], other), data["out2"]) <= 1e-5


def test_every_block_is_where_it_was(network, golden):
    trace = json.loads((golden / "trace_a.json").read_text())
    names = dict(network.named_modules())
    seen = {}

    def keep(name):
        return lambda module, inputs, output: seen.__setitem__(name, output)

    hooks = [names[name].register_forward_hook(keep(name)) for name in trace if name in names]
    data = tensors(golden / "forward.npz")
    with torch.no_grad():
        network(data["x_t"], data["t_a"], network.encode(data["image"]))
    for hook in hooks:
        hook.remove()
    blocks = [name for name in seen if name.startswith(("input_blocks", "middle_block", "output_blocks"))]
    assert len(blocks) > 30
    for name, output in seen.items():
        assert list(output.shape) == trace[name]["shape"], name
        assert output.mean().item() == pytest.approx(trace[name]["mean"], abs=1e-5), name
        assert output.std().item() == pytest.approx(trace[name]["std"], rel=1e-4), name


def test_gradients_of_the_published_loss(network, golden):
    data = tensors(golden / "losses.npz")
    norms = json.loads((golden / "grad_norms.json").read_text())
    x_t = diffuse(data["x_start"], data["noise"], data["t"], linear_schedule(100))
    assert relative(x_t, data["x_t"]) <= 1e-6
    error = (network(x_t, data["t"], network.encode(data["image"])) - data["noise"]).square().flatten(1)
    torch.testing.assert_close(error.mean(1), data["term_mse"], rtol=1e-4, atol=0)
    torch.testing.assert_close(error.sum(1), data["term_loss"], rtol=1e-4, atol=0)
    network.zero_grad()
    error.sum(1).mean().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    network.zero_grad()
    largest = max(g.abs().max().item() for g in gradients.values())
    compared = 0
    for name, wanted in data.items():
        if name.startswith("grad__"):
            difference = (gradients[name.removeprefix("grad__")] - wanted).abs().max().item()
            assert difference <= 1e-3 * wanted.abs().max().item() + 1e-6 * largest, name
            compared += 1
    assert compared == 5
    assert norms.keys() == gradients.keys()
    for name, wanted in norms.items():
        slack = 1e-6 * largest * gradients[name].numel() ** 0.5
        assert abs(gradients[name].norm().item() - wanted) <= 1e-3 * wanted + slack, name


# Step by step; the ends of all nine are compared in tests/workflows/test_import_official.py.
CHAINS = ["ddim_20_eta0.7_clip1", "ddpm_respaced_25_clip0_fixedlarge", "ddpm_rescaled_t_respaced_10_clip1"]


@pytest.mark.parametrize("name", CHAINS)
def test_rule_1_recorded_chain(network, golden, name):
    chain = json.loads((golden / "config.json").read_text())["chains"][name]
    options, clip = chain["diffusion"], chain["clip_denoised"]
    inputs, recorded = tensors(golden / "chain_inputs.npz"), tensors(golden / "chains.npz")
    schedule = linear_schedule(options["steps"])
    spec = options["timestep_respacing"]
    times = respace(spec, 100) if spec else list(range(100))
    assert times == chain["timestep_map"]
    scale = 1000 / options["steps"] if options["rescale_timesteps"] else 1
    tolerance = 1e-4 if clip else 1e-3
    compared = []

    def watch(k, x, x_0):
        if f"{name}__step{k}" in recorded:
            compared.append(relative(x, recorded[f"{name}__step{k}"]))

    with torch.no_grad():
        features = network.encode(inputs["image"])

        def denoise(x_t, t, previous):
            said = network(x_t, t * scale, features)
            alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
            return samplers.Denoised(*to_x_0_and_epsilon(said, x_t, alpha, sigma, "epsilon"))

        common = {"noise": inputs["noise"].__getitem__, "clip": clip, "watch": watch}
        if chain["sampler"] == "ddim":
            x = samplers.ddim(denoise, inputs["x_T"], schedule, times[::-1], eta=chain["eta"], **common)
        else:
            variance = "small" if options["sigma_small"] else "large"
            x = samplers.ddpm(denoise, inputs["x_T"], schedule, times[::-1], variance=variance, **common)
    assert relative(x, recorded[f"{name}__final"]) <= tolerance
    assert len(compared) >= 4 and max(compared) <= tolerance


CONFIGS = {
    "two outputs, scale-shift": {"learned_variance": True, "scale_shift_norm": True},
    "attention everywhere": {"attention_factors": (1, 2, 4)},
    "no attention but the middle": {"attention_factors": ()},
    "other depth": {"channel_mult": (1, 3), "num_res_blocks": 2, "attention_factors": (2,)},
    "one level": {"channel_mult": (1,), "attention_factors": ()},
    "one level with attention": {"channel_mult": (1,), "attention_factors": (1,)},
    "no learned resampling": {"conv_resample": False},
    "other G": {"rrdb_blocks": 3, "rrdb_channels": 24, "rrdb_growth": 8},
    "four image channels": {"image_channels": 4},
    "deep": {"channel_mult": (1, 1, 1, 2, 2, 2), "num_res_blocks": 1, "attention_factors": (16, 32)},
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("heads", [1, 8])
def test_every_setting_is_inferred_from_the_tensors(name, heads):
    small = {"channels": 32, "channel_mult": (1, 1, 2), "num_res_blocks": 1, "attention_factors": (4,)}
    config = SegDiffConfig(**{**small, "rrdb_blocks": 1, "num_heads": heads, **CONFIGS[name]})
    weights = SegDiff(config).state_dict()
    assert config_from_official(weights, num_heads=heads) == config
    network = from_official(weights, num_heads=heads)
    assert not network.training
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("input_blocks.0.0.weight"), "input_blocks"),
        (lambda w: w.pop("rrdb.trunk_conv.bias"), "rrdb.trunk_conv.bias"),
        (lambda w: w.update({"label_emb.weight": torch.zeros(2, 4)}), "class-conditional"),
        (lambda w: w.update({"extra.weight": torch.zeros(1)}), "extra.weight"),
        (lambda w: w.update({"out.2.weight": torch.zeros(3, 32, 3, 3)}), "3 outputs"),
        (lambda w: w.clear(), "expected"),
    ],
)
def test_other_tensors_are_refused_with_a_line(change, said):
    config = SegDiffConfig(channels=32, channel_mult=(1, 1), num_res_blocks=1, attention_factors=(), rrdb_blocks=1)
    weights = dict(SegDiff(config).state_dict())
    change(weights)
    with pytest.raises(ConfigError, match=said) as error:
        from_official(weights)
    assert "\n" not in str(error.value)
