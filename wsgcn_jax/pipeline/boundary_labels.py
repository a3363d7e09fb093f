"""CAMs -> the label maps that the boundary network is trained on (method section 2)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from wsgcn_jax import data
from wsgcn_jax.crf.mean_field import mean_field
from wsgcn_jax.crf.settings import BOUNDARY_LABELS, label_unary
from wsgcn_jax.pipeline.inference import grid_size, longer_side_scale, resize_photo
from wsgcn_jax.pipeline.refinement import refine_scores
from wsgcn_jax.pipeline.scores import nearest_labels, resize_maps
from wsgcn_jax.types import IGNORE

_BUCKET = 16  # cells; grids are padded to multiples, since each new shape is compiled anew


def boundary_labels(
    photo: np.ndarray, cam: np.ndarray, keys: np.ndarray, settings: ConfigDict, crf: ConfigDict
) -> np.ndarray:
    """Labels where two readings of a photo's CAMs agree (IRNet, section 4.2).

    Args:
        photo: `[h, w, 3] u8`.
        cam: `[k, H, W] f32` in [0, 1], on the stride-4 grid.
        keys: `[k] u8`, class ids.
        settings: the section "boundary" of the configuration.
        crf: the section "crf"; decides whether both readings are drawn to the photo's edges, and
            whether as published (`longer_side` = 0) or with exact kernels on a small grid.

    Returns:
        `[h, w] u8`; 255 where the readings disagree.
    """
    size = (photo.shape[0], photo.shape[1])
    levels = (settings.foreground, settings.background)
    if not crf.boundary_labels:
        return confident_labels(resize_maps(cam, size), keys, levels)
    if not crf.longer_side:
        return _published(photo, resize_maps(cam, size), keys, levels)
    scale = min(1.0, longer_side_scale(size, crf.longer_side))
    cells = grid_size((round(size[0] * scale), round(size[1] * scale)))
    small = resize_photo(photo, cells, Image.Resampling.LANCZOS)
    per_cell = cells[0] / size[0]
    kernel = (crf.sigma_xy * per_cell, crf.sigma_rgb, crf.weight)
    return nearest_labels(_refined(small, resize_maps(cam, cells), keys, levels, kernel), size)


def confident_labels(cam: np.ndarray, keys: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    """Labels where two readings of the CAMs agree, without a CRF.

    Args:
        cam: `[k, h, w] f32` in [0, 1].
        keys: `[k] u8`, class ids.
        levels: the background score that sure objects exceed, and the one that sure background
            stays below.

    Returns:
        `[h, w] u8`; 255 between the two.
    """
    sure, loose = levels
    best, value = keys[cam.argmax(axis=0)], cam.max(axis=0)
    return np.where(value > sure, best, np.where(value > loose, IGNORE, 0)).astype(np.uint8)


def _published(
    photo: np.ndarray, cam: np.ndarray, keys: np.ndarray, levels: tuple[float, float]
) -> np.ndarray:
    """The same, each reading refined by the CRF at the photo's size first."""
    readings = (np.concatenate([np.full_like(cam[:1], level), cam]) for level in levels)
    sure, loose = (refine_scores(photo, r, BOUNDARY_LABELS).argmax(axis=0) for r in readings)
    return _agreed(sure, loose, keys)


def _refined(
    photo: np.ndarray,
    cam: np.ndarray,
    keys: np.ndarray,
    levels: tuple[float, float],
    kernel: tuple[float, float, float],
) -> np.ndarray:
    """The same by exact kernels, photo and CAMs on one small grid."""
    height, width = cam.shape[1:]
    shape = data.bucket_shape(height, width, _BUCKET)
    valid = data.pad_to(np.ones((height, width), bool), shape)
    scores = [np.concatenate([np.full_like(cam[:1], level), cam]) for level in levels]
    readings = np.stack([data.pad_to(s.argmax(axis=0).astype(np.int32), shape) for s in scores])
    refined = _refine(readings, data.pad_to(photo, shape), valid, len(keys) + 1, kernel)
    sure, loose = np.asarray(refined)[:, :height, :width]
    return _agreed(sure, loose, keys)


def _agreed(sure: np.ndarray, loose: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Labels of two readings, whose classes are 0 or 1 + a position in keys."""
    sure = np.concatenate([[0], keys]).astype(np.uint8)[sure]
    return np.where(sure > 0, sure, np.where(loose > 0, IGNORE, 0)).astype(np.uint8)


@partial(jax.jit, static_argnums=3)
def _refine(
    readings: jax.Array,
    image: jax.Array,
    valid: jax.Array,
    classes: int,
    kernel: tuple[float, float, float],
) -> jax.Array:
    # Both readings share the photo, so vmap builds its kernels once.
    photo = image.astype(jnp.float32)
    refine = partial(mean_field, image=photo, valid=valid, bilateral=kernel, kernel="exact")
    unary = jax.vmap(partial(label_unary, classes=classes))(readings)
    return jax.vmap(refine)(unary).argmax(axis=1)
