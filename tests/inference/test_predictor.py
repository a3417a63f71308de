from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import make_predictor, noisy, picture

from segdiff.diffusion.noise import NoiseField, image_key
from segdiff.errors import ConfigError, UserError
from segdiff.inference.options import InferenceSettings, PredictOptions
from segdiff.inference.rescale import Grids
from segdiff.inference.windows import Window
from segdiff.metrics import dice, iou

SIZES = [(75, 90), (32, 32), (33, 100), (20, 90), (90, 9), (1, 1), (7, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weights", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.8])
def test_windows_leave_no_seam(size, weights, overlap):
    """A segmenter that answers with the image gives the image, for sizes above and below a window."""
    image = picture(*size)
    got = make_predictor(weights=weights, overlap=overlap).predict(image)
    assert got.probability.shape == size and got.probability.dtype == np.float32
    np.testing.assert_allclose(got.probability, image[..., 0] / 255, atol=5e-7)


@pytest.mark.parametrize("size", [(32, 40), (75, 90), (64, 52)])
def test_what_a_network_gets_wrong_at_a_window_border_is_not_seen(size):
    """A network that errs by 1 in the outermost pixels of each window: no such error may show inside the picture."""

    def wrong_at_the_border(image, noise, chain):
        soft = torch.zeros_like(image[:, :1])
        soft[..., [0, -1], :] = 1
        soft[..., :, [0, -1]] = 1
        return soft

    for overlap in (0.25, 0.5):
        prediction = make_predictor(wrong_at_the_border, overlap=overlap).predict(picture(*size))
        assert prediction.probability[1:-1, 1:-1].max() < 0.03


@pytest.mark.parametrize("windows", [(16, 0.0), (24, 0.6), (31, 0.1), (None, 0.0), (500, 0.25)])
def test_windows_do_not_matter_to_a_network_without_context(windows):
    image = picture()
    predictor = make_predictor(noisy, chains=4)
    expected, got = predictor.predict(image), predictor.predict(image, windows=windows)
    np.testing.assert_allclose(got.probability, expected.probability, atol=5e-7)
    np.testing.assert_allclose(got.uncertainty, expected.uncertainty, atol=5e-6)


def test_noise_is_that_of_the_place():
    """The network gets the noise field of image and seed, at the position of the window."""
    image = picture(50, 70)
    field = NoiseField(7, image_key(image))
    chains = np.stack([image[..., 0] / 255 + 0.3 * field.rectangle(k, 0, 0, 0, 50, 70)[0] for k in range(5)])
    clamped = chains.clip(0, 1)  # first clamped, then averaged
    got = make_predictor(noisy, chains=5).predict(image, seed=7)
    np.testing.assert_allclose(got.probability, clamped.mean(0), atol=1e-6)
    np.testing.assert_allclose(got.uncertainty, clamped.std(0), atol=1e-5)
    assert np.array_equal(got.mask, got.probability > 0.5) and got.mask.dtype == bool


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_batch_size_changes_no_bit(batch_size):
    image, predictor = picture(), make_predictor(noisy, chains=5)
    expected = predictor.predict(image)
    got = predictor.predict(image, batch_size=batch_size)
    assert np.array_equal(got.probability, expected.probability)
    assert np.array_equal(got.uncertainty, expected.uncertainty)


def test_batch_size_bounds_the_calls():
    predictor = make_predictor(noisy, chains=5)
    predictor.predict(picture(), batch_size=3)
    assert max(chains * windows for chains, windows in predictor.segmenter.calls) == 3
    predictor.segmenter.calls.clear()
    predictor.predict(picture(20, 20), batch_size=3)
    assert predictor.segmenter.calls == [(3, 1), (2, 1)]


def test_order_of_images_does_not_matter():
    first, second = picture(seed=1), picture(seed=2)
    predictor = make_predictor(noisy, chains=2)
    one = [predictor.predict(image).probability for image in (first, second)]
    other = [predictor.predict(image).probability for image in (second, first)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_chain_does_not_depend_on_their_number():
    image, predictor = picture(40, 50), make_predictor(noisy, chains=3)
    few = predictor.predict(image, keep_chains=True)
    many = predictor.predict(image, keep_chains=True, sampling=replace(predictor.sampling, chains=30))
    assert few.chains.shape == (3, 40, 50) and many.chains.shape == (30, 40, 50)
    assert np.array_equal(few.chains, many.chains[:3])
    np.testing.assert_allclose(many.chains.mean(0), many.probability, atol=1e-6)
    assert predictor.predict(image).chains is None


def test_seed_and_image_decide_the_noise():
    image, predictor = picture(), make_predictor(noisy)
    assert np.array_equal(predictor.predict(image).probability, predictor.predict(image, seed=0).probability)
    assert not np.array_equal(predictor.predict(image).probability, predictor.predict(image, seed=1).probability)


def test_uncertainty_is_zero_without_noise_and_none_for_one_chain():
    image = picture()
    assert np.all(make_predictor(chains=9).predict(image).uncertainty == 0)
    single = make_predictor(noisy, chains=1).predict(image, keep_chains=True)
    assert single.uncertainty is None
    assert single.chains.shape == (1, *image.shape[:2])
    assert np.array_equal(single.chains[0], single.probability)


def test_uncertainty_of_chains_that_disagree():
    def zero_or_one(image, noise, chain):
        return torch.full_like(noise, float(chain % 2))

    got = make_predictor(zero_or_one, chains=4).predict(picture())
    np.testing.assert_allclose(got.probability, 0.5, atol=1e-7)
    np.testing.assert_allclose(got.uncertainty, 0.5, atol=1e-7)
    assert not got.mask.any()  # a tie is background


def test_threshold():
    image, predictor = picture(), make_predictor(threshold=0.2)
    assert np.array_equal(predictor.predict(image).mask, predictor.predict(image, threshold=0.2).mask)
    assert predictor.predict(image, threshold=0.9).mask.mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ConfigError, match="threshold=1.5"):
        predictor.predict(image, threshold=1.5)


def test_published_windows_give_the_published_mask(shared_data):
    """Four windows of 256 side by side, nine recorded chains each: clamped, and their mean above 1/2."""
    folder = shared_data / "golden" / "aggregate"
    with np.load(folder / "windows.npz") as file:
        recorded = {key.rpartition("__")[2]: file[key] for key in file.files}
    names = sorted(recorded)
    samples = next(recorded[name] for name in names if name.startswith("samples")) / 4.0
    truth, mask = (
        next(recorded[name] for name in names if name.endswith(end)).reshape(512, 512) for end in ("gt", "mask")
    )

    def replay(image, noise, chain):
        numbers = (image[:, 0, 0, 0] * 255).round().long()  # the colour of a window says which one it is
        return torch.from_numpy(samples[chain].astype(np.float32) + 1)[numbers] / 2

    image = np.kron(np.array([[0, 1], [2, 3]], np.uint8), np.ones((256, 256), np.uint8))
    predictor = make_predictor(replay, chains=9, window=256, overlap=0.0)
    got = predictor.predict(image).mask
    assert np.array_equal(got, mask != 0)
    scores = json.loads((folder / "expected.json").read_text())["windows_512"]
    assert dice(got, truth) == pytest.approx(scores["f1"], abs=1e-9)
    assert iou(got, truth) == pytest.approx(scores["iou"], abs=1e-9)


def test_several_mask_channels():
    def two(image, noise, chain):
        return image[:, :2]

    image = picture()
    got = make_predictor(two, mask_channels=2, chains=2).predict(image, keep_chains=True)
    np.testing.assert_allclose(got.probability, image[..., :2].transpose(2, 0, 1) / 255, atol=5e-7)
    assert got.uncertainty.shape == got.mask.shape == (2, 75, 90) and got.chains.shape == (2, 2, 75, 90)


def test_window_is_rounded_up_to_what_the_network_admits():
    predictor = make_predictor(window=20, size_multiple=16)  # the fake refuses other sizes
    np.testing.assert_allclose(predictor.predict(picture()).probability, picture()[..., 0] / 255, atol=5e-7)


# Scale


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    wave = 127 + 100 * np.sin(rows / 17) * np.cos(columns / 23)
    return np.repeat(wave[..., None], 3, axis=2).round().astype(np.uint8)


@pytest.mark.parametrize("scale", [0.4, 0.512, 1.5])
@pytest.mark.parametrize("windows", [(32, 0.5), (None, 0.0)])
def test_results_come_back_to_the_grid_of_the_image(scale, windows):
    image = smooth(120, 150)
    got = make_predictor(chains=2).predict(image, scale=scale, windows=windows)
    assert got.probability.shape == (120, 150)
    np.testing.assert_allclose(got.probability, image[..., 0] / 255, atol=0.03)
    # Each chain is brought back before the spread is taken; both are equal here.
    assert np.all(got.uncertainty == 0)


def test_scale_changes_what_the_network_sees():
    sizes = []

    def look(image, noise, chain):
        sizes.append(tuple(image.shape[-2:]))
        return image[:, :1]

    make_predictor(look).predict(smooth(120, 160), scale=0.5, windows=(None, 0.0))
    assert sizes == [(64, 80)]  # 60 x 80 on the model's grid, padded to multiples of 8


def test_mpp_is_the_ratio_to_that_of_the_model():
    predictor = make_predictor(scale={"mpp": 0.5, "object_diameter_px": None})
    image = smooth(60, 80)
    assert predictor.scale_factor(PredictOptions(mpp=0.25)) == 0.5
    assert np.array_equal(
        predictor.predict(image, mpp=0.25).probability, predictor.predict(image, scale=0.5).probability
    )
    assert predictor.scale_factor(PredictOptions()) == 1.0


@pytest.mark.parametrize("given", [{"mpp": 0.25, "scale": 2.0}, {"scale": 0.0}, {"scale": float("nan")}, {"mpp": -1.0}])
def test_contradictory_scales_are_refused(given):
    with pytest.raises(ConfigError):
        make_predictor(scale={"mpp": 0.5}).predict(picture(), **given)


def test_mpp_for_a_model_without_one_names_the_scale():
    with pytest.raises(ConfigError, match="--scale"):
        make_predictor(scale={"mpp": None}).predict(picture(), mpp=0.25)


# Memory, precision, modes


def limited(most, error):
    """Answers like `red`, but fails on calls of more than `most` entries."""

    def answer(image, noise, chain):
        if len(image) > most:
            raise error
        return image[:, :1]

    return answer


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ],
)
def test_a_failed_allocation_halves_the_batch(error):
    image, predictor = picture(), make_predictor(limited(2, error))
    told = []
    got = predictor.predict(image, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(got.probability, image[..., 0] / 255, atol=5e-7)
    assert max(windows for _, windows in predictor.segmenter.calls) > 2
    assert told[-1] == (12, 12)
    predictor.segmenter.calls.clear()
    predictor.predict(image)  # remembered: no failure a second time
    assert max(windows for _, windows in predictor.segmenter.calls) == 2


def test_progress_does_not_count_what_a_failed_batch_had_done():
    def fails_in_its_second_chain(image, noise, chain):
        if chain == 1 and len(image) > 2:
            raise MemoryError
        return image[:, :1]

    told = []
    make_predictor(fails_in_its_second_chain, chains=3).predict(picture(), progress=lambda *at: told.append(at))
    # Batches of 16, 8 and 4 entries end their first chain and fail in the second; pairs of windows succeed.
    assert [done for done, _ in told] == [12, 8, 4, *range(2, 37, 2)]


def test_memory_that_does_not_suffice_is_one_line():
    failing = make_predictor(limited(0, MemoryError()))
    with pytest.raises(UserError, match="smaller window"):
        failing.predict(picture())
    with pytest.raises(UserError, match="smaller batch size"):
        failing.predict(picture(), batch_size=4)


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="shapes differ"):
        make_predictor(limited(0, RuntimeError("shapes differ"))).predict(picture())


