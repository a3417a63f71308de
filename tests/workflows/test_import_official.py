"""A checkpoint of the published code becomes a model that samples as the published code did."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segdiff.artifacts.folder import load_artifact
from segdiff.cli import import_official as command
from segdiff.cli.main import main
from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.models.segdiff import SegDiff, SegDiffConfig
from segdiff.training.configs import compose
from segdiff.workflows.import_official import PRESETS, import_official, read_state_dict

SMALL = {"channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1, "attention_factors": (2,), "rrdb_blocks": 1}
CHAINS = {
    "ddpm_clip1_fixedlarge": {},
    "ddpm_clip1_fixedsmall": {},
    "ddpm_clip0_fixedlarge": {},
    "ddpm_clip0_fixedsmall": {},
    "ddim_ddim25_eta0_clip1": {"sampler": "ddim"},
    "ddim_ddim25_eta0_clip0": {"sampler": "ddim"},
    "ddim_20_eta0.7_clip1": {"sampler": "ddim", "eta": 0.7},
    "ddpm_respaced_25_clip0_fixedlarge": {},
    "ddpm_rescaled_t_respaced_10_clip1": {},
}


@pytest.fixture(scope="module")
def preset():
    return compose(["experiment=published_monuseg", "dataset.root=unused"])


@pytest.fixture
def checkpoint(tmp_path):
    """A small network's weights as the published training saves them."""
    torch.manual_seed(0)
    weights = SegDiff(SegDiffConfig(**SMALL)).state_dict()
    torch.save(weights, tmp_path / "ema.pt")
    return tmp_path / "ema.pt"


def write_args(checkpoint, **said):
    checkpoint.with_name("args.json").write_text(json.dumps(said))


def arrays(path):
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.mark.parametrize("name", CHAINS)
def test_recorded_chain_replays_through_the_public_settings(name, shared_data, preset, tmp_path):
    golden = shared_data / "golden" / "official_small"
    chain = json.loads((golden / "config.json").read_text())["chains"][name]
    torch.save(load_file(golden / "model.safetensors"), tmp_path / "ema.pt")
    options = dict(chain["diffusion"])
    write_args(
        tmp_path / "ema.pt", diffusion_steps=options.pop("steps"), clip_denoised=chain["clip_denoised"], **options
    )
    artifact, _ = import_official(tmp_path / "ema.pt", preset)
    # Which sampler runs was never an option of the published code, which has DDIM and does not use it.
    sampling = replace(artifact.sampling, chains=1, **CHAINS[name])
    inputs = arrays(golden / "chain_inputs.npz")
    wanted = arrays(golden / "chains.npz")[f"{name}__final"]

    def noise(chain, draw):
        return inputs["noise"][draw - 1] if draw else inputs["x_T"]

    (soft,) = artifact.segmenter.sample(inputs["image"], noise, sampling)
    error = ((soft[0] * 2 - 1) - wanted).abs().max() / wanted.abs().max()
    assert error.item() <= (1e-4 if sampling.clip else 1e-3)


@pytest.mark.parametrize("respacing", ["", "20", "ddim10"])
def test_learned_variance_is_sampled_by_the_published_formula(respacing, preset, tmp_path):
    torch.manual_seed(0)
    network = SegDiff(SegDiffConfig(**SMALL, learned_variance=True)).eval()
    for parameter in network.parameters():  # what begins at zero would say nothing
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    torch.save(network.state_dict(), tmp_path / "ema.pt")
    write_args(tmp_path / "ema.pt", learn_sigma=True, timestep_respacing=respacing, clip_denoised=True)
    artifact, _ = import_official(tmp_path / "ema.pt", preset)
    assert artifact.sampling.variance == "learned"
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, 16, 16, generator=generator)
    maps = torch.randn(101, 1, 1, 16, 16, generator=generator)
    (soft,) = artifact.segmenter.sample(image, lambda chain, draw: maps[draw], replace(artifact.sampling, chains=1))

    # Nichol and Dhariwal 2021, eq. 15, on the betas of the respaced process.
    kept = {"": range(100), "20": [round(i * 99 / 19) for i in range(20)], "ddim10": range(0, 100, 10)}[respacing]
    abar = np.cumprod(1 - np.linspace(0.001, 0.2, 100))[list(kept)]
    before = np.append(1.0, abar[:-1])
    betas = 1 - abar / before
    posterior = betas * (1 - before) / (1 - abar)
    low, high = np.log(np.append(posterior[1], posterior[1:])), np.log(betas)
    x = maps[0]
    with torch.no_grad():
        features = network.encode(image)
        for k, i in enumerate(reversed(range(len(abar)))):
            epsilon, v = network(x, kept[i], features).chunk(2, 1)
            x_0 = ((x - np.sqrt(1 - abar[i]) * epsilon) / np.sqrt(abar[i])).clamp(-1, 1)
            mean = np.sqrt(before[i]) * betas[i] / (1 - abar[i]) * x_0
            mean = mean + np.sqrt(1 - betas[i]) * (1 - before[i]) / (1 - abar[i]) * x
            log_variance = (v + 1) / 2 * high[i] + (1 - (v + 1) / 2) * low[i]
            x = mean + (i > 0) * (log_variance / 2).exp() * maps[k + 1]
    torch.testing.assert_close(soft[0] * 2 - 1, x, rtol=0, atol=1e-4)


