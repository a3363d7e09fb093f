"""Values by rank against sorting, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.ranks import by_rank


def test_finds_what_sorting_puts_at_a_rank():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200).astype(np.float32)
    values[:40] = rng.choice(values[40:], 40)  # equal ones
    values[40:43] = 0.0, np.inf, 1e-42
    members = rng.random((3, 200)) < np.array([[1.0], [0.5], [0.1]])
    counts = members.sum(axis=1)
    for share in (0.0, 0.3, 0.999):
        ranks = (counts * share).astype(np.int32)
        found = jax.jit(by_rank)(jnp.asarray(values), jnp.asarray(members), jnp.asarray(ranks))
        each = zip(members, ranks, strict=True)
        assert found.tolist() == [np.sort(values[mine])[rank] for mine, rank in each]


def test_all_ranks_of_the_same_values_and_one_too_many():
    values, members = jnp.asarray([3.0, -1.0, 2.0, 9.0]), jnp.asarray([[True, True, True, False]])
    found = by_rank(values, members, jnp.arange(4))
    np.testing.assert_array_equal(found, [-1.0, 2.0, 3.0, np.nan])
