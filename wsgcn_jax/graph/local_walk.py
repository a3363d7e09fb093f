"""The part of the n-step walk that stays near its start: among slow nodes, in small windows.

A *slow* node lies on a boundary: its degree is about 1 and most of a walker stays where it is or
goes to a few slow neighbours. The block of P^n among slow nodes is taken for the n-th power of
their own block of P, which is local, so it is raised in windows of a tile of the grid and what
one step reaches around it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

from wsgcn_jax.precise import matrix_power

SLOW = 1.1
"""Nodes of a smaller degree are slow."""

_SHARE = 3  # at most every third node is slow and coupled; the most frozen ones go without
_TILE, _IN_WINDOW = 6, 128  # side of a tile, and slow nodes in a window, the fastest of them
_PARTNERS = 32  # other slow nodes that a slow node is coupled to


class Local(NamedTuple):
    """The entries among slow nodes: a diagonal, and for some nodes a few partners.

    Attributes:
        diagonal: `[n] f32`, 0 for nodes that are not slow.
        nodes: `[b] i32`; n where there is none.
        partners: `[j, b] i32`, places in `nodes`; symmetric: who has a partner is its partner.
        values: `[j, b] f32`, the entry of each pair.
    """

    diagonal: jax.Array
    nodes: jax.Array
    partners: jax.Array
    values: jax.Array

    def add_to(self, total: jax.Array, x: jax.Array) -> jax.Array:
        """Adds the product with x to a total, both `[f, n] f32`, a vector a row."""
        slow = x.at[:, self.nodes].get(mode="clip")
        seen = jnp.zeros_like(slow)
        for partner, value in zip(self.partners, self.values, strict=True):
            seen += value[None, :] * slow.at[:, partner].get(mode="promise_in_bounds")
        own = self.diagonal[None, :] * x
        return (total + own).at[:, self.nodes].add(seen, mode="drop", unique_indices=True)

    def symmetrise_max(self, s: jax.Array) -> "Local":
        """Multiplies every entry (i, j) by exp|s_i - s_j|, s `[n] f32`."""
        slow = s.at[self.nodes].get(mode="clip")
        return self._replace(
            values=self.values * jnp.exp(jnp.abs(slow[None, :] - slow[self.partners]))
        )


def local_power(
    step: jax.Array, degree: jax.Array, offsets: np.ndarray, steps: int, *, reach: int
) -> Local:
    """The n-th power of P among slow nodes.

    An example of four nodes in a row, a b c d, of which b and c are slow, and one window around
    them all. Its members are b and c; their block of P is [[p, q], [q, r]] and its n-th power
    [[x, y], [y, z]]. So `diagonal` is (0, x, z, 0), `nodes` (b, c), each one's only partner is
    the other one, and both `values` are y. Where b and c lie in two tiles, y is found twice, in
    windows that are cut differently, and the mean is kept.

    Args:
        step: `[2 p, H, W] f32`, P without its diagonal, by offset.
        degree: `[H, W] f32`, of the affinities; the diagonal of P is its inverse.
        offsets: `[2 p, 2] i32`, of `step`.
        steps: n.
        reach: of a step, in nodes.

    Returns:
        The entries.
    """
    (height, width), n = degree.shape, degree.size
    flat = degree.reshape(-1)
    # The faster of the slow ones matter more, where there is no room for all.
    pace = jnp.where(flat < SLOW, flat - 1.0, 0.0)
    members = _members(pace, _windows(height, width, reach))
    matrices = _window_matrices(step, flat, offsets, members, width)
    powers = matrix_power(matrices, steps)

    nodes = jax.lax.top_k(pace, max(1, n // _SHARE))[1]
    nodes = jnp.where(pace[nodes] > 0, nodes, n)
    tile = (nodes // width // _TILE) * -(-width // _TILE) + nodes % width // _TILE
    tile = jnp.minimum(tile, len(members) - 1)
    theirs = members[tile]  # who else is in the window of each node's tile
    itself = theirs == nodes[:, None]
    known = itself.any(axis=1) & (nodes < n)
    row = powers[tile, itself.argmax(axis=1)]

    frozen = jnp.where(flat < SLOW, jnp.exp(-xlogy(1.0 * steps, flat)), 0.0)
    alone = frozen[jnp.minimum(nodes, n - 1)]
    own = jnp.where(known, jnp.where(itself, row, 0.0).sum(axis=1), alone)
    diagonal = frozen.at[nodes].set(own, mode="drop")

    others = jnp.where(known[:, None] & ~itself & (theirs < n), row, 0.0)
    values, which = jax.lax.top_k(others, min(_PARTNERS, others.shape[1]))
    partners = jnp.take_along_axis(theirs, which, axis=1)
    return Local(diagonal, nodes, *_mutual(nodes, partners, values, n))


def _members(pace: jax.Array, windows: np.ndarray) -> jax.Array:
    """The fastest slow nodes of each window, `[tiles, m] i32`; n where there are fewer."""
    room = min(_IN_WINDOW, windows.shape[1])
    pace_there, place = jax.lax.top_k(jnp.append(pace, 0.0)[windows], room)
    return jnp.where(pace_there > 0, jnp.take_along_axis(windows, place, axis=1), len(pace))


def _mutual(
    nodes: jax.Array, partners: jax.Array, values: jax.Array, n: int
) -> tuple[jax.Array, jax.Array]:
    """Places of the partners and symmetric values, `[j, b]` each.

    Windows are cut differently for the two nodes of a pair: their mean is symmetric, and a pair
    of which one is not among the other's partners is dropped.
    """
    slot = jnp.full(n + 1, len(nodes)).at[nodes].set(jnp.arange(len(nodes)), mode="drop")
    slot = slot.at[n].set(len(nodes))[partners]
    nobody = jnp.full((1, partners.shape[1]), n)
    theirs = jnp.append(partners, nobody, axis=0)[slot]
    answer = jnp.append(values, jnp.zeros_like(values[:1]), axis=0)[slot]
    same = theirs == nodes[:, None, None]
    mean = (values + jnp.where(same, answer, 0.0).sum(-1)) / 2
    values = jnp.where(same.any(-1), mean, 0.0)
    return jnp.minimum(slot, len(nodes) - 1).T, values.T


def _windows(height: int, width: int, reach: int) -> np.ndarray:
    """Node numbers in the window of each tile, `[tiles, cells] i32`; n outside the grid."""
    index = np.full((height + 2 * reach + _TILE, width + 2 * reach + _TILE), height * width)
    inner = np.arange(height * width).reshape(height, width)
    index[reach : reach + height, reach : reach + width] = inner
    side = _TILE + 2 * reach
    return np.stack(
        [
            index[y : y + side, x : x + side].reshape(-1)
            for y in range(0, height, _TILE)
            for x in range(0, width, _TILE)
        ]
    ).astype(np.int32)


def _window_matrices(
    step: jax.Array, degree: jax.Array, offsets: np.ndarray, members: jax.Array, width: int
) -> jax.Array:
    """P among the members of each window, `[tiles, m, m]`; 0 where there is no member."""
    n = len(degree)
    span = int(np.abs(offsets).max())
    table = np.full((2 * span + 3,) * 2, len(offsets))  # one more on each side: out of reach
    table[offsets[:, 0] + span + 1, offsets[:, 1] + span + 1] = np.arange(len(offsets))
    table[span + 1, span + 1] = len(offsets) + 1
    rows, columns = members // width, members % width
    dy, dx = (
        jnp.clip(at[:, None, :] - at[:, :, None], -span - 1, span + 1) + span + 1
        for at in (rows, columns)
    )
    entries = jnp.concatenate(
        [step.reshape(len(offsets), n), jnp.zeros((1, n), step.dtype), 1.0 / degree[None]]
    )
    kind = jnp.asarray(table)[dy, dx]
    here = jnp.minimum(members, n - 1)[:, :, None]
    there = (members < n)[:, :, None] & (members < n)[:, None, :]
    return jnp.where(there, entries.reshape(-1)[kind * n + here], 0.0)
