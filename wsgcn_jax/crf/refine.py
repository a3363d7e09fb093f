"""The dense CRF as a tool of its own: anyone's segmentation, drawn to the edges of the photo."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.checks import Made, Number, Shaped, checked
from wsgcn_jax.crf.mean_field import Kernel, mean_field, resolve_kernel
from wsgcn_jax.crf.settings import DEEPLAB, Settings, score_unary
from wsgcn_jax.crf.simplex import numbered
from wsgcn_jax.resize import Size, resize_map, resize_photo, resized_strips
from wsgcn_jax.types import DataError

_FINE = 1 << 18  # pixels; a kernel whose keys overflow even here is refused
_STRIP = 128  # rows
_CLASSES = 4  # a bucket rounds the number of classes up to a multiple: time hardly depends on it
# Where unaries are -log(score), a class that scores less everywhere wins nowhere, but costs time.
_NEGLIGIBLE = 0.01

EXACT_CELLS = 1 << 14
"""Cells up to which the kernel "exact" is used: each of its two matrices takes a gigabyte then."""

MOST_PIXELS = 1 << 21
"""Pixels of a photo that is refined as it is: the lattice takes about 1.3 GB a million."""

Array = np.ndarray | jax.Array


@checked(
    image=Shaped("... h w 3", "number", low=0, high=255),
    probabilities=Shaped("... c h w", low=0, high=1),
    valid=Shaped("... h w", "bool"),
    present=Shaped("... c", "bool"),
    settings=Made(
        Settings, "one of `BOUNDARY_LABELS`, `PARTIAL_LABELS`, `GCN_PROBABILITIES`, `DEEPLAB`"
    ),
    iterations=Number(low=0, high=1000, whole=True),
    bucket=Number(low=1, whole=True),
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

    One photo of more than `MOST_PIXELS`, or whose lattice's vertices could not be numbered, is
    refined at a smaller size, to which the settings then apply, and the result is enlarged.

    Args:
        image: `[h, w, 3]`, u8 or f32 in 0..255, in any order of channels.
        probabilities: `[c, h, w] f32` in [0, 1].
        settings: kernels, and the meaning of the probabilities; one of `BOUNDARY_LABELS`,
            `PARTIAL_LABELS`, `GCN_SCORES`, `GCN_PROBABILITIES`, `DEEPLAB`.
        kernel: "lattice", "attention", "sampled", or "exact" for small photos (see `mean_field`);
            None: "sampled" on TPUs, "lattice" elsewhere.
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
        ValueError: shapes do not match; no such kernel; it is too fine for a lattice.
        DataError: "exact" on more than `EXACT_CELLS`; or photos too large for a batch, for a traced
            call, or for `valid` and `present`.
    """
    shape = probabilities.shape
    expected = (*shape[-2:], 3)
    if image.ndim == 4:
        expected = (*shape[:-3], *expected)
    if image.ndim not in (3, 4) or image.shape != expected:
        raise ValueError(f"image {image.shape} should be {expected}, as probabilities are {shape}")
    kernel = resolve_kernel(kernel)
    widths = (settings.gaussian[0], *settings.bilateral[:2])
    if min(widths) <= 0:
        raise DataError(f"refine: standard deviations are {widths}; give numbers above 0")
    if _may_be_unit(image):
        raise DataError("refine: image lies in 0..1; multiply it by 255, colours are 0..255")
    size = (shape[-2], shape[-1])
    smaller = _bearable(size, settings, kernel)
    if smaller != size:
        alone = image.ndim == 3 and valid is None and present is None
        if not alone or isinstance(image, jax.core.Tracer):
            raise DataError(
                f"refine: {size[0]} x {size[1]} pixels are too many; give one photo at a time, as "
                "NumPy arrays without valid and present, or make it smaller"
            )
        small = (_smaller_photo(image, smaller), _smaller_maps(probabilities, smaller))
        refined = np.asarray(
            refine(*small, settings, kernel=kernel, iterations=iterations, bucket=bucket)
        )
        return _enlarged(refined, size)
    if bucket is not None:
        if image.ndim == 4 or valid is not None or present is not None:
            raise ValueError("bucket is for one photo, without valid and present")
        scores = np.asarray(probabilities)
        return _in_bucket(np.asarray(image), scores, settings, kernel, iterations, bucket)
    return _refine(image, probabilities, valid, present, settings, iterations, kernel)


def refined_whole(size: Size, settings: Settings, *, kernel: Kernel | None = None) -> bool:
    """Tells whether `refine` takes photos of a size as they are, hence batches of them, too.

    Args:
        size: height and width.
        settings: of `refine`.
        kernel: of `refine`.

    Raises:
        DataError: "exact" on more than `EXACT_CELLS`.
    """
    return _bearable(size, settings, resolve_kernel(kernel)) == size


def counting_classes(scores: np.ndarray, settings: Settings, kernel: Kernel | None) -> np.ndarray:
    """Marks the classes of `[... c h w]` that can win anywhere (`refine`, bucket): `[c] bool`."""
    axes = tuple(i for i in range(scores.ndim) if i != scores.ndim - 3)
    if resolve_kernel(kernel) == "exact" or settings.unary is not score_unary:
        return np.ones(scores.shape[-3], bool)
    return np.asarray((scores > _NEGLIGIBLE).any(axis=axes))


def _may_be_unit(image: Array) -> bool:
    """Whether a photo of floats lies in [0, 1] and is not simply black."""
    if isinstance(image, jax.core.Tracer) or image.dtype == np.uint8:
        return False
    return 0 < float(np.asarray(image).max(initial=0)) <= 1


def _bearable(size: Size, settings: Settings, kernel: Kernel) -> Size:
    """The size at which a photo is refined: its own, unless memory or 32 bits of keys forbid it."""
    pixels = size[0] * size[1]
    if kernel == "exact":
        if pixels > EXACT_CELLS:
            raise DataError(
                f"refine: kernel 'exact' needs {2 * 4 * pixels**2 / 1e9:.0f} GB for {size[0]} x "
                f"{size[1]} cells; use 'lattice', or at most {EXACT_CELLS:,} cells"
            )
        return size
    scale = min(1.0, math.sqrt(MOST_PIXELS / pixels))
    smaller = size
    while True:
        if scale < 1:
            smaller = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
        if kernel != "lattice" or numbered(smaller, *settings.bilateral[:2]):
            return smaller
        if smaller[0] * smaller[1] < _FINE:  # the kernel's fault, not the photo's
            return smaller
        scale *= 0.9


def _smaller_photo(image: Array, size: Size) -> np.ndarray:
    colours = np.asarray(image)
    if colours.dtype != np.uint8:
        colours = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return resize_photo(colours, size)


def _smaller_maps(maps: Array, size: Size) -> np.ndarray:
    each = np.asarray(maps, np.float32).reshape(-1, *maps.shape[-2:])
    small = np.stack([resize_map(one, size) for one in each]).clip(0, 1)  # rounding
    return small.reshape(*maps.shape[:-2], *size)


def _enlarged(maps: np.ndarray, size: Size) -> np.ndarray:
    """Resizes `[..., h, w]` a strip at a time: beside large results there is no room for copies."""
    flat = maps.reshape(-1, *maps.shape[-2:])
    result = np.empty((len(flat), *size), np.float32)
    top = 0
    for strip in resized_strips(flat, size, _STRIP):
        result[:, top : top + strip.shape[1]] = strip
        top += strip.shape[1]
    return result.reshape(*maps.shape[:-2], *size)


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
    kept = np.flatnonzero(counting_classes(scores, settings, kernel))
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
        scores = scores.astype(jnp.float32)
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
