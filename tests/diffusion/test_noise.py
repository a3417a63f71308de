import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from segdiff.diffusion.noise import NoiseField, TrainingDraw, _Words, image_key, normals

PINNED_FIELD = [0.89399016, 0.81187612, -0.53376633, 1.086651]
PINNED_DRAW = [0.27852878, 0.46642074, 1.4880663]
WORDS = "c0d976f4b65b47b4216e4100e9295a0305109fedef2ee843345210636b9502f7"  # SHA-256, of the first release


def test_values_never_change():
    # Pinned on the first release: a trained model's masks depend on them.
    field = NoiseField(seed=0, key=123456789)
    np.testing.assert_allclose(field.rectangle(2, 1, 70, 5, 1, 4)[0, 0], PINNED_FIELD, rtol=1e-6)
    np.testing.assert_allclose(TrainingDraw(7, [3]).normal((1, 1, 3), 1).ravel(), PINNED_DRAW, rtol=1e-6)


def straightforward(seed, key, chain, draw, channel, row, column):
    """A block as it was made at first, to be equalled to the last bit: a generator for itself, pair by pair."""
    counter = np.array([0, (chain << 32) | draw, channel, (row << 32) | column], dtype=np.uint64)
    words = np.random.Philox(key=np.array([seed, key], dtype=np.uint64), counter=counter).random_raw(64 * 64)
    uniform = ((words[0::2] >> np.uint64(11)) + np.uint64(1)) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform)).astype(np.float32)
    angle = (words[1::2] >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24 * 2.0 * np.pi)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(64, 64)


def test_fast_noise_has_the_values_of_the_straightforward_to_the_last_bit():
    field = NoiseField(7, 2**63 + 11)
    found = field.rectangle(3, 2, 64, 128, 4 * 64, 3 * 64, channels=2)  # more blocks than are made at a time
    for channel, row, column in np.ndindex(2, 4, 3):
        block = found[channel, row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
        expected = straightforward(7, 2**63 + 11, 3, 2, channel, row + 1, column + 2)
        assert block.tobytes() == expected.tobytes(), (channel, row, column)
    long, short = normals((1, -2), (3, 4, 5), 70_000), normals((1, -2), (3, 4, 5), 10)
    assert long[:10].tobytes() == short.tobytes()


def test_words_are_those_that_were_recorded():
    # Of integers, so that the hash is the same on every machine (logarithms and sines differ in their last bits).
    words = _Words((5, -99))
    read = [words.read((2**40 + row, row, -row), 1000).astype("<u8").tobytes() for row in range(3)]
    assert hashlib.sha256(b"".join(read)).hexdigest() == WORDS
    assert words.read((2**40, 0, 0), 1000).astype("<u8").tobytes() == read[0]


def test_threads_change_nothing():
    field = NoiseField(5, 99)
    alone = [field.rectangle(chain, 0, 3, 5, 200, 300) for chain in range(8)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda chain: field.rectangle(chain, 0, 3, 5, 200, 300), range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_every_window_sees_its_part_of_one_field():
    field = NoiseField(5, 99)
    whole = field.rectangle(0, 0, 0, 0, 200, 300, channels=2)
    for top, left, height, width in ((0, 0, 64, 64), (63, 63, 2, 2), (100, 37, 90, 263), (199, 299, 1, 1)):
        part = field.rectangle(0, 0, top, left, height, width, channels=2)
        np.testing.assert_array_equal(part, whole[:, top : top + height, left : left + width])


def test_field_is_standard_normal_and_streams_are_independent():
    base = NoiseField(0, 1).rectangle(0, 0, 0, 0, 512, 512)
    count = base.size
    assert abs(base.mean()) < 4 / np.sqrt(count)
    assert abs(base.var() - 1) < 4 * np.sqrt(2 / count)
    assert abs((base**4).mean() - 3) < 4 * np.sqrt(96 / count)
    others = [
        NoiseField(1, 1).rectangle(0, 0, 0, 0, 512, 512),
        NoiseField(0, 2).rectangle(0, 0, 0, 0, 512, 512),
        NoiseField(0, 1).rectangle(1, 0, 0, 0, 512, 512),
        NoiseField(0, 1).rectangle(0, 1, 0, 0, 512, 512),
        NoiseField(0, 1).rectangle(0, 0, 64, 0, 512, 512),
        NoiseField(0, 1).rectangle(0, 0, 0, 0, 512, 512, channels=2)[1:],
        np.roll(base, 1, axis=2),
    ]
    for other in others:
        assert abs((base * other).mean()) < 4.5 / np.sqrt(count)


def test_key_is_of_the_pixels_alone():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (130, 70, 3), dtype=np.uint8)
    assert image_key(image) == image_key(np.asfortranarray(image))
    assert image_key(image.astype(">u2")) == image_key(image.astype("<u2"))
    assert image_key(image) != image_key(image.astype(np.uint16))
    assert image_key(image) != image_key(image[:, :69])
    changed = image.copy()
    changed[0, 0, 0] += 1
    assert image_key(image) != image_key(changed)


def test_training_draws_belong_to_the_sample_not_to_the_batch():
    batch = TrainingDraw(3, [10, 11, 12])
    alone = TrainingDraw(3, [12])
    np.testing.assert_array_equal(batch.normal((1, 9, 7), 1)[2], alone.normal((1, 9, 7), 1)[0])
    assert batch.uniform(0)[2] == alone.uniform(0)[0]
    assert TrainingDraw(4, [12]).uniform(0) != alone.uniform(0)
    times = TrainingDraw(0, range(4000)).integers(100, 0)
    assert times.min() == 0 and times.max() == 99
    assert times.mean() == pytest.approx(49.5, abs=4 * 28.9 / np.sqrt(4000))
