"""A denoiser compiled by torch.compile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segdiff.models.denoising import DiffusionSegmenter
from segdiff.models.segmenter import Segmenter


class CompiledDenoiser(nn.Module):
    """The denoiser `network` with its two calls compiled; on GPUs as recorded CUDA graphs.

    A recorded graph writes its results to the same memory each time, so they are copied: features outlive the next
    image's encoding, and an x_0 the next step.

    Args:
        network: see `segdiff.models.segmenter.Denoiser`.
        device: where it runs.
        backend: of torch.compile.
    """

    def __init__(self, network: Any, device: torch.device, backend: str = "inductor") -> None:
        super().__init__()
        self.network = network
        self.size_multiple, self.packed = network.size_multiple, getattr(network, "packed", 1)
        graphs: dict[str, Any] = {"mode": "reduce-overhead"} if device.type == "cuda" and backend == "inductor" else {}
        self._encode: Any = torch.compile(network.encode, backend=backend, **graphs)
        self._denoise: Any = torch.compile(network.forward, backend=backend, **graphs)

    def encode(self, image: Tensor) -> Any:
        features = self._encode(image)
        return features.clone() if isinstance(features, Tensor) else tuple(feature.clone() for feature in features)

    def forward(self, x_t: Tensor, t: Any, features: Any, previous: Tensor | None = None) -> Tensor:
        if isinstance(t, (int, float)):  # a number would be compiled in, one program for each
            t = torch.full((1,), float(t), device=x_t.device)
        return self._denoise(x_t, t, features, previous).clone()


def compile_segmenter(segmenter: Segmenter, device: torch.device, backend: str = "inductor") -> Segmenter:
    """The segmenter with its network compiled at the first call (which then takes a minute)."""
    if isinstance(segmenter, DiffusionSegmenter):
        segmenter.network = CompiledDenoiser(segmenter.network, device, backend)
    else:
        network: Any = getattr(segmenter, "network", segmenter)
        network.compile(backend=backend)
    return segmenter
