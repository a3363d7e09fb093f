"""EfficientNet-Lites with five taps, in the layout of their PyTorch weights.

EfficientNet without squeeze-and-excitation and with relu6 (the Lite family of Tan, Le,
EfficientNet, ICML 2019): backbones that train on two CPU cores.
"""

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from wsgcn_jax.models.convolutions import Padding, conv, depthwise_conv, scaled
from wsgcn_jax.models.layers import BatchNorm, apply_valid, downsample_valid, relu
from wsgcn_jax.types import Features

_EPSILON = 1e-3
_relu6 = partial(relu, limit=6.0)


class _Stage(NamedTuple):
    """A run of blocks: widening, kernel size, stride of the first, channels out, blocks."""

    expand: int
    size: int
    stride: int
    features: int
    repeats: int


STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)
"""The stages of Lite0, before the larger ones are widened and deepened."""

_DIVISOR = 8  # channels of every stage are multiples of it
_OUTPUT_STRIDES = (32, 16, 8)
_TAPS = {0: 0, 1: 1, 2: 2, 4: 3}
_TORCH_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def scaled_stages(width: float, depth: float) -> tuple[_Stage, ...]:
    """Widens and deepens the stages; the first and the last keep their number of blocks.

    Args:
        width: factor on the channels, rounded to the nearest multiple of 8 that is not more than
            a tenth below.
        depth: factor on the number of blocks, rounded up.
    """

    def features(stage: _Stage) -> int:
        wanted = stage.features * width
        near = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
        return near if near >= 0.9 * wanted else near + _DIVISOR

    def repeats(stage: _Stage) -> int:
        return stage.repeats if stage in (STAGES[0], STAGES[-1]) else ceil(stage.repeats * depth)

    return tuple(s._replace(features=features(s), repeats=repeats(s)) for s in STAGES)


def torch_name(path: Sequence[str]) -> str:
    """Gives the PyTorch weights' name of one of this network's variables.

    Args:
        path: the keys from the backbone's tree down to the leaf, without the collection:
            `("blocks_3", "depthwise_conv", "kernel")`.

    Returns:
        For instance `_blocks.3._depthwise_conv.weight`.
    """
    *modules, leaf = path
    names = ["_" + module.replace("blocks_", "blocks.") for module in modules]
    return ".".join([*names, _TORCH_LEAVES[leaf]])


class Conv(nn.Module):
    """Convolution without bias in TensorFlow's SAME padding of an even-sized picture.

    Attributes:
        features: output channels; None = depthwise, as many as come in.
        size: of the kernel, odd.
        stride: of rows and columns, 1 or 2.
        dilation: distance of the kernel's taps.
    """

    features: int | None
    size: int
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, factor: jax.Array | None = None) -> jax.Array:
        """Convolves `[b, h, w, c] f32` to `[b, ceil(h / stride), ceil(w / stride), d]`.

        Args:
            x: the picture.
            factor: `[d] f32`, what every channel is multiplied by; None = 1.
        """
        channels = x.shape[-1]
        depthwise = self.features is None
        shape = (self.size, self.size, *((1, channels) if depthwise else (channels, self.features)))
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", init, shape)
        convolve = partial(
            depthwise_conv if depthwise else conv,
            stride=self.stride,
            dilation=self.dilation,
            padding=_same_padding(x.shape[1:3], self.size, self.stride, self.dilation),
        )
        return scaled(convolve, x, kernel, factor)


