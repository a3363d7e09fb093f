"""IRNet's boundary network (CVPR 2019): boundaries and displacements from a frozen backbone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from wsgcn_jax.models.layers import GroupNorm, downsample_valid
from wsgcn_jax.resize import upsample
from wsgcn_jax.types import Features

_EDGE_CHANNELS = 32
_EDGE_GROUPS = 4
_DISPLACEMENT_CHANNELS = (64, 128, 256, 256, 256)
_DISPLACEMENT_GROUPS = (8, 16, 16, 16, 16)
_STRIDES = (4, 4, 8, 16, 16)
# PyTorch's default, with which the published learning rates were chosen: group norm makes a
# kernel's size the inverse of its learning rate.
_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class BoundaryOutput(NamedTuple):
    """What the boundary network says of a batch, on the stride-4 grid.

    Attributes:
        logits: `[b, H, W] f32`, high on the boundaries between objects.
        displacement: `[b, H, W, 2] f32`, rows and columns to the object's centre; None without
            that branch.
        activations: `[b, H, W, 160] f32`, the boundary branch's activations times the weights of
            its last convolution; their sum plus its bias is the logit.
    """

    logits: jax.Array
    displacement: jax.Array | None
    activations: jax.Array


class BoundaryNet(nn.Module):
    """IRNet's boundary and displacement branches on the five taps of a frozen backbone.

    Attributes:
        backbone: gives `Features` of strides 4, 4, 8, 16, 16.
        displacement: whether there is that branch; IRNet's instances need it, the walk does not.
    """

    backbone: nn.Module
    displacement: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> BoundaryOutput:
        """Runs the branches (docs/method.md section 2).

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            The outputs on the stride-4 grid, `H = (h - 1) // 4 + 1`; cells of the padding
            hold anything (but finite).
        """
        taps = Features(*map(lax.stop_gradient, self.backbone(x, valid)))
        activations = self._edge_branch(taps, valid)
        # The last convolution, by hand: its products are the nodes' features.
        kernel = self.param("edge_kernel", _INIT, (activations.shape[-1], 1))
        bias = self.param("edge_bias", nn.initializers.zeros, (1,))
        weighted = activations * kernel[None, None, None, :, 0]
        displacement = self._displacement_branch(taps, valid) if self.displacement else None
        return BoundaryOutput(weighted.sum(-1) + bias[0], displacement, weighted)

    def taps(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Gives what the backbone says of every node: all taps but the last, the widest.

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            `[b, H, W, f] f32` on the stride-4 grid; cells of the padding hold anything.
        """
        taps = self.backbone(x, valid)[:-1]
        height, width = taps[1].shape[1:3]
        grown = [
            upsample(tap, stride // 4, downsample_valid(valid, stride))[:, :height, :width]
            for tap, stride in zip(taps, _STRIDES[:-1], strict=True)
        ]
        return jnp.concatenate(grown, -1)

    def _edge_branch(self, taps: Features, valid: jax.Array | None) -> jax.Array:
        """Gives the `[b, H, W, 160]` concatenated activations."""
        size = taps.x2.shape[1:3]
        parts = []
        for i, (tap, stride) in enumerate(zip(taps, _STRIDES, strict=True), 1):
            cells = downsample_valid(valid, stride)
            y = _pointwise(tap, _EDGE_CHANNELS, f"edge{i}")
            y = GroupNorm(_EDGE_GROUPS, name=f"edge{i}_norm")(y, cells)
            y = nn.relu(upsample(y, stride // 4, cells))
            parts.append(y[:, : size[0], : size[1]])
        return jnp.concatenate(parts, -1)

    def _displacement_branch(self, taps: Features, valid: jax.Array | None) -> jax.Array:
        """Gives the `[b, H, W, 2]` displacements, as they are trained: no mean is taken off."""

        def unit(index: int, x: jax.Array, stride: int, factor: int = 1) -> jax.Array:
            cells = downsample_valid(valid, stride)
            channels = _DISPLACEMENT_CHANNELS[min(index, 5) - 1]
            groups = _DISPLACEMENT_GROUPS[min(index, 5) - 1]
            x = _pointwise(x, channels, f"displacement{index}")
            x = GroupNorm(groups, name=f"displacement{index}_norm")(x, cells)
            return nn.relu(upsample(x, factor, cells))

        x1, x2 = unit(1, taps.x1, 4), unit(2, taps.x2, 4)
        x3, x4, x5 = unit(3, taps.x3, 8), unit(4, taps.x4, 16, 2), unit(5, taps.x5, 16, 2)
        coarse = [y[:, : x3.shape[1], : x3.shape[2]] for y in (x3, x4, x5)]
        x6 = unit(6, jnp.concatenate(coarse, -1), 8, 2)[:, : x2.shape[1], : x2.shape[2]]
        x7 = unit(7, jnp.concatenate([x1, x2, x6], -1), 4)
        return _pointwise(x7, 2, "displacement8")


def without_displacement(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a network with both branches less those of the second."""
    return {name: tree for name, tree in params.items() if not name.startswith("displacement")}


def _pointwise(x: jax.Array, features: int, name: str) -> jax.Array:
    """Applies a 1x1 convolution without bias, as a product of two matrices.

    Flattened first: left with four axes, its gradient takes half as long again on CPUs.
    """
    layer = nn.Dense(features, use_bias=False, kernel_init=_INIT, name=name)
    return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:3], features)


def boundary_and_features(
    photo: BoundaryOutput, mirrored: BoundaryOutput, valid: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Averages what the network says of one photo and of its mirror image.

    docs/method.md section 2: the boundary map is the sigmoid of the mean logit, the features are
    the mean of the weighted activations.

    Args:
        photo: `[H, W, ...]`, one photo's output.
        mirrored: the same for the photo mirrored within its real width. Make that a multiple of
            4 first: at any other (as published) the mirror's cells lie up to 3 pixels beside
            the photo's.
        valid: `[h, w] bool`, the photo's real pixels, at full size; None where all are.

    Returns:
        boundary map `[H, W] f32` in (0, 1) and features `[H, W, 160] f32`; cells of the padding
        hold anything.
    """
    boundary = mirrored_mean(photo.logits, mirrored.logits, valid)
    features = mirrored_mean(photo.activations, mirrored.activations, valid)
    return nn.sigmoid(boundary), features


def mirrored_mean(
    photo: jax.Array, mirrored: jax.Array, valid: jax.Array | None = None
) -> jax.Array:
    """Averages maps of one photo and of its mirror image, mirrored back.

    Args:
        photo: `[H, W, ...]`, on the stride-4 grid.
        mirrored: the same for the photo mirrored within its real width.
        valid: `[h, w] bool`, as of `boundary_and_features`.

    Returns:
        `[H, W, ...]`; cells of the padding hold anything.
    """
    width = photo.shape[1]
    real = width if valid is None else valid[::4, ::4].any(0).sum()
    back = jnp.clip(real - 1 - jnp.arange(width), 0, width - 1)
    return (photo + mirrored[:, back]) / 2
