"""Running windows through a segmenter, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segdiff.data.resize import pad_to
from segdiff.diffusion.noise import NoiseField
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import UserError
from segdiff.inference.batching import first_guess, free_memory, is_out_of_memory
from segdiff.inference.chains import ChainStatistics
from segdiff.inference.options import BatchSize
from segdiff.inference.rescale import Grids
from segdiff.inference.source import Source
from segdiff.inference.windows import Window
from segdiff.models.device import autocast
from segdiff.models.segmenter import Segmenter

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Picture:
    """One image on its way through the windows.

    Attributes:
        source: the image on the model's grid.
        normalise: from its pixels to what the network sees.
        noise: the field of this image and seed, on the model's grid.
        grids: the way back to the image's own grid.
        padded: (height, width) that the network is given; a window may be smaller.
    """

    source: Source
    normalise: Callable[[NDArray[Any]], NDArray[np.float32]]
    noise: NoiseField
    grids: Grids
    padded: tuple[int, int]

    def network_input(self, window: Window) -> NDArray[np.float32]:
        """float32 (C, *padded), normalised."""
        part = pad_to(self.source.read(window), *self.padded)
        return np.ascontiguousarray(self.normalise(part).transpose(2, 0, 1))

    def noise_map(self, window: Window, chain: int, draw: int, channels: int) -> NDArray[np.float32]:
        """float32 (channels, *padded): the field where the window lies, padding included."""
        return self.noise.rectangle(chain, draw, window.top, window.left, *self.padded, channels)


class WindowRunner:
    """Runs windows on a device. Its only memory is which batch was too large, which changes no result.

    Args:
        segmenter: on `device` already.
        device, precision: as `segdiff.models.device` gives them.
    """

    def __init__(self, segmenter: Segmenter, device: torch.device, precision: str) -> None:
        self.segmenter, self.device, self.precision = segmenter, device, precision
        self._fitting: dict[int, int] = {}  # pixels of a window -> entries to begin with, after a failure

    def run(
        self,
        picture: Picture,
        plan: Sequence[Window],
        sampling: Sampling,
        *,
        batch_size: BatchSize = "auto",
        keep_chains: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Window, ChainStatistics]]:
        """Each window of the plan, in order, with the statistics of its chains on the image's grid.

        The statistics are of shape (h, w) for a model of one mask channel, else (M, h, w).

        Raises:
            UserError: memory does not suffice, or the network gives numbers that are not finite.
        """
        pixels = picture.padded[0] * picture.padded[1]
        if batch_size == "auto":
            entries = self._fitting.get(pixels) or first_guess(self.device, pixels, self.segmenter.finest)
        else:
            entries = batch_size
        total, done, first = len(plan) * sampling.chains, 0, 0

        def advance(entries_done: int) -> None:
            nonlocal done
            done += entries_done
            if progress is not None:
                progress(min(done, total), total)  # an ensemble may have more members than chains

        while first < len(plan):
            # G sees windows at their full size, so fewer of them go together than chains do.
            windows = entries if batch_size != "auto" else max(1, entries // self.segmenter.finest**2)
            batch, done_before = plan[first : first + windows], done
            try:
                statistics = self._run_batch(picture, batch, sampling, entries, keep_chains, advance)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if entries == 1 or batch_size != "auto":
                    raise UserError(self._memory_message(entries, picture.padded)) from error
                statistics = []
            # The retry lies outside of `except`, where the error would still hold the tensors of the failed
            # call.
            if not statistics:
                entries = self._fitting[pixels] = entries // 2
                done = done_before
                free_memory(self.device)
                continue
            yield from zip(batch, statistics, strict=True)
            first += len(batch)

    def _run_batch(
        self,
        picture: Picture,
        batch: Sequence[Window],
        sampling: Sampling,
        entries: int,
        keep_chains: bool,
        advance: Callable[[int], None],
    ) -> list[ChainStatistics]:
        channels = self.segmenter.mask_channels

        def noise(chain: int, draw: int) -> Tensor:
            return torch.from_numpy(np.stack([picture.noise_map(w, chain, draw, channels) for w in batch]))

        image = torch.from_numpy(np.stack([picture.network_input(w) for w in batch])).to(self.device)
        statistics = [ChainStatistics(keep_chains) for _ in batch]
        with _evaluating(self.segmenter), torch.inference_mode(), autocast(self.device, self.precision):
            for group in self.segmenter.sample(image, noise, sampling, group_size=entries):
                extremes = torch.stack(group.aminmax())  # which are not finite where anything is not
                soft = group.float().cpu().numpy()  # (k, N, M, h, w)
                if not extremes.isfinite().all():
                    raise UserError(
                        f"the network gives numbers that are not finite in {self.precision}; "
                        + ("try precision float32" if self.precision != "float32" else "the model is broken")
                    )
                soft = soft[:, :, 0] if channels == 1 else soft
                for n, window in enumerate(batch):
                    statistics[n].add(picture.grids.to_image(soft[:, n], window))
                advance(len(soft) * len(batch))
        return statistics

    def _memory_message(self, entries: int, size: tuple[int, int]) -> str:
        remedy = "a smaller batch size" if entries > 1 else "a smaller window or another device"
        pixels = f"{entries} x {size[0]} x {size[1]} pixels"
        return f"memory of {self.device} does not suffice for {pixels}; take {remedy}"


@contextmanager
def _evaluating(segmenter: Segmenter) -> Iterator[None]:
    """Evaluation mode within, the former mode after: training validates with the network that it trains."""
    was_training = segmenter.training
    segmenter.eval()
    try:
        yield
    finally:
        segmenter.train(was_training)
