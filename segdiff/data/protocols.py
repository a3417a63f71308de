"""Protocols of scoring: what is resized, cut and compared. They never fix how a model samples."""

from __future__ import annotations

from dataclasses import dataclass

from segdiff.data.datasets.base import Sample
from segdiff.data.resize import resize_image, resize_truth, to_grid, truth_to_grid
from segdiff.errors import ConfigError


@dataclass(frozen=True)
class Protocol:
    """How images reach a model and how its masks are scored.

    Attributes:
        name: "paper" or "native".
        resize: (height, width) that image and truth are resized to before anything else; None: as they are.
        grid: (height, width) that the network sees after that, the picture being resized bilinearly without
            averaging and each chain's soft mask coming back to the truth's size; None: the model's own setting.
        window: side of the windows in pixels; None: the model's own setting.
        overlap: of neighbouring windows, as a share of the window; None: the model's own setting.
        adapt_scale: whether the predictor may resize the image to the model's micrometres per pixel.
        metrics: names of the scores that are given unless others are asked for (`segdiff.metrics`).
    """

    name: str
    resize: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    window: int | None = None
    overlap: float | None = None
    adapt_scale: bool = True
    metrics: tuple[str, ...] = ("dice", "iou")

    def prepare(self, sample: Sample) -> Sample:
        """The sample as the protocol shows it to the predictor and scores it."""
        return sample if self.resize is None else resize_sample(sample, self.resize)

    def as_seen(self, sample: Sample) -> Sample:
        """The sample as the network sees it: what training begins with."""
        sample = self.prepare(sample)
        if self.grid is None or sample.image.shape[:2] == self.grid:
            return sample
        return Sample(
            sample.name,
            to_grid(sample.image, self.grid),
            truth_to_grid(sample.mask, self.grid),
            None if sample.instances is None else truth_to_grid(sample.instances, self.grid),
        )

    def mpp(self, mpp: float | None, height: int) -> float | None:
        """Micrometres per pixel after `prepare` of an image of that height; None stays None."""
        if mpp is None or self.resize is None:
            return mpp
        return mpp * height / self.resize[0]


# The images as they are: any data set.
NATIVE = Protocol("native")
# As published, by the kind of the data set; own code can add its own.
PAPER = {
    # 512 x 512, four windows side by side.
    "monuseg": Protocol("paper", resize=(512, 512), window=256, overlap=0.0, adapt_scale=False),
    # One window; the four scores of the published table.
    "vaihingen": Protocol(
        "paper",
        resize=(256, 256),
        window=256,
        overlap=0.0,
        adapt_scale=False,
        metrics=("dice", "iou", "wcov_published", "fbound_published"),
    ),
    # Crops of any size are seen at 128 x 128 and scored at their own size.
    "cityscapes": Protocol("paper", grid=(128, 128), window=128, overlap=0.0, adapt_scale=False),
}


def get_protocol(name: str, kind: str) -> Protocol:
    """The protocol of that name for data sets of that kind.

    Raises:
        ConfigError: no such protocol, or it is not defined for this kind.
    """
    if name == "native":
        return NATIVE
    if name != "paper":
        raise ConfigError(f"no protocol {name!r}; there are native, paper")
    if kind not in PAPER:
        raise ConfigError(f"protocol 'paper' is defined for {', '.join(PAPER)}, not for {kind}: take 'native'")
    return PAPER[kind]


def default_protocol(kind: str) -> str:
    """The name of the protocol made for data sets of that kind: "paper" where there is one."""
    return "paper" if kind in PAPER else "native"


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize by Pillow: BILINEAR (it averages when it shrinks) for the image, NEAREST for the truth."""
    return Sample(
        sample.name,
        resize_image(sample.image, size),
        resize_truth(sample.mask, size),
        None if sample.instances is None else resize_truth(sample.instances, size),
    )
