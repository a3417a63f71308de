"""Training samples: a pure function of (seed, n), the same for any number of workers and processes."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from segdiff.data.augment import build_augmentation
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.loader import TrainingSamples, batches
from segdiff.data.objects import object_diameter
from segdiff.data.protocols import resize_sample
from segdiff.errors import ConfigError, DataError, ShapeError
from segdiff.models.normalisation import Normalisation


class Made(Dataset):
    """Ten made images; image i is filled with the value i, its raters' masks tell them apart."""

    kind = "made"

    def __init__(self, count: int = 10, raters: int = 1, sizes: tuple[int, ...] = (16,), broken: int = -1):
        super().__init__("train", [str(i) for i in range(count)], None)
        self.raters, self.sizes, self.broken = raters, sizes, broken
        self.reads = 0

    def read(self, index: int) -> Sample:
        self.reads += 1
        if index == self.broken:
            raise DataError(f"{index} is broken")
        side = self.sizes[index % len(self.sizes)]
        mask = np.zeros((self.raters, 1, side, side), np.uint8)
        for rater in range(self.raters):
            mask[rater, 0, rater] = 1
        return Sample(self.names[index], np.full((side, side, 3), index, np.uint8), mask)


def as_float(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32)


def unchanged(image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return image, mask


def images_of(samples: TrainingSamples, numbers: range) -> list[int]:
    return [int(samples[n]["image"][0, 0, 0]) for n in numbers]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def samples() -> TrainingSamples:
    augment = build_augmentation({"crop": 8, "horizontal_flip": True, "rotation": 20, "brightness": 0.4})
    return TrainingSamples(Made(raters=3), as_float, augment, seed=5)


def test_a_sample_has_the_contracts_form(samples):
    sample = samples[3]
    assert sample["image"].shape == (3, 8, 8) and sample["image"].dtype == torch.float32
    assert sample["mask"].shape == (1, 8, 8) and sample["mask"].dtype == torch.float32
    assert set(sample["mask"].unique().tolist()) <= {-1.0, 1.0}
    assert sample["n"] == 3


def test_every_pass_shows_every_image_once_in_its_own_order():
    samples = TrainingSamples(Made(), as_float, unchanged, seed=0)
    passes = [images_of(samples, range(10 * p, 10 * p + 10)) for p in range(4)]
    assert all(sorted(order) == list(range(10)) for order in passes)
    assert len(set(map(tuple, passes))) == 4
    other = TrainingSamples(Made(), as_float, unchanged, seed=1)
    assert images_of(other, range(10)) != passes[0]


def test_images_that_are_repeated_come_as_often_in_a_pass():
    data = Made()
    data.repeats = [1, 3, 1, 1, 1, 1, 1, 1, 1, 2]
    samples = TrainingSamples(data, as_float, unchanged, seed=0)
    order = images_of(samples, range(13))
    assert [order.count(index) for index in range(10)] == data.repeats
    assert images_of(samples, range(13, 26)) != order


def test_sample_n_does_not_depend_on_what_was_asked_before(samples):
    fresh = TrainingSamples(Made(raters=3), as_float, samples.augment, seed=5, cache_mb=0)
    torch.manual_seed(3)
    for n in (57, 0, 12, 57):
        assert torch.equal(samples[n]["image"], fresh[n]["image"])
        assert torch.equal(samples[n]["mask"], fresh[n]["mask"])


def test_the_order_is_written_down():
    # A change would break resuming a training begun with an earlier version.
    samples = TrainingSamples(Made(), as_float, unchanged, seed=0)
    assert images_of(samples, range(10)) == [8, 7, 4, 2, 6, 5, 9, 0, 1, 3]


def test_augmentation_differs_from_sample_to_sample():
    seeds = []
    samples = TrainingSamples(Made(1), as_float, lambda i, m, s: (seeds.append(s), (i, m))[1], seed=0)
    for n in range(100):
        samples[n]
    assert len(set(seeds)) == 100


class ByMean:
    """A normalisation that takes away the mean of what it is fitted to."""

    def fit(self, image: object):
        mean = np.float32(np.asarray(image[::1, ::1]).mean())
        return lambda part: part.astype(np.float32) - mean


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_crops_is_normalised_by_itself(share):
    data = Made(1)
    data.read = lambda index: Sample(
        "0", np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3), np.zeros((1, 1, 8, 8), np.uint8)
    )
    # The mean of the upper half differs from that of the image: only a crop that was fitted to itself has mean 0.
    samples = TrainingSamples(data, ByMean(), lambda i, m, s: (i[:4], m[:, :4]), seed=0, crop_statistics=share)
    alone = [abs(float(samples[n]["image"].mean())) < 1e-3 for n in range(200)]
    assert np.mean(alone) == pytest.approx(share, abs=0.08 if 0 < share < 1 else 0)


