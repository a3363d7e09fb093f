"""The four terms of the GCN's objective on one photo (WSGCN; docs/method.md section 5)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wsgcn_jax.checks import Shaped, checked
from wsgcn_jax.types import IGNORE


class GCNLosses(NamedTuple):
    """Unweighted terms and their weighted `total`, each `[] f32`."""

    foreground: jax.Array
    background: jax.Array
    entropy: jax.Array
    laplacian: jax.Array
    total: jax.Array


@checked(
    log_probs=Shaped("c n"),
    labels=Shaped("n", "integer", low=0, high=255),
    valid=Shaped("n", "bool"),
)
def gcn_losses(
    log_probs: jax.Array,
    labels: jax.Array,
    valid: jax.Array,
    laplacian_energy: Callable[[jax.Array], jax.Array],
    *,
    entropy_weight: float = 10.0,
    laplacian_weight: float = 0.01,
) -> GCNLosses:
    """Cross entropy of the seeds, entropy of the rest, smoothness of all.

    A term whose set of nodes is empty is dropped (value and gradient 0), so that a photo without
    background seeds, or without unlabelled nodes, still fits.

    Args:
        log_probs: `[c, n] f32`, Z.
        labels: `[n] i32`, seeds in 0..c-1, 255 = unlabelled.
        valid: `[n] bool`, False for padding, which takes no part.
        laplacian_energy: Z `[c, n]` -> trace(Z L Z^T), `[] f32`.
        entropy_weight: weight of the entropy term.
        laplacian_weight: weight of the Laplacian term.

    Returns:
        The terms and their sum, foreground + background + weighted entropy and Laplacian.
    """
    labelled = valid & (labels != IGNORE)
    # Not a gather: its gradient is a scatter, node by node.
    own = labels[None, :] == jnp.arange(len(log_probs))[:, None]
    picked = jnp.where(own, log_probs, 0).sum(axis=0)
    foreground = _mean(-picked, labelled & (labels != 0))
    background = _mean(-picked, labelled & (labels == 0))
    per_node = jnp.mean(-jnp.exp(log_probs) * log_probs, axis=0)
    entropy = _mean(per_node, valid & ~labelled)
    laplacian = laplacian_energy(log_probs) / jnp.maximum(valid.sum(), 1)
    total = foreground + background + entropy_weight * entropy + laplacian_weight * laplacian
    return GCNLosses(foreground, background, entropy, laplacian, total)


def _mean(x: jax.Array, where: jax.Array) -> jax.Array:
    """Mean over `where`, 0 when that is empty."""
    return jnp.sum(jnp.where(where, x, 0)) / jnp.maximum(where.sum(), 1)
