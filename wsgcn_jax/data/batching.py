"""Batches of photos of unequal size: few padded shapes, so that little is compiled."""

from collections.abc import Sequence

import numpy as np


def bucket_shape(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Height and width rounded up to multiples."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def pad_to(array: np.ndarray, shape: tuple[int, int], value: float = 0) -> np.ndarray:
    """Pads an array at the bottom and right.

    Args:
        array: `[h, w, ...]`.
        shape: height and width of the result, at least those of the array.
        value: what to pad with.

    Returns:
        `[shape[0], shape[1], ...]` of the array's dtype.

    Raises:
        ValueError: the array is larger than the shape.
    """
    missing = [(0, wanted - side) for wanted, side in zip(shape, array.shape[:2], strict=True)]
    rest = [(0, 0)] * (array.ndim - 2)
    return np.pad(array, missing + rest, constant_values=value)


def plan_batches(
    sizes: Sequence[tuple[int, int]], batch_size: int, multiple: int
) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    """Groups photos by padded shape.

    Args:
        sizes: height and width of every photo.
        batch_size: photos a batch, >= 1.
        multiple: sides are padded to multiples of this.

    Returns:
        Batches as (padded shape, positions in `sizes`), by shape, positions ascending. The
        last batch of a shape may be short; whoever needs full ones repeats an entry.
    """
    buckets: dict[tuple[int, int], list[int]] = {}
    for position, (height, width) in enumerate(sizes):
        buckets.setdefault(bucket_shape(height, width, multiple), []).append(position)
    return [
        (shape, tuple(positions[start : start + batch_size]))
        for shape, positions in sorted(buckets.items())
        for start in range(0, len(positions), batch_size)
    ]