def _same_padding(shape: Sequence[int], size: int, stride: int, dilation: int) -> Padding:
    """Gives the zeros round rows and columns; odd sizes first grow by one at stride 2."""
    total = (size - 1) * dilation + 1 - stride
    return [(total // 2, total - total // 2 + side % stride) for side in shape]


class InvertedResidual(nn.Module):
    """1x1 widening, depthwise convolution, 1x1 narrowing, and a shortcut where shapes allow.

    Attributes:
        expand: how many times wider the middle is; 1 = no widening convolution.
        size: of the depthwise kernel.
        features: output channels.
        stride: of the depthwise convolution.
        dilation: of the depthwise convolution.
    """

    expand: int
    size: int
    features: int
    stride: int
    dilation: int

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None) -> jax.Array:
        """Maps `[b, h, w, c] f32` (`valid` `[b, h, w] bool`) to `[b, H, W, features] f32`."""
        y = x
        if self.expand > 1:
            widen = Conv(self.expand * x.shape[-1], 1, name="expand_conv")
            y = _relu6(BatchNorm(_EPSILON, name="bn0")(y, widen))
        y = apply_valid(y, valid)
        depthwise = Conv(None, self.size, self.stride, self.dilation, name="depthwise_conv")
        y = _relu6(BatchNorm(_EPSILON, name="bn1")(y, depthwise))
        y = BatchNorm(_EPSILON, name="bn2")(y, Conv(self.features, 1, name="project_conv"))
        return x + y if y.shape == x.shape and self.stride == 1 else y


class EfficientNetLite(nn.Module):
    """An EfficientNet-Lite with frozen batch norm; by default Lite0.

    Padding is TensorFlow's SAME of an even-sized picture, always, after a row and a column of
    zeros where a size is odd: so a padded photo gives what the photo alone gives. (Lite0's weights
    have seen even sizes only. Those of Lite1 and 2, trained on 240 and 260 pixels, have seen odd
    ones too, padded alike on both sides; the pipeline's sizes, multiples of 16, are even.)

    Attributes:
        output_stride: 32 (ImageNet's), 16 or 8. Where a stride is dropped, what follows it is
            dilated, so that every cell computes what ImageNet's network would. (IRNet's
            ResNet is not dilated at 16. Here dilation costs nothing and helps: a linear probe
            on 245 photos of animals gave 0.92 mean average precision with it, 0.87 without.)
        frozen_stages: how many leading taps let no gradient through.
        width: of the stages between stem and head (`scaled_stages`).
        depth: of the stages (`scaled_stages`).
    """

    output_stride: int = 16
    frozen_stages: int = 0
    width: float = 1.0
    depth: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> Features:
        """Taps stages 1, 2, 3 and 5 and the head.

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            Taps of 16 (averaged from stride 2 to 4), 24, 40, 112 (times the width) and 1280
            channels; cells of the padding hold anything.

        Raises:
            ValueError: the output stride is none of 32, 16 and 8.
        """
        if self.output_stride not in _OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {self.output_stride}; use 32, 16 or 8")
        stem = Conv(32, 3, 2, name="conv_stem")
        x = _relu6(BatchNorm(_EPSILON, name="bn0")(apply_valid(x, valid), stem))
        stride, dilation, block, taps = 2, 1, 0, []
        for index, stage in enumerate(scaled_stages(self.width, self.depth)):
            dropped = stride * stage.stride > self.output_stride
            for repeat in range(stage.repeats):
                step = 1 if repeat or dropped else stage.stride
                x = InvertedResidual(
                    stage.expand, stage.size, stage.features, step, dilation, name=f"blocks_{block}"
                )(x, downsample_valid(valid, stride))
                stride, block = stride * step, block + 1
                if dropped and repeat == 0:
                    # The block that lost its stride still sees close neighbours.
                    dilation *= stage.stride
            if index in _TAPS:
                x = self._tap(x, _TAPS[index])
                taps.append(x)
        head = BatchNorm(_EPSILON, name="bn1")(x, Conv(1280, 1, name="conv_head"))
        x = self._tap(_relu6(head), 4)
        x1, x2, x3, x4 = taps
        return Features(_average_pairs(x1, downsample_valid(valid, 2)), x2, x3, x4, x)

    def _tap(self, x: jax.Array, index: int) -> jax.Array:
        """Cuts the gradient of the frozen taps."""
        return lax.stop_gradient(x) if index < self.frozen_stages else x


def _average_pairs(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Averages the real cells of every 2x2 cells."""
    height, width = x.shape[1:3]
    ones = jnp.ones(x.shape[:3], bool) if valid is None else valid

    def total(y: jax.Array) -> jax.Array:
        y = jnp.pad(y, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        return y[:, ::2, ::2] + y[:, 1::2, ::2] + y[:, ::2, 1::2] + y[:, 1::2, 1::2]

    count = total(ones[..., None].astype(x.dtype))
    return total(apply_valid(x, valid)) / jnp.maximum(count, 1.0)
