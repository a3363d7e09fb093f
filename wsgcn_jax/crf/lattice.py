"""Gaussian filtering of colour and place on the permutohedral lattice, with static shapes.

Adams, Baek, Davis, Eurographics 2010; Kraehenbuehl & Koltun, NIPS 2011. A pixel's features lie in
one simplex of the lattice; its values are splatted to the six corners, blurred along the six axes
and sliced back. Each corner has another remainder modulo 6, so that a vertex is met by corners of
one remainder only: six sorts of n keys find all vertices.

Scatters are slow where gathers are fast, so splatting gathers too: vertices are numbered in the
order of the sorted keys, and each sums its own stretch of the sorted pixels.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_D = 5  # features: x, y, three colours
_AXES = _D + 1
_SCALE = np.sqrt(2 / 3) * _AXES / np.sqrt(np.arange(1, _D + 1) * np.arange(2, _D + 2))
# Coordinate j is the sum of the features from the j-th on, less j times the one before; by 6.
_ELEVATION = np.triu(np.ones((_AXES, _D))) - np.diag(np.arange(1.0, _AXES), -1)[:, :_D]
_ELEVATION = (_ELEVATION * _SCALE / _AXES).astype(np.float32)
_HEAD, _TAIL = 4, 16  # pixels gathered by a vertex itself, and by each helper of a busy one
_SMALL = 1 << 14  # pixels; up to here the largest tables are cheap enough

_NO_KEY = np.uint32(0xFFFFFFFF)
_HASH = np.uint32(2654435761)


class Corners(NamedTuple):
    """The simplices of n pixels; entries are pairs of pixel and corner, E = 6 n of them.

    Attributes:
        weights: `[6, n] f32`, barycentric coordinates, 0 in the padding.
        vertex: `[6, n] i32`, the corners' vertices.
        order: `[E] i32`, pixels of the entries sorted by vertex.
        sorted_weights: `[E] f32`, their weights.
        start: `[E] i32`, the first entry of each vertex, E beyond the last vertex.
        keys: `[E] u32`, what identifies each vertex.
        count: `[] i32`, number of vertices.
        helpers: `[] i32`, number of helpers that busy vertices need.
    """

    weights: jax.Array
    vertex: jax.Array
    order: jax.Array
    sorted_weights: jax.Array
    start: jax.Array
    keys: jax.Array
    count: jax.Array
    helpers: jax.Array


class Lattice(NamedTuple):
    """The filter's tables for at most v vertices; row v stands for all that do not exist.

    Attributes:
        weights: `[6, n] f32`, of the pixels' corners.
        vertex: `[6, n] i32`, their vertices.
        head: `[4, v + 1] i32` and `f32`, pixels that a vertex sums, and weights.
        tail: `[16, t] i32` and `f32`, the same for the helpers of busy vertices.
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


class Packing(NamedTuple):
    """How a vertex's five coordinates become one number.

    Attributes:
        low: the smallest digits that a photo can have.
        size: numbers of digits.
    """

    low: tuple[int, ...]
    size: tuple[int, ...]


