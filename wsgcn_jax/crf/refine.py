"""The dense CRF as a tool of its own: anyone's segmentation, drawn to the edges of the photo."""

from functools import partial

import jax
import jax.numpy as jnp

from wsgcn_jax.crf.mean_field import Kernel, mean_field
from wsgcn_jax.crf.settings import DEEPLAB, Settings


@partial(jax.jit, static_argnames=("settings", "iterations", "kernel"))
def refine(
    image: jax.Array,
    probabilities: jax.Array,
    settings: Settings = DEEPLAB,
    *,
    valid: jax.Array | None = None,
    present: jax.Array | None = None,
    iterations: int = 10,
    kernel: Kernel = "lattice",
) -> jax.Array:
    """Draws a segmentation to the edges of its photo.

    One photo, or a batch of equal size: shapes with `b` in front, of every array given.

    Args:
        image: `[h, w, 3]`, u8 or f32 in 0..255, in any order of channels.
        probabilities: `[c, h, w] f32` in [0, 1].
        settings: kernels, and the meaning of the probabilities; one of `BOUNDARY_LABELS`,
            `PARTIAL_LABELS`, `GCN_SCORES`, `DEEPLAB`.
        valid: `[h, w] bool`, real pixels; None if all are. The others influence nothing.
        present: `[c] bool`, classes that take part; None if all do. The others end at 0.
        iterations: number of mean-field updates.
        kernel: "lattice", or "exact" for small photos (see `mean_field`).

    Returns:
        `[c, h, w] f32` probabilities, summing to 1 over c.

    Raises:
        ValueError: shapes do not match; the kernel is too fine for so large a photo.
    """
    batched = image.ndim == 4
    shape = probabilities.shape
    expected = (*shape[:-3], *shape[-2:], 3)
    if image.ndim not in (3, 4) or image.shape != expected:
        raise ValueError(f"image {image.shape} should be {expected}, as probabilities are {shape}")
    if present is None:
        present = jnp.ones(shape[:-2], bool)
    if valid is None:
        valid = jnp.ones(image.shape[:-1], bool)

    def one(arrays: tuple[jax.Array, ...]) -> jax.Array:
        photo, scores, real, classes = arrays
        return mean_field(
            settings.unary(scores, classes),
            photo,
            valid=real,
            gaussian=settings.gaussian,
            bilateral=settings.bilateral,
            iterations=iterations,
            kernel=kernel,
        )

    arrays = (image, probabilities, valid, present)
    # A map, not vmap: each photo gets tables of the size it needs.
    return jax.lax.map(one, arrays) if batched else one(arrays)
