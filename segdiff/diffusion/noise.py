"""Noise as a function of position, not as a stream; and the draws of training as a function of the sample number.

Everything here comes from raw words of the counter-based generator Philox 4x64 (Salmon et al. 2011), turned into
normals by Box-Muller in this file, because numpy promises no stream for its own `standard_normal`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
SIZE = BLOCK**2
PART = 8 * SIZE  # words that become normals at a time: with what is made on the way they fit a cache
_MASK = (1 << 64) - 1


def image_key(image: Any) -> int:
    """A 64-bit key of an image by what it shows: shape, type and a lattice of up to 64 x 64 of its pixels.

    image: anything with `shape` (H, W) or (H, W, C), `dtype`, and slices with a stride (numpy, a memory map, zarr).
    File names, order and byte order change nothing.
    """
    height, width = image.shape[:2]
    lattice = np.asarray(image[:: -(-height // 64), :: -(-width // 64)])
    lattice = lattice.astype(lattice.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{tuple(int(n) for n in image.shape)} {lattice.dtype.name} ".encode())
    digest.update(np.ascontiguousarray(lattice).tobytes())
    return int.from_bytes(digest.digest(), "little")


def normals(key: tuple[int, int], counter: tuple[int, int, int], count: int) -> NDArray[np.float32]:
    """`count` (even) standard normals, a pure function of key and counter (each entry taken modulo 2^64).

    Box and Muller 1958: a radius from the upper 53 bits of one word, in double precision (its logarithm reaches 8.6
    deviations), an angle from the upper 24 bits of the next, in single precision, as the result is.
    """
    words, out, scratch = _Words(key).read(counter, count), np.empty(count, dtype=np.float32), _scratch()
    for first in range(0, count, PART):
        _box_muller(words[first : first + PART], out[first : first + PART], *scratch)
    return out


def _scratch() -> tuple[NDArray[Any], ...]:
    """Memory for `_box_muller`, to be used again: fresh memory costs as much as the arithmetic in it."""
    return tuple(np.empty(PART // 2, dtype=kind) for kind in ("u8", "f8", "f4", "f4", "f4"))


def _box_muller(words: NDArray[np.uint64], out: NDArray[np.float32], *scratch: NDArray[Any]) -> None:
    """Normals of at most PART words (an even number), pair by pair, into `out` of the same length."""
    whole, real, radius, angle, wave = (one[: len(words) // 2] for one in scratch)
    np.right_shift(words[0::2], np.uint64(11), out=whole)
    whole += np.uint64(1)
    np.multiply(whole.view(np.int64), 2.0**-53, out=real)  # in (0, 1]; signed integers are converted sooner
    np.log(real, out=real)
    real *= -2.0
    np.sqrt(real, out=real)
    radius[...] = real
    np.right_shift(words[1::2], np.uint64(40), out=whole)
    angle[...] = whole.view(np.int64)
    angle *= np.float32(2.0**-24 * 2.0 * np.pi)
    np.multiply(radius, np.cos(angle, out=wave), out=out[0::2])
    np.multiply(radius, np.sin(angle, out=wave), out=out[1::2])


class _Words:
    """Raw words of Philox 4x64 under one key, at any counter, from one generator: making one takes a fifth as long as
    a block."""

    def __init__(self, key: tuple[int, int]) -> None:
        self._generator: Any = np.random.Philox(key=np.array([k & _MASK for k in key], dtype=np.uint64))
        self._state: Any = {**self._generator.state, "buffer_pos": 4}  # 4: no word is left over
        self._counter = self._state["state"]["counter"]

    def read(self, counter: tuple[int, int, int], count: int) -> NDArray[np.uint64]:
        """`count` words from there on."""
        # The generator adds one to the lowest word of its counter for every four words; the other three are ours.
        self._counter[0] = 0
        for place, value in enumerate(counter, start=1):
            self._counter[place] = value & _MASK
        self._generator.state = self._state
        return self._generator.random_raw(count)


class NoiseField:
    """Standard normal noise over an unbounded grid, for one image and one seed.

    The value at (chain, draw, channel, row, column) depends on nothing else, so that every window, in any order,
    batch, process or machine, sees its part of one picture of noise. Made in blocks of 64 x 64. Threads may ask
    at once, and gain by it: most of the time is spent outside of Python's lock.

    Args:
        seed: any integer.
        key: of the image, from `image_key`.
    """

    def __init__(self, seed: int, key: int) -> None:
        self.seed, self.key = seed, key

    def rectangle(
        self, chain: int, draw: int, top: int, left: int, height: int, width: int, channels: int = 1
    ) -> NDArray[np.float32]:
        """Noise of rows top .. top + height - 1 and columns left .. left + width - 1: (channels, height, width).

        Draw 0 is x_T, draw k + 1 the noise of evaluation k. top and left are 0 or more.
        """
        out = np.empty((channels, height, width), dtype=np.float32)
        rows = range(top // BLOCK, (top + height - 1) // BLOCK + 1)
        columns = range(left // BLOCK, (left + width - 1) // BLOCK + 1)
        places = [(channel, row, column) for channel in range(channels) for row in rows for column in columns]
        generator, scratch = _Words((self.seed, self.key)), _scratch()
        words, normal = np.empty(PART, dtype=np.uint64), np.empty(PART, dtype=np.float32)
        for first in range(0, len(places), PART // SIZE):
            together = places[first : first + PART // SIZE]
            for i, (channel, row, column) in enumerate(together):
                counter = ((chain << 32) | draw, channel, (row << 32) | column)
                words[i * SIZE : (i + 1) * SIZE] = generator.read(counter, SIZE)
            count = len(together) * SIZE
            _box_muller(words[:count], normal[:count], *scratch)
            blocks = normal[:count].reshape(-1, BLOCK, BLOCK)
            for block, (channel, row, column) in zip(blocks, together, strict=True):
                y0, x0 = row * BLOCK - top, column * BLOCK - left
                target = out[channel, max(y0, 0) : y0 + BLOCK, max(x0, 0) : x0 + BLOCK]
                part = block[max(-y0, 0) :, max(-x0, 0) :]
                target[...] = part[: target.shape[0], : target.shape[1]]
        return out


class TrainingDraw:
    """The random numbers of a batch of training samples, each a pure function of (seed, sample number, purpose).

    Args:
        seed: of the training run.
        samples: sample numbers n of the batch, in order.
    """

    def __init__(self, seed: int, samples: Sequence[int]) -> None:
        self.seed, self.samples = seed, [int(n) for n in samples]

    def uniform(self, purpose: int) -> NDArray[np.float64]:
        """One number in [0, 1) for each sample: (N,)."""
        words = [_Words((self.seed, n)).read((purpose, 1, 0), 1)[0] for n in self.samples]
        return np.asarray(np.array(words, dtype=np.uint64) >> np.uint64(11), dtype=np.float64) * 2.0**-53

    def integers(self, high: int, purpose: int) -> NDArray[np.int64]:
        """One integer in 0 .. high - 1 for each sample: (N,)."""
        return (self.uniform(purpose) * high).astype(np.int64)

    def normal(self, shape: Sequence[int], purpose: int) -> NDArray[np.float32]:
        """Standard normals for each sample: (N, *shape)."""
        count = int(np.prod(shape))
        rows = [normals((self.seed, n), (purpose, 2, 0), count + count % 2)[:count] for n in self.samples]
        return np.stack(rows).reshape(len(rows), *shape)
