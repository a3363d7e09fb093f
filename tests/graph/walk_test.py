"""The dense walk against the published matrices (golden/affinity.npz)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.graph.affinity import affinity_graph
from wsgcn_jax.graph.walk import (
    Adjacency,
    Dense,
    aggregate,
    dense_walk,
    gcn_adjacency,
    random_walk,
    sparse_walk,
)

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "affinity.npz")


# Compiled as a whole, and once for all tests: op by op, they take many seconds.
_graph, _adjacency = jax.jit(affinity_graph), jax.jit(gcn_adjacency, static_argnames="symmetrise")
_dense_walk, _sparse_walk, _walked = jax.jit(dense_walk), jax.jit(sparse_walk), jax.jit(random_walk)


@jax.jit
def _dense(adjacency):
    # Vectors are rows: those of the identity give the columns of A.
    return aggregate(adjacency, jnp.eye(adjacency.rows.shape[0])).T


@pytest.mark.parametrize("make", [_dense_walk, _sparse_walk])
@pytest.mark.parity("walk")
def test_walk_and_adjacency_meet_the_golden_matrices(golden, make):
    with jax.enable_x64(True):
        walk = make(_graph(jnp.asarray(golden["edge"], jnp.float64)))
        x = golden["cam"] * (1 - golden["edge"])
        ours = _walked(walk, jnp.asarray(x.reshape(2, -1), jnp.float64))
        adjacency = _dense(_adjacency(walk))
    # The golden edge is float32, the golden walk of it float64: only that rounding is between us.
    np.testing.assert_allclose(ours.reshape(2, 20, 28), golden["rw_f64"][:, 0], atol=2e-6)
    # The golden adjacency was squared in float32; its own error is stored beside it.
    np.testing.assert_allclose(adjacency, golden["adj"], atol=2 * golden["adj_f64_maxdiff"])


@pytest.mark.parity("walk")
def test_transition_meets_the_golden_matrix(golden):
    with jax.enable_x64(True):
        walk = dense_walk(affinity_graph(jnp.asarray(golden["edge"], jnp.float64)))
        # Row vectors times T^n: the identity's rows give T^n itself.
        transition = np.asarray(random_walk(walk, jnp.eye(560)))
    # The golden one was squared in float32; its own error is stored beside it.
    limit = 1.01 * golden["trans_f64_maxdiff"]
    np.testing.assert_allclose(transition, golden["trans_mat"], atol=limit)
    sums = transition.sum(axis=0)
    np.testing.assert_allclose(sums, golden["trans_col_sums"], atol=1e-4)
    np.testing.assert_allclose(np.trace(transition), golden["trans_f64_trace"], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(transition), golden["trans_f64_fro"], rtol=1e-6)


@pytest.mark.parity("walk")
def test_float32_walk_stays_near_the_float64_one(golden):
    walk = _dense_walk(_graph(jnp.asarray(golden["edge"])))
    x = golden["cam"] * (1 - golden["edge"])
    ours = _walked(walk, jnp.asarray(x.reshape(2, -1)))
    np.testing.assert_allclose(ours.reshape(2, 20, 28), golden["rw_f64"][:, 0], atol=2e-5)
    rows = _dense(_adjacency(walk)).sum(axis=1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)


def test_gradient_of_aggregate_is_the_transposed_product():
    half = jax.random.uniform(jax.random.key(0), (9, 9))
    kernel = half + half.T
    adjacency = Adjacency(Dense(kernel), 1 + kernel.sum(axis=1))
    g = jax.random.normal(jax.random.key(1), (4, 9))
    _, pull = jax.vjp(lambda x: aggregate(adjacency, x), jnp.ones((4, 9)))
    np.testing.assert_allclose(pull(g)[0], np.asarray(g) @ np.asarray(_dense(adjacency)), atol=1e-6)


def test_mean_is_the_mean_of_the_walk_and_its_transpose(golden):
    with jax.enable_x64(True):
        # A part of the photo will do: step by step, the whole of it takes half a minute.
        graph = _graph(jnp.asarray(golden["edge"][:12, :15], jnp.float64))
        walk = _dense_walk(graph)
        # Row vectors times T^n: the identity's rows give T^n itself.
        transition = np.asarray(_walked(walk, jnp.eye(180)))
        expected = (transition + transition.T) / 2 + np.eye(180)
        expected /= expected.sum(axis=1, keepdims=True)
        for made in (walk, _sparse_walk(graph)):
            np.testing.assert_allclose(
                _dense(_adjacency(made, symmetrise="mean")), expected, atol=1e-10
            )
        with pytest.raises(ValueError, match="symmetrise"):
            _adjacency(walk, symmetrise="min")


def test_padding_is_isolated():
    # In float64: 256 steps multiply float32's rounding to 1e-4, which would hide a leak.
    with jax.enable_x64(True):
        edge = jax.random.uniform(jax.random.key(2), (6, 7))
        padded = jnp.zeros((8, 9)).at[:6, :7].set(edge)
        valid = jnp.zeros((8, 9), bool).at[:6, :7].set(True)
        x = jax.random.uniform(jax.random.key(3), (6, 7))
        alone = _walked(_dense_walk(_graph(edge)), x.reshape(1, -1)).reshape(6, 7)
        wide = jnp.full((8, 9), 5.0).at[:6, :7].set(x)
        walked = _walked(_dense_walk(_graph(padded, valid=valid)), wide.reshape(1, -1))
    np.testing.assert_allclose(walked.reshape(8, 9)[:6, :7], alone, atol=1e-12)


def test_steps_must_be_a_power_of_two():
    graph = affinity_graph(jnp.zeros((3, 3)))
    with pytest.raises(ValueError, match="power of two"):
        dense_walk(graph, steps=100)
