"""A network for prediction: batch norms folded into convolutions, activations fused with them, in one precision.

In evaluation mode a batch norm is a factor and a shift for each channel, which a convolution before it can do by its
own weights. Training and saved weights know nothing of it: what is folded is a copy.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdiff.models.fast import DirectNetwork, FastSegDiff, ModulatedBlock
from segdiff.models.image_encoder import BasicBlock
from segdiff.models.segmenter import Segmenter
from segdiff.models.shapes import check_multiple, to_blocks, to_pixels

LAYOUT = torch.channels_last  # the faster one on GPUs and CPUs (benchmarks/layout.py), and what oneDNN can add to


class FoldedConv(nn.Module):
    """relu(conv(x) + other), the convolution with the batch norm that followed it.

    On CPUs in one call of oneDNN, which spares two passes over memory.

    Args:
        conv: the convolution.
        norm: that follows it, if any.
        relu: whether a ReLU follows.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, relu: bool) -> None:
        super().__init__()
        weight, bias = conv.weight.detach().double(), conv.bias
        shift = torch.zeros(len(weight), dtype=torch.float64) if bias is None else bias.detach().double()
        if norm is not None:
            factor, shift = _affine(norm, shift)
            weight = weight * factor[:, None, None, None]
        weight = weight.to(conv.weight.dtype, memory_format=LAYOUT)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
        self.relu = relu
        self.padding, self.stride = cast("tuple[int, int]", conv.padding), conv.stride
        self.dilation, self.groups = conv.dilation, conv.groups

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        if _fuses(x, other):
            settings = (self.padding, self.stride, self.dilation, self.groups)
            relu = "relu" if self.relu else None
            fused = torch.ops.mkldnn._convolution_pointwise
            if other is None:
                return fused(x, self.weight, self.bias, *settings, relu or "none", [], "")
            return fused.binary(x, other, self.weight, self.bias, *settings, "add", 1.0, relu, [], "")
        out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        out = out if other is None else out.add_(other)
        return F.relu(out, inplace=True) if self.relu else out


class FoldedBlock(nn.Module):
    """A `BasicBlock` in two calls, and a third where its skip is a convolution."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1 = FoldedConv(block.conv1, block.norm1, relu=True)
        self.conv2 = FoldedConv(block.conv2, block.norm2, relu=True)
        self.skip = _folded(block.skip)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x), self.skip(x))


class FoldedModulatedBlock(nn.Module):
    """A `ModulatedBlock` whose convolution adds its input."""

    def __init__(self, block: ModulatedBlock) -> None:
        super().__init__()
        self.conv = FoldedConv(block.conv, None, relu=False)
        self.block = block

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(self.block.modulated(x, time), x)


class PredictionNetwork(nn.Module):
    """A folded network in one precision throughout, without autocast: image to log-odds.

    Args:
        network: that of `DirectNetwork`.
        dtype: of weights and of everything between image and result.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network: Any = network.to(dtype)
        self.dtype = dtype
        self.size_multiple = self.network.size_multiple

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return self.network(image.to(self.dtype, memory_format=LAYOUT))


class PredictionDenoiser(nn.Module):
    """A folded denoiser in one precision throughout, without autocast.

    Its x_t, previous x_0 and result may be of pixels, or of blocks of `packed` by `packed` pixels as channels
    (`segdiff.models.shapes.to_blocks`), which is how it sees them.

    Args:
        network: with its encoder folded.
        dtype: as of `PredictionNetwork`.
    """

    def __init__(self, network: FastSegDiff, dtype: torch.dtype) -> None:
        super().__init__()
        # Of blocks, the first layer is one of 1 x 1; where there is no previous x_0 yet, half of it is enough.
        now, before = network.enter.weight.chunk(2, 1)
        bias = network.enter.bias
        self.enter_now, self.enter_before = _pointwise(now, bias).to(dtype), _pointwise(before, None).to(dtype)
        self.network = network.to(dtype)
        self.dtype, self.packed, self.size_multiple = dtype, network.finest, network.size_multiple

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(image.device.type, enabled=False):
            return self.network.encode(image.to(self.dtype, memory_format=LAYOUT))

    def forward(self, x_t: Tensor, t: Any, features: Any, previous: Tensor | None = None) -> Tensor:
        if x_t.shape[2:] != features[0].shape[2:]:
            check_multiple(x_t, self.size_multiple)
            before = None if previous is None else to_blocks(previous, self.packed)
            return to_pixels(self(to_blocks(x_t, self.packed), t, features, before), self.packed)
        with torch.autocast(x_t.device.type, enabled=False):
            entered = self.enter_now(x_t.to(self.dtype, memory_format=LAYOUT))
            if previous is not None:
                entered = self.enter_before(previous.to(self.dtype, memory_format=LAYOUT), entered)
            return self.network.blocks(entered, t, features)


