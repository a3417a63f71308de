"""The weights of a fast network for one that is twice as fine: it sees at once what it saw in an enlarged picture.

A network that knows objects of 20 pixels goes on with objects of 10: all its layers keep their weights, and the few
that touch pixels are changed so that they say of a picture what they said of the enlarged one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from segdiff.errors import ConfigError

STEM = "encoder.trunk.stem.0.weight"
HEADS = ("direct.layers.3.", "leave.")
# Pixels 2i - 2 ... 2i + 2 of a picture enlarged twice (bilinear), as mixtures of its pixels i - 2 ... i + 2.
ENLARGED = (
    (0.25, 0.75, 0.00, 0.00, 0.0),
    (0.00, 0.75, 0.25, 0.00, 0.0),
    (0.00, 0.25, 0.75, 0.00, 0.0),
    (0.00, 0.00, 0.75, 0.25, 0.0),
    (0.00, 0.00, 0.25, 0.75, 0.0),
)


def finer_weights(state: Mapping[str, Tensor], mask_channels: int) -> dict[str, Tensor]:
    """From the weights of `FastSegDiff` with finest=4 and its own trunk to those of the same with finest=2.

    Away from the borders the new network says of a picture what the old one says, on the average of 2 x 2 pixels, of
    the picture enlarged twice (bilinear; x_t and the previous x_0 by repeating pixels).

    Args:
        state: of the network, or of a segmenter that holds it as `network`.
        mask_channels: M.
    Raises:
        ConfigError: weights of another network.
    """
    prefix = "network." if f"network.{STEM}" in state else ""
    enter, stem = f"{prefix}enter.weight", f"{prefix}{STEM}"
    if stem not in state or enter not in state or state[enter].shape[2:] != (4, 4):
        raise ConfigError("finer weights are made from those of model=fast with model.finest=4 and model.encoder=null")
    found = dict(state)
    mixed = torch.tensor(ENLARGED, dtype=state[stem].dtype, device=state[stem].device)
    found[stem] = torch.einsum("ocyx,yi,xj->ocij", state[stem], mixed, mixed)
    found[enter] = state[enter].unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))
    for name, weight in state.items():
        if name.removeprefix(prefix).startswith(HEADS):
            # Rows are (mask channel, row, column) of a block of 4 x 4 pixels: see torch.nn.PixelShuffle.
            blocks = weight.view(mask_channels, 2, 2, 2, 2, *weight.shape[1:])
            found[name] = blocks.mean((2, 4)).flatten(0, 2)
    return found
