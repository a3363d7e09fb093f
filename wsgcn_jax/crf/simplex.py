"""A photo's pixels among the vertices of the permutohedral lattice, found by sorting.

Adams, Baek, Davis, Eurographics 2010; Kraehenbuehl & Koltun, NIPS 2011. A pixel's five features lie
in one simplex of the lattice, between six vertices. Each of them has another remainder modulo 6, so
that a vertex is met as corners of one remainder only: six sorts of n keys find all vertices.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FEATURES = 5  # x, y, three colours
AXES = FEATURES + 1
NO_KEY = np.uint32(0xFFFFFFFF)

_SCALE = np.sqrt(2 / 3) * AXES / np.sqrt(np.arange(1, FEATURES + 1) * np.arange(2, FEATURES + 2))
# Coordinate j is the sum of the features from the j-th on, less j times the one before; by 6.
_ELEVATION = np.triu(np.ones((AXES, FEATURES))) - np.diag(np.arange(1.0, AXES), -1)[:, :FEATURES]
_ELEVATION = (_ELEVATION * _SCALE / AXES).astype(np.float32)


class Packing(NamedTuple):
    """How a vertex's five coordinates become one number.

    Attributes:
        low: the smallest digits that a photo can have.
        size: numbers of digits.
    """

    low: tuple[int, ...]
    size: tuple[int, ...]


class Corners(NamedTuple):
    """The simplices of n pixels; entries are pairs of pixel and corner, E = 6 n of them.

    Attributes:
        weights: `[6, n] f32`, barycentric coordinates, 0 in the padding.
        vertex: `[6, n] i32`, the corners' vertices.
        order: `[E] i32`, pixels of the entries sorted by vertex.
        sorted_weights: `[E] f32`, their weights.
        start: `[E] i32`, the first entry of each vertex, E beyond the last vertex.
        keys: `[E] u32`, what identifies each vertex.
        total: `[] i32`, number of vertices.
    """

    weights: jax.Array
    vertex: jax.Array
    order: jax.Array
    sorted_weights: jax.Array
    start: jax.Array
    keys: jax.Array
    total: jax.Array


def packing(shape: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> Packing:
    """Digits that tell all vertices of a photo of that size apart.

    Args:
        shape: height and width.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in colour, of values in 0..255.

    Raises:
        ValueError: the kernel is so fine that the number would exceed 32 bits.
    """
    packed = _digits(shape, sigma_xy, sigma_rgb)
    if not numbered(shape, sigma_xy, sigma_rgb):
        raise ValueError(
            f"a bilateral kernel of {sigma_xy} pixels and {sigma_rgb} in colour is too fine for "
            f"{shape[0]} x {shape[1]} pixels; take wider ones"
        )
    return packed


def numbered(shape: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> bool:
    """Tells whether 32 bits number all vertices of a photo of that size (`packing`)."""
    return AXES * math.prod(_digits(shape, sigma_xy, sigma_rgb).size) < 2**32 - 1


def _digits(shape: tuple[int, int], sigma_xy: float, sigma_rgb: float) -> Packing:
    height, width = shape
    extent = np.array([(width - 1) / sigma_xy, (height - 1) / sigma_xy, *[255 / sigma_rgb] * 3])
    extent *= _SCALE
    low, size = [], []
    for j in range(1, AXES):
        # Coordinate j minus its mean given the later ones is -j x feature j - 1, up to the distance
        # of a corner from its pixel: -10/6 to 5/6 in each coordinate.
        spread = 1 + (FEATURES - j) / (j + 1)
        low.append(int(np.floor(-j * extent[j - 1] / AXES - 10 / 6 * spread - 1)))
        size.append(int(np.ceil(5 / 6 * spread)) - low[-1] + 1)
    return Packing(tuple(low), tuple(size))


def _share(later: jax.Array, j: int) -> jax.Array:
    """The floor of later / (j + 1); shifted up, since rounding down costs code below zero."""
    zero = 1 << 20
    return jax.lax.div(later + np.int32(zero * (j + 1)), np.int32(j + 1)) - np.int32(zero)


def pack(coordinates: list[jax.Array], packed: Packing) -> tuple[jax.Array, jax.Array]:
    """Numbers of vertices given coordinates 1..5; and whether the digits exist."""
    key, later = jnp.zeros(coordinates[0].shape, jnp.uint32), jnp.zeros_like(coordinates[0])
    inside = jnp.ones(coordinates[0].shape, bool)
    for j in range(FEATURES, 0, -1):
        digit = coordinates[j - 1] + _share(later, j) - packed.low[j - 1]
        inside &= (digit >= 0) & (digit < packed.size[j - 1])
        key = key * np.uint32(packed.size[j - 1]) + digit.astype(jnp.uint32)
        later = later + coordinates[j - 1]
    return key, inside


def unpack(key: jax.Array, packed: Packing) -> list[jax.Array]:
    """Coordinates 1..5 of the vertices of given numbers."""
    digits = []
    for size in packed.size:
        digits.append(jax.lax.rem(key, np.uint32(size)).astype(jnp.int32))
        key = jax.lax.div(key, np.uint32(size))
    coordinates: list[jax.Array] = []
    later = jnp.zeros_like(digits[0])
    for j in range(FEATURES, 0, -1):
        coordinates.insert(0, digits[j - 1] + packed.low[j - 1] - _share(later, j))
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
    earlier = jnp.asarray(np.tri(AXES, k=-1, dtype=bool))[:, :, None]
    above = (offset[None] > offset[:, None]) | (earlier & (offset[None] == offset[:, None]))
    ranks = above.sum(axis=1, dtype=jnp.int32) + nearest.sum(axis=0).astype(jnp.int32)[None]
    wrap = (ranks < 0).astype(jnp.int32) - (ranks >= AXES).astype(jnp.int32)
    ranks = ranks + AXES * wrap
    point = nearest.astype(jnp.int32) + wrap
    offset = elevated - point
    by_rank = [jnp.where(ranks == r, offset, 0.0).sum(axis=0) for r in range(AXES)]
    weights = [by_rank[FEATURES] + 1 - by_rank[0]]
    weights += [by_rank[FEATURES - k] - by_rank[AXES - k] for k in range(1, AXES)]
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
    remainder = jnp.arange(AXES)[:, None]
    corner = [point[j][None] - (ranks[j][None] > FEATURES - remainder) for j in range(1, AXES)]
    bits = math.prod(packed.size).bit_length()
    last = np.uint32((1 << bits) - 1)  # no vertex: 2^bits exceeds the product of sizes
    key = jnp.where(valid.reshape(1, -1), pack(corner, packed)[0], last)
    order = _sorting(key, bits)
    key = jnp.take_along_axis(key, order, axis=1)
    first = jnp.concatenate([jnp.ones((AXES, 1), bool), key[:, 1:] != key[:, :-1]], axis=1)
    first = (first & (key != last)).reshape(-1)
    vertex = jnp.maximum(jnp.cumsum(first.astype(jnp.int32)) - 1, 0)
    entries = first.size
    start = jnp.full(entries, entries, jnp.int32)
    start = start.at[jnp.where(first, vertex, entries)].set(
        jnp.arange(entries, dtype=jnp.int32), mode="drop"
    )
    full = (key * np.uint32(AXES) + remainder.astype(jnp.uint32)).reshape(-1)
    return Corners(
        weights,
        jnp.zeros(key.shape, jnp.int32).at[remainder, order].set(vertex.reshape(key.shape)),
        order.reshape(-1),
        jnp.take_along_axis(weights, order, axis=1).reshape(-1),
        start,
        jnp.where(start < entries, full.at[start].get(mode="clip"), NO_KEY),
        first.sum(dtype=jnp.int32),
    )