def fold_segmenter(segmenter: Segmenter, precision: str) -> Segmenter:
    """A copy of a segmenter for prediction alone; one with layers of other libraries is given back as it is.

    In float32 its soft masks differ from those of the original by at most 1e-5.

    precision: "bf16" or "float32", in which it will be run.
    """
    network: Any = getattr(segmenter, "network", None)
    if not isinstance(network, (FastSegDiff, DirectNetwork)) or network.config.encoder is not None:
        return segmenter
    copied: Any = copy.deepcopy(segmenter).eval().requires_grad_(False)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    folded: Any = _folded(copied.network)
    kind = PredictionDenoiser if isinstance(network, FastSegDiff) else PredictionNetwork
    copied.network = kind(folded, dtype)
    return copied


def _folded(module: nn.Module) -> nn.Module:
    """The module, changed in place, or what takes its place."""
    if isinstance(module, BasicBlock):
        return FoldedBlock(module)
    if isinstance(module, ModulatedBlock):
        return FoldedModulatedBlock(module)
    if type(module) is nn.Sequential:
        return nn.Sequential(*_folded_run(list(module)))
    for name, child in module.named_children():
        setattr(module, name, _folded(child))
    return module


def _folded_run(layers: list[nn.Module]) -> list[nn.Module]:
    """Layers that run one after the other."""
    found: list[nn.Module] = []
    while layers:
        layer = _folded(layers.pop(0))
        if isinstance(layer, nn.Conv2d):
            norm = layers.pop(0) if layers and isinstance(layers[0], nn.BatchNorm2d) else None
            relu = layers.pop(0) if layers and isinstance(layers[0], nn.ReLU) else None
            layer = FoldedConv(layer, cast("nn.BatchNorm2d | None", norm), relu is not None)
        found.append(layer)
    return found


def _pointwise(weight: Tensor, bias: Tensor | None) -> FoldedConv:
    """A convolution over (width, M, f, f) pixels at stride f, of blocks of these: (width, M f^2, 1, 1)."""
    conv = nn.Conv2d(weight[0].numel(), len(weight), 1, bias=bias is not None, device=weight.device)
    conv.weight.data = weight.detach().flatten(1)[..., None, None]
    if bias is not None:
        conv.bias = bias
    return FoldedConv(conv, None, relu=False)


def _affine(norm: nn.BatchNorm2d, shift: Tensor) -> tuple[Tensor, Tensor]:
    """What a batch norm makes of x + shift: factor and shift of each channel, float64."""
    mean, variance = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    factor = norm.weight.detach().double() / torch.sqrt(variance + norm.eps)
    return factor, norm.bias.detach().double() + (shift - mean) * factor


def _fuses(x: Tensor, other: Tensor | None) -> bool:
    """Whether oneDNN has the fused call for such inputs; compilers fuse by themselves."""
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        return False
    operators = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not hasattr(operators, "_convolution_pointwise"):
        return False
    if other is not None and not (x.is_contiguous(memory_format=LAYOUT) and other.is_contiguous(memory_format=LAYOUT)):
        return False
    return x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and operators._is_mkldnn_bf16_supported())
