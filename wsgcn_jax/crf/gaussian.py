"""Gaussian filtering of place alone, along rows and columns in turn."""

import math

import jax
import jax.numpy as jnp

from wsgcn_jax.precise import matmul

_REACH = 4.0  # standard deviations; what lies beyond weighs 6e-5 of the whole


def gaussian_filter(values: jax.Array, sigma: float) -> jax.Array:
    """Unnormalised Gaussian sums, truncated; nothing lies outside the grid.

    Args:
        values: `[c, h, w] f32`.
        sigma: standard deviation in cells.

    Returns:
        `[c, h, w] f32`.
    """
    return _along(_along(values, sigma, 1), sigma, 2)


def gaussian_products(values: jax.Array, sigma: float) -> jax.Array:
    """The same without truncation, by two matrix products: for matrix units, and exact.

    Args:
        values: `[..., h, w] f32`.
        sigma: standard deviation in cells.

    Returns:
        `[..., h, w] f32`.
    """
    rows, columns = (_pairs(side, sigma) for side in values.shape[-2:])
    return matmul(rows, matmul(values, columns))


def _pairs(side: int, sigma: float) -> jax.Array:
    place = jnp.arange(side, dtype=jnp.float32)
    return jnp.exp(-0.5 * ((place[:, None] - place[None]) / sigma) ** 2)


def _along(values: jax.Array, sigma: float, axis: int) -> jax.Array:
    reach = min(math.ceil(_REACH * sigma), values.shape[axis] - 1)
    padding = [(0, 0)] * 3
    padding[axis] = (reach, reach)
    padded = jnp.pad(values, padding)
    total = jnp.zeros_like(values)
    for step in range(2 * reach + 1):  # one fused loop; a convolution is many times as slow
        weight = math.exp(-0.5 * ((step - reach) / sigma) ** 2)
        end = step + values.shape[axis]
        total = total + weight * jax.lax.slice_in_dim(padded, step, end, axis=axis)
    return total
