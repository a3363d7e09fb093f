"""CAMs -> the label maps that the boundary network is trained on (docs/method.md section 2)."""

import math
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax.crf import BOUNDARY_LABELS, EXACT_CELLS, refine
from wsgcn_jax.pipeline.inference import grid_size, longer_side_scale
from wsgcn_jax.pipeline.photo_crf import PhotoCRF, make_photo_crf
from wsgcn_jax.resize import resize_labels, resize_maps, resize_photo
from wsgcn_jax.types import IGNORE

_CELLS = 16  # a bucket on the photo's grid: each shape is compiled


def boundary_crf(sizes: Sequence[tuple[int, int]], crf: ConfigDict) -> PhotoCRF:
    """Builds the CRF of `boundary_labels` at the photos' size, where that is what is configured.

    Args:
        sizes: (height, width) of all photos.
        crf: the section "crf" of the configuration.
    """
    kernel = None if crf.kernel == "exact" else crf.kernel
    return make_photo_crf(sizes, BOUNDARY_LABELS, kernel=kernel)


def boundary_labels(
    photo: np.ndarray,
    cam: np.ndarray,
    class_ids: np.ndarray,
    settings: ConfigDict,
    crf: ConfigDict,
    at_full_size: PhotoCRF,
) -> np.ndarray:
    """Labels where two readings of a photo's CAMs agree (IRNet, section 4.2).

    Args:
        photo: `[h, w, 3] u8`.
        cam: `[k, H, W] f32` in [0, 1], on the stride-4 grid.
        class_ids: `[k] u8`.
        settings: the section "boundary" of the configuration.
        crf: the section "crf"; decides whether both readings are drawn to the photo's edges, and
            whether as published or with exact kernels on a small grid, of at most `EXACT_CELLS`.
        at_full_size: of `boundary_crf`.

    Returns:
        `[h, w] u8`; 255 where the readings disagree. A photo without classes is background.
    """
    size = (photo.shape[0], photo.shape[1])
    if not len(class_ids):
        return np.zeros(size, np.uint8)
    levels = (settings.foreground, settings.background)
    if not crf.ir_labels:
        return confident_labels(resize_maps(cam, size), class_ids, levels)
    if crf.kernel != "exact":
        scores = _readings(resize_maps(cam, size), levels)
        drawn = at_full_size([photo, photo], scores, len(scores))
        sure, loose = (one.argmax(axis=0) for one in drawn)
        return _agreed(sure, loose, class_ids)
    fits = 4 * math.sqrt(EXACT_CELLS / (size[0] * size[1]))
    scale = min(1.0, fits, longer_side_scale(size, crf.longer_side))
    cells = grid_size((round(size[0] * scale), round(size[1] * scale)))
    sigma_xy = crf.sigma_xy * cells[0] / size[0]
    refined = refine(
        resize_photo(photo, cells, method="lanczos"),
        np.stack(_readings(resize_maps(cam, cells), levels)),
        BOUNDARY_LABELS._replace(bilateral=(sigma_xy, crf.sigma_rgb, crf.weight)),
        kernel="exact",
        bucket=_CELLS,
    )
    sure, loose = np.asarray(refined).argmax(axis=1)
    return resize_labels(_agreed(sure, loose, class_ids), size)


def confident_labels(
    cam: np.ndarray, class_ids: np.ndarray, levels: tuple[float, float]
) -> np.ndarray:
    """Labels where two readings of the CAMs agree, without a CRF.

    Args:
        cam: `[k, h, w] f32` in [0, 1].
        class_ids: `[k] u8`.
        levels: the background score that sure objects exceed, and the one that sure background
            stays below.

    Returns:
        `[h, w] u8`; 255 between the two.
    """
    sure, loose = levels
    best, value = class_ids[cam.argmax(axis=0)], cam.max(axis=0)
    return np.where(value > sure, best, np.where(value > loose, IGNORE, 0)).astype(np.uint8)


def _readings(cam: np.ndarray, levels: tuple[float, float]) -> list[np.ndarray]:
    """The CAMs behind a constant background, `[1 + k, h, w] f32`, once for each level."""
    return [np.concatenate([np.full_like(cam[:1], level), cam]) for level in levels]


def _agreed(sure: np.ndarray, loose: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Labels of two readings, whose classes are 0 or 1 + a position in class_ids."""
    sure = np.concatenate([[0], class_ids]).astype(np.uint8)[sure]
    return np.where(sure > 0, sure, np.where(loose > 0, IGNORE, 0)).astype(np.uint8)
