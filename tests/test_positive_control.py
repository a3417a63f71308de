"""The made-up law of benchmarks/positive_control.py: what is computed of it is what its draws show."""

from dataclasses import replace

import numpy as np
import positive_control
import pytest
import torch
from discs import PRESENCE, SHIFTS, SIZE, Discs, count_objects, scene

from segdiff.metrics.sample_dispersion import dispersion
from segdiff.models.build import build_segmenter

DRAWS = 3000


@pytest.fixture(scope="module")
def one():
    return scene(3)


@pytest.fixture(scope="module")
def drawn(one):
    return one.draw(np.random.default_rng(0), DRAWS)


def test_marginals(one, drawn):
    np.testing.assert_allclose(drawn.mean(0), one.marginal(), atol=5 * 0.5 / DRAWS**0.5)


def test_area_and_count(one, drawn):
    for values, law in (
        (drawn.sum((1, 2)), one.area_law()),
        (np.array([count_objects(mask) for mask in drawn]), one.count_law()),
    ):
        support = np.arange(law.size)
        mean, variance = law @ support, law @ support**2 - (law @ support) ** 2
        assert law.sum() == pytest.approx(1)
        assert values.mean() == pytest.approx(mean, abs=5 * (variance / DRAWS) ** 0.5)
        assert values.var() == pytest.approx(variance, rel=0.15)
        seen = np.bincount(values, minlength=law.size) / DRAWS
        assert np.abs(np.cumsum(seen) - np.cumsum(law)).max() < 1.63 / DRAWS**0.5  # Kolmogorov and Smirnov, 1 %


def test_largest_discs_stay_apart_and_smallest_are_no_specks():
    for number in range(20):
        s = scene(number)
        n = len(s.presence)
        for shift in (SHIFTS[0], SHIFTS[-1]):
            assert count_objects((s.reach <= shift) & (s.owner < n)) == n
        assert ((s.presence >= PRESENCE[0]) & (s.presence <= PRESENCE[1])).all()


def test_the_exact_denoiser(one, drawn):
    x_0 = torch.from_numpy(drawn[:400, None].astype(np.float32) * 2 - 1)
    epsilon = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    # All noise: the marginals. No noise: the mask.
    np.testing.assert_allclose(one.posterior_mean(epsilon, 1e-4, 1.0)[0, 0], 2 * one.marginal() - 1, atol=5e-3)
    np.testing.assert_allclose(one.posterior_mean(x_0[:5], 1.0, 0.1), x_0[:5], atol=1e-4)
    # Between: a posterior mean is orthogonal to what it leaves over, and better than the marginals.
    said = one.posterior_mean(0.1 * x_0 + 0.995 * epsilon, 0.1, 0.995)
    left = x_0 - said
    products = (said * left).mean((1, 2, 3))
    assert abs(float(products.mean())) < 4 * float(products.std()) / 20
    assert left.square().mean() < 0.8 * (x_0 - torch.from_numpy(2 * one.marginal() - 1)).square().mean()


def test_chains_of_the_exact_denoiser_follow_the_law():
    scenes, generator = [scene(i, 1) for i in range(12)], np.random.default_rng(2)
    sampling = replace(positive_control.SAMPLINGS["ddpm25"], chains=39)
    found = positive_control.exact_chains(scenes, sampling, 0.1)
    rows = [positive_control.score(s, masks, s.draw(generator, 39)) for s, masks in zip(scenes, found, strict=True)]
    summary = positive_control.summarise([rows])
    assert summary["dispersion"]["mean"] == pytest.approx(1, abs=0.05)
    assert summary["count_sd"]["mean"] == pytest.approx(1, abs=0.15)
    assert summary["area_cover"]["mean"] == pytest.approx(0.9, abs=0.05)


def test_pictures_are_functions_of_their_number():
    a, b = Discs(5, seed=2), Discs(9, seed=2)
    np.testing.assert_array_equal(a[4].image, b[4].image)
    np.testing.assert_array_equal(a[4].mask, b[4].mask)
    assert (a[3].image != a[4].image).any() and (Discs(5, seed=3)[4].image != a[4].image).any()
    assert a[0].mask.shape == (1, 1, SIZE, SIZE)


def test_scores_tell_the_law_from_what_is_too_narrow_and_too_wide():
    generator, scenes = np.random.default_rng(1), [scene(i, 1) for i in range(30)]
    rows = {}
    for s in scenes:
        truths = s.draw(generator, 39)
        for name, masks in positive_control.baselines(s, generator, 39).items():
            rows.setdefault(name, []).append(positive_control.score(s, masks, truths))
    found = {name: positive_control.summarise([row]) for name, row in rows.items()}
    law, pixels, shared = (found[n] for n in ("the law", "independent pixels", "shared threshold"))
    for number in ("count", "area"):
        assert law[f"{number}_cover"]["mean"] == pytest.approx(0.9, abs=0.04)
        assert law[f"{number}_sd"]["mean"] == pytest.approx(1, abs=0.1)
        assert pixels[f"{number}_cover"]["mean"] < 0.75 and shared[f"{number}_cover"]["mean"] > 0.99
        assert pixels[f"{number}_sd"]["mean"] < 0.9 and shared[f"{number}_sd"]["mean"] > 2
        assert law[f"{number}_crps"]["mean"] < min(s[f"{number}_crps"]["mean"] for s in (pixels, shared))
    assert law["dispersion"]["mean"] == pytest.approx(1, abs=0.02)
    pairs = [(row["within"], row["between"]) for row in rows["the law"]]
    assert law["dispersion"]["mean"] == pytest.approx(dispersion(pairs))
    assert positive_control.line("the law", law).count("|") == 10


@pytest.mark.parametrize("recipe", positive_control.RECIPES)
def test_recipes_can_be_built_and_sampled(recipe):
    model, diffusion, sampling = positive_control.RECIPES[recipe]
    segmenter = build_segmenter(model, diffusion)
    for how in (sampling, *positive_control.SAMPLINGS.values()):
        segmenter.check(how)


def test_a_recipe_trains_and_samples(tmp_path):
    segmenter = positive_control.train("plain", 0, 2, tmp_path)
    sampling = replace(positive_control.RECIPES["plain"][2], chains=3)
    scenes = [scene(i, 1) for i in range(2)]
    found = list(positive_control.chains(segmenter, scenes, sampling))
    assert [masks.shape for masks in found] == [(3, SIZE, SIZE)] * 2
    again = positive_control.train("plain", 0, 2, tmp_path)  # finished: loaded
    for a, b in zip(segmenter.parameters(), again.parameters(), strict=True):
        assert (a == b).all()
