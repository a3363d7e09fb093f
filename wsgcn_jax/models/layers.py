"""What the networks are built from: resizing, masked padding, frozen norms.

Padded buckets: `valid` is True on a photo's real pixels. Multiplying by it before every
operation that looks at neighbours makes a padded photo give what the photo alone gives.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def downsample_valid(valid: jax.Array | None, factor: int) -> jax.Array | None:
    """Gives the real cells of a coarser grid: a cell is real if its top-left pixel is.

    Args:
        valid: `[b, h, w] bool`, or None where everything is real.
        factor: the stride, at least 1.

    Returns:
        `[b, ceil(h / factor), ceil(w / factor)] bool`, or None.
    """
    return None if valid is None else valid[:, ::factor, ::factor]


def apply_valid(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Zeroes the cells that are padding.

    Args:
        x: `[b, h, w, c] f32`.
        valid: `[b, h, w] bool`, or None where everything is real.

    Returns:
        `[b, h, w, c] f32`.
    """
    return x if valid is None else x * valid[..., None].astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def relu(x: jax.Array, limit: float = math.inf) -> jax.Array:
    """Clips to [0, limit]; the gradient reads the output, so that `x` need not be kept.

    Args:
        x: any shape.
        limit: 6 for relu6.

    Returns:
        The same shape.
    """
    return jnp.clip(x, 0.0, limit)


def _relu_forward(x: jax.Array, limit: float) -> tuple[jax.Array, jax.Array]:
    """Saves the output."""
    y = relu(x, limit)
    return y, y


def _relu_backward(limit: float, y: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
    """Passes the gradient where nothing was clipped."""
    return (jnp.where((y > 0) & (y < limit), cotangent, 0),)


relu.defvjp(_relu_forward, _relu_backward)


class BatchNorm(nn.Module):
    """Batch norm with frozen statistics, or with the batch's own.

    Variables: params `scale`, `bias`; batch_stats `mean`, `var`; all `[c] f32`.

    Attributes:
        epsilon: added to the variance.
        use_batch_stats: normalise by the batch and, where batch_stats is mutable, move the
            running statistics a tenth of the way (the variance unbiased, as in PyTorch).
    """

    epsilon: float = 1e-5
    use_batch_stats: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, conv: nn.Module) -> jax.Array:
        """Normalises per channel what a convolution makes of `x`.

        Frozen statistics are a factor and a shift. The factor is the convolution's business, so
        that no gradient needs its output (`convolutions.scaled`).

        Args:
            x: `[b, h, w, c]` (f32 or bf16; statistics are f32).
            conv: the convolution, of `features` channels (None: as many as `x` has), called
                with `x` and the factor of every channel, or None.

        Returns:
            `[b, H, W, d]` of `x`'s dtype.
        """
        shape = (conv.features or x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        mean, var = running_mean.value, running_var.value
        factor = None if self.use_batch_stats else scale * lax.rsqrt(var + self.epsilon)
        y = conv(x, factor)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        if factor is None:
            mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                count = y.size // y.shape[-1]
                unbiased = var * (count / max(count - 1, 1))
                running_mean.value = 0.9 * running_mean.value + 0.1 * mean
                running_var.value = 0.9 * running_var.value + 0.1 * unbiased
            factor = scale * lax.rsqrt(var + self.epsilon)
            y = y * _last(factor)
        return (y + _last(bias - mean * factor)).astype(x.dtype)


class GroupNorm(nn.Module):
    """Group norm whose statistics count real cells only, so that padding changes nothing.

    Attributes:
        groups: the channels are normalised in this many groups.
        epsilon: added to the variance.
    """

    groups: int
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None) -> jax.Array:
        """Normalises `[b, h, w, c] f32` over the True cells of `valid` `[b, h, w] bool`."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        # Per channel first and in groups only on `[b, c]`: long sums along short last axes
        # are what CPUs do worst. In two passes: a difference of squares loses digits.
        mean = self._group_mean(_cell_mean(x, valid))
        variance = self._group_mean(_cell_mean(jnp.square(x - mean[:, None, None]), valid))
        factor = lax.rsqrt(variance + self.epsilon) * scale[None]
        return x * factor[:, None, None] + (bias[None] - mean * factor)[:, None, None]

    def _group_mean(self, x: jax.Array) -> jax.Array:
        """Gives every channel of `[b, c]` the mean of its group."""
        grouped = x.reshape(x.shape[0], self.groups, -1)
        return jnp.broadcast_to(grouped.mean(2, keepdims=True), grouped.shape).reshape(x.shape)


def _cell_mean(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Averages `[b, h, w, c]` over the real cells; a photo without any has mean 0, not NaN."""
    if valid is None:
        return x.mean((1, 2))
    count = jnp.maximum(valid.sum((1, 2)), 1).astype(x.dtype)
    return apply_valid(x, valid).sum((1, 2)) / count[:, None]


def extend_valid(valid: jax.Array | None, x: jax.Array) -> jax.Array | None:
    """Repeats the last row and column of `valid` where `x` has one cell more.

    Only where a max pool rounds up: its last cell belongs to whatever the cell before it does.

    Args:
        valid: `[b, h, w] bool`, or None where everything is real.
        x: `[b, H, W, c]`, H and W at least h and w.

    Returns:
        `[b, H, W] bool`, or None.
    """
    if valid is None:
        return None
    more = [(0, x.shape[axis] - valid.shape[axis]) for axis in (1, 2)]
    return jnp.pad(valid, ((0, 0), *more), mode="edge")


def _last(x: jax.Array) -> jax.Array:
    """Gives a `[c]` vector three leading axes: implicit rank promotion is an error here."""
    return x[None, None, None, :]
