"""Resizing and the published training augmentation: scale, mirror image, crop, padding."""

from typing import TypedDict

import numpy as np
from PIL import Image

from wsgcn_jax.types import IGNORE


class Crop(TypedDict):
    """A training crop.

    Keys:
        image: `[crop, crop, 3] u8`, zero outside the photo.
        valid: `[crop, crop] bool`, True inside the photo.
        label_map: `[crop, crop] u8`, 255 outside the photo and where there are no labels.
    """

    image: np.ndarray
    valid: np.ndarray
    label_map: np.ndarray


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a photo `[h, w, 3] u8` to `size` (height, width), bicubic."""
    if image.shape[:2] == size:
        return image
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.array(resized)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a mask `[h, w] u8` to `size` (height, width), nearest."""
    if mask.shape == size:
        return mask
    return np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def resize_longer_side(
    image: np.ndarray, longer: int, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resizes a photo so that its longer side has a given length.

    Args:
        image: `[h, w, 3] u8`.
        longer: the longer side in pixels, >= 1.
        mask: `[h, w] u8`, resized alike.

    Returns:
        Photo and mask (None where there was none).
    """
    height, width = image.shape[:2]
    size = _scaled(height, width, longer / max(height, width))
    return resize_image(image, size), None if mask is None else resize_mask(mask, size)


def train_crop(
    rng: np.random.Generator,
    image: np.ndarray,
    label_map: np.ndarray | None = None,
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
    image = resize_image(image, size)
    labels = np.full(size, IGNORE, np.uint8)
    if label_map is not None:
        labels = resize_mask(label_map, size)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
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
    return result


def _scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _place(rng: np.random.Generator, side: int, crop: int) -> tuple[slice, slice]:
    """Along one axis, the part of the photo that is taken and where it goes in the crop."""
    taken = min(side, crop)
    start = int(rng.integers(side - taken + 1))
    offset = int(rng.integers(crop - taken + 1))
    return slice(start, start + taken), slice(offset, offset + taken)
