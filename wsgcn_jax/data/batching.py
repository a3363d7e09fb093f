"""Batches of photos of unequal size: few padded shapes, so that little is compiled."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

MOST_SHAPES = 3
"""Padded shapes of a set of photos: each is compiled anew, and pixels are cheaper than that."""

_FULL_BATCH = 512 * 512  # pixels for each photo of a batch

Size = tuple[int, int]
"""Rows and columns."""


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


def batch_of(shape: Size, batch_size: int) -> int:
    """Returns how many photos of a shape fit into the room of `batch_size` photos of 512x512.

    So a batch's memory is bounded however large its photos are.

    Args:
        shape: padded height and width.
        batch_size: photos a batch, of small ones.

    Returns:
        The number, from 1 to `batch_size`.
    """
    return max(1, min(batch_size, batch_size * _FULL_BATCH // (shape[0] * shape[1])))


def plan_batches(
    sizes: Sequence[Size], batch_size: int, multiple: int
) -> list[tuple[Size, tuple[int, ...]]]:
    """Groups photos by padded shape, of which there are at most `MOST_SHAPES`.

    Args:
        sizes: height and width of every photo.
        batch_size: photos a batch, >= 1; fewer of large ones (`batch_of`).
        multiple: sides are padded to multiples of this.

    Returns:
        Batches as (padded shape, positions in `sizes`), by shape, positions ascending. The
        last batch of a shape may be short; whoever needs full ones repeats an entry.
    """
    return [
        (shape, tuple(positions[start : start + batch_of(shape, batch_size)]))
        for shape, positions in sorted(_merged(_buckets(sizes, multiple)).items())
        for start in range(0, len(positions), batch_of(shape, batch_size))
    ]


def padded_shapes(sizes: Sequence[Size], multiple: int) -> list[Size]:
    """Returns the padded shape of every photo, of which there are at most `MOST_SHAPES`.

    Args:
        sizes: height and width of every photo.
        multiple: sides are padded to multiples of this.
    """
    shapes = {
        position: shape
        for shape, positions in _merged(_buckets(sizes, multiple)).items()
        for position in positions
    }
    return [shapes[position] for position in range(len(sizes))]


def _buckets(sizes: Sequence[Size], multiple: int) -> dict[Size, list[int]]:
    """Positions of photos by their padded shape."""
    buckets: dict[Size, list[int]] = {}
    for position, (height, width) in enumerate(sizes):
        buckets.setdefault(bucket_shape(height, width, multiple), []).append(position)
    return buckets


def _merged(buckets: Mapping[Size, Sequence[int]]) -> dict[Size, list[int]]:
    """Joins buckets until few are left, two at a time, where it pads the fewest pixels more."""
    merged = {shape: list(positions) for shape, positions in sorted(buckets.items())}
    while len(merged) > MOST_SHAPES:
        pairs = combinations(merged, 2)
        one, other = min(pairs, key=lambda pair: _added_pixels(merged, *pair))
        joined = sorted([*merged.pop(one), *merged.pop(other)])
        shape = _around(one, other)
        # A third bucket may have that very shape.
        merged[shape] = sorted([*merged.get(shape, []), *joined])
    return merged


def _added_pixels(buckets: Mapping[Size, Sequence[int]], one: Size, other: Size) -> int:
    shape = _around(one, other)
    return sum(
        len(buckets[size]) * (shape[0] * shape[1] - size[0] * size[1]) for size in (one, other)
    )


def _around(one: Size, other: Size) -> Size:
    return max(one[0], other[0]), max(one[1], other[1])
