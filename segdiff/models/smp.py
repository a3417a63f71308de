"""Networks and encoders of segmentation-models-pytorch (MIT): the baselines, and other trunks for G."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from segdiff.errors import ConfigError
from segdiff.models.shapes import check_multiple


@dataclass(frozen=True)
class SmpConfig:
    """A network of segmentation-models-pytorch.

    Args:
        arch: its class: Unet, UnetPlusPlus, DeepLabV3Plus, Segformer, FPN, ...
        encoder: the name of its encoder: resnet34, mit_b0, tu-convnext_tiny, ...
        image_channels, mask_channels: of image and result.
    """

    arch: str = "Unet"
    encoder: str = "resnet34"
    image_channels: int = 3
    mask_channels: int = 1


class SmpNetwork(nn.Module):
    """The network, from random weights: image (N, C, H, W) to log-odds (N, M, H, W).

    Raises:
        ConfigError: an architecture or encoder that it does not know, or that do not go together.
    """

    def __init__(self, config: SmpConfig) -> None:
        super().__init__()
        self.config = config
        known = {kind.__name__.lower(): kind for kind in _architectures()}
        kind = known.get(config.arch.lower())
        if kind is None:
            names = ", ".join(kind.__name__ for kind in known.values())
            raise ConfigError(f"model.arch={config.arch} is not known; known: {names}")
        check_encoder(config.encoder)
        sizes = {"in_channels": config.image_channels, "classes": config.mask_channels}
        self.network = _built(
            lambda: kind(config.encoder, encoder_weights=None, **sizes), f"{config.arch} with {config.encoder}"
        )
        stride = getattr(self.network.encoder, "output_stride", 32)
        self.size_multiple = max(32, int(stride))

    @property
    def borrowed(self) -> Any:
        """The encoder, for pretrained weights."""
        return self.network.encoder

    def forward(self, image: Tensor) -> Tensor:
        """Raises ShapeError where H or W is not a multiple of `size_multiple`."""
        check_multiple(image, self.size_multiple)
        return self.network(image)


def smp_encoder(name: str, image_channels: int, depth: int) -> Any:
    """An encoder with random weights.

    Raises:
        ConfigError: a name that is not known, or a depth that it has not.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    check_encoder(name)
    return _built(lambda: get_encoder(name, in_channels=image_channels, depth=depth, weights=None), name)


def check_encoder(name: str) -> None:
    """ConfigError for an encoder that segmentation-models-pytorch and, for `tu-...`, timm do not know."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    if name.startswith("tu-"):
        if name.removeprefix("tu-") not in timm.list_models():
            raise ConfigError(f"model.encoder={name} is not known: timm has no model {name.removeprefix('tu-')}")
    elif name not in get_encoder_names():
        close = _close(name, get_encoder_names())
        raise ConfigError(
            f"model.encoder={name} is not known{close}; segmentation-models-pytorch lists its encoders, and tu-NAME "
            "is any of timm"
        )


def _close(name: str, names: list[str]) -> str:
    import difflib

    found = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {found[0]}?" if found else ""


def _architectures() -> list[Any]:
    import segmentation_models_pytorch as smp

    convolutional = [smp.Unet, smp.UnetPlusPlus, smp.MAnet, smp.Linknet, smp.FPN, smp.PSPNet, smp.PAN]
    return [*convolutional, smp.DeepLabV3, smp.DeepLabV3Plus, smp.UPerNet, smp.Segformer]


def _built(build: Callable[[], Any], what: str) -> Any:
    """What `build` gives; the library refuses combinations with errors of many kinds, in its own words."""
    try:
        return build()
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())[:160]
        raise ConfigError(f"model: {what} cannot be built ({said})") from error
