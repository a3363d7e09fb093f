"""Matrix products in full float32, whatever rounding the caller or the backend prefers.

By default a GPU rounds the operands of a product to TF32 (10 bits) and a TPU to bfloat16 (7 bits).
Networks bear that; a walk of 256 steps, seeds by threshold and 250 epochs of a fit from them do
not: a fifth of a photo's labels can change. So products of the graph part are made here.
"""

import jax
import jax.numpy as jnp
from jax import lax


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies as `a @ b`, with operands as they are; so do its gradients.

    Args:
        a: `[..., m, k]`.
        b: `[..., k, n]`.

    Returns:
        `[..., m, n]`.
    """
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def einsum(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies as `jnp.einsum` of two arrays, with operands as they are; so do its gradients."""
    return jnp.einsum(subscripts, a, b, precision=lax.Precision.HIGHEST)


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
