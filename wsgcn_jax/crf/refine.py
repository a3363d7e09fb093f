"""The dense CRF as a tool of its own: anyone's segmentation, drawn to the edges of the photo."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.crf.mean_field import Kernel, mean_field, resolve_kernel
from wsgcn_jax.crf.settings import DEEPLAB, Settings, score_unary
from wsgcn_jax.types import DataError

_CLASSES = 4  # a bucket rounds the number of classes up to a multiple: time hardly depends on it
# Where unaries are -log(score), a class that scores less everywhere wins nowhere, but costs time.
_NEGLIGIBLE = 0.01

Array = np.ndarray | jax.Array


@checked(
    image=Shaped("... h w 3", "number", low=0, high=255),
    probabilities=Shaped("... c h w", low=0, high=1),
    valid=Shaped("... h w", "bool"),
    present=Shaped("... c", "bool"),
    iterations=Number(low=0, high=1000),
    bucket=Number(low=1),
)
def refine(
    image: Array,
    probabilities: Array,
    settings: Settings = DEEPLAB,
    *,
    kernel: Kernel | None = None,
    valid: Array | None = None,
    present: Array | None = None,
    iterations: int = 10,
    bucket: int | None = None,
) -> Array:
    """Draws a segmentation to the edges of its photo.

    One photo; several score maps of it (`b` in front of the probabilities), which share its
    kernels; or a batch of photos of equal size (`b` in front of every array given).

    Args:
        image: `[h, w, 3]`, u8 or f32 in 0..255, in any order of channels.
        probabilities: `[c, h, w] f32` in [0, 1].
        settings: kernels, and the meaning of the probabilities; one of `BOUNDARY_LABELS`,
            `PARTIAL_LABELS`, `GCN_SCORES`, `GCN_PROBABILITIES`, `DEEPLAB`.
        kernel: "lattice", "attention", or "exact" for small photos (see `mean_field`); None:
            "attention" on TPUs, "lattice" elsewhere.
        valid: `[h, w] bool`, real pixels; None if all are. The others influence nothing.
        present: `[c] bool`, classes that take part; None if all do. The others end at 0.
        iterations: number of mean-field updates.
        bucket: pixels; the photo is padded to multiples of it, so that photos of many sizes share
            a compiled program. For NumPy arrays of one photo, without `valid` and `present`.
            Unless the kernel is "exact", the number of classes is rounded up alike, and under
            unaries -log(score) a class whose scores are nowhere above 0.01 is left out and ends
            at 0.

    Returns:
        `[c, h, w] f32` probabilities, summing to 1 over c.

    Raises:
        ValueError: shapes do not match; no such kernel; it is too fine for so large a photo's
            lattice.
    """
    shape = probabilities.shape
    expected = (*shape[-2:], 3)
    if image.ndim == 4:
        expected = (*shape[:-3], *expected)
    if image.ndim not in (3, 4) or image.shape != expected:
        raise ValueError(f"image {image.shape} should be {expected}, as probabilities are {shape}")
    kernel = resolve_kernel(kernel)
    if not shape[-3]:
        raise DataError("refine: probabilities have 0 labels; give at least one")
    if _may_be_unit(image):
        raise DataError("refine: image lies in 0..1; multiply it by 255, colours are 0..255")
    if bucket is not None:
        if image.ndim == 4 or valid is not None or present is not None:
            raise ValueError("bucket is for one photo, without valid and present")
        scores = np.asarray(probabilities)
        return _in_bucket(np.asarray(image), scores, settings, kernel, iterations, bucket)
    return _refine(image, probabilities, valid, present, settings, iterations, kernel)


def _may_be_unit(image: Array) -> bool:
    """Whether a photo of floats lies in [0, 1] and is not simply black."""
    if isinstance(image, jax.core.Tracer) or image.dtype == np.uint8:
        return False
    return 0 < float(np.asarray(image).max(initial=0)) <= 1


def _in_bucket(
    image: np.ndarray,
    scores: np.ndarray,
    settings: Settings,
    kernel: Kernel,
    iterations: int,
    bucket: int,
) -> np.ndarray:
    """Refines one photo at a padded size and with a padded number of classes."""
    height, width = scores.shape[-2:]
    axes = tuple(i for i in range(scores.ndim) if i != scores.ndim - 3)
    every = np.ones(scores.shape[-3], bool)
    by_score = kernel != "exact" and settings.unary is score_unary
    kept = np.flatnonzero((scores > _NEGLIGIBLE).any(axis=axes) if by_score else every)
    slots = -(-len(kept) // _CLASSES) * _CLASSES if kernel != "exact" else len(kept)
    shape = tuple(-(-side // bucket) * bucket for side in (height, width))
    padded = np.zeros((*scores.shape[:-3], slots, *shape), np.float32)
    padded[..., : len(kept), :height, :width] = scores[..., kept, :, :]
    photo = np.zeros((*shape, 3), image.dtype)
    photo[:height, :width] = image
    valid = np.zeros(shape, bool)
    valid[:height, :width] = True
    present = np.arange(slots) < len(kept)
    refined = _refine(photo, padded, valid, present, settings, iterations, kernel)
    result = np.zeros(scores.shape, np.float32)
    result[..., kept, :, :] = np.asarray(refined)[..., : len(kept), :height, :width]
    return result


@partial(jax.jit, static_argnames=("settings", "iterations", "kernel"))
def _refine(
    image: jax.Array,
    probabilities: jax.Array,
    valid: jax.Array | None,
    present: jax.Array | None,
    settings: Settings,
    iterations: int,
    kernel: Kernel,
) -> jax.Array:
    shape = probabilities.shape
    if present is None:
        present = jnp.ones(shape[:-2] if image.ndim == 4 else shape[-3], bool)
    if valid is None:
        valid = jnp.ones(image.shape[:-1], bool)

    def one(arrays: tuple[jax.Array, ...]) -> jax.Array:
        photo, scores, real, classes = arrays
        unary = jax.vmap(settings.unary, (0, None)) if scores.ndim == 4 else settings.unary
        return mean_field(
            unary(scores, classes),
            photo,
            valid=real,
            gaussian=settings.gaussian,
            bilateral=settings.bilateral,
            iterations=iterations,
            kernel=kernel,
        )

    arrays = (image, probabilities, valid, present)
    # A map, not vmap: each photo gets tables of the size it needs, or fills the device alone.
    return jax.lax.map(one, arrays) if image.ndim == 4 else one(arrays)
