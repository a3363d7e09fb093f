"""The grid cut into square tiles, each with the window of all that its nodes reach.

A *band* `[k, k, H, W]` holds a sparse matrix by offset: entry (i, j, y, x) is the weight between
node (y, x) and node (y + i - reach, x + j - reach), k = 2 reach + 1. The rows of one tile have all
their entries in its window: a small dense matrix, made by padding and reshaping alone, since
gathers are slow where matrix products are fast. Tiles come last until the matrices are done:
reshaping the axes before it then moves nothing in memory.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def make_band(weights: jax.Array, diagonal: jax.Array, offsets: np.ndarray) -> jax.Array:
    """Spreads weights by offset over the square of all offsets.

    Args:
        weights: `[p, H, W] f32`.
        diagonal: `[H, W] f32`.
        offsets: `[p, 2] i32`.

    Returns:
        `[k, k, H, W] f32`.
    """
    reach = int(np.abs(offsets).max())
    side = 2 * reach + 1
    cells = [jnp.zeros_like(diagonal)] * side**2
    for weight, (dy, dx) in zip(weights, offsets.tolist(), strict=True):
        cells[(dy + reach) * side + dx + reach] = weight
    cells[reach * side + reach] = diagonal
    return jnp.stack(cells).reshape(side, side, *diagonal.shape)


def pieces(x: jax.Array, axis: int, tile: int, reach: int = 0) -> jax.Array:
    """Cuts an axis into overlapping pieces, 0 beyond its ends.

    Args:
        x: its axis is a multiple of `tile` long.
        axis: from the front.
        tile: length of a piece without what it shares.
        reach: how far a piece extends beyond both ends of that.

    Returns:
        two axes for one, `[..., t, tile + 2 reach, ...]`.
    """
    count, more = x.shape[axis] // tile, -(-2 * reach // tile)
    if reach:
        widths = [(0, 0)] * x.ndim
        widths[axis] = (reach, more * tile - reach)
        x = jnp.pad(x, widths)
    x = x.reshape(*x.shape[:axis], count + more, tile, *x.shape[axis + 1 :])
    parts = [jax.lax.slice_in_dim(x, k, k + count, axis=axis) for k in range(more + 1)]
    joined = jnp.concatenate(parts, axis=axis + 1)
    return jax.lax.slice_in_dim(joined, 0, tile + 2 * reach, axis=axis + 1)


def windows(x: jax.Array, tile: int, reach: int) -> jax.Array:
    """Each tile's window in `[H + 2 reach, W, f]`: `[H W / tile^2, a^2, f]`, a = tile + 2 reach.

    Rows beyond the tiles are given; beyond the sides there is nothing.
    """
    side = tile + 2 * reach
    parts = [x[y : y + side] for y in range(0, len(x) - side + 1, tile)]
    x = pieces(jnp.stack(parts), 2, tile, reach).swapaxes(1, 2)  # [ty, tx, a, a, f]
    return x.reshape(-1, side**2, x.shape[-1])


def untiled(x: jax.Array, tile: int, height: int) -> jax.Array:
    """Puts tiles together: `[H W / tile^2, tile^2, f]` to `[H, W, f]`."""
    x = x.reshape(height // tile, -1, tile, tile, x.shape[-1]).swapaxes(1, 2)
    return x.reshape(height, -1, x.shape[-1])


def tile_rows(band: jax.Array, tile: int) -> jax.Array:
    """Cuts each tile out of `[k, H, W]`: `[k, tile, tile, H W / tile^2]`."""
    x = band.reshape(len(band), band.shape[1] // tile, tile, -1, tile)
    return x.transpose(0, 2, 4, 1, 3).reshape(len(band), tile, tile, -1)


def window_rows(band: jax.Array, tile: int, reach: int) -> jax.Array:
    """Cuts each tile's window out of `[k, H + 2 reach, W]`: `[k, a, a, t]`, a = tile + 2 reach.

    Rows beyond the tiles are given; beyond the sides there is nothing.
    """
    side = tile + 2 * reach
    x = pieces(band, 2, tile, reach)  # [k, y, tx, a]
    x = jnp.stack([x[:, y : y + side] for y in range(0, band.shape[1] - side + 1, tile)], axis=2)
    return x.transpose(0, 1, 4, 2, 3).reshape(len(band), side, side, -1)


def matrices(
    band: jax.Array, cut: Callable[[jax.Array], jax.Array], *, start: int, size: int
) -> jax.Array:
    """Writes the rows of a band as dense matrices.

    Args:
        band: `[k, k, H, W]`.
        cut: `[k, H, W]` -> `[k, a, a, t]`, which rows belong to each matrix.
        start: the first row and column of nodes that a matrix sees, counted from the first that
            its rows reach.
        size: how many it sees of either.

    Returns:
        `[t, a^2, size^2]`.
    """
    seen = slice(start, start + size)
    # A row of offsets at a time: half-way, arrays are many times larger in a TPU's memory.
    x = jax.lax.map(lambda row: _skew(cut(row).transpose(1, 2, 0, 3))[:, :, seen], band)
    x = _skew(x.transpose(2, 3, 1, 0, 4))[:, :, :, seen]  # [k, y, x, x', t] to [x, x', y, y', t]
    side, tiles = x.shape[0], x.shape[-1]
    return x.transpose(4, 2, 0, 3, 1).reshape(tiles, side**2, size**2)


def bands(matrices: jax.Array, tile: int) -> jax.Array:
    """The way back from all a tile's rows see, `[t, a^2, (a + k - 1)^2]` to `[k, k, a, a, t]`."""
    side = round(matrices.shape[2] ** 0.5)
    x = matrices.reshape(-1, tile, tile, side, side).transpose(2, 4, 1, 3, 0)
    x = _unskew(x)  # [x, x', y, k, t]
    x = _unskew(x.transpose(2, 3, 0, 1, 4))  # [y, k, x, k, t]
    return x.transpose(1, 3, 0, 2, 4)


def band_untiled(x: jax.Array, height: int) -> jax.Array:
    """Puts the rows of tiles together, `[k, k, a, a, t]` to `[k, k, H, W]`."""
    side, across = x.shape[0], x.shape[2]
    x = x.reshape(*x.shape[:4], height // across, -1).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(side, side, height, -1)


def _skew(x: jax.Array) -> jax.Array:
    """Moves row i of `[.., .., n, k, t]` i places on: `[.., .., n, n + k - 1, t]`."""
    lead, (n, k, t) = x.shape[:-3], x.shape[-3:]
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, n), (0, 0)]).reshape(*lead, n * (n + k), t)
    # Rows of one element less: each begins one place before where the row before did.
    return x[..., : n * (n + k - 1), :].reshape(*lead, n, n + k - 1, t)


def _unskew(x: jax.Array) -> jax.Array:
    """Undoes `_skew`: `[.., .., n, n + k - 1, t]` to `[.., .., n, k, t]`."""
    lead, (n, wide, t) = x.shape[:-3], x.shape[-3:]
    x = x.reshape(*lead, n * wide, t)
    x = jnp.pad(x, [(0, 0)] * len(lead) + [(0, n), (0, 0)])
    return x.reshape(*lead, n, wide + 1, t)[..., : wide + 1 - n, :]
