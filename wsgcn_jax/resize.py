"""Every way in which photos, maps and labels change their size, and the convention of each.

| function | of what | convention |
|---|---|---|
| `resize_photo` | photos, host | Pillow's bicubic or Lanczos: half-pixel, antialiased |
| `resize_map` | one map of a file, host | Pillow's bilinear: half-pixel, antialiased |
| `resize_maps` | score maps, host | bilinear, half-pixel or corners aligned, not antialiased |
| `resize_labels` | label maps, host or device | nearest: half-pixel, or by corners |
| `resize_bilinear` | batches, device | bilinear, half-pixel, not antialiased |
| `resize_valid` | the real part of padded maps, device | the same, real sizes are traced |
| `upsample` | the real part of padded batches, device | the same, by a power of two |
| `scale_photos` | training batches, device | bilinear, PyTorch's coordinates for a scale factor |

Half-pixel is PyTorch's `align_corners=False`: cell i of n covers i/n to (i + 1)/n. Antialiased
means that a smaller picture averages what falls into a cell.
"""

from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from PIL import Image

Size = tuple[int, int]
"""Rows and columns (height, width)."""

Labels = TypeVar("Labels", np.ndarray, jax.Array)

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


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
    rows, columns = (
        linear_weights(after, before, align_corners=align_corners)
        for after, before in zip(size, maps.shape[1:], strict=True)
    )
    return resample(maps, rows, columns)