def test_every_rater_is_drawn():
    samples = TrainingSamples(Made(1, raters=3), as_float, unchanged, seed=0)
    drawn = [int(samples[n]["mask"][0, :, 0].argmax()) for n in range(90)]
    assert min(drawn.count(rater) for rater in range(3)) > 15


def test_images_are_read_once_while_there_is_room():
    for cache_mb, reads in ((1, 10), (0, 30), (0.005, 10 + 2 * 5)):  # 1024 bytes an image, room for five
        dataset = Made(10)
        samples = TrainingSamples(dataset, as_float, unchanged, seed=0, cache_mb=cache_mb)
        for n in range(30):
            samples[n]
        assert dataset.reads == reads


def test_resizing_comes_before_the_crop():
    crops = []
    samples = TrainingSamples(
        Made(1),
        as_float,
        lambda i, m, s: (crops.append(i.shape), (i, m))[1],
        seed=0,
        prepare=lambda sample: resize_sample(sample, (32, 24)),
    )
    assert samples[0]["image"].shape == (3, 32, 24)
    assert crops == [(32, 24, 3)]


def test_a_normalisation_is_fitted_to_the_whole_image_before_augmentation():
    class Centred:
        def fit(self, image: np.ndarray):
            mean = image[::1, ::1].mean()
            return lambda part: part.astype(np.float32) - mean

        def __call__(self, image: np.ndarray) -> np.ndarray:
            raise AssertionError("must be fitted")

    samples = TrainingSamples(Made(10), Centred(), lambda i, m, s: (i[:4, :4] + 3, m[:, :4, :4]), seed=0)
    assert all(torch.equal(samples[n]["image"], torch.full((3, 4, 4), 3.0)) for n in range(10))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_samples_in_order(samples, workers):
    state = torch.get_rng_state()
    got = list(batches(samples, 4, start=3, stop=6, workers=workers))
    assert [batch["n"].tolist() for batch in got] == [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]
    for batch, n in itertools.product(got, range(4)):
        assert torch.equal(batch["image"][n], samples[int(batch["n"][n])]["image"])
        assert torch.equal(batch["mask"][n], samples[int(batch["n"][n])]["mask"])
    assert torch.equal(torch.get_rng_state(), state)  # nothing was taken from the training's generator


def test_processes_share_a_batch_in_order(samples):
    (whole,) = batches(samples, 6, 2, 3)
    parts = [next(batches(samples, 6, 2, 3, rank=rank, world=3)) for rank in range(3)]
    assert equal(whole, {key: torch.cat([part[key] for part in parts]) for key in whole})
    with pytest.raises(ConfigError, match="multiple of 4"):
        batches(samples, 6, world=4)


def test_a_copy_for_a_worker_that_is_not_forked_gives_the_same(samples):
    samples.normalise = Normalisation("per_image")
    expected = samples[4]["image"]  # its fitted function is kept now, and cannot be pickled
    assert torch.equal(pickle.loads(pickle.dumps(samples))[4]["image"], expected)


