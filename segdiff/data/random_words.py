"""Random numbers by name: whoever asks for the same words of the same stream gets the same, in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Streams: the order of images in a pass, what is drawn for a training sample, how much a box of Cityscapes grows.
ORDER, SAMPLE, BOX = 1, 2, 3


def random_words(seed: int, stream: int, number: int, count: int) -> NDArray[np.uint64]:
    """Return raw words of numpy's Philox, a counter-based generator, which numpy keeps the same in all versions.

    Args:
        seed: 0 or more.
        stream: one of those above; words of different streams have nothing to do with each other.
        number: of the item in the stream, 0 or more.
        count: how many.
    Returns:
        uint64 (count,).
    """
    counter = np.array([0, 0, number, stream], dtype=np.uint64)
    words: Any = np.random.Philox(key=seed, counter=counter).random_raw(count)
    return words
