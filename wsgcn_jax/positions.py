"""Random bits decided by a node's place in the grid, so that padding never redraws them.

`jax.random` draws by array index: a photo padded to another width would get other numbers. Here
a key's two words are mixed with each node's position by an integer hash with full avalanche (two
multiply-xorshift rounds), which is also several times cheaper than threefry.
"""

import jax
import jax.numpy as jnp


def node_positions(height: int, width: int) -> jax.Array:
    """Numbers the nodes of a grid so that the number survives padding.

    Args:
        height: rows of the (padded) grid, below 65,536.
        width: columns.

    Returns:
        `[height * width] u32`, row * 65536 + column.
    """
    rows, columns = jnp.arange(height, dtype=jnp.uint32), jnp.arange(width, dtype=jnp.uint32)
    return (rows[:, None] * jnp.uint32(65536) + columns[None, :]).reshape(-1)


def bits_by_position(key: jax.Array, positions: jax.Array, columns: int) -> jax.Array:
    """Draws random bits that depend on key, position and column only.

    Args:
        key: PRNG key.
        positions: `[n] u32` (`node_positions`).
        columns: numbers per node.

    Returns:
        `[n, columns] u32`, uniform.
    """
    seeds = jax.random.bits(key, (2,), jnp.uint32)
    units = jnp.arange(columns, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    return _mix(_mix(positions ^ seeds[0])[:, None] ^ _mix(units ^ seeds[1])[None, :])


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * jnp.uint32(0x735A2D97)
    return x ^ (x >> 15)
