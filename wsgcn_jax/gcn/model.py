"""The two-layer graph convolutional network of WSGCN: two weight matrices, no framework.

Here and in the losses the nodes come last, `[f, n]`: a loop along them is long and contiguous, so
that softmax and Laplacian run several times faster than along 21 classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wsgcn_jax.positions import bits_by_position
from wsgcn_jax.precise import long_matmul, matmul


class GCNParams(NamedTuple):
    """Weights of the GCN: `w1 [f, hidden]`, `b1 [hidden]`, `w2 [hidden, c]`, `b2 [c]`."""

    w1: jax.Array
    b1: jax.Array
    w2: jax.Array
    b2: jax.Array


def init_gcn(
    key: jax.Array,
    features: int,
    hidden: int,
    classes: int,
    *,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> GCNParams:
    """Draws weights and biases from +-1/sqrt(outputs of the layer) (docs/method.md section 5).

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
    *,
    keep: jax.Array | None = None,
    dropout: float = 0.0,
) -> jax.Array:
    """Z = log_softmax(A relu(A F W1 + b1) W2 + b2) (Kipf & Welling; docs/method.md section 5).

    Args:
        params: weights.
        aggregate: x `[hidden, n]` -> A times each row.
        propagated: `[f, n] f32`, A F: constant over a fit, so the caller computes it once.
        keep: `[hidden, n] bool`, hidden units that dropout keeps; None at evaluation.
        dropout: probability that `keep` was drawn with.

    Returns:
        `[c, n] f32` log-probabilities.
    """
    # Not a `long_matmul`: a TPU would cut the features into pieces anew in every epoch.
    hidden = jax.nn.relu(matmul(params.w1.T, propagated) + params.b1[:, None])
    if keep is not None:
        hidden = jnp.where(keep, hidden / (1.0 - dropout), 0)
    logits = long_matmul(params.w2.T, aggregate(hidden)) + params.b2[:, None]
    return jax.nn.log_softmax(logits, axis=0)


def dropout_mask(key: jax.Array, positions: jax.Array, hidden: int, *, dropout: float) -> jax.Array:
    """Which hidden units of which nodes are kept, decided by position, not by array index.

    Args:
        key: PRNG key of this epoch.
        positions: `[n] u32`, a number that identifies a node whatever the padding.
        hidden: units per node.
        dropout: probability that a unit is dropped, in [0, 1).

    Returns:
        `[hidden, n] bool`.
    """
    bits = bits_by_position(key, positions, hidden)
    return jnp.uint32(round(dropout * 2**32)) <= bits.T
