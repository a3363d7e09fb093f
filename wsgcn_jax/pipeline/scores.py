"""Between score maps on the stride-4 grid and label maps of the photo's size (host side)."""

import numpy as np
from PIL import Image


def resize_maps(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes score maps bilinearly with half-pixel centres.

    Args:
        maps: `[k, h, w] f32`.
        size: (height, width) of the result, not smaller than the maps.

    Returns:
        `[k, *size] f32`.
    """
    return _resample(
        maps, *(_linear(n, m, aligned=False) for n, m in zip(size, maps.shape[1:], strict=True))
    )


def resize_maps_aligned(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes score maps bilinearly, corner centres on corner centres (method section 5).

    Args:
        maps: `[k, h, w] f32`.
        size: (height, width) of the result.

    Returns:
        `[k, *size] f32`.
    """
    return _resample(
        maps, *(_linear(n, m, aligned=True) for n, m in zip(size, maps.shape[1:], strict=True))
    )


def _resample(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.stack([rows @ m @ columns.T for m in maps.astype(np.float32)])


def _linear(size_out: int, size_in: int, *, aligned: bool) -> np.ndarray:
    """`[size_out, size_in] f32`: the weights of a linear interpolation."""
    at = np.arange(size_out)
    if aligned:
        source = at * ((size_in - 1) / max(size_out - 1, 1))
    else:
        source = np.clip((at + 0.5) * (size_in / size_out) - 0.5, 0, size_in - 1)
    distance = np.abs(source[:, None] - np.arange(size_in)[None, :])
    return np.maximum(0, 1 - distance).astype(np.float32)


def argmax_labels(
    scores: np.ndarray, keys: np.ndarray, background: float | None = None
) -> np.ndarray:
    """Gives every pixel the class of its highest score.

    Args:
        scores: `[k, h, w] f32`.
        keys: `[k] u8`, class ids.
        background: constant score of background; None where it is one of the keys.

    Returns:
        `[h, w] u8`.
    """
    best = keys[scores.argmax(axis=0)]
    if background is not None:
        best = np.where(scores.max(axis=0) > background, best, 0)
    return best.astype(np.uint8)


def argmax_resized(
    maps: np.ndarray, size: tuple[int, int], keys: np.ndarray, *, strip: int = 128
) -> np.ndarray:
    """Resizes score maps as `resize_maps` and labels every pixel, a strip of rows at a time.

    The maps of 21 classes at 6000x4000 would take two gigabytes.

    Args:
        maps: `[k, h, w] f32`.
        size: (height, width) of the result.
        keys: `[k] u8`, class ids.
        strip: rows at a time.

    Returns:
        `[*size] u8`.
    """
    shapes = zip(size, maps.shape[1:], strict=True)
    rows, columns = (_linear(n, m, aligned=False) for n, m in shapes)
    strips = [
        argmax_labels(_resample(maps, rows[top : top + strip], columns), keys)
        for top in range(0, size[0], strip)
    ]
    return np.concatenate(strips)


def nearest_labels(
    labels: np.ndarray, size: tuple[int, int], *, corners: bool = False
) -> np.ndarray:
    """Resizes a label map `[h, w] u8` to `size` without mixing classes.

    A pixel takes the label whose centre is nearest; with `corners` row i takes row floor(i h / H),
    as the published code enlarges partial labels: half a cell away.
    """
    if corners:
        rows, columns = (np.arange(n) * m // n for n, m in zip(size, labels.shape, strict=True))
        return labels[rows][:, columns]
    image = Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image)
