"""COCO's outlines drawn: polygons, and runs of pixels (RLE) plain or compressed."""

from typing import Any

import numpy as np


def draw_polygons(polygons: Any, size: tuple[int, int]) -> np.ndarray:
    """Fills polygons: the pixels whose middle lies inside (by the even-odd rule).

    Args:
        polygons: one `[x0, y0, x1, y1, ...]` each, in pixels; (0, 0) is the photo's corner.
        size: (height, width).

    Returns:
        `[h, w] bool`, their union.

    Raises:
        ValueError: a polygon has fewer than three points, or is no list of numbers.
    """
    inside = np.zeros(size, bool)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64)
        if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all():
            raise ValueError("a polygon needs three points or more")
        corners = points.reshape(-1, 2)
        top, bottom = np.clip([corners[:, 1].min(), corners[:, 1].max() + 1], 0, size[0])
        rows = slice(int(top), int(bottom))
        inside[rows] |= _fill(corners - (0, rows.start), (rows.stop - rows.start, size[1]))
    return inside


def _fill(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fills one polygon: from left to right, every side that a row's middle crosses turns it over.

    Args:
        corners: `[n, 2] f64`, x and y.
        size: (height, width).

    Returns:
        `[h, w] bool`.
    """
    height, width = size
    turns = np.zeros((height, width + 1), np.uint8)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, height).astype(int)
        rows = np.arange(first, last)  # whose middle lies between the two ends
        if rows.size:
            x = x0 + (x1 - x0) * ((rows + 0.5 - y0) / (y1 - y0))
            columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
            np.bitwise_xor.at(turns, (rows, columns), 1)
    return np.bitwise_xor.accumulate(turns, axis=1)[:, :width].astype(bool)


def draw_runs(runs: Any, size: tuple[int, int]) -> np.ndarray:
    """Draws `{"size": [h, w], "counts": ...}`.

    Args:
        runs: the lengths of runs of 0 and 1 in turns, down the columns: a list, or COCO's text.
        size: (height, width) that it must have.

    Returns:
        `[h, w] bool`.

    Raises:
        KeyError: a key is missing.
        ValueError: the size differs, or the runs do not add up to it.
    """
    if tuple(runs["size"]) != tuple(size):
        raise ValueError(f"its runs are for {runs['size']}, the photo has {list(size)}")
    counts = runs["counts"]
    if isinstance(counts, str):
        counts = decode_counts(counts)
    lengths = np.asarray(counts, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError("its runs do not fill the photo")
    values = np.arange(lengths.size) % 2 == 1
    return np.repeat(values, lengths).reshape(size[::-1]).T


def decode_counts(text: str) -> list[int]:
    """Decodes COCO's compressed run lengths.

    Each number is written in groups of five bits, lowest first, as characters from "0" on; the
    sixth bit says that more follow, and the highest bit of the last group is the sign. From the
    fourth number on it is the difference from the number two before.

    Args:
        text: the field `counts`.

    Returns:
        The lengths of the runs.

    Raises:
        ValueError: a character is none of the alphabet, or the text ends within a number.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 30:
            raise ValueError("its compressed runs are damaged")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its compressed runs end too early")
    return counts
