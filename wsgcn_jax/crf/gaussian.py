"""Gaussian filtering of place alone, along rows and columns in turn."""

import math

import jax
import jax.numpy as jnp

from wsgcn_jax.precise import matmul
from wsgcn_jax.resize import Size

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


def gaussian_products(
    values: jax.Array, sigma: float, *, size: Size | None = None, step: int = 1
) -> jax.Array:
    """The same without truncation, by two matrix products: for matrix units, and exact.

    Args:
        values: `[..., h, w] f32`.
        sigma: standard deviation in cells of the result.
        size: height and width of the result; None: those of the values.
        step: the values lie at every so many cells of the result's rows and columns.

    Returns:
        `[..., *size] f32`.
    """
    height, width = values.shape[-2:]
    to = size or (height, width)
    rows, columns = _pairs(to[0], height, sigma, step), _pairs(to[1], width, sigma, step)
    return matmul(rows, matmul(values, columns.T))


def symmetric_norm(mass: jax.Array, real: jax.Array) -> jax.Array:
    """What a kernel is multiplied by at either end: 0 at cells that are not real.

    Args:
        mass: `[...] f32`, the kernel's sums over all real cells.
        real: `[...] bool`.
    """
    return jnp.where(real, jax.lax.rsqrt(mass + 1e-20), 0.0)


def _pairs(to: int, of: int, sigma: float, step: int) -> jax.Array:
    distance = jnp.arange(to)[:, None] - step * jnp.arange(of)[None]
    return jnp.exp(-0.5 * (distance / sigma) ** 2)


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
