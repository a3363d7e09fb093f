"""The two-layer graph convolutional network of WSGCN: two weight matrices, no framework."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class GCNParams(NamedTuple):
    """Weights of the GCN: `w1 [f, hidden]`, `b1 [hidden]`, `w2 [hidden, c]`, `b2 [c]`."""

    w1: jax.Array
    b1: jax.Array
    w2: jax.Array
    b2: jax.Array


def init_gcn(
    key: jax.Array, features: int, hidden: int, classes: int, dtype: jnp.dtype | type = jnp.float32
) -> GCNParams:
    """Draws weights and biases uniformly from +-1/sqrt(outputs of the layer) (method section 5).

    Args:
        key: PRNG key.
        features: width of the node features.
        hidden: width of the hidden layer.
        classes: number of classes, background included.
        dtype: of the weights.

    Returns:
        Fresh parameters.
    """
    keys = jax.random.split(key, 4)
    shapes = ((features, hidden), (hidden,), (hidden, classes), (classes,))
    bounds = (hidden**-0.5, hidden**-0.5, classes**-0.5, classes**-0.5)
    drawn = (
        jax.random.uniform(k, shape, dtype, -bound, bound)
        for k, shape, bound in zip(keys, shapes, bounds, strict=True)
    )
    return GCNParams(*drawn)


def apply_gcn(
    params: GCNParams,
    aggregate: Callable[[jax.Array], jax.Array],
    propagated: jax.Array,
    keep: jax.Array | None = None,
    *,
    dropout: float = 0.0,
) -> jax.Array:
    """Z = log_softmax(A relu(A F W1 + b1) W2 + b2) (Kipf & Welling; method section 5).

    Args:
        params: weights.
        aggregate: x `[n, hidden]` -> A x.
        propagated: `[n, f] f32`, A F: constant over a fit, so the caller computes it once.
        keep: `[n, hidden] bool`, hidden units that dropout keeps; None at evaluation.
        dropout: probability that `keep` was drawn with.

    Returns:
        `[n, c] f32` log-probabilities.
    """
    hidden = jax.nn.relu(propagated @ params.w1 + params.b1[None, :])
    if keep is not None:
        hidden = jnp.where(keep, hidden / (1.0 - dropout), 0)
    return jax.nn.log_softmax(aggregate(hidden) @ params.w2 + params.b2[None, :])


def dropout_mask(key: jax.Array, positions: jax.Array, hidden: int, *, dropout: float) -> jax.Array:
    """Which hidden units of which nodes are kept, decided by position, not by array index.

    `jax.random.bernoulli` draws by index, so padding a photo would redraw every real node's mask.
    Here one random word of `key` is mixed with each (node, unit) by an integer hash with full
    avalanche (two multiply-xorshift rounds), which is also several times cheaper than threefry.

    Args:
        key: PRNG key of this epoch.
        positions: `[n] u32`, a number that identifies a node whatever the padding.
        hidden: units per node.
        dropout: probability that a unit is dropped, in [0, 1).

    Returns:
        `[n, hidden] bool`.
    """
    seeds = jax.random.bits(key, (2,), jnp.uint32)
    units = jnp.arange(hidden, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    word = _mix(positions ^ seeds[0])[:, None] ^ _mix(units ^ seeds[1])[None, :]
    return _mix(word) >= jnp.uint32(round(dropout * 2**32))


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * jnp.uint32(0x735A2D97)
    return x ^ (x >> 15)
