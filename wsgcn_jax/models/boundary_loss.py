"""The loss that teaches the boundary network from confident labels (IRNet, CVPR 2019)."""

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wsgcn_jax.types import IGNORE

_TINY = 1e-5

Cell = tuple[int, int]
Path = tuple[Cell, ...]


class BoundaryLoss(NamedTuple):
    """The boundary network's loss and its terms, `[] f32` each.

    Attributes:
        total: half of positive + negative, plus half of both displacement terms.
        positive: pairs of equal label, background and foreground weighing the same.
        negative: pairs of different labels.
        displacement_foreground: pairs of one foreground class, against their offset.
        displacement_background: background pairs, against zero.
    """

    total: jax.Array
    positive: jax.Array
    negative: jax.Array
    displacement_foreground: jax.Array
    displacement_background: jax.Array


def affinity_displacement_loss(
    logits: jax.Array,
    displacement: jax.Array | None,
    labels: jax.Array,
    *,
    paths: Sequence[np.ndarray],
) -> BoundaryLoss:
    """Scores boundaries and displacements on all labelled pairs of nearby nodes of a batch.

    docs/method.md section 2. The affinity of a pair is a = 1 - max of the boundary map on the path
    between them; equal labels want -log a small, different ones -log(1 - a). As published, the
    pairs' first nodes keep radius - 1 rows and columns away from the bottom and both sides.

    Args:
        logits: `[b, H, W] f32`, of the boundary map.
        displacement: `[b, H, W, 2] f32`; None: both of its terms are 0.
        labels: `[b, H, W] u8`, 255 where unknown (`resize_labels` of the full-size map).
        paths: one `[length, 2] i32` an offset of the half plane dy >= 0: the cells between
            origin and partner, both included, the partner first.

    Returns:
        Means over the whole batch's pairs; a term without pairs is 0.
    """
    cells = _by_reach(paths)
    offsets = np.array([path[0] for path in cells])
    reach = int(np.max(np.abs(offsets)))
    height, width = labels.shape[1:]

    def pairs(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gives the first nodes `[1, b, rows, columns]` and all their partners `[p, ...]`."""
        size = (x.shape[0], height - reach, width - 2 * reach)

        def moved(offset: jax.Array) -> jax.Array:
            return lax.dynamic_slice(x, (0, offset[0], reach + offset[1]), size)

        # A gather of 152 blocks: as so many slices it took XLA a minute to compile.
        return moved(jnp.zeros(2, int))[None], jax.vmap(moved)(jnp.asarray(offsets))

    here, there = pairs(labels)
    known = (here != IGNORE) & (there != IGNORE)
    background = known & (here == there) & (here == 0)
    foreground = known & (here == there) & (here != 0)
    different = known & (here != there)

    # Only one of the two logarithms counts for a pair.
    barrier = jax.nn.sigmoid(path_maxima(logits, cells))
    nll = -jnp.log(jnp.where(different, _TINY + barrier, 1 - barrier + _TINY))
    positive = (_mean(nll, background) + _mean(nll, foreground)) / 2
    negative = _mean(nll, different)

    towards = still = jnp.zeros(())
    for axis in range(2):
        if displacement is None:
            break
        here, there = pairs(displacement[..., axis])
        wanted = jnp.asarray(offsets[:, axis], here.dtype)[:, None, None, None]
        towards += _mean(jnp.abs(here - there - wanted), foreground) / 2
        still += _mean(jnp.abs(here - there), background) / 2
    total = (positive + negative) / 2 + (towards + still) / 2
    return BoundaryLoss(total, positive, negative, towards, still)


def _mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Averages over the pairs that count, 0 where none does."""
    return jnp.where(mask, x, 0).sum() / (mask.sum() + _TINY)


def path_maxima(x: jax.Array, paths: Sequence[Path]) -> jax.Array:
    """Takes the maximum on the path from every first node to each of its partners.

    A maximum does not mind counting a cell twice, so a path is the union of at most four
    moved paths of half the reach: a few hundred operations on maps instead of thousands.

    Args:
        x: `[b, H, W] f32`.
        paths: p tuples of cells, by reach as `_by_reach` gives them.

    Returns:
        `[p, b, H - reach, W - 2 * reach] f32`: rows 0.., columns reach.. of the grid.
    """
    batch, height, width = x.shape
    reach = _reach(paths[-1])

    def moved(piece: jax.Array) -> jax.Array:
        start = (piece[0], 0, piece[1], reach + piece[2])
        return lax.dynamic_slice(maps, start, (1, batch, height, width))[0]

    def margin(x: jax.Array) -> jax.Array:
        return jnp.pad(x, ((0, 0), (0, 0), (0, reach), (reach, reach)))

    maps = margin(x[None])
    for group in _covers(tuple(paths)):
        pieces = [jax.vmap(moved)(jnp.asarray(column)) for column in group]
        maps = jnp.concatenate([maps, margin(reduce(jnp.maximum, pieces))])
    return maps[1:, :, : height - reach, 2 * reach : width]


def _by_reach(paths: Sequence[np.ndarray]) -> list[Path]:
    """Makes the paths tuples of cells, those with near partners first."""
    cells = [tuple((int(dy), int(dx)) for dy, dx in path) for path in paths]
    return sorted(cells, key=_reach)


def _reach(path: Path) -> int:
    """Gives the larger distance, in rows or columns, of a path's partner."""
    return max(map(abs, path[0]))


@lru_cache
def _covers(paths: tuple[Path, ...]) -> list[np.ndarray]:
    """Writes every path as a union of moved earlier ones, greedily the largest first.

    Returns:
        one `[m, n, 3] i32` a group of n paths: m pieces each (the first repeated if fewer are
        needed), which are an index into the earlier maps (0: the single cell, i: path i - 1)
        and an offset. A group's paths reach at most twice as far as the groups before it.
    """
    bounds = [_reach(paths[-1])]
    while bounds[-1] > 1:
        bounds.append(bounds[-1] // 2)
    known = [frozenset([(0, 0)])]
    groups = []
    for low, high in zip([*bounds[1:], 0][::-1], bounds[::-1], strict=True):
        group = [frozenset(path) for path in paths if low < _reach(path) <= high]
        covers = [_cover(path, known) for path in group]
        most = max(map(len, covers), default=0)
        filled = [cover + cover[:1] * (most - len(cover)) for cover in covers]
        groups.append(np.array(filled, np.int32).swapaxes(0, 1))
        known += group
    return groups


def _cover(path: frozenset[Cell], known: list[frozenset[Cell]]) -> list[tuple[int, int, int]]:
    """Covers a path with moved known ones: (index, dy, dx) of each piece."""
    pieces = {}
    for index, earlier in enumerate(known):
        for dy, dx in path:  # every known path holds the origin, so these offsets are all
            moved = frozenset((y + dy, x + dx) for y, x in earlier)
            if moved <= path:
                pieces[moved] = (index, dy, dx)
    cover, missing = [], path
    while missing:
        best = max(pieces, key=lambda piece: (len(piece & missing), len(piece)))
        cover.append(pieces[best])
        missing -= best
    return cover
