"""Gaussian filtering of colour and place on the permutohedral lattice, with static shapes.

A pixel's values are splatted to the corners of its simplex, blurred along the six axes and sliced
back (Adams, Baek, Davis, Eurographics 2010). Scatters are slow where gathers are fast, so splatting
gathers too: vertices are numbered in the order of the sorted keys, and each sums its own stretch of
the sorted pixels. Tables for as many vertices as a photo could have would be mostly empty; the
smallest of a few sizes that suffices is taken when the photo is known.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.crf.simplex import AXES, NO_KEY, Corners, Packing, pack, unpack

_HEAD, _TAIL = 4, 8  # pixels gathered by a vertex itself, and by each helper of a busy one
_SMALL = 1 << 14  # pixels; up to here the largest tables are cheap enough


class Lattice(NamedTuple):
    """The filter's tables for at most v vertices; row v stands for all that do not exist.

    Attributes:
        weights: `[6, n] f32`, of the pixels' corners.
        vertex: `[6, n] i32`, their vertices.
        head: `[4, v + 1] i32` and `f32`, pixels that a vertex sums, and weights.
        tail: `[8, t] i32` and `f32`, the same for the helpers of busy vertices.
        busy: `[t] i32`, whom they help.
        ahead: `[6, v + 1] i32`, the next vertex along each axis.
        behind: `[6, v + 1] i32`, the one before.
    """

    weights: jax.Array
    vertex: jax.Array
    head: tuple[jax.Array, jax.Array]
    tail: tuple[jax.Array, jax.Array]
    busy: jax.Array
    ahead: jax.Array
    behind: jax.Array


def table_sizes(pixels: int) -> tuple[tuple[int, int], ...]:
    """Numbers of vertices and helpers for which tables are made, the last enough for any photo.

    Photos of nature have 0.05 to 0.7 vertices an entry and 0.1 helpers.
    """
    entries = AXES * pixels
    worst = (entries, entries // (_HEAD + 1) + 1)
    if pixels <= _SMALL:
        return (worst,)
    return (*((entries // part, entries // 8) for part in (8, 4, 2)), worst)


def choose_size(corners: Corners, pixels: int) -> jax.Array:
    """Index `[] i32` of the first of `table_sizes` that is large enough."""
    degree = jnp.append(corners.start[1:], np.int32(corners.order.size)) - corners.start
    needed = jnp.stack([corners.total, _helpers(degree).sum()])
    sizes = jnp.asarray(table_sizes(pixels)[:-1], jnp.int32).reshape(-1, 2)
    return (needed[None] > sizes).any(axis=1).sum(dtype=jnp.int32)


def _helpers(degree: jax.Array) -> jax.Array:
    return jnp.maximum(degree - _HEAD + _TAIL - 1, 0) // _TAIL


def build(corners: Corners, size: tuple[int, int], packed: Packing) -> Lattice:
    """The filter's tables.

    Args:
        corners: of a photo.
        size: one of `table_sizes` that its vertices and helpers do not exceed.
        packed: as before.
    """
    entries, (vertices, helpers) = corners.order.size, size
    start = jnp.append(corners.start[:vertices], np.int32(entries))
    end = jnp.append(start[1:], np.int32(entries))
    count = _helpers(end - start)
    first = jnp.cumsum(count) - count
    marks = jnp.zeros(helpers, jnp.int32)
    marks = marks.at[jnp.where(count > 0, first, helpers)].set(
        jnp.arange(vertices + 1, dtype=jnp.int32), mode="drop"
    )
    busy = jax.lax.cummax(marks)
    begin = start[busy] + _HEAD + (jnp.arange(helpers, dtype=jnp.int32) - first[busy]) * _TAIL

    def table(begin: jax.Array, end: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
        entry = begin[None] + jnp.arange(rows, dtype=jnp.int32)[:, None]
        weight = corners.sorted_weights.at[entry].get(mode="clip")
        pixel = corners.order.at[entry].get(mode="clip")
        return pixel, jnp.where(entry < end[None], weight, 0.0)

    ahead, behind = _neighbours(corners.keys[:vertices], packed)
    return Lattice(
        corners.weights,
        corners.vertex,
        table(start, end, _HEAD),
        table(begin, end[busy], _TAIL),
        busy,
        ahead,
        behind,
    )


def normalised(lattice: Lattice) -> Lattice:
    """The tables of the filter D^-1/2 K D^-1/2, D the sums of the rows of K."""
    pixels = lattice.weights.shape[1]
    mass = lattice_filter(lattice, jnp.ones((pixels, 1)), False)[:, 0]
    norm = jnp.where(mass > 0, jax.lax.rsqrt(mass + 1e-20), 0.0)
    head, tail = ((pixel, weight * norm[pixel]) for pixel, weight in (lattice.head, lattice.tail))
    return lattice._replace(weights=lattice.weights * norm[None], head=head, tail=tail)


def _neighbours(keys: jax.Array, packed: Packing) -> tuple[jax.Array, jax.Array]:
    """Vertices one step ahead and behind along each axis, `[6, v + 1] i32`; v where none is.

    A bit for each possible key says whether it exists. Keys are in order, so that a position is
    that of the first key of a word of 32 bits, and the number of lower bits set there. Both ways
    are looked up: one, turned round by a scatter, would take as long as all else here.
    """
    count = keys.size
    span = math.prod(packed.size) // 32 + 1  # words for each remainder
    nowhere = AXES * span
    remainder = jax.lax.rem(keys, np.uint32(AXES)).astype(jnp.int32)
    number = jax.lax.div(keys, np.uint32(AXES))
    point = unpack(number, packed)
    axis = jnp.arange(AXES)[:, None]

    def place(number: jax.Array, remainder: jax.Array) -> tuple[jax.Array, jax.Array]:
        word = remainder * span + (number >> np.uint32(5)).astype(jnp.int32)
        return word, np.uint32(1) << (number & np.uint32(31))

    word, bit = place(number, remainder)
    word = jnp.where(keys == NO_KEY, nowhere, word)
    exist = jnp.zeros(nowhere, jnp.uint32).at[word].add(bit, mode="drop")
    leads = jnp.append(True, word[1:] != word[:-1])
    first = jnp.zeros(nowhere, jnp.int32)
    first = first.at[jnp.where(leads, word, nowhere)].set(
        jnp.arange(count, dtype=jnp.int32), mode="drop"
    )

    def along(step: int) -> jax.Array:
        following = remainder + step
        wrap = (following == AXES).astype(jnp.int32) - (following == -1)
        there = [p[None] + wrap[None] - step * (axis == j) for j, p in enumerate(point, start=1)]
        number, inside = pack(there, packed)
        word, bit = place(number, (following - AXES * wrap)[None])
        word = jnp.where(inside & (keys != NO_KEY)[None], word, 0)
        bits = exist.at[word].get(mode="promise_in_bounds")
        position = first.at[word].get(mode="promise_in_bounds")
        position += jax.lax.population_count(bits & (bit - np.uint32(1))).astype(jnp.int32)
        found = inside & (keys != NO_KEY)[None] & (bits & bit > 0)
        return jnp.pad(jnp.where(found, position, count), ((0, 0), (0, 1)), constant_values=count)

    return along(1), along(-1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def lattice_filter(lattice: Lattice, values: jax.Array, backward: bool = False) -> jax.Array:
    """Unnormalised Gaussian sums, up to a common factor.

    Args:
        lattice: of a photo.
        values: `[n, c] f32`.
        backward: blur along the last axis first, which is the transposed filter. Missing vertices
            make it another one.

    Returns:
        `[n, c] f32`.
    """

    vertices = _weighed(values, *lattice.head)

    def help_out(total: jax.Array, rows: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _weighed(values, *rows), None

    # Scans, because XLA would fuse the steps into one, computing the earlier ones many times over.
    parts = jax.tree.map(lambda x: x.reshape(_TAIL // _HEAD, _HEAD, -1), lattice.tail)
    helped = jnp.zeros((lattice.busy.size, values.shape[1]), values.dtype)
    helped, _ = jax.lax.scan(help_out, helped, parts)
    vertices = vertices.at[lattice.busy].add(helped, mode="promise_in_bounds")

    def blur(x: jax.Array, near: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        ahead, behind = (x.at[index].get(mode="promise_in_bounds") for index in near)
        return x + 0.5 * (ahead + behind), None

    near = (lattice.ahead, lattice.behind)
    vertices, _ = jax.lax.scan(blur, vertices, near, reverse=backward)
    return _weighed(vertices, lattice.vertex, lattice.weights)


def _weighed(source: jax.Array, index: jax.Array, weight: jax.Array) -> jax.Array:
    """Weighted sums `[m, c]` of rows of `[n, c]`, given `[k, m]` of either."""
    # A sum of gathers is one vectorised loop; an axis to reduce would be written out first.
    terms = [
        w[:, None] * source.at[i].get(mode="promise_in_bounds")
        for i, w in zip(index, weight, strict=True)
    ]
    return sum(terms[1:], terms[0])


def _forward(lattice: Lattice, values: jax.Array, backward: bool) -> tuple[jax.Array, Lattice]:
    return lattice_filter(lattice, values, backward), lattice


def _backward(backward: bool, lattice: Lattice, gradient: jax.Array) -> tuple[None, jax.Array]:
    return None, lattice_filter(lattice, gradient, not backward)


lattice_filter.defvjp(_forward, _backward)