def test_without_a_stop_it_goes_on(samples):
    numbers = [batch["n"].tolist() for batch in itertools.islice(batches(samples, 2), 30)]
    assert numbers[-1] == [58, 59]
    assert list(batches(samples, 2, start=4, stop=4)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_mistake_stays_one_line(workers):
    samples = TrainingSamples(Made(broken=2), as_float, unchanged, seed=0)
    with pytest.raises(DataError) as error:
        list(batches(samples, 5, 0, 2, workers=workers))
    assert str(error.value) == "2 is broken"


def test_images_of_different_sizes_need_a_crop():
    samples = TrainingSamples(Made(sizes=(16, 20)), as_float, unchanged, seed=0)
    with pytest.raises(ShapeError, match="16 x 16, 20 x 20: set augmentation.crop"):
        next(batches(samples, 10))


def test_seeds_and_numbers_start_at_zero(samples):
    with pytest.raises(ConfigError, match="seed is -1"):
        TrainingSamples(Made(), as_float, unchanged, seed=-1)
    with pytest.raises(IndexError):
        samples[-1]


def disks(diameters: list[int], instances: bool) -> Sample:
    labels = np.zeros((200, 200), np.int32)
    rows, columns = np.indices(labels.shape)
    for i, diameter in enumerate(diameters):
        near = (rows - 30 - 60 * (i // 3)) ** 2 + (columns - 30 - 60 * (i % 3)) ** 2 < (diameter / 2) ** 2
        labels[near] = 2 * i + 1  # numbers with gaps
    image = np.zeros((200, 200, 3), np.uint8)
    return Sample("disks", image, (labels > 0)[None, None].astype(np.uint8), labels if instances else None)


@pytest.mark.parametrize("instances", [True, False])
def test_object_diameter_is_the_median_over_all_objects(instances):
    found = object_diameter([disks([10, 20], instances), disks([24, 40, 50], instances)])
    assert found == pytest.approx(24, rel=0.03)
    assert object_diameter([disks([], instances)]) is None
    assert object_diameter([]) is None


def test_touching_objects_are_one_component_unless_instances_tell_them_apart():
    labels = np.zeros((4, 4), np.int32)
    labels[:2, :2], labels[2:, 2:] = 1, 2  # they touch at a corner
    mask = (labels > 0)[None, None].astype(np.uint8)
    image = np.zeros((4, 4, 3), np.uint8)
    assert object_diameter([Sample("a", image, mask, labels)]) == pytest.approx(np.sqrt(16 / np.pi))
    assert object_diameter([Sample("a", image, mask)]) == pytest.approx(np.sqrt(32 / np.pi))


def test_training_on_the_shipped_images_shows_nuclei_and_background():
    from segdiff.data.datasets import build_dataset

    root = Path(__file__).resolve().parents[2] / "examples" / "nuclei"
    augment = build_augmentation({"crop": 128, "horizontal_flip": True})
    samples = TrainingSamples(build_dataset("folder", root, "train"), as_float, augment, seed=0)
    (batch,) = batches(samples, 9, 0, 1)
    assert batch["image"].shape == (9, 3, 128, 128) and 0.1 < (batch["mask"] > 0).float().mean() < 0.5
    dark = batch["image"].mean(dim=1, keepdim=True)
    assert dark[batch["mask"] > 0].mean() < dark[batch["mask"] < 0].mean() - 20  # nuclei are the darker ones


def test_stained_pictures_are_normalised_by_their_statistics_in_the_colours_that_are_shown():
    class Stained(Made):
        def read(self, index: int) -> Sample:
            rng = np.random.default_rng(index)
            inside = rng.random((64, 64)) < 0.3
            image = np.where(inside[..., None], [95, 65, 135], [225, 150, 190]) + rng.normal(0, 2, (64, 64, 3))
            return Sample(self.names[index], image.clip(0, 255).astype(np.uint8), inside[None, None].astype(np.uint8))

    normalisation = Normalisation("nuclear_colour")
    plain = TrainingSamples(Stained(), normalisation, build_augmentation({}), seed=0)
    faint = TrainingSamples(Stained(), normalisation, build_augmentation({"exposure": 0.4, "stain": 0.6}), seed=0)
    for n in range(4):
        nuclei = plain[n]["mask"][0] > 0
        before, after = plain[n]["image"][0], faint[n]["image"][0]
        assert float(after[nuclei].median()) == pytest.approx(float(before[nuclei].median()), abs=0.3)
        assert not torch.equal(plain[n]["image"][1:], faint[n]["image"][1:])  # but hues are shown as they became
    again = TrainingSamples(Stained(), normalisation, faint.augment, seed=0)
    assert torch.equal(faint[3]["image"], again[3]["image"])
