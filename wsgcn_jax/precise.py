"""Matrix products in full float32, whatever rounding the caller or the backend prefers.

By default a GPU rounds the operands of a product to TF32 (10 bits) and a TPU to bfloat16 (7 bits).
Networks bear that; a walk of 256 steps, seeds by threshold and 250 epochs of a fit from them do
not: a fifth of a photo's labels can change. So products of the graph part are made here.
"""

import jax
import jax.numpy as jnp
from jax import lax

_LEAST, _MOST = 1024, 4096  # columns of a long operand in one product
_LANES = 128  # of a TPU's vectors
_WORK = 2**22  # multiplications of bigger ones


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
    parts = lax.map(lambda part: matmul(a, part), _pieces(b, a.size))
    return jnp.moveaxis(parts, 0, 1).reshape(len(a), -1)[:, : b.shape[1]]


def _over_columns(a: jax.Array, b: jax.Array) -> jax.Array:
    def add(total: jax.Array, parts: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _all_products(*parts), None

    start = jnp.zeros((len(a), len(b)), a.dtype)
    return lax.scan(add, start, (_pieces(a, start.size), _pieces(b, start.size)))[0]


def _pieces(x: jax.Array, work: int) -> jax.Array:
    """Cuts columns into equal pieces: `[k, n]` to `[p, k, m]`, 0 beyond the end.

    Args:
        x: the operand.
        work: multiplications for each of its columns.
    """
    rows, columns = x.shape
    count = -(-columns // min(max(_WORK // work, _LEAST), _MOST))
    x = jnp.pad(x, ((0, 0), (0, -columns % (count * _LANES))))
    return jnp.moveaxis(x.reshape(rows, count, -1), 1, 0)


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
