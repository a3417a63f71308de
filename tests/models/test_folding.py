"""Networks for prediction: folded, fused, in one precision; what they say is what the trained network says."""

import numpy as np
import pytest
import torch
from fakes import TINY_FAST
from torch import nn

import segdiff
from segdiff.artifacts.hub import any_from_pretrained
from segdiff.diffusion.noise import NoiseField
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ShapeError
from segdiff.models.build import build_segmenter
from segdiff.models.device import autocast
from segdiff.models.folding import FoldedConv, fold_segmenter
from segdiff.models.shapes import to_blocks, to_pixels
from segdiff.workflows.load import predictor_of

pytestmark = pytest.mark.usefixtures("one_thread")
DIFFUSION = {
    "schedule": "cosine",
    "signal_scale": 0.1,
    "prediction": "logits",
    "condition": "log_snr",
    "mse_weight": 0.0,
    "cross_entropy_weight": 1.0,
    "self_conditioning": 0.5,
}
SAMPLING = Sampling(sampler="ddim", steps=2, chains=4, views=2, clip=True)
IMAGE = torch.from_numpy(NoiseField(1, 0).rectangle(0, 0, 0, 0, 32, 48, 6)).reshape(2, 3, 32, 48)
CPU = torch.device("cpu")


def built(**model):
    """With weights, statistics and no zeros, as training leaves them."""
    torch.manual_seed(0)
    segmenter = build_segmenter({**TINY_FAST, **model}, DIFFUSION)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.2, 3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    for parameter in segmenter.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return segmenter.eval()


def masks(segmenter, precision="float32"):
    def noise(chain, draw):
        maps = [NoiseField(0, key).rectangle(chain, draw, 0, 0, 32, 48) for key in range(2)]
        return torch.stack([torch.from_numpy(one) for one in maps])

    with torch.inference_mode(), autocast(CPU, precision):
        return torch.cat(list(segmenter.sample(IMAGE, noise, SAMPLING))).float()


@pytest.mark.parametrize("kind", ["fast", "fast_direct"])
@pytest.mark.parametrize("finest", [4, 2])
def test_folded_is_the_same_in_float32(kind, finest):
    segmenter = built(kind=kind, finest=finest)
    before = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    folded = fold_segmenter(segmenter, "float32")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in segmenter.modules())
    assert (masks(folded) - masks(segmenter)).abs().max() < 1e-5
    after = segmenter.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in segmenter.parameters())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_call_is_convolution_norm_sum_and_activation(bias, relu, stride):
    torch.manual_seed(1)
    conv, norm = nn.Conv2d(5, 7, 3, stride, 1, bias=bias), nn.BatchNorm2d(7).eval()
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.2, 3)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 5, 12, 10)
    folded = FoldedConv(conv, norm, relu)
    with torch.no_grad():
        expected = norm(conv(x))
        other = torch.randn_like(expected)
        activate = torch.relu if relu else torch.Tensor.clone
        for fused in (False, True):  # oneDNN's own call is taken in inference mode only
            with torch.inference_mode(fused):
                assert torch.allclose(folded(x), activate(expected), atol=1e-5)
                assert torch.allclose(folded(x, other), activate(expected + other), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_blocks_are_those_of_pixel_shuffle(size):
    x = torch.randn(3, 2, 8, 12)
    blocks = to_blocks(x, size)
    assert torch.equal(blocks, nn.functional.pixel_unshuffle(x, size))
    assert torch.equal(to_pixels(blocks, size), x)


def test_a_denoiser_takes_pixels_as_well_as_blocks():
    segmenter = built()
    network = fold_segmenter(segmenter, "float32").network
    x_t, previous = torch.randn(2, 4, 1, 32, 48)
    with torch.inference_mode():
        features, expected = network.encode(IMAGE), segmenter.network.encode(IMAGE)
        for shown in (None, previous):
            of_pixels = network(x_t, -3.0, features, shown)
            assert torch.allclose(of_pixels, segmenter.network(x_t, -3.0, expected, shown), atol=1e-4)
            of_blocks = network(to_blocks(x_t, 4), -3.0, features, None if shown is None else to_blocks(shown, 4))
            assert torch.equal(to_pixels(of_blocks, 4), of_pixels)
        with pytest.raises(ShapeError, match="pad to"):
            network(torch.zeros(2, 1, 30, 48), -3.0, features)


def test_bf16_is_as_exact_as_autocast():
    segmenter = built()
    exact = masks(segmenter)
    cast, folded = masks(segmenter, "bf16"), masks(fold_segmenter(segmenter, "bf16"), "bf16")
    assert 0 < (folded - exact).abs().mean() < 1.5 * (cast - exact).abs().mean()


def test_other_networks_stay_as_they_are():
    plain = build_segmenter({"kind": "smp", "arch": "Unet", "encoder": "resnet18"}, DIFFUSION)
    assert fold_segmenter(plain, "float32") is plain


def test_what_is_loaded_for_prediction_is_folded_and_the_artifact_is_not():
    predictor = segdiff.load("nuclei", device="cpu", precision="float32")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in predictor.segmenter.modules())
    artifact = any_from_pretrained("nuclei")
    unfolded = predictor_of(artifact, "cpu", "float32")
    assert any(isinstance(module, nn.BatchNorm2d) for module in unfolded.segmenter.modules())
    rows, columns = np.mgrid[:150, :170]
    dots = np.exp(-(((rows % 30 - 15) ** 2 + (columns % 34 - 17) ** 2) / 60))
    picture = (20 + 200 * dots).astype(np.uint8)
    found, expected = predictor.predict(picture), unfolded.predict(picture)
    assert found.mask.any() and np.abs(found.probability - expected.probability).max() < 1e-5
    assert np.abs(found.uncertainty - expected.uncertainty).max() < 1e-5
