"""The factored walk of `fast_walk` for machines with matrix units: no gathers, no eigenvectors.

The same two parts, otherwise made. *Smooth*: a Nystroem factor of P^n from test vectors, walked
with P as small dense matrices, one a tile. *Local*: the power of P among slow nodes, raised in
the window of each tile and kept by offset, like the affinities.

Rounding to bfloat16 or TF32, the default of such machines, would grow from step to step: every
product here asks for full precision.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.graph import tiles
from wsgcn_jax.graph.affinity import degree as degrees
from wsgcn_jax.graph.local_walk import SLOW
from wsgcn_jax.graph.paths import path_offsets
from wsgcn_jax.graph.steps import by_shifts, step_weights, walk_steps
from wsgcn_jax.graph.tiled_kernel import Tiled, inverse_root
from wsgcn_jax.graph.walk import Walk
from wsgcn_jax.positions import bits_by_position, node_positions
from wsgcn_jax.precise import long_matmul, matmul, matrix_power, row_products

_TILE = 8  # of the walk's steps
_ROWS = 4  # of tiles, in one product
_LOCAL_TILE = 4  # of the local part, whose windows are squared; divides _TILE
_LOCAL_TILES = 64  # how many are squared together: a TPU keeps those of two photos on the chip
_NEAR = 3  # slow nodes closer than this are coupled
_ERROR = 1e-7  # of the polynomial; modes of P^n much weaker than this are left out
_WEAK = 5e-5  # modes weaker than this share of the sum of all are left out: mostly slow nodes'


def tiled_walk(
    stencil: jax.Array, *, radius: int, steps: int, basis: int, shifts: bool = False
) -> Walk:
    """Factors the n-step walk of one photo by dense products of tiles.

    Args:
        stencil: `[p, H, W] f32`, of `affinity_stencil`; 0 between padding and anything.
        radius: the one that made it.
        steps: length of the walk.
        basis: columns of the smooth part, and test vectors.
        shifts: whether a step of the walk is a sum of shifted maps instead (`by_shifts`), with a
            tenth of the traffic; a TPU takes long for shifts along its vectors.

    Returns:
        The walk, its power a `Tiled`.
    """
    height, width = stencil.shape[1:]
    more = [(0, -side % _TILE) for side in (height, width)]
    stencil = jnp.pad(stencil, [(0, 0), *more])
    degree = degrees(stencil, radius=radius)
    slow = degree < SLOW
    scale = jax.lax.rsqrt(degree)

    tests = _tests(degree, slow, basis)
    offsets = path_offsets(radius)
    weights, both = step_weights(stencil, scale, offsets), np.concatenate([offsets, -offsets])
    band = tiles.make_band(weights, scale**2, both)
    step = by_shifts(weights, scale**2, both) if shifts else _by_tiles(band)
    # One step at a time compiles in half the time, two do not copy what goes from step to step.
    walked = walk_steps(step, tests, steps, error=_ERROR, unroll=2 if shifts else 1)
    near = path_offsets(min(radius, _NEAR))
    local = _local_power(band, slow, steps, near=int(np.abs(near).max()))
    power = Tiled.of(
        *_nystroem(tests[:height, :width], walked[:height, :width]),
        local[:, :, :height, :width],
        near,
    )
    return Walk(power, degree[:height, :width].reshape(-1))


def _tests(degree: jax.Array, slow: jax.Array, count: int) -> jax.Array:
    """Random signs on what the walk mixes, `[H, W, count] f32`; independent of padding."""
    bits = bits_by_position(jax.random.key(0), node_positions(*degree.shape), count)
    signs = jnp.where(bits >> 31, 1.0, -1.0).astype(degree.dtype)
    size = jnp.where(slow, 0.0, jnp.sqrt(degree))
    return signs.reshape(*degree.shape, count) * size[..., None]


def _by_tiles(band: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """One step of the walk, x `[H, W, f]` -> P x, of P as a band `[k, k, H, W]`."""
    reach, rows = band.shape[0] // 2, band.shape[2] // _TILE
    cut = partial(tiles.tile_rows, tile=_TILE)
    step = tiles.matrices(band, cut, start=0, size=_TILE + 2 * reach)
    # A few rows of tiles at a time: windows overlap, so that all are four times as large as x.
    together = max(d for d in range(1, _ROWS + 1) if rows % d == 0)
    step = step.reshape(rows // together, -1, *step.shape[1:])

    def part(inputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        step, x = inputs
        there = matmul(step, tiles.windows(x, _TILE, reach))
        return tiles.untiled(there, _TILE, together * _TILE)

    def once(x: jax.Array) -> jax.Array:
        parts = tiles.pieces(x, 0, together * _TILE, reach)
        return jax.lax.map(part, (step, parts)).reshape(x.shape)

    return once


def _nystroem(tests: jax.Array, walked: jax.Array) -> tuple[jax.Array, jax.Array]:
    """V `[r, n]` and C `[r, r]` of P^n ~ V^T C V, from tests and walked tests, `[H, W, r]` each.

    Nystroem's Y^T G^-1 Y, G = tests walked^T, regularised as iterated Tikhonov: with M = G + m I
    it is Y^T (M^-1 + m M^-2) Y, which leaves of a mode g of G all but the share (m / (g + m))^2.
    The polynomial's error may make G indefinite, but not by more than m.
    """
    tests, walked = (x.reshape(-1, x.shape[-1]).T for x in (tests, walked))
    gram = row_products(tests, walked)
    one = jnp.eye(len(gram), dtype=gram.dtype)
    size = jnp.square(tests).sum() / len(tests)
    level = 3 * _ERROR * size + _WEAK * jnp.trace(gram)
    root = inverse_root(gram + level * one)
    return long_matmul(root, walked), one + level * matmul(root, root)


def _local_power(band: jax.Array, slow: jax.Array, steps: int, near: int) -> jax.Array:
    """The n-th power of the slow nodes' block of a band, as a narrower one.

    As far as walks stay in the window of a node's tile. Some rows of tiles at a time, for the
    windows' matrices are large.

    Args:
        band: `[k, k, H, W] f32`.
        slow: `[H, W] bool`.
        steps: n.
        near: reach of the narrower band.

    Returns:
        `[2 near + 1, 2 near + 1, H, W] f32`.
    """
    tile, reach = _LOCAL_TILE, band.shape[0] // 2
    side = tile + 2 * reach
    height, width = band.shape[2:]
    together = min(-(-_LOCAL_TILES // (width // tile)), height // tile) * tile
    missing = (0, -height % together)
    band = jnp.pad(band, [(0, 0), (0, 0), missing, (0, 0)])
    members = jnp.pad(slow.astype(band.dtype), [missing, (0, 0)])[..., None]
    rows = jnp.moveaxis(tiles.pieces(band, 2, together, reach), 2, 0)
    own = np.arange(side * side).reshape(side, side)[reach : reach + tile, reach : reach + tile]

    def one(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        rows, members = part
        cut = partial(tiles.window_rows, tile=tile, reach=reach)
        matrix = tiles.matrices(rows, cut, start=reach, size=side)
        member = tiles.windows(members, tile, reach)
        matrix *= member * member.swapaxes(1, 2)
        power = _power(matrix, steps)
        power = jnp.concatenate([power[:, a : a + tile] for a in own[:, 0]], axis=1)
        kept = slice(reach - near, reach + near + 1)
        power = tiles.band_untiled(tiles.bands(power, tile)[kept, kept], together)
        return power.reshape(-1, width)

    parts = (rows, tiles.pieces(members, 0, together, reach))
    power = jax.lax.map(one, parts).reshape(len(rows), 2 * near + 1, 2 * near + 1, together, width)
    power = jnp.moveaxis(power, 0, 2).reshape(*power.shape[1:3], -1, width)
    return power[:, :, :height]


def _power(matrix: jax.Array, steps: int) -> jax.Array:
    """The n-th power; for a TPU by a loop, so that one product is compiled."""
    if steps & (steps - 1) or jax.default_backend() != "tpu":
        return matrix_power(matrix, steps)
    doublings = steps.bit_length() - 1
    return jax.lax.fori_loop(0, doublings, lambda _, power: matmul(power, power), matrix)
