"""Mean-field inference over pairs of pixels: of all with all, or with every fourth.

For accelerators: products and sums of tiles, without sorting or gathers (docs/method.md section 6).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wsgcn_jax.crf.attention import attention_filter, pixel_features
from wsgcn_jax.crf.gaussian import gaussian_products, symmetric_norm

_Message = Callable[[jax.Array, int], jax.Array]
"""(values `[..., c, h, w]` of the samples, how many cells apart the results are) ->
`[..., c, h', w']`. Several unaries are so many more labels.
"""


def mean_field_of_pairs(
    unary: jax.Array,
    image: jax.Array,
    real: jax.Array,
    *,
    gaussian: tuple[float, float],
    bilateral: tuple[float, float, float],
    iterations: int,
    step: int,
) -> jax.Array:
    """Refines label probabilities of one photo by what its samples say.

    The samples are a CRF of their own, which needs no other cell; the others hear them once, in
    the last update.

    Args:
        unary: `[c, H, W] f32`, of `mean_field`, or several `[b, c, H, W]`.
        image: `[H, W, 3]`, 0..255.
        real: `[H, W] bool`; the other cells influence nothing.
        gaussian: standard deviation in cells, and weight, of the smoothness kernel.
        bilateral: standard deviations in cells and in colour, and weight, of the other.
        iterations: number of updates.
        step: the samples are every so many cells of every so many rows, from the first.

    Returns:
        Probabilities of unary's shape.
    """
    near, far = _separable(real, *gaussian, step), _attention(image, real, *bilateral, step)

    def update(q: jax.Array, every: int) -> jax.Array:
        heard = near(q, every) + far(q, every)
        return jax.nn.softmax(heard - unary[..., ::every, ::every], axis=-3)

    def of_samples(q: jax.Array, _: None) -> tuple[jax.Array, None]:
        return update(q, step), None

    start = jax.nn.softmax(-unary, axis=-3)
    if not iterations:
        return start
    alone = iterations if step == 1 else iterations - 1
    q = jax.lax.scan(of_samples, start[..., ::step, ::step], length=alone)[0]
    return q if step == 1 else update(q, 1)


def _separable(real: jax.Array, sigma: float, weight: float, step: int) -> _Message:
    def sums(values: jax.Array, every: int) -> jax.Array:
        size = (real.shape[0], real.shape[1])
        found = gaussian_products(values, sigma, size=size, step=step)
        return found[:, ::every, ::every]

    return _normalised(sums, real, weight, step)


def _attention(
    image: jax.Array,
    real: jax.Array,
    sigma_xy: float,
    sigma_rgb: float,
    weight: float,
    step: int,
) -> _Message:
    features = pixel_features(image, sigma_xy, sigma_rgb).reshape(-1, *real.shape)
    keys = features[:, ::step, ::step]

    def sums(values: jax.Array, every: int) -> jax.Array:
        queries = features[:, ::every, ::every]
        flat = (array.reshape(len(array), -1) for array in (queries, keys, values))
        return attention_filter(*flat).reshape(-1, *queries.shape[1:])

    return _normalised(sums, real, weight, step)


def _normalised(sums: _Message, real: jax.Array, weight: float, step: int) -> _Message:
    """The message of a filter from the samples `[k, h, w]` to cells `[k, h', w']`."""
    samples = real[None, ::step, ::step].astype(jnp.float32)
    norm = symmetric_norm(sums(samples, 1), real[None])

    def message(q: jax.Array, every: int) -> jax.Array:
        values = norm[:, ::step, ::step] * q.reshape(-1, *q.shape[-2:])
        found = weight * norm[:, ::every, ::every] * sums(values, every)
        return found.reshape(*q.shape[:-2], *found.shape[1:])

    return message
