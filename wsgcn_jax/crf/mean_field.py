"""Mean-field inference in a dense CRF.

Kraehenbuehl & Koltun, NIPS 2011; conventions of the published road (golden section 7): Potts
compatibility, self pairs included, symmetric normalisation, parallel updates.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from wsgcn_jax.crf.gaussian import gaussian_filter
from wsgcn_jax.crf.lattice import build, find_corners, lattice_filter, packing, table_sizes

Kernel = Literal["lattice", "exact"]
Filter = Callable[[jax.Array], jax.Array]


def mean_field(
    unary: jax.Array,
    image: jax.Array,
    *,
    valid: jax.Array | None = None,
    gaussian: tuple[float, float] = (3.0, 3.0),
    bilateral: tuple[float, float, float] = (50.0, 5.0, 10.0),
    iterations: int = 10,
    kernel: Kernel = "lattice",
) -> jax.Array:
    """Refines label probabilities of one photo.

    Q <- softmax(-U + w_g K_g Q + w_b K_b Q), starting from Q = softmax(-U).

    Args:
        unary: `[c, H, W] f32`, U, minus log probabilities; large for impossible labels.
        image: `[H, W, 3]`, u8 or f32 in 0..255, in any order of channels.
        valid: `[H, W] bool`, real cells; None if all are. The others influence nothing.
        gaussian: standard deviation in cells, and weight, of the smoothness kernel.
        bilateral: standard deviations in cells and in colour, and weight, of the other.
        iterations: number of updates.
        kernel: "lattice", whose time and memory grow with the number of cells; or "exact", where
            they grow with its square: for a few thousand cells, and to check the other.

    Returns:
        `[c, H, W] f32` probabilities, summing to 1 over c. Differentiable in unary. For a batch,
        `jax.lax.map` is faster than `jax.vmap`, which must make the largest tables for all.

    Raises:
        ValueError: the lattice of so large a photo, or so fine a kernel, cannot be numbered.
    """
    real = jnp.ones(image.shape[:2], bool) if valid is None else valid
    infer = partial(_infer, unary, real, iterations=iterations)
    if kernel == "exact":
        near = _exact(_places(real.shape) / gaussian[0], real)
        colour = image.reshape(-1, 3).astype(unary.dtype) / bilateral[1]
        places = _places(real.shape) / bilateral[0]
        far = _exact(jnp.concatenate([places, colour], axis=1), real)
        return infer((near, gaussian[1]), (far, bilateral[2]))

    near = partial(gaussian_filter, sigma=gaussian[0])
    packed = packing(real.shape, *bilateral[:2])
    corners = find_corners(image, real, *bilateral[:2], packed)

    def with_tables(size: tuple[int, int]) -> jax.Array:
        lattice = build(corners, size, packed)

        def far(q: jax.Array) -> jax.Array:
            return lattice_filter(lattice, q.reshape(len(q), -1).T, False).T.reshape(q.shape)

        return infer((near, gaussian[1]), (far, bilateral[2]))

    sizes = table_sizes(real.size)
    if len(sizes) == 1:
        return with_tables(sizes[0])
    needed = jnp.stack([corners.count, corners.helpers])
    smaller = [(needed > jnp.asarray(size)).any() for size in sizes[:-1]]
    choice = jnp.stack(smaller).sum(dtype=jnp.int32)
    return jax.lax.switch(choice, [partial(with_tables, size) for size in sizes])


def _infer(
    unary: jax.Array,
    real: jax.Array,
    *kernels: tuple[Filter, float],
    iterations: int,
) -> jax.Array:
    """The updates, given unnormalised filters of `[c, H, W]` and their weights."""
    # Symmetric normalisation, which takes out any factor of the filter.
    norms = []
    for smooth, _ in kernels:
        total = smooth(real[None].astype(unary.dtype))
        norms.append(jnp.where(real[None], jax.lax.rsqrt(total + 1e-20), 0.0))

    def update(q: jax.Array, _: None) -> tuple[jax.Array, None]:
        energy = -unary
        for (smooth, weight), norm in zip(kernels, norms, strict=True):
            energy = energy + weight * norm * smooth(norm * q)
        return jax.nn.softmax(energy, axis=0), None

    q, _ = jax.lax.scan(update, jax.nn.softmax(-unary, axis=0), length=iterations)
    return q


def _places(shape: tuple[int, ...]) -> jax.Array:
    rows, columns = jnp.meshgrid(*(jnp.arange(side) for side in shape), indexing="ij")
    return jnp.stack([rows, columns], -1).reshape(-1, 2).astype(jnp.float32)


def _exact(features: jax.Array, real: jax.Array) -> Filter:
    """Filter by the Gaussian kernel `[n, n]` of features `[n, f]`."""
    # Differences, not the expanded square: its rounding would show after the exponential.
    distance = sum(
        (features[:, i, None] - features[None, :, i]) ** 2 for i in range(features.shape[1])
    )
    flat = real.reshape(-1)
    kernel = jnp.where(flat[:, None] & flat[None, :], jnp.exp(-0.5 * distance), 0.0)
    return lambda q: (q.reshape(len(q), -1) @ kernel).reshape(q.shape)


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
