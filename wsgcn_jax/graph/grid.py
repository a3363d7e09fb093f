"""Weights between the nodes of a grid, stored by offset: shifts, sums and edge lists.

A *stencil* is `[p, H, W]`: entry `(k, y, x)` is the weight between node `(y, x)` and node
`(y, x) + offsets[k]`, and zero where the latter lies outside the grid. Offsets are one of each
opposite pair, so every undirected edge is stored once.
"""

import jax
import jax.numpy as jnp
import jraph
import numpy as np


def shift(x: jax.Array, dy: int, dx: int, *, fill: float = 0.0) -> jax.Array:
    """What every node sees at an offset: `out[y, x] = x[y + dy, x + dx]`.

    Args:
        x: `[H, W, ...]`, any dtype.
        dy: rows down; may be negative.
        dx: columns right; may be negative.
        fill: value outside the grid.

    Returns:
        the same shape and dtype as `x`.
    """
    return neighbours(x, np.array([[dy, dx]]), fill=fill)[0]


def neighbours(x: jax.Array, offsets: np.ndarray, *, fill: float = 0.0) -> list[jax.Array]:
    """`shift` for many offsets; pads once, so that each shift is a plain slice.

    Args:
        x: `[H, W, ...]`, any dtype.
        offsets: `[p, 2] i32`, `(dy, dx)` of either sign.
        fill: value outside the grid.

    Returns:
        p arrays of the shape and dtype of `x`.
    """
    height, width = x.shape[:2]
    top, left = (max(0, -int(v)) for v in offsets.min(axis=0))
    bottom, right = (max(0, int(v)) for v in offsets.max(axis=0))
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (x.ndim - 2)
    padded = jnp.pad(x, widths, constant_values=fill)
    return [
        padded[top + dy : top + dy + height, left + dx : left + dx + width]
        for dy, dx in offsets.tolist()
    ]


def column_sums(weights: jax.Array, offsets: np.ndarray) -> jax.Array:
    """Sum of the weights that meet in each node; add the self weight, if there is one.

    Args:
        weights: `[p, H, W] f32`, a stencil.
        offsets: `[p, 2] i32`, its offsets.

    Returns:
        `[H, W] f32`.
    """
    total = weights.sum(axis=0)
    for weight, (dy, dx) in zip(weights, offsets.tolist(), strict=True):
        total += shift(weight, -dy, -dx)
    return total


def both_valid(valid: jax.Array | None, shape: tuple[int, ...], offsets: np.ndarray) -> jax.Array:
    """Which pairs of a stencil have both ends on real nodes of the grid.

    Args:
        valid: `[H, W] bool`, real nodes; None if all are.
        shape: `(H, W)`.
        offsets: `[p, 2] i32`.

    Returns:
        `[p, H, W] bool`.
    """
    real = jnp.ones(shape, bool) if valid is None else valid
    return jnp.stack([real & other for other in neighbours(real, offsets, fill=False)])


def stencil_graph(weights: jax.Array, offsets: np.ndarray, loops: jax.Array) -> jraph.GraphsTuple:
    """The edge list of a stencil: both directions of every pair, then the self loops.

    Which edges exist depends on the grid's shape only; those that would leave it are left out.
    `segment_sum(edges[:, None] * h[senders], receivers)` multiplies `h [n, f]` by the matrix.

    Args:
        weights: `[p, H, W] f32`, a stencil.
        offsets: `[p, 2] i32`, its offsets.
        loops: `[H, W] f32`, the diagonal; also becomes the nodes' feature.

    Returns:
        `GraphsTuple`: `nodes [n] f32`, `edges [e] f32`, `senders` and `receivers [e] i32`
        (row-major), `n_node` and `n_edge [1] i32`.
    """
    height, width = weights.shape[1:]
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    values, here, there = [], [], []
    for weight, (dy, dx) in zip(weights, offsets.tolist(), strict=True):
        # Rows and columns whose partner exists; empty where the grid is narrower than dx.
        rows = slice(max(0, -dy), max(0, height - max(0, dy)))
        cols = slice(max(0, -dx), max(0, width - max(0, dx)))
        values.append(weight[rows, cols].reshape(-1))
        here.append(index[rows, cols].reshape(-1))
        there.append(here[-1] + (dy * width + dx))
    nodes = index.reshape(-1)
    senders = np.concatenate([*here, *there, nodes])
    receivers = np.concatenate([*there, *here, nodes])
    return jraph.GraphsTuple(
        nodes=loops.reshape(-1),
        edges=jnp.concatenate([*values, *values, loops.reshape(-1)]),
        senders=jnp.asarray(senders),
        receivers=jnp.asarray(receivers),
        globals=None,
        n_node=jnp.array([height * width], jnp.int32),
        n_edge=jnp.array([len(senders)], jnp.int32),
    )
