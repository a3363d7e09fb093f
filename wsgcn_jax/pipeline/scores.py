"""Between score maps on the stride-4 grid and label maps of the photo's size (host side)."""

import numpy as np

from wsgcn_jax.resize import resized_strips


def argmax_labels(
    scores: np.ndarray, class_ids: np.ndarray, background: float | None = None
) -> np.ndarray:
    """Gives every pixel the class of its highest score.

    Args:
        scores: `[k, h, w] f32`.
        class_ids: `[k] u8`.
        background: constant score of background; None where it is one of the classes.

    Returns:
        `[h, w] u8`.
    """
    best = class_ids[scores.argmax(axis=0)]
    if background is not None:
        best = np.where(scores.max(axis=0) > background, best, 0)
    return best.astype(np.uint8)


def argmax_resized(
    maps: np.ndarray, size: tuple[int, int], class_ids: np.ndarray, *, strip: int = 128
) -> np.ndarray:
    """Resizes score maps as `resize_maps` and labels every pixel, a strip of rows at a time.

    The maps of 21 classes at 6000x4000 would take two gigabytes.

    Args:
        maps: `[k, h, w] f32`.
        size: (height, width) of the result.
        class_ids: `[k] u8`.
        strip: rows at a time.

    Returns:
        `[*size] u8`.
    """
    if maps.shape[1:] == size:
        return argmax_labels(maps, class_ids)
    strips = resized_strips(maps, size, strip)
    return np.concatenate([argmax_labels(scores, class_ids) for scores in strips])
