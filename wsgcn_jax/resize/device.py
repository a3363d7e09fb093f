"""Batches and padded maps on the device."""

import jax
import jax.numpy as jnp
from jax import lax

from wsgcn_jax.resize.host import Size


def resize_bilinear(x: jax.Array, size: Size) -> jax.Array:
    """Resizes a batch with half-pixel centres, without antialiasing.

    Args:
        x: `[b, h, w, c] f32`.
        size: rows and columns of the result.

    Returns:
        `[b, *size, c] f32`.
    """
    shape = (x.shape[0], *size, x.shape[3])
    return jax.image.resize(x, shape, method="bilinear", antialias=False)


def resize_valid(
    x: jax.Array, size_in: jax.Array, size_out: jax.Array, out_shape: Size
) -> jax.Array:
    """Resizes the real region of a padded map (bilinear, half-pixel centres).

    What lies outside `size_in` has no influence: the result is that of the map cut to it.

    Args:
        x: `[h, w, c] f32`, finite everywhere.
        size_in: `[2] i32`, real rows and columns, at least 1.
        size_out: `[2] i32`, the rows and columns that these become.
        out_shape: rows and columns of the result; a smaller one than `size_out` crops.

    Returns:
        `[*out_shape, c] f32`, 0 outside `size_out`.
    """
    rows, columns = (
        _traced_weights(x.shape[axis], out_shape[axis], size_in[axis], size_out[axis])
        for axis in (0, 1)
    )
    return jnp.einsum("Hh,hwc,Ww->HWc", rows, x, columns, precision=lax.Precision.HIGHEST)


def _traced_weights(
    length_in: int, length_out: int, size_in: jax.Array, size_out: jax.Array
) -> jax.Array:
    """Returns the `[length_out, length_in] f32` weights of a linear resize of real sizes."""
    index = jnp.arange(length_out)
    centre = (index + 0.5) * (size_in / size_out) - 0.5
    centre = jnp.clip(centre, 0.0, size_in - 1.0)
    weights = jnp.maximum(1.0 - jnp.abs(centre[:, None] - jnp.arange(length_in)[None, :]), 0.0)
    return jnp.where((index < size_out)[:, None], weights, 0.0).astype(jnp.float32)


def upsample(x: jax.Array, factor: int, valid: jax.Array | None) -> jax.Array:
    """Enlarges bilinearly (half-pixel centres) as if the padding were not there.

    A photo alone is continued by its outermost cells; so here a cell's neighbour in the
    padding is replaced by the cell itself.

    Args:
        x: `[b, h, w, c] f32`.
        factor: enlargement, a power of two.
        valid: `[b, h, w] bool`, the real cells; None where all are.

    Returns:
        `[b, factor * h, factor * w, c] f32`.
    """
    if factor == 1:
        return x
    if valid is None:
        valid = jnp.ones(x.shape[:3], bool)
    x = _upsample_axis(x, factor, valid, axis=1)
    return _upsample_axis(x, factor, jnp.repeat(valid, factor, axis=1), axis=2)


def _upsample_axis(x: jax.Array, factor: int, valid: jax.Array, *, axis: int) -> jax.Array:
    """Enlarges one axis: every result lies between a cell and one of its two neighbours."""
    before = jnp.where(_shift(valid, -1, axis)[..., None], _shift(x, -1, axis), x)
    after = jnp.where(_shift(valid, 1, axis)[..., None], _shift(x, 1, axis), x)
    phases = []
    for phase in range(factor):
        away = (phase + 0.5) / factor - 0.5
        phases.append((1 - abs(away)) * x + abs(away) * (before if away < 0 else after))
    shape = list(x.shape)
    shape[axis] *= factor
    return jnp.stack(phases, axis + 1).reshape(shape)


def _shift(x: jax.Array, step: int, axis: int) -> jax.Array:
    """Gives every cell the value of the next (step 1) or previous (-1) one, 0 off the end."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (max(-step, 0), max(step, 0))
    start = max(step, 0)
    return lax.slice_in_dim(jnp.pad(x, padding), start, start + x.shape[axis], axis=axis)


def scale_photos(
    x: jax.Array, valid: jax.Array | None, scale: float, *, by_size: bool = False
) -> tuple[jax.Array, jax.Array | None]:
    """Resizes photos bilinearly; sides are rounded down, coordinates divided by `scale` itself.

    Args:
        x: `[b, h, w, c]`, f32 or bf16.
        valid: `[b, h, w] bool`, the real pixels; None where all are.
        scale: of the photo.
        by_size: coordinates are divided by the ratio of the rounded sides instead, as PyTorch
            did before 1.6 (docs/quirks.md 24).

    Returns:
        (photos, their real pixels: those that are made of real pixels only).
    """
    size = (int(x.shape[1] * scale), int(x.shape[2] * scale))
    ratios = (size[0] / x.shape[1], size[1] / x.shape[2]) if by_size else (scale, scale)

    def resize(y: jax.Array) -> jax.Array:
        return jax.image.scale_and_translate(
            y.astype(jnp.promote_types(y.dtype, jnp.float32)),
            (y.shape[0], *size, y.shape[3]),
            (1, 2),
            jnp.asarray(ratios),
            jnp.zeros(2),
            "linear",
            antialias=False,
        )

    small = resize(x).astype(x.dtype)
    if valid is None:
        return small, None
    return small, resize(valid[..., None].astype(jnp.float32))[..., 0] > 1 - 1e-4
