"""What a node of the graph is known by (docs/method.md section 5): `gcn.features`."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

NODE_FEATURES = ("boundary", "taps", "cams", "walk")
"""The boundary network's activations, as published; the taps of its backbone; the CAMs; the walk's
scores. All but the first are standardised."""

_SMALLEST = 1e-4  # a channel that does not vary stays zero


def node_features(config: ConfigDict) -> tuple[str, ...]:
    """Reads which features nodes have.

    Args:
        config: the whole configuration (`gcn.features` is read).

    Returns:
        Some of NODE_FEATURES, in that order.
    """
    words = {word.strip() for word in config.gcn.features.split(",")}
    return tuple(word for word in NODE_FEATURES if word in words)


def standardised(x: jax.Array, valid: jax.Array) -> jax.Array:
    """Brings every channel to mean 0 and variance 1 over the real nodes.

    Args:
        x: `[H, W, f] f32`; the padding may hold anything.
        valid: `[H, W] bool`.

    Returns:
        `[H, W, f] f32`, 0 in the padding and where a channel does not vary.
    """
    real = valid[:, :, None]
    count = jnp.maximum(valid.sum(), 1).astype(x.dtype)
    mean = jnp.where(real, x, 0.0).sum((0, 1), keepdims=True) / count
    centred = jnp.where(real, x - mean, 0.0)
    deviation = jnp.sqrt(jnp.square(centred).sum((0, 1), keepdims=True) / count)
    return centred / jnp.maximum(deviation, _SMALLEST)


def with_maps(features: jax.Array, maps: jax.Array, valid: jax.Array) -> jax.Array:
    """Adds maps of one photo, standardised, to its nodes' features.

    Args:
        features: `[H, W, f] f32`.
        maps: `[c, H, W] f32`; c may be 0.
        valid: `[H, W] bool`.

    Returns:
        `[H, W, f + c] f32`.
    """
    return jnp.concatenate([features, standardised(jnp.moveaxis(maps, 0, -1), valid)], -1)