def test_without_args_json_the_preset_decides(checkpoint, preset):
    artifact, notes = import_official(checkpoint, preset, "published_monuseg")
    assert artifact.sampling.chains == 9 and artifact.sampling.clip is False and artifact.sampling.times is None
    assert artifact.sampling.variance == "large" and artifact.sampling.sampler == "ddpm"
    assert artifact.diffusion["steps"] == 100 and artifact.diffusion["prediction"] == "epsilon"
    windows = {"window": 256, "overlap": 0.0, "weights": "constant", "grid": None}
    decided = {"threshold": 0.5, "temperature": 1.0, "class_name": "Nucleus"}
    assert artifact.inference == {**windows, **decided}
    assert artifact.normalisation.mean == (142.07, 98.48, 132.96)
    assert artifact.scale["mpp"] == pytest.approx(0.25 * 1000 / 512, abs=1e-6)
    assert any(note.startswith("model.channels is 32") for note in notes)  # the published network has 128


def test_args_json_says_more_than_the_preset(checkpoint, preset, tmp_path):
    write_args(
        checkpoint,
        diffusion_steps=50,
        noise_schedule="cosine",
        predict_xstart=True,
        sigma_small=True,
        rescale_timesteps=True,
        timestep_respacing="10",
        clip_denoised=True,
        dropout=0.1,
        num_heads=8,
        lr=1e-4,
        class_name="train",
    )
    elsewhere = tmp_path / "elsewhere" / "args.json"
    elsewhere.parent.mkdir()
    checkpoint.with_name("args.json").rename(elsewhere)
    artifact, notes = import_official(checkpoint, preset, args=elsewhere)
    assert artifact.diffusion["steps"] == 50 and artifact.diffusion["schedule"] == "cosine"
    assert artifact.diffusion["prediction"] == "x_0" and artifact.diffusion["rescale_times"] is True
    assert artifact.sampling.variance == "small" and artifact.sampling.clip and artifact.sampling.times == "10"
    assert artifact.model["dropout"] == 0.1 and artifact.model["num_heads"] == 8
    assert "sampling.times is 10 (the published experiment: None)" in notes


@pytest.mark.parametrize("name", PRESETS)
def test_command_makes_a_model_folder(name, checkpoint, tmp_path, capsys):
    out = tmp_path / "model"
    arguments = ["import-official", str(checkpoint), "--preset", name, "--out", str(out)]
    assert main(arguments) == 0
    assert f"model: {out}" in capsys.readouterr().out
    artifact = load_artifact(out)
    assert artifact.training["preset"] == f"published_{name}" and artifact.training["data"] == name
    for key, value in torch.load(checkpoint, weights_only=True).items():
        assert torch.equal(artifact.segmenter.network.state_dict()[key], value)
    assert main(arguments) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_presets_are_the_known_ones():
    assert command.PRESETS == PRESETS


def test_a_distributed_or_half_precision_state_dict_is_read_too(checkpoint):
    weights = torch.load(checkpoint, weights_only=True)
    torch.save({f"module.{name}": value.half() for name, value in weights.items()}, checkpoint)
    found = read_state_dict(checkpoint)
    assert found.keys() == weights.keys() and all(value.dtype == torch.float32 for value in found.values())


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_code_in_a_checkpoint_is_refused_before_it_runs(tmp_path, capsys):
    torch.save({"input_blocks.0.0.weight": Hostile()}, tmp_path / "ema.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Hostile(), protocol=2))
    for name in ("ema.pt", "bare.pt"):
        with pytest.raises(DataError, match="refused"):
            read_state_dict(tmp_path / name)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state": {}, "param_groups": []}, "state of an optimizer"),
        ([torch.zeros(1)], "not a state dict"),
        ({}, "not a state dict"),
        ({"step": 3}, "not a state dict"),
        (b"not a checkpoint", "ema.pt"),
        (b"", "ema.pt"),
    ],
)
def test_other_files_are_refused_with_a_line(content, said, tmp_path):
    path = tmp_path / "ema.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(DataError, match=said) as error:
        read_state_dict(path)
    assert "\n" not in str(error.value)


def test_missing_files(tmp_path, checkpoint, preset):
    with pytest.raises(MissingError, match=r"gone\.pt"):
        import_official(tmp_path / "gone.pt", preset)
    with pytest.raises(MissingError, match=r"gone\.json"):
        import_official(checkpoint, preset, args=tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ({"rrdb_blocks": 12}, ConfigError, "rrdb_blocks is 12, but the tensors have 1"),
        ({"learn_sigma": True}, ConfigError, "another checkpoint"),
        ({"num_heads_upsample": 2}, ConfigError, "num_heads_upsample=2"),
        ({"diffusion_steps": 10}, ConfigError, r"args\.json.*21 steps"),
        ({"timestep_respacing": "ddim33"}, ConfigError, "ddim33"),
        ({"noise_schedule": "sigmoid"}, ConfigError, "linear, cosine"),
        ({"diffusion_steps": "many"}, DataError, "diffusion_steps is 'many'"),
        ({"clip_denoised": 1}, DataError, "clip_denoised is 1"),
        ({"num_heads": True}, DataError, "num_heads is True"),
    ],
)
def test_args_json_that_does_not_fit(said, kind, message, checkpoint, preset):
    write_args(checkpoint, **said)
    with pytest.raises(kind, match=message):
        import_official(checkpoint, preset)


def test_args_json_that_is_not_json(checkpoint, preset):
    for text, message in (("{", "not JSON"), ("[1]", "by name")):
        checkpoint.with_name("args.json").write_text(text)
        with pytest.raises(DataError, match=message):
            import_official(checkpoint, preset)


def test_tensors_of_another_network(checkpoint, preset):
    weights = torch.load(checkpoint, weights_only=True)
    weights.pop("rrdb.trunk_conv.bias")
    torch.save(weights, checkpoint)
    with pytest.raises(ConfigError, match=r"ema\.pt: not a published SegDiff checkpoint.*trunk_conv"):
        import_official(checkpoint, preset)
