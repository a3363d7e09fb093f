"""What the networks are built from: resizing, masked padding, frozen norms.

Padded buckets: `valid` is True on a photo's real pixels. Multiplying by it before every
operation that looks at neighbours makes a padded photo give what the photo alone gives.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def resize_bilinear(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes with half-pixel centres and no antialiasing (PyTorch's align_corners=False).

    Args:
        x: `[b, h, w, c] f32`.
        size: rows and columns of the result.

    Returns:
        `[b, *size, c] f32`.
    """
    shape = (x.shape[0], *size, x.shape[3])
    return jax.image.resize(x, shape, method="bilinear", antialias=False)


def resize_bilinear_aligned(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes so that corner centres fall on corner centres (align_corners=True).

    Args:
        x: `[b, h, w, c] f32`.
        size: rows and columns of the result.

    Returns:
        `[b, *size, c] f32`.
    """
    rows = _aligned_matrix(size[0], x.shape[1])
    columns = _aligned_matrix(size[1], x.shape[2])
    return jnp.einsum("Hh,bhwc,Ww->bHWc", rows, x, columns, precision=lax.Precision.HIGHEST)


def _aligned_matrix(size_out: int, size_in: int) -> jax.Array:
    """Gives the `[size_out, size_in] f32` weights of an aligned linear resize."""
    source = jnp.arange(size_out) * ((size_in - 1) / max(size_out - 1, 1))
    distance = jnp.abs(source[:, None] - jnp.arange(size_in)[None, :])
    return jnp.maximum(0.0, 1.0 - distance).astype(jnp.float32)


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
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises `[b, h, w, c]` (f32 or bf16; statistics are f32) per channel."""
        dtype = x.dtype
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        mean, var = running_mean.value, running_var.value
        if self.use_batch_stats:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                count = x.size // x.shape[-1]
                unbiased = var * (count / max(count - 1, 1))
                running_mean.value = 0.9 * running_mean.value + 0.1 * mean
                running_var.value = 0.9 * running_var.value + 0.1 * unbiased
        # Folded into one multiply-add, which XLA fuses into its neighbours.
        factor = scale * lax.rsqrt(var + self.epsilon)
        return (x * _last(factor) + _last(bias - mean * factor)).astype(dtype)


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
