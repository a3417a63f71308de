from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import reference_objects as reference
import tifffile
import torch
from fakes import make_predictor
from scipy import ndimage

from segdiff.errors import ConfigError
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.objects import describe_objects, separate, shares_of_chains, typical_diameter
from segdiff.workflows.outputs import OBJECT_OUTPUTS, save_prediction


def disc(y, x, radius, shape=(60, 80)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


TOUCHING = disc(30, 25, 14) | disc(30, 50, 14)
CORES = (disc(30, 25, 6) | disc(30, 50, 6)).astype(np.float32)


@pytest.mark.parametrize("core", [None, CORES], ids=["by distance", "by core"])
def test_touching_objects_are_told_apart(core):
    assert ndimage.label(TOUCHING)[1] == 1
    labels = separate(TOUCHING, core)
    assert labels.dtype == np.int32 and labels.max() == 2
    assert np.array_equal(labels > 0, TOUCHING)
    assert labels[30, 20] != labels[30, 55] and 0 not in (labels[30, 20], labels[30, 55])


def test_a_part_without_a_core_is_an_object_all_the_same():
    alone = TOUCHING | disc(8, 70, 6)
    labels = separate(alone, CORES)
    assert labels.max() == 3 and labels[8, 70] not in (0, labels[30, 25], labels[30, 50])


def test_specks_are_left_out_and_holes_filled():
    mask = TOUCHING.copy()
    mask[2, 2] = True
    mask[30, 25] = False
    labels = separate(mask, np.where(mask, CORES, 0))
    assert labels.max() == 2 and labels[2, 2] == 0 and labels[30, 25] == labels[30, 20]


def test_nothing():
    none = np.zeros((5, 6), bool)
    labels = separate(none, None)
    assert labels.shape == (5, 6) and not labels.any()
    assert describe_objects(labels, labels.astype(np.float32), None, None) == []
    assert typical_diameter(none, None) is None


def test_each_object_hangs_together_by_its_sides():
    rng = np.random.default_rng(0)
    probability = ndimage.gaussian_filter(rng.random((120, 120)), 3).astype(np.float32)
    mask = probability > np.median(probability)
    labels = separate(mask, None)
    assert labels.max() > 10
    for number in range(1, labels.max() + 1):
        assert ndimage.label(labels == number)[1] == 1


def test_many_specks_are_not_what_is_typical():
    mask = np.zeros((200, 200), bool)
    mask[20:40, 20:40] = mask[60:80, 20:40] = True
    mask[100::8, ::8] = True  # specks of a pixel
    assert separate(mask, None).max() == 2


def test_a_pen_mark_does_not_make_specks_of_nuclei():
    mask, core = np.zeros((200, 200), bool), np.zeros((200, 200), np.float32)
    mask[100:, 50:] = True  # nobody sees a core in it
    for left in range(10, 190, 30):
        mask[20:36, left : left + 16], core[24:32, left + 4 : left + 12] = True, 1
    mask[60, 60] = True
    labels = separate(mask, core)
    assert labels.max() == 7 and labels[60, 60] == 0


def test_a_speck_that_touches_an_object_falls_to_it():
    mask, core = np.zeros((30, 40), bool), np.zeros((30, 40), np.float32)
    mask[5:25, 5:25] = mask[14:16, 25:29] = True
    core[10:20, 10:20] = core[14:16, 27:29] = 1
    labels = separate(mask, core)
    assert labels.max() == 1 and np.array_equal(labels > 0, mask)


def maps(seed):
    """A mask with touching objects, specks and holes, and its middles; of up to 110 pixels a side."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 110, 2)

    def clouds(width):
        field = ndimage.gaussian_filter(rng.random(size), width)
        return ((field - field.min()) / max(np.ptp(field), 1e-9)).astype(np.float32)

    field = clouds(rng.choice([0.7, 1.5, 3.0]))
    mask = field > np.quantile(field, rng.uniform(0.2, 0.8))
    if seed % 3 == 0:
        mask ^= rng.random(size) < 0.02
    return mask, clouds(rng.choice([0.7, 1.0, 2.0]))


@pytest.mark.parametrize("kind", ["float32", "float64", "steps", "distance"])
def test_objects_are_those_of_the_straightforward_way(kind):
    numbers = 0
    for seed in range(30):
        mask, core = maps(seed)
        core = {"float64": core.astype(np.float64), "steps": np.round(core * 8) / 8, "distance": None}.get(kind, core)
        expected = reference.separate(mask, core, ties=kind in ("steps", "distance"))
        assert np.array_equal(separate(mask, core), expected), seed
        numbers += expected.max()
    assert numbers > 300


def test_rings_within_rings():
    rows, columns = np.mgrid[:61, :61]
    away = np.hypot(rows - 30, columns - 30)
    mask = (away > 25) | ((away > 15) & (away < 20)) | (away < 8)
    core = np.where(mask, 0.9, 0).astype(np.float32)
    assert np.array_equal(separate(mask, core), reference.separate(mask, core, ties=True))
    cut = mask.copy()
    cut[:, 60] = cut[0] = False  # nothing is a hole that is open at the border
    cut[28:33, 50:] = False
    for other in (cut, cut[::-1, ::-1], mask & (away < 28)):
        core = np.where(other, 0.9, 0).astype(np.float32)
        assert np.array_equal(separate(other, core), reference.separate(other, core, ties=True))


def test_a_part_is_divided_alike_wherever_it_lies():
    """With steps of an eighth, of which many tie: as probabilities computed in bf16 do."""
    mask, core = maps(1)
    mask[0] = mask[-1] = mask[:, 0] = mask[:, -1] = False
    core = np.round(core * 8) / np.float32(8)
    alone = separate(mask, core)
    # Beside itself: what is typical stays, and with it what is a speck.
    pair = separate(np.tile(mask, (2, 2)), np.tile(core, (2, 2)))
    found = pair[mask.shape[0] :, mask.shape[1] :]
    assert alone.max() > 10
    assert np.array_equal(found > 0, alone > 0)
    assert len(np.unique(found * 10_000 + alone)) == len(np.unique(alone))


def test_shares_of_chains_are_those_of_the_straightforward_way():
    for seed in range(8):
        mask, core = maps(seed)
        labels = separate(mask, core)
        moved = [separate(ndimage.shift(mask, (k, 0), order=0), core) for k in range(3)]
        assert shares_of_chains(labels, moved).tolist() == reference.shares_of_chains(labels, moved)


def test_what_is_said_of_objects_is_what_scipy_says():
    mask, core = maps(4)
    labels = separate(mask, core)
    numbers = range(1, labels.max() + 1)
    found = describe_objects(labels, core, None, None)
    centres = np.array(ndimage.center_of_mass(mask, labels, numbers)) + 0.5
    assert [(one.y, one.x) for one in found] == list(map(tuple, centres))
    assert [one.probability for one in found] == list(ndimage.mean(core, labels, numbers))
    assert [one.area for one in found] == [int((labels == number).sum()) for number in numbers]


def test_typical_diameter():
    assert typical_diameter(TOUCHING, CORES) == pytest.approx(28, rel=0.03)
    assert typical_diameter(disc(30, 30, 10), None) == pytest.approx(20, rel=0.03)
    # Parts without a core are objects all the same.
    assert typical_diameter(disc(15, 20, 10) | disc(45, 60, 10), CORES * 0) == pytest.approx(20, rel=0.03)
    assert typical_diameter(disc(15, 20, 10) | disc(45, 60, 10), disc(15, 20, 4) * 1.0) == pytest.approx(20, rel=0.03)


def test_confidence_is_the_share_of_chains():
    labels = np.zeros((4, 8), np.int32)
    labels[:, :3], labels[:, 4:7] = 1, 2
    other = np.where(labels == 2, 9, 0).astype(np.int32)  # has the second only, under another number
    half = labels.copy()
    half[2:] = 0  # an IoU of one half is none
    assert shares_of_chains(labels, [labels, other, half, labels]).tolist() == [0.5, 0.75]


def test_a_chain_is_cut_where_the_mask_is():
    """Chains are raw: a threshold of 0.4 after a temperature of 2 is one of 0.31 before it."""

    def pale(image, noise, chain):
        return torch.where(image[:, :1] > 0.5, 0.35, 0.1)

    image = np.zeros((40, 40, 3), np.uint8)
    image[10:30, 10:30] = 255
    model = make_predictor(pale, chains=2, threshold=0.4, temperature=2.0)
    prediction = model.predict(image, keep_chains=True)
    assert prediction.chain_threshold == pytest.approx(0.3077, abs=1e-4)
    _, (nucleus,) = prediction.objects()
    assert nucleus.confidence == 1 and nucleus.area == 400
    assert model.predict(image, threshold=0.5).chain_threshold == 0.5
    other = make_predictor(pale, chains=2, threshold=0.3, identity="b@2")
    both = Ensemble([model, other]).predict(image, keep_chains=True)
    assert both.chain_threshold == pytest.approx((0.3077 + 0.3) / 2, abs=1e-4)


def two_channels(image, noise, chain):
    """Red is the mask and green its core; in the second chain there is no left half."""
    said = image[:, :2].clone()
    if chain == 1:
        said[..., : said.shape[-1] // 2] = 0
    return said


@pytest.fixture
def slide():
    image = np.zeros((60, 80, 3), np.uint8)
    image[TOUCHING, 0] = 255
    image[CORES > 0, 1] = 255
    return image


def test_a_model_with_cores_predicts_a_mask_and_tells_apart(slide, tmp_path):
    predictor = make_predictor(two_channels, chains=3, mask_channels=2, target="instances", window=None)
    prediction = predictor.predict(slide, keep_chains=True)
    assert prediction.probability.shape == (60, 80) and prediction.uncertainty.shape == (60, 80)
    assert prediction.chains.shape == prediction.core_chains.shape == (3, 60, 80)
    assert np.array_equal(prediction.mask, TOUCHING)
    labels, found = prediction.objects()
    assert labels.max() == 2
    left, right = sorted(found, key=lambda one: one.x)
    assert (left.confidence, right.confidence) == (pytest.approx(2 / 3), 1)
    assert right.probability > left.probability and left.uncertainty > right.uncertainty
    assert (round(left.y, 1), round(right.y, 1)) == (30.5, 30.5) and left.x < 38 < right.x
    paths = save_prediction(prediction, tmp_path, "slide", OBJECT_OUTPUTS, mpp=0.5)
    assert np.array_equal(tifffile.imread(paths["labels"]), labels)
    rows = list(csv.DictReader(paths["objects"].read_text().splitlines()))
    assert [int(row["area"]) for row in rows] == [one.area for one in found]
    assert float(rows[0]["area_um2"]) == found[0].area / 4 and float(rows[0]["x_um"]) == pytest.approx(
        found[0].x / 2, abs=1e-4
    )
    features = json.loads(paths["outlines"].read_text())["features"]
    areas = [feature["properties"]["measurements"]["Area µm^2"] for feature in features]
    assert areas == [one.area / 4 for one in found]


def test_one_chain_and_no_mpp_leave_cells_empty(slide, tmp_path):
    predictor = make_predictor(two_channels, mask_channels=2, target="instances", window=None)
    paths = save_prediction(predictor.predict(slide), tmp_path, "slide", OBJECT_OUTPUTS)
    first, *_ = csv.DictReader(paths["objects"].read_text().splitlines())
    assert first["area"] and first["probability"] and first["uncertainty"] == first["confidence"] == ""
    assert not any(name.endswith(("_um", "_um2")) for name in first)


def test_scale_brings_cores_back_too(slide):
    def answer(image: torch.Tensor, noise, chain):
        return image[:, :2]

    predictor = make_predictor(answer, mask_channels=2, target="instances", window=None)
    prediction = predictor.predict(slide, scale=2.0)
    assert prediction.core.shape == (60, 80) and prediction.instances().max() == 2


def test_an_ensemble_has_the_mean_of_cores_and_the_chains_of_all(slide):
    def paler(image, noise, chain):
        return 0.9 * image[:, :2]

    settings = {"mask_channels": 2, "target": "instances", "window": None}
    members = [
        make_predictor(two_channels, chains=2, identity="one@1", **settings),
        make_predictor(paler, chains=1, identity="two@2", **settings),
    ]
    prediction = Ensemble(members).predict(slide, keep_chains=True)
    one, two = (member.predict(slide).core for member in members)
    assert np.allclose(prediction.core, (one + two) / 2) and prediction.core_chains.shape == (3, 60, 80)
    labels, found = prediction.objects()
    assert labels.max() == 2
    assert sorted(one.confidence for one in found) == pytest.approx([2 / 3, 1])
    with pytest.raises(ConfigError, match="predict other targets"):
        Ensemble([members[0], make_predictor(two_channels, mask_channels=2, identity="three@3")])


def test_one_chain_gives_no_confidence(slide):
    predictor = make_predictor(two_channels, mask_channels=2, target="instances", window=None)
    prediction = predictor.predict(slide, keep_chains=True)
    assert prediction.confidence(prediction.instances()) is None


def test_a_temperature_leaves_objects_as_they_are():
    rng = np.random.default_rng(1)
    image = np.stack([ndimage.gaussian_filter(rng.random((90, 90)), 3) for _ in range(3)], -1)
    image = ((image - image.min()) / np.ptp(image) * 255).astype(np.uint8)
    predictor = make_predictor(two_channels, mask_channels=2, target="instances", window=None)
    plain, tempered = (predictor.predict(image, temperature=t).instances() for t in (1.0, 2.0))
    assert plain.max() > 3 and np.array_equal(plain, tempered)
