"""Gaussian filtering of colour and place by sums over pairs of pixels, tile by tile.

Message passing is attention without the division: queries and keys are the pixels' features, the
values label probabilities. A tile of the kernel is formed, used and forgotten, so memory grows with
the pixels and time with their square; nothing is sorted, gathered or approximated, which
accelerators like better than the lattice (docs/method.md section 6).
"""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from wsgcn_jax.precise import matmul

Form = Literal["products", "sums"]
"""How a tile meets the values: one matrix product; or a sum for each label, formed with the tile.

A TPU's compiler forms a product's operand on the way to the matrix unit. A GPU's would store it, at
4 bytes a pair of pixels; but sums of what is computed in place it makes one loop without any store.
"""

_TILES: dict[Form, tuple[int, int]] = {"products": (8192, 1024), "sums": (8192, 16384)}
_LANES = 128  # tiles are whole numbers of a TPU's vectors


def pixel_features(image: jax.Array, sigma_xy: float, sigma_rgb: float) -> jax.Array:
    """Row, column and colours, scaled so that a pair weighs exp(-|f_i - f_j|^2).

    Args:
        image: `[h, w, 3]`, 0..255.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in colour.

    Returns:
        `[5, h w] f32`.
    """
    height, width = image.shape[:2]
    place = jnp.arange(height * width)
    colour = image.reshape(-1, 3).T.astype(jnp.float32) / (math.sqrt(2) * sigma_rgb)
    return jnp.stack([*(x / (math.sqrt(2) * sigma_xy) for x in jnp.divmod(place, width)), *colour])


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def attention_filter(
    queries: jax.Array, keys: jax.Array, values: jax.Array, form: Form | None = None
) -> jax.Array:
    """Unnormalised Gaussian sums over pixels, at the same or other pixels.

    Differentiable in the values: the transpose has the two sets of pixels exchanged.

    Args:
        queries: `[5, m] f32`, of `pixel_features`, where the sums are wanted.
        keys: `[5, n] f32`, alike, where the values are.
        values: `[c, n] f32`; 0 where a pixel shall influence nothing.
        form: None: "sums" on GPUs, "products" elsewhere.

    Returns:
        `[c, m] f32`.
    """
    if form is None:
        form = "sums" if jax.default_backend() == "gpu" else "products"
    counts = queries.shape[1], keys.shape[1]
    per_row, per_column = map(_tile, counts, _TILES[form])
    rows = _split(queries, per_row)
    columns = _split(keys, per_column), _split(values, per_column)
    weigh = _products if form == "products" else _sums

    def tile_of_rows(row: jax.Array) -> jax.Array:
        def add(total: jax.Array, tile: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            return total + weigh(row, *tile), None

        total = jnp.zeros((len(values), per_row), values.dtype)
        return jax.lax.scan(add, total, columns)[0]

    tiles = jax.lax.map(tile_of_rows, rows)
    return jnp.moveaxis(tiles, 0, 1).reshape(len(values), -1)[:, : counts[0]]


_Pixels = tuple[jax.Array, jax.Array]


def _forward(
    queries: jax.Array, keys: jax.Array, values: jax.Array, form: Form | None
) -> tuple[jax.Array, _Pixels]:
    return attention_filter(queries, keys, values, form), (queries, keys)


def _backward(
    form: Form | None, pixels: _Pixels, gradient: jax.Array
) -> tuple[None, None, jax.Array]:
    queries, keys = pixels
    return None, None, attention_filter(keys, queries, gradient, form)


attention_filter.defvjp(_forward, _backward)


def _tile(count: int, largest: int) -> int:
    """Pixels of a tile: as even as whole vectors allow, so that little is padded."""
    tiles = -(-count // largest)
    return -(-count // (tiles * _LANES)) * _LANES


def _split(array: jax.Array, tile: int) -> jax.Array:
    """`[k, n]` -> `[tiles, k, tile]`, padded with zeros: such columns have no values."""
    kinds, count = array.shape
    tiles = -(-count // tile)
    padded = jnp.pad(array, ((0, 0), (0, tiles * tile - count)))
    return jnp.moveaxis(padded.reshape(kinds, tiles, tile), 1, 0)


def _weights(first: jax.Array, second: jax.Array) -> jax.Array:
    """The kernel's tile `[a, b]` of features `[5, a]` and `[5, b]`."""
    # Differences, not the expanded square: its rounding would show after the exponential.
    pairs = zip(first, second, strict=True)
    return jnp.exp(-sum((one[:, None] - other[None, :]) ** 2 for one, other in pairs))


def _products(queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
    return matmul(values, _weights(keys, queries))


def _sums(queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
    # One reduction of several operands, so that they share the tile. It runs along the first axis:
    # neighbouring threads have neighbouring queries, and read the same key.
    weights = _weights(keys, queries)
    operands = tuple(weights * value[:, None] for value in values)
    zeros = (jnp.zeros((), values.dtype),) * len(operands)
    return jnp.stack(jax.lax.reduce(operands, zeros, _add, (0,)))


def _add(totals: tuple[jax.Array, ...], terms: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(total + term for total, term in zip(totals, terms, strict=True))