def test_numbers_that_are_not_finite_are_an_error():
    with pytest.raises(UserError, match="not finite"):
        make_predictor(lambda image, noise, chain: noise / 0).predict(picture())


def test_the_segmenter_evaluates_and_then_goes_on_training():
    predictor = make_predictor()
    predictor.segmenter.train()
    predictor.predict(picture())
    assert not any(predictor.segmenter.modes) and predictor.segmenter.training


def test_progress_counts_chains_times_windows():
    told = []
    make_predictor(noisy, chains=3).predict(picture(), batch_size=2, progress=lambda *at: told.append(at))
    assert told[0] == (2, 36) and told[-1] == (36, 36)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_impossible_settings_are_refused():
    for settings in ({"window": 0}, {"overlap": 1.0}, {"weights": "cosine"}, {"threshold": 2.0}):
        with pytest.raises(ConfigError):
            InferenceSettings(**settings)
    with pytest.raises(ConfigError, match="batch_size"):
        make_predictor().predict(picture(), batch_size=0)


@pytest.mark.parametrize("name", ["same_size", "resize_up", "resize_down", "ties_and_clipping"])
def test_published_votes_on_a_grid_give_the_published_mask(name, shared_data):
    """The crop is seen at one size; each vote comes back to the truth's, is clamped, and the nine are averaged."""
    folder = shared_data / "golden" / "aggregate"
    with np.load(folder / "votes.npz") as votes:
        samples, truth, expected = (votes[f"{name}__{what}"] for what in ("samples", "gt", "mask"))
    truth, expected = (array.reshape(array.shape[-2:]) for array in (truth, expected))

    def replay(image, noise, chain):
        return (torch.from_numpy(samples[chain])[None] + 1) / 2

    grid = samples.shape[-2:]
    predictor = make_predictor(replay, chains=9, window=max(grid), overlap=0.0, size_multiple=1)
    got = predictor.predict(np.zeros((*truth.shape, 3), np.uint8), grid=grid).mask
    assert np.array_equal(got, expected != 0)
    scores = json.loads((folder / "expected.json").read_text())[name]
    assert dice(got, truth) == pytest.approx(scores["f1"], abs=1e-9)
    assert iou(got, truth) == pytest.approx(scores["iou"], abs=1e-9)


def test_a_model_with_a_grid_sees_every_picture_at_its_size():
    sizes = []

    def note(image, noise, chain):
        sizes.append(tuple(image.shape[-2:]))
        return image[:, :1]

    predictor = make_predictor(note, grid=(16, 24), window=32)
    image = picture(50, 31)
    prediction = predictor.predict(image)
    assert prediction.probability.shape == (50, 31) and set(sizes) == {(16, 24)}  # smaller than a window
    whole = Grids((50, 31), (16, 24), fixed=True)
    seen = whole.to_model(image)[..., 0] / 255
    np.testing.assert_allclose(prediction.probability, whole.to_image(seen, Window(0, 0, 16, 24)), atol=1e-6)
    for wrong in ({"mpp": 0.5}, {"scale": 2.0}):
        with pytest.raises(ConfigError, match="sees every picture at 16 x 24"):
            predictor.predict(image, **wrong)
    with pytest.raises(ConfigError, match="grid"):
        predictor.predict(image, grid=(0, 4))