def resample(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Weighted sums of rows and columns: `[k, h, w]`, `[H, h]`, `[W, w]` -> `[k, H, W] f32`."""
    return np.stack([rows @ m @ columns.T for m in maps.astype(np.float32)])


def linear_weights(size_out: int, size_in: int, *, align_corners: bool = False) -> np.ndarray:
    """Returns the `[size_out, size_in] f32` weights of a linear interpolation."""
    at = np.arange(size_out)
    if align_corners:
        source = at * ((size_in - 1) / max(size_out - 1, 1))
    else:
        source = np.clip((at + 0.5) * (size_in / size_out) - 0.5, 0, size_in - 1)
    distance = np.abs(source[:, None] - np.arange(size_in)[None, :])
    return np.maximum(0, 1 - distance).astype(np.float32)


def resize_labels(labels: Labels, size: Size, *, corners: bool = False) -> Labels:
    """Resizes label maps by the nearest pixel, without mixing classes.

    Args:
        labels: `[..., h, w] u8`, of NumPy or JAX.
        size: rows and columns of the result.
        corners: row i comes from floor(i h / H), as the published code enlarges partial labels,
            which lies half a cell away; otherwise from floor((i + 1/2) h / H).

    Returns:
        `[..., *size] u8`, of the same library.
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


def resize_bilinear(x: jax.Array, size: Size) -> jax.Array:
    """Resizes a batch with half-pixel centres, without antialiasing.

    Args:
        x: `[b, h, w, c] f32`.
        size: rows and columns of the result.

    Returns:
        `[b, *size, c] f32`.
    """
    shape = (x.shape[0], *size, x.shape[3])
    return jax.image.resize(x, shape, method="bilinear", antialias=False)


def resize_valid(
    x: jax.Array, size_in: jax.Array, size_out: jax.Array, out_shape: Size
) -> jax.Array:
    """Resizes the real region of a padded map (bilinear, half-pixel centres).

    What lies outside `size_in` has no influence: the result is that of the map cut to it.

    Args:
        x: `[h, w, c] f32`, finite everywhere.
        size_in: `[2] i32`, real rows and columns, at least 1.
        size_out: `[2] i32`, the rows and columns that these become.
        out_shape: rows and columns of the result; a smaller one than `size_out` crops.

    Returns:
        `[*out_shape, c] f32`, 0 outside `size_out`.
    """
    rows, columns = (
        _traced_weights(x.shape[axis], out_shape[axis], size_in[axis], size_out[axis])
        for axis in (0, 1)
    )
    return jnp.einsum("Hh,hwc,Ww->HWc", rows, x, columns, precision=lax.Precision.HIGHEST)


def _traced_weights(
    length_in: int, length_out: int, size_in: jax.Array, size_out: jax.Array
) -> jax.Array:
    """Returns the `[length_out, length_in] f32` weights of a linear resize of real sizes."""
    index = jnp.arange(length_out)
    centre = (index + 0.5) * (size_in / size_out) - 0.5
    centre = jnp.clip(centre, 0.0, size_in - 1.0)
    weights = jnp.maximum(1.0 - jnp.abs(centre[:, None] - jnp.arange(length_in)[None, :]), 0.0)
    return jnp.where((index < size_out)[:, None], weights, 0.0).astype(jnp.float32)


def upsample(x: jax.Array, factor: int, valid: jax.Array | None) -> jax.Array:
    """Enlarges bilinearly (half-pixel centres) as if the padding were not there.

    A photo alone is continued by its outermost cells; so here a cell's neighbour in the
    padding is replaced by the cell itself.

    Args:
        x: `[b, h, w, c] f32`.
        factor: enlargement, a power of two.
        valid: `[b, h, w] bool`, the real cells; None where all are.

    Returns:
        `[b, factor * h, factor * w, c] f32`.
    """
    if factor == 1:
        return x
    if valid is None:
        valid = jnp.ones(x.shape[:3], bool)
    x = _upsample_axis(x, factor, valid, axis=1)
    return _upsample_axis(x, factor, jnp.repeat(valid, factor, axis=1), axis=2)


def _upsample_axis(x: jax.Array, factor: int, valid: jax.Array, *, axis: int) -> jax.Array:
    """Enlarges one axis: every result lies between a cell and one of its two neighbours."""
    before = jnp.where(_shift(valid, -1, axis)[..., None], _shift(x, -1, axis), x)
    after = jnp.where(_shift(valid, 1, axis)[..., None], _shift(x, 1, axis), x)
    phases = []
    for phase in range(factor):
        away = (phase + 0.5) / factor - 0.5
        phases.append((1 - abs(away)) * x + abs(away) * (before if away < 0 else after))
    shape = list(x.shape)
    shape[axis] *= factor
    return jnp.stack(phases, axis + 1).reshape(shape)


def _shift(x: jax.Array, step: int, axis: int) -> jax.Array:
    """Gives every cell the value of the next (step 1) or previous (-1) one, 0 off the end."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (max(-step, 0), max(step, 0))
    start = max(step, 0)
    return lax.slice_in_dim(jnp.pad(x, padding), start, start + x.shape[axis], axis=axis)


def scale_photos(
    x: jax.Array, valid: jax.Array | None, scale: float, *, by_size: bool = False
) -> tuple[jax.Array, jax.Array | None]:
    """Resizes photos bilinearly; sides are rounded down, coordinates divided by `scale` itself.

    Args:
        x: `[b, h, w, c]`, f32 or bf16.
        valid: `[b, h, w] bool`, the real pixels; None where all are.
        scale: of the photo.
        by_size: coordinates are divided by the ratio of the rounded sides instead, as PyTorch
            did before 1.6 (docs/quirks.md 24).

    Returns:
        (photos, their real pixels: those that are made of real pixels only).
    """
    size = (int(x.shape[1] * scale), int(x.shape[2] * scale))
    ratios = (size[0] / x.shape[1], size[1] / x.shape[2]) if by_size else (scale, scale)

    def resize(y: jax.Array) -> jax.Array:
        return jax.image.scale_and_translate(
            y.astype(jnp.promote_types(y.dtype, jnp.float32)),
            (y.shape[0], *size, y.shape[3]),
            (1, 2),
            jnp.asarray(ratios),
            jnp.zeros(2),
            "linear",
            antialias=False,
        )

    small = resize(x).astype(x.dtype)
    if valid is None:
        return small, None
    return small, resize(valid[..., None].astype(jnp.float32))[..., 0] > 1 - 1e-4
