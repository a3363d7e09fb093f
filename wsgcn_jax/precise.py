"""Matrix products in full float32, whatever rounding the caller or the backend prefers.

By default a GPU rounds the operands of a product to TF32 (10 bits) and a TPU to bfloat16 (7 bits).
Networks bear that; a walk of 256 steps, seeds by threshold and 250 epochs of a fit from them do
not: a fifth of a photo's labels can change. So products of the graph part are made here.
"""

import jax
import jax.numpy as jnp
from jax import lax

_PIECE = 1024  # columns


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies as `a @ b`, with operands as they are; so do its gradients.

    Args:
        a: `[..., m, k]`.
        b: `[..., k, n]`.

    Returns:
        `[..., m, n]`.
    """
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def long_matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies as `matmul`, where b has a column for each node of a photo.

    On a TPU some columns at a time: the compiler writes an exact product out for all of an
    operand that lies on the chip, and a sixth of its length takes a fifth of the time to compile.

    Args:
        a: `[m, k]`.
        b: `[k, n]`.

    Returns:
        `[m, n]`.
    """
    return _by_columns(a, b) if jax.default_backend() == "tpu" else matmul(a, b)


def row_products(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies as `a @ b.T`, both with a column for each node of a photo (`long_matmul`).

    Args:
        a: `[m, n]`.
        b: `[k, n]`.

    Returns:
        `[m, k]`.
    """
    return _over_columns(a, b) if jax.default_backend() == "tpu" else _all_products(a, b)


def _all_products(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum("mn,kn->mk", a, b, precision=lax.Precision.HIGHEST)


def _by_columns(a: jax.Array, b: jax.Array) -> jax.Array:
    parts = lax.map(lambda part: matmul(a, part), _pieces(b))
    return jnp.moveaxis(parts, 0, 1).reshape(len(a), -1)[:, : b.shape[1]]


def _over_columns(a: jax.Array, b: jax.Array) -> jax.Array:
    def add(total: jax.Array, parts: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _all_products(*parts), None

    start = jnp.zeros((len(a), len(b)), a.dtype)
    return lax.scan(add, start, (_pieces(a), _pieces(b)))[0]


def _pieces(x: jax.Array) -> jax.Array:
    """Cuts columns into pieces: `[k, n]` to `[p, k, _PIECE]`, 0 beyond the end."""
    rows, columns = x.shape
    x = jnp.pad(x, ((0, 0), (0, -columns % _PIECE)))
    return jnp.moveaxis(x.reshape(rows, -1, _PIECE), 1, 0)


def matrix_power(a: jax.Array, exponent: int) -> jax.Array:
    """Raises square matrices by repeated squaring (`matmul`).

    Args:
        a: `[..., n, n]`.
        exponent: at least 0.

    Returns:
        `[..., n, n]`.
    """
    with jax.default_matmul_precision("highest"):
        return jnp.linalg.matrix_power(a, exponent)