def table_sizes(pixels: int) -> tuple[tuple[int, int], ...]:
    """Numbers of vertices and helpers for which tables are made, the last enough for any photo.

    Photos of nature have 0.05 to 0.8 vertices an entry and 0.07 helpers.
    """
    entries = _AXES * pixels
    worst = (entries, entries // (_HEAD + 1) + 1)
    if pixels <= _SMALL:
        return (worst,)
    return (*((entries // part, entries // 12) for part in (8, 4, 2)), worst)


def packing(shape: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> Packing:
    """Digits that tell all vertices of a photo of that size apart.

    Args:
        shape: height and width.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in colour, of values in 0..255.

    Raises:
        ValueError: the kernel is so fine that the number would exceed 32 bits.
    """
    height, width = shape
    extent = np.array([(width - 1) / sigma_xy, (height - 1) / sigma_xy, *[255 / sigma_rgb] * 3])
    extent *= _SCALE
    low, size = [], []
    for j in range(1, _AXES):
        # Coordinate j minus its mean given the later ones is -j x feature j - 1, up to the distance
        # of a corner from its pixel: -10/6 to 5/6 in each coordinate.
        spread = 1 + (_D - j) / (j + 1)
        low.append(int(np.floor(-j * extent[j - 1] / _AXES - 10 / 6 * spread - 1)))
        size.append(int(np.ceil(5 / 6 * spread)) - low[-1] + 1)
    if _AXES * np.prod(np.float64(size)) >= 2**32 - 1:
        raise ValueError(
            f"a bilateral kernel of {sigma_xy} pixels and {sigma_rgb} in colour is too fine for "
            f"{height} x {width} pixels; take wider ones"
        )
    return Packing(tuple(low), tuple(size))


def _pack(coordinates: list[jax.Array], packed: Packing) -> tuple[jax.Array, jax.Array]:
    """Numbers of vertices given coordinates 1..5; and whether the digits exist."""
    key, later = jnp.zeros(coordinates[0].shape, jnp.uint32), jnp.zeros_like(coordinates[0])
    inside = jnp.ones(coordinates[0].shape, bool)
    for j in range(_D, 0, -1):
        digit = coordinates[j - 1] + later // (j + 1) - packed.low[j - 1]
        inside &= (digit >= 0) & (digit < packed.size[j - 1])
        key = key * np.uint32(packed.size[j - 1]) + digit.astype(jnp.uint32)
        later = later + coordinates[j - 1]
    return key, inside


def _unpack(key: jax.Array, packed: Packing) -> list[jax.Array]:
    digits = []
    for size in packed.size:
        digits.append((key % np.uint32(size)).astype(jnp.int32))
        key = key // np.uint32(size)
    coordinates: list[jax.Array] = []
    later = jnp.zeros_like(digits[0])
    for j in range(_D, 0, -1):
        coordinates.insert(0, digits[j - 1] + packed.low[j - 1] - later // (j + 1))
        later = later + coordinates[0]
    return coordinates


def _simplices(
    image: jax.Array, sigma_xy: float, sigma_rgb: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Nearest points of remainder 0, ranks of the coordinates, weights of the corners, `[6, n]`."""
    height, width = image.shape[:2]
    place = jnp.arange(height * width)
    colour = jnp.clip(image.reshape(-1, 3), 0, 255).astype(jnp.float32) / sigma_rgb
    features = jnp.stack([place % width / sigma_xy, place // width / sigma_xy, *colour.T])
    elevated = jnp.matmul(_ELEVATION, features, precision="highest")
    nearest = jnp.round(elevated)
    offset = elevated - nearest
    # Equal offsets: the earlier coordinate goes first, so that ranks are a permutation.
    earlier = jnp.asarray(np.tri(_AXES, k=-1, dtype=bool))[:, :, None]
    above = (offset[None] > offset[:, None]) | (earlier & (offset[None] == offset[:, None]))
    ranks = above.sum(axis=1, dtype=jnp.int32) + nearest.sum(axis=0).astype(jnp.int32)[None]
    wrap = (ranks < 0).astype(jnp.int32) - (ranks >= _AXES).astype(jnp.int32)
    ranks = ranks + _AXES * wrap
    point = nearest.astype(jnp.int32) + wrap
    offset = elevated - point
    by_rank = [jnp.where(ranks == r, offset, 0.0).sum(axis=0) for r in range(_AXES)]
    weights = [by_rank[_D] + 1 - by_rank[0]]
    weights += [by_rank[_D - k] - by_rank[_AXES - k] for k in range(1, _AXES)]
    return point, ranks, jnp.stack(weights)


def _sorting(keys: jax.Array, bits: int) -> jax.Array:
    """Order `[6, n] i32` that sorts each row of keys of so many bits.

    Sorting pairs is five times as slow as sorting numbers, so digit by digit of the keys goes into
    one number with the position.
    """
    count = keys.shape[1]
    low = max(1, (count - 1).bit_length())
    position = jnp.broadcast_to(jnp.arange(count, dtype=jnp.uint32)[None], keys.shape)
    order = position.astype(jnp.int32)
    for shift in range(0, bits, 32 - low):
        digit = jnp.take_along_axis(keys, order, axis=1) >> np.uint32(shift)
        packed = jax.lax.sort((digit << np.uint32(low)) | position, dimension=1)
        moved = (packed & np.uint32((1 << low) - 1)).astype(jnp.int32)
        order = jnp.take_along_axis(order, moved, axis=1)
    return order


def find_corners(
    image: jax.Array, valid: jax.Array, sigma_xy: float, sigma_rgb: float, packed: Packing
) -> Corners:
    """Embeds a photo and numbers the vertices it touches.

    Args:
        image: `[h, w, 3]`, 0..255.
        valid: `[h, w] bool`, the pixels that count.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in colour.
        packed: of this photo's shape.
    """
    point, ranks, weights = _simplices(image, sigma_xy, sigma_rgb)
    weights = jnp.where(valid.reshape(1, -1), weights, 0.0)
    remainder = jnp.arange(_AXES)[:, None]
    corner = [point[j][None] - (ranks[j][None] > _D - remainder) for j in range(1, _AXES)]
    bits = int(np.prod(packed.size, dtype=np.int64)).bit_length()
    last = np.uint32((1 << bits) - 1)  # no vertex: 2^bits exceeds the product of sizes
    key = jnp.where(valid.reshape(1, -1), _pack(corner, packed)[0], last)
    order = _sorting(key, bits)
    key = jnp.take_along_axis(key, order, axis=1)
    first = jnp.concatenate([jnp.ones((_AXES, 1), bool), key[:, 1:] != key[:, :-1]], axis=1)
    first = (first & (key != last)).reshape(-1)
    vertex = jnp.maximum(jnp.cumsum(first.astype(jnp.int32)) - 1, 0)
    entries = first.size
    start = jnp.full(entries, entries, jnp.int32)
    start = start.at[jnp.where(first, vertex, entries)].set(
        jnp.arange(entries, dtype=jnp.int32), mode="drop"
    )
    full = (key * np.uint32(_AXES) + remainder.astype(jnp.uint32)).reshape(-1)
    degree = jnp.append(start[1:], entries) - start
    return Corners(
        weights,
        jnp.zeros(key.shape, jnp.int32).at[remainder, order].set(vertex.reshape(key.shape)),
        order.reshape(-1),
        jnp.take_along_axis(weights, order, axis=1).reshape(-1),
        start,
        jnp.where(start < entries, full.at[start].get(mode="clip"), _NO_KEY),
        first.sum(dtype=jnp.int32),
        _helpers(degree).sum(),
    )


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
    """Vertices one step ahead and behind along each axis, `[6, v + 1] i32`; v where none is."""
    count = keys.size
    real = keys != _NO_KEY
    remainder = keys % np.uint32(_AXES)
    point = _unpack(keys // np.uint32(_AXES), packed)
    wrap = (remainder == _D).astype(jnp.int32)
    following = jnp.where(wrap == 1, np.uint32(0), remainder + np.uint32(1))
    row = jnp.arange(_AXES)[:, None]
    there = [p[None] + wrap[None] - (row == j) for j, p in enumerate(point, start=1)]
    key, inside = _pack(there, packed)
    key = key * np.uint32(_AXES) + following[None]
    found = _look_up(keys, jnp.where(inside & real[None], key, _NO_KEY))
    own = jnp.arange(count, dtype=jnp.int32)[None]
    nobody = jnp.full((_AXES, count + 1), count, jnp.int32)
    ahead = nobody.at[:, :count].set(found)
    behind = nobody.at[row, found].set(jnp.broadcast_to(own, found.shape))
    return ahead, behind.at[:, count].set(count)


def _look_up(keys: jax.Array, wanted: jax.Array) -> jax.Array:
    """Positions of wanted keys among distinct ones, by hashing; `keys.size` if absent."""
    bits = max(4, (4 * keys.size - 1).bit_length())
    slots = np.int32(1 << bits)

    def slot(key: jax.Array) -> jax.Array:
        return ((key * _HASH) >> np.uint32(32 - bits)).astype(jnp.int32)

    def place(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        table, at, waiting = state
        free = waiting & (table[at] == _NO_KEY)
        table = table.at[jnp.where(free, at, slots)].min(keys, mode="drop")
        waiting &= table[at] != keys
        return table, jnp.where(waiting, (at + 1) % slots, at), waiting

    def seek(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        at, waiting = state
        there = table[at]
        waiting &= (there != wanted) & (there != _NO_KEY)
        return jnp.where(waiting, (at + 1) % slots, at), waiting

    empty = jnp.full(slots, _NO_KEY)
    table, at, _ = jax.lax.while_loop(
        lambda s: s[2].any(), place, (empty, slot(keys), keys != _NO_KEY)
    )
    owner = jnp.full(slots, keys.size, jnp.int32)
    owner = owner.at[jnp.where(keys != _NO_KEY, at, slots)].set(
        jnp.arange(keys.size, dtype=jnp.int32), mode="drop"
    )
    at, _ = jax.lax.while_loop(lambda s: s[1].any(), seek, (slot(wanted), wanted != _NO_KEY))
    return jnp.where((wanted != _NO_KEY) & (table[at] == wanted), owner[at], keys.size)


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


def _forward(
    lattice: Lattice, values: jax.Array, backward: bool
) -> tuple[jax.Array, Lattice]:
    return lattice_filter(lattice, values, backward), lattice


def _backward(backward: bool, lattice: Lattice, gradient: jax.Array) -> tuple[None, jax.Array]:
    return None, lattice_filter(lattice, gradient, not backward)


lattice_filter.defvjp(_forward, _backward)
