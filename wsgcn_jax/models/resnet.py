"""ResNet backbones with five taps, in the layout of torchvision's weights."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from wsgcn_jax.models.convolutions import conv, scaled
from wsgcn_jax.models.layers import BatchNorm, apply_valid, downsample_valid, extend_valid, relu
from wsgcn_jax.types import Features

RESNET50 = (3, 4, 6, 3)
RESNET101 = (3, 4, 23, 3)

_STRIDES = {16: (1, 2, 2, 1), 8: (1, 2, 1, 1)}
_DILATIONS = {16: (1, 1, 1, 1), 8: (1, 1, 2, 4)}
_TORCH_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def torch_name(path: Sequence[str]) -> str:
    """Gives torchvision's name of one of this network's variables.

    Kernels are `[k, k, in, out]` here, `[out, in, k, k]` there; vectors are the same.

    Args:
        path: the keys from the backbone's tree down to the leaf, without the collection:
            `("layer1_0", "downsample_0", "kernel")`.

    Returns:
        For instance `layer1.0.downsample.0.weight`.
    """
    *modules, leaf = path
    return ".".join(modules).replace("_", ".") + "." + _TORCH_LEAVES[leaf]


class Conv(nn.Module):
    """Convolution without bias, zero-padded alike on all sides as in PyTorch.

    Attributes:
        features: output channels.
        size: of the kernel, odd.
        stride: of rows and columns.
        dilation: distance of the kernel's taps.
    """

    features: int
    size: int
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, factor: jax.Array | None = None) -> jax.Array:
        """Convolves `[b, h, w, c] f32` to `[b, ceil(h / stride), ceil(w / stride), features]`.

        Args:
            x: the picture.
            factor: `[features] f32`, what every channel is multiplied by; None = 1.
        """
        shape = (self.size, self.size, x.shape[-1], self.features)
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", init, shape)
        margin = self.size // 2 * self.dilation
        convolve = partial(
            conv,
            stride=self.stride,
            dilation=self.dilation,
            padding=((margin, margin), (margin, margin)),
        )
        return scaled(convolve, x, kernel, factor)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions round a shortcut.

    Attributes:
        features: channels of the 3x3; four times as many come out.
        stride: of the block.
        dilation: of the 3x3.
        project: whether the shortcut is a convolution (the first block of a stage).
        caffe: the stride sits on the first 1x1 (Caffe), not on the 3x3 (torchvision).
        use_batch_stats: see `layers.BatchNorm`.
    """

    features: int
    stride: int
    dilation: int
    project: bool
    caffe: bool = False
    use_batch_stats: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Maps `[b, h, w, c] f32` (`valid` `[b, h, w] bool`) to `[b, H, W, 4 * features]`."""
        norm = partial(BatchNorm, use_batch_stats=self.use_batch_stats)
        first, second = (self.stride, 1) if self.caffe else (1, self.stride)
        y = relu(norm(name="bn1")(x, Conv(self.features, 1, first, name="conv1")))
        y = apply_valid(y, downsample_valid(valid, first))
        conv2 = Conv(self.features, 3, second, self.dilation, name="conv2")
        y = relu(norm(name="bn2")(y, conv2))
        y = norm(name="bn3")(y, Conv(4 * self.features, 1, name="conv3"))
        if self.project:
            shortcut = Conv(4 * self.features, 1, self.stride, name="downsample_0")
            x = norm(name="downsample_1")(x, shortcut)
        return relu(x + y)


class ResNet(nn.Module):
    """ResNet-50 or -101 (IRNet's and DeepLab's backbone), by default with frozen batch norm.

    Attributes:
        stage_sizes: blocks of the four stages.
        output_stride: 16 (no dilation, as in IRNet) or 8 (dilation 2 and 4 in every block of
            the last two stages, as in DeepLab).
        frozen_stages: how many leading taps let no gradient through; 3 is what CAM training
            publishes.
        caffe: strides on each stage's first 1x1, as DeepLab's COCO weights want it.
        ceil_pool: the max pool rounds up, as in Caffe (tests/golden/README.md section 10): where
            the stem's side is even there is one cell more than `ceil(h / 4)`, half outside the
            photo.
        undilated_first: the first block of a dilated stage is not (docs/quirks.md 28).
        use_batch_stats: batch norm by the batch's statistics.
    """

    stage_sizes: tuple[int, ...] = RESNET50
    output_stride: int = 16
    frozen_stages: int = 0
    caffe: bool = False
    ceil_pool: bool = False
    undilated_first: bool = False
    use_batch_stats: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> Features:
        """Taps the stem and the four stages.

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            Taps of 64, 256, 512, 1024 and 2048 channels; cells of the padding hold anything.

        Raises:
            ValueError: the output stride is neither 16 nor 8.
        """
        if self.output_stride not in _STRIDES:
            raise ValueError(f"output_stride is {self.output_stride}; use 16 or 8")
        norm = BatchNorm(use_batch_stats=self.use_batch_stats, name="bn1")
        x = relu(norm(apply_valid(x, valid), Conv(64, 7, 2, name="conv1")))
        x = _max_pool(apply_valid(x, downsample_valid(valid, 2)), ceil=self.ceil_pool)
        cells = extend_valid(downsample_valid(valid, 4), x)
        taps = [self._tap(x, 0)]
        settings = zip(
            self.stage_sizes,
            _STRIDES[self.output_stride],
            _DILATIONS[self.output_stride],
            strict=True,
        )
        for stage, (blocks, stage_stride, dilation) in enumerate(settings):
            x = taps[-1]
            for block in range(blocks):
                first = block == 0
                x = Bottleneck(
                    64 * 2**stage,
                    stage_stride if first else 1,
                    1 if first and self.undilated_first else dilation,
                    project=first,
                    caffe=self.caffe,
                    use_batch_stats=self.use_batch_stats,
                    name=f"layer{stage + 1}_{block}",
                )(x, cells)
                cells = downsample_valid(cells, stage_stride if first else 1)
            taps.append(self._tap(x, stage + 1))
        return Features(*taps)

    def _tap(self, x: jax.Array, index: int) -> jax.Array:
        """Cuts the gradient of the frozen taps."""
        return lax.stop_gradient(x) if index < self.frozen_stages else x


def _max_pool(x: jax.Array, *, ceil: bool) -> jax.Array:
    """Takes the maximum of 3x3 cells at stride 2, padded by one; x must not be negative.

    `ceil` adds the last window of an even side, which only half lies in the picture.

    Zeros are then as good as the customary -inf outside the picture; and on CPUs the gradient
    of maxima of strided slices is four times faster than a reduction window's.
    """
    height, width = (side + 1 - side % 2 if ceil else side for side in x.shape[1:3])
    margin = (1, 2 if ceil else 1)
    x = jnp.pad(x, ((0, 0), margin, margin, (0, 0)))
    rows = [x[:, i : i + height : 2] for i in range(3)]
    x = jnp.maximum(jnp.maximum(rows[0], rows[1]), rows[2])
    columns = [x[:, :, i : i + width : 2] for i in range(3)]
    return jnp.maximum(jnp.maximum(columns[0], columns[1]), columns[2])
