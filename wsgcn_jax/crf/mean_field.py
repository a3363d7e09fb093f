"""Mean-field inference in a dense CRF, with exact kernels: for grids of a few thousand cells.

Kraehenbuehl & Koltun, NIPS 2011; conventions of the published road (golden section 7): Potts
compatibility, self pairs included, symmetric normalisation, parallel updates.
"""

import jax
import jax.numpy as jnp


def mean_field(
    unary: jax.Array,
    image: jax.Array,
    *,
    valid: jax.Array | None = None,
    gaussian: tuple[float, float] = (3.0, 3.0),
    bilateral: tuple[float, float, float] = (50.0, 5.0, 10.0),
    iterations: int = 10,
) -> jax.Array:
    """Refines label probabilities of one photo.

    Q <- softmax(-U + w_g K_g Q + w_b K_b Q), starting from Q = softmax(-U). Time and memory grow
    with the square of the number of cells.

    Args:
        unary: `[c, H, W] f32`, U, minus log probabilities; large for impossible labels.
        image: `[H, W, 3] f32` in 0..255, in any order of channels.
        valid: `[H, W] bool`, real cells; None if all are. The others influence nothing.
        gaussian: standard deviation in cells, and weight, of the smoothness kernel.
        bilateral: standard deviations in cells and in colour, and weight, of the other.
        iterations: number of updates.

    Returns:
        `[c, H, W] f32` probabilities, summing to 1 over c.
    """
    classes, height, width = unary.shape
    real = jnp.ones((height, width), bool) if valid is None else valid
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    place = jnp.stack([rows, columns], -1).reshape(-1, 2).astype(unary.dtype)
    colour = image.reshape(-1, 3).astype(unary.dtype)
    features = jnp.concatenate([place / bilateral[0], colour / bilateral[1]], axis=1)
    message = gaussian[1] * _kernel(place / gaussian[0], real.reshape(-1))
    message = message + bilateral[2] * _kernel(features, real.reshape(-1))
    flat = unary.reshape(classes, -1)

    def update(q: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.nn.softmax(q @ message - flat, axis=0), None

    q, _ = jax.lax.scan(update, jax.nn.softmax(-flat, axis=0), length=iterations)
    return q.reshape(unary.shape)


def _kernel(features: jax.Array, real: jax.Array) -> jax.Array:
    """Symmetrically normalised Gaussian kernel `[n, n]` of features `[n, f]`."""
    # Differences, not the expanded square: its rounding would show after the exponential.
    distance = sum(
        (features[:, i, None] - features[None, :, i]) ** 2 for i in range(features.shape[1])
    )
    kernel = jnp.where(real[:, None] & real[None, :], jnp.exp(-0.5 * distance), 0.0)
    norm = jax.lax.rsqrt(kernel.sum(axis=1) + 1e-20)
    norm = jnp.where(real, norm, 0.0)
    return kernel * norm[:, None] * norm[None, :]


def label_unary(labels: jax.Array, classes: int, *, confidence: float = 0.7) -> jax.Array:
    """Unary of labels that are right with the given probability (golden section 7, "imutils").

    Args:
        labels: `[H, W] i32` in 0..classes-1.
        classes: c, at least 2.
        confidence: probability of the label; the others share the rest.

    Returns:
        `[c, H, W] f32`.
    """
    hit = jnp.arange(classes)[:, None, None] == labels[None]
    return -jnp.log(jnp.where(hit, confidence, (1 - confidence) / (classes - 1)))
