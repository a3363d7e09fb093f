"""The kernel exp|s - t|, by which T^n and its transpose differ, as a sum of few products."""

import jax
import jax.numpy as jnp

from wsgcn_jax.precise import long_matmul
from wsgcn_jax.ranks import by_rank

_TERMS = 8  # its rank
_KNOTS = 64


def kernel_factors(s: jax.Array, used: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp|s_i - s_j| = sum_k scale_k terms_ik terms_jk, nearly.

    The leading eigenvectors on quantiles of the used nodes' s, continued to all nodes.

    Args:
        s: `[n] f32`.
        used: `[n] bool`, nodes that matter.

    Returns:
        terms `[q, n] f32` and scale `[q] f32`.
    """
    count = used.sum()
    at = ((jnp.arange(_KNOTS) + 0.5) / _KNOTS * count).astype(jnp.int32)
    knots = jnp.where(count > 0, by_rank(s, used[None], at), 0.0)
    values, vectors = jnp.linalg.eigh(jnp.exp(jnp.abs(knots[:, None] - knots[None, :])))
    order = jnp.argsort(-jnp.abs(values))[:_TERMS]
    scale = values[order]
    safe = jnp.where(jnp.abs(scale) > 1e-6, scale, jnp.inf)  # few distinct values: rank below q
    away = jnp.exp(jnp.abs(s[None, :] - knots[:, None]))
    mixed = (vectors[:, order] / safe[None, :]).T
    return long_matmul(mixed, away), scale
