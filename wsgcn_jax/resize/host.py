"""Photos, maps and labels on the host; labels also on the device."""

from collections.abc import Iterator
from typing import Literal, TypeVar

import jax
import numpy as np
from PIL import Image

Size = tuple[int, int]
"""Rows and columns (height, width)."""

Labels = TypeVar("Labels", np.ndarray, jax.Array)

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def within(size: Size, longer_side: int | None) -> Size:
    """Returns a size whose longer side is bounded, with the same ratio; None: no bound."""
    if longer_side is None or max(size) <= longer_side:
        return size
    first, second = (max(1, round(side * longer_side / max(size))) for side in size)
    return first, second


def resize_photo(
    photo: np.ndarray, size: Size, *, method: Literal["bicubic", "lanczos"] = "bicubic"
) -> np.ndarray:
    """Resizes a photo by Pillow's filter: half-pixel centres, antialiased.

    Args:
        photo: `[h, w, 3] u8`.
        size: rows and columns of the result.
        method: "bicubic" where a network sees it, "lanczos" for colours on a coarse grid.

    Returns:
        `[*size, 3] u8`.
    """
    if photo.shape[:2] == tuple(size):
        return photo
    return np.asarray(Image.fromarray(photo).resize((size[1], size[0]), _FILTERS[method]))


def resize_map(x: np.ndarray, size: Size) -> np.ndarray:
    """Resizes one map by Pillow's bilinear filter: half-pixel centres, antialiased.

    Args:
        x: `[h, w] f32`.
        size: rows and columns of the result.

    Returns:
        `[*size] f32`.
    """
    image = Image.fromarray(x).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def resize_maps(maps: np.ndarray, size: Size, *, align_corners: bool = False) -> np.ndarray:
    """Resizes score maps bilinearly, without antialiasing.

    Args:
        maps: `[k, h, w] f32`.
        size: rows and columns of the result; not smaller than the maps with half-pixel centres.
        align_corners: corner centres on corner centres (docs/method.md section 5) instead of
            half-pixel centres.

    Returns:
        `[k, *size] f32`.
    """
    return next(resized_strips(maps, size, size[0], align_corners=align_corners))


def resized_strips(
    maps: np.ndarray, size: Size, strip: int, *, align_corners: bool = False
) -> Iterator[np.ndarray]:
    """Resizes score maps as `resize_maps`, a strip of rows at a time, which bounds the memory.

    Args:
        maps: `[k, h, w] f32`.
        size: rows and columns of the whole result.
        strip: rows at a time.
        align_corners: of `resize_maps`.

    Yields:
        `[k, strip, columns] f32`, from top to bottom; the last one may have fewer rows.
    """
    rows, columns = (
        _linear(after, before, align_corners=align_corners)
        for after, before in zip(size, maps.shape[1:], strict=True)
    )
    wide = _between(maps.astype(np.float32), *columns, axis=2)
    for top in range(0, size[0], strip):
        yield _between(wide, *(part[top : top + strip] for part in rows), axis=1)


def _linear(size_out: int, size_in: int, *, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cells `[size_out] int` before each place of a linear interpolation, and its way `f64` from
    there to the next cell."""
    at = np.arange(size_out)
    if align_corners:
        source = at * ((size_in - 1) / max(size_out - 1, 1))
    else:
        source = np.clip((at + 0.5) * (size_in / size_out) - 0.5, 0, size_in - 1)
    cell = np.minimum(source.astype(int), max(size_in - 2, 0))
    return cell, source - cell


def _between(maps: np.ndarray, cell: np.ndarray, way: np.ndarray, *, axis: int) -> np.ndarray:
    """Weighted means of neighbouring cells along an axis."""
    shape = [1, 1, 1]
    shape[axis] = -1
    after = (np.minimum(cell + 1, maps.shape[axis] - 1), way)
    parts = ((cell, 1 - way), after)
    one, other = (
        np.take(maps, index, axis) * weight.astype(np.float32).reshape(shape)
        for index, weight in parts
    )
    return np.add(one, other, out=one)


def resize_labels(labels: Labels, size: Size, *, corners: bool = False) -> Labels:
    """Resizes label maps by the nearest pixel, without mixing classes.

    Args:
        labels: `[..., h, w]`, of NumPy or JAX; u8, or whatever else must not be mixed.
        size: rows and columns of the result.
        corners: row i comes from floor(i h / H), as the published code enlarges partial labels,
            which lies half a cell away; otherwise from floor((i + 1/2) h / H).

    Returns:
        `[..., *size]`, of the same dtype and library.
    """
    if tuple(labels.shape[-2:]) == tuple(size):
        return labels
    rows, columns = (
        np.arange(after) * before // after
        if corners
        else (2 * np.arange(after) + 1) * before // (2 * after)
        for before, after in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[..., rows, :][..., columns]
