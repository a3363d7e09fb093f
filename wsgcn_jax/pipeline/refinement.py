"""The dense CRF on scores of a photo's own size: padded, so that few programs are compiled."""

from functools import partial

import jax
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.crf.refine import refine
from wsgcn_jax.crf.settings import DEEPLAB, GCN_SCORES, Settings

MASKS = GCN_SCORES._replace(unary=DEEPLAB.unary)
"""Kernels of the published last step, on the GCN's probabilities as they are.

The published code takes them for logits and puts them through a softmax once more; that is
`GCN_SCORES`.
"""

_BUCKET = 128  # pixels
_CLASSES = 4  # the number of classes is rounded up to a multiple: time hardly depends on it
# Where unaries are -log(score), a class that scores less everywhere wins nowhere, but costs time.
_NEGLIGIBLE = 0.01


def refine_scores(
    photo: np.ndarray, scores: np.ndarray, settings: Settings, *, bucket: int = 0
) -> np.ndarray:
    """Draws the probabilities of one photo to its edges.

    Args:
        photo: `[h, w, 3] u8`.
        scores: `[k, h, w] f32` in [0, 1].
        settings: of the CRF.
        bucket: sides are padded to multiples of this many pixels, and of no fewer than 128.

    Returns:
        `[k, h, w] f32` probabilities; under unaries -log(score), 0 for a class whose scores are
        nowhere above 0.01.
    """
    height, width = scores.shape[1:]
    least = _NEGLIGIBLE if settings.unary is DEEPLAB.unary else -1.0
    kept = np.flatnonzero((scores > least).any(axis=(1, 2)))
    classes = len(kept)
    shape = data.bucket_shape(height, width, max(bucket, _BUCKET))
    padded = np.zeros((-(-classes // _CLASSES) * _CLASSES, *shape), np.float32)
    padded[:classes, :height, :width] = scores[kept]
    refined = _refine(
        data.pad_to(photo, shape),
        padded,
        settings,
        valid=data.pad_to(np.ones((height, width), bool), shape),
        present=np.arange(len(padded)) < classes,
    )
    result = np.zeros_like(scores)
    result[kept] = np.asarray(refined)[:classes, :height, :width]
    return result


_refine = partial(jax.jit, static_argnums=2)(refine)
