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
    words = _words(key, counter, count)
    uniform = ((words[0::2] >> np.uint64(11)) + np.uint64(1)) * 2.0**-53  # in (0, 1]
    radius = np.sqrt(-2.0 * np.log(uniform)).astype(np.float32)
    angle = (words[1::2] >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24 * 2.0 * np.pi)
    out = np.empty(count, dtype=np.float32)
    np.multiply(radius, np.cos(angle), out=out[0::2])
    np.multiply(radius, np.sin(angle), out=out[1::2])
    return out


def _words(key: tuple[int, int], counter: tuple[int, int, int], count: int) -> NDArray[np.uint64]:
    # The generator adds one to the lowest word of the counter for every four words it gives; the other three are ours.
    start = np.array([0, *(c & _MASK for c in counter)], dtype=np.uint64)
    generator = np.random.Philox(key=np.array([k & _MASK for k in key], dtype=np.uint64), counter=start)
    return generator.random_raw(count)


class NoiseField:
    """Standard normal noise over an unbounded grid, for one image and one seed.

    The value at (chain, draw, channel, row, column) depends on nothing else, so that every window, in any order,
    batch, process or machine, sees its part of one picture of noise. Made in blocks of 64 x 64.

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
        for channel in range(channels):
            for row in range(top // BLOCK, (top + height - 1) // BLOCK + 1):
                for column in range(left // BLOCK, (left + width - 1) // BLOCK + 1):
                    block = self._block(chain, draw, channel, row, column)
                    y0, x0 = row * BLOCK - top, column * BLOCK - left
                    ys, xs = slice(max(y0, 0), y0 + BLOCK), slice(max(x0, 0), x0 + BLOCK)
                    part = block[max(-y0, 0) :, max(-x0, 0) :]
                    target = out[channel, ys, xs]
                    target[...] = part[: target.shape[0], : target.shape[1]]
        return out

    def _block(self, chain: int, draw: int, channel: int, row: int, column: int) -> NDArray[np.float32]:
        counter = ((chain << 32) | draw, channel, (row << 32) | column)
        return normals((self.seed, self.key), counter, BLOCK * BLOCK).reshape(BLOCK, BLOCK)


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
        words = [_words((self.seed, n), (purpose, 1, 0), 1)[0] for n in self.samples]
        return np.asarray(np.array(words, dtype=np.uint64) >> np.uint64(11), dtype=np.float64) * 2.0**-53

    def integers(self, high: int, purpose: int) -> NDArray[np.int64]:
        """One integer in 0 .. high - 1 for each sample: (N,)."""
        return (self.uniform(purpose) * high).astype(np.int64)

    def normal(self, shape: Sequence[int], purpose: int) -> NDArray[np.float32]:
        """Standard normals for each sample: (N, *shape)."""
        count = int(np.prod(shape))
        rows = [normals((self.seed, n), (purpose, 2, 0), count + count % 2)[:count] for n in self.samples]
        return np.stack(rows).reshape(len(rows), *shape)
