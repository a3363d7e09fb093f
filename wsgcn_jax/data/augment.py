"""The published training augmentation: scale, mirror image, crop, padding."""

from typing import NotRequired, TypedDict

import numpy as np

from wsgcn_jax.resize import resize_labels, resize_photo
from wsgcn_jax.types import IGNORE


class Crop(TypedDict):
    """A training crop.

    Keys:
        image: `[crop, crop, 3] u8`, zero outside the photo.
        valid: `[crop, crop] bool`, True inside the photo.
        label_map: `[crop, crop] u8`, 255 outside the photo and where there are no labels.
        scores: `[c, crop, crop] f16`, 0 outside the photo; only where there are any.
    """

    image: np.ndarray
    valid: np.ndarray
    label_map: np.ndarray
    scores: NotRequired[np.ndarray]


def train_crop(
    rng: np.random.Generator,
    image: np.ndarray,
    label_map: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    *,
    crop: int,
    longer_side: tuple[int, int] | None = None,
    scales: tuple[float, float] | None = None,
) -> Crop:
    """Draws a training crop: random size, mirror image, place; padding at a random offset.

    IRNet's augmentation, with `longer_side` for the classifier and `scales` for the boundary
    network and the segmenter.

    Args:
        rng: where the draws come from.
        image: `[h, w, 3] u8`.
        label_map: `[h, w] u8` or None.
        scores: `[c, H, W]` of the whole photo, at any size; or None.
        crop: side of the crop.
        longer_side: the longer side is uniform among these integers, ends included.
        scales: or the scale is uniform between these.

    Returns:
        The crop.

    Raises:
        ValueError: both or neither of `longer_side` and `scales` are given.
    """
    if (longer_side is None) == (scales is None):
        raise ValueError("give either longer_side or scales")
    height, width = image.shape[:2]
    if longer_side is not None:
        scale = int(rng.integers(longer_side[0], longer_side[1] + 1)) / max(height, width)
    elif scales is not None:
        scale = float(rng.uniform(*scales))
    size = _scaled(height, width, scale)
    image = resize_photo(image, size)
    labels = np.full(size, IGNORE, np.uint8)
    if label_map is not None:
        labels = resize_labels(label_map, size)
    if scores is not None:
        scores = resize_labels(scores, size)  # smooth, and finer than what they are compared with
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
        scores = None if scores is None else scores[..., ::-1]
    spans = [_place(rng, side, crop) for side in size]
    source = tuple(span[0] for span in spans)
    target = tuple(span[1] for span in spans)
    result = Crop(
        image=np.zeros((crop, crop, 3), np.uint8),
        valid=np.zeros((crop, crop), bool),
        label_map=np.full((crop, crop), IGNORE, np.uint8),
    )
    result["image"][target] = image[source]
    result["valid"][target] = True
    result["label_map"][target] = labels[source]
    if scores is not None:
        result["scores"] = np.zeros((len(scores), crop, crop), np.float16)
        result["scores"][:, *target] = scores[:, *source]
    return result


def _scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _place(rng: np.random.Generator, side: int, crop: int) -> tuple[slice, slice]:
    """Along one axis, the part of the photo that is taken and where it goes in the crop."""
    taken = min(side, crop)
    start = int(rng.integers(side - taken + 1))
    offset = int(rng.integers(crop - taken + 1))
    return slice(start, start + taken), slice(offset, offset + taken)
