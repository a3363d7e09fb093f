"""The factored walk against the dense one, and its invariances."""

from functools import partial
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import Form, best_form, fast_walk
from wsgcn_jax.graph.steps import by_shifts, chebyshev_weights, walk_steps
from wsgcn_jax.graph.walk import aggregate, dense_walk, gcn_adjacency, multiply, random_walk

GOLDEN = Path(__file__).parents[1] / "golden"
all_forms = pytest.mark.parametrize("form", get_args(Form))


def _edges(height=36, width=45):
    """Three regions behind boundaries that range from shut to leaky, and some clutter."""
    y, x = np.mgrid[:height, :width]
    ring = np.abs(np.hypot(y - 16, x - 18) - 11)
    wall = np.abs(x - 35 - 2 * np.sin(y / 5))
    edge = np.maximum(np.exp(-((ring / 1.5) ** 2)), 0.97 * np.exp(-((wall / 1.8) ** 2)))
    clutter = np.random.default_rng(0).random((height, width)) * 0.05
    return jnp.asarray(np.clip(edge + clutter, 0, 1), jnp.float32)


# Compiled as a whole, and once for all tests: op by op, the first call takes a minute.
@partial(jax.jit, static_argnames=("form", "basis"))
def _fast(edges, form, basis=64):
    return fast_walk(affinity_stencil(edges), basis=basis, form=form)


@jax.jit
def _exact(edges):
    return dense_walk(affinity_graph(edges))


_walked = jax.jit(random_walk)


@jax.jit
def _dense(walk):
    adjacency = gcn_adjacency(walk)
    # Vectors are rows: those of the identity give the columns of A.
    return aggregate(adjacency, jnp.eye(adjacency.rows.shape[0])).T


@pytest.mark.parity("walk")
def test_full_basis_is_the_golden_adjacency():
    golden = np.load(GOLDEN / "affinity.npz")
    with jax.enable_x64(True):
        stencil = affinity_stencil(jnp.asarray(golden["edge"], jnp.float64))
        adjacency = _dense(fast_walk(stencil, basis=560))
    np.testing.assert_allclose(adjacency, golden["adj"], atol=2 * golden["adj_f64_maxdiff"])


@all_forms
def test_near_the_dense_adjacency_and_walk(form):
    edges = _edges()
    dense, fast = _exact(edges), _fast(edges, form)
    ours, theirs = _dense(fast), _dense(dense)
    # The size of what is left: the rank of exp|s - t|, and walks that leave a window.
    assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)
    np.testing.assert_allclose(ours.sum(axis=1), 1, atol=1e-5)
    x = jax.random.uniform(jax.random.key(0), (2, edges.size))
    apart = np.abs(_walked(fast, x) - _walked(dense, x))
    assert np.quantile(apart, 0.99) < 0.01 and apart.mean() < 0.001


def test_a_larger_basis_is_nearer():
    edges = _edges()
    exact = _dense(_exact(edges))
    errors = [np.linalg.norm(_dense(_fast(edges, "gather", basis=b)) - exact) for b in (8, 64)]
    assert errors[0] > 2 * errors[1]


@all_forms
def test_kernel_is_symmetric_so_the_gradient_is_the_transposed_product(form):
    edges = _edges()
    kernel = jax.jit(gcn_adjacency)(_fast(edges, form)).kernel
    matrix = np.asarray(jax.jit(type(kernel).matvec)(kernel, jnp.eye(edges.size)))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    g = jax.random.normal(jax.random.key(1), (3, edges.size))

    @jax.jit
    def gradient(kernel, g):
        return jax.vjp(lambda x: multiply(kernel, x), jnp.ones_like(g))[1](g)[0]

    np.testing.assert_allclose(gradient(kernel, g), np.asarray(g) @ matrix, atol=1e-5)


@all_forms
def test_padding_and_vmap_change_no_real_node(form):
    edges = _edges()
    height, width = edges.shape
    wide = jnp.full((48, 56), 0.5).at[:height, :width].set(edges)
    valid = jnp.zeros(wide.shape, bool).at[:height, :width].set(True)
    x = jax.random.uniform(jax.random.key(2), (2, height, width))
    alone = np.asarray(x).reshape(2, -1) @ np.asarray(_dense(_fast(edges, form))).T

    @jax.jit
    @jax.vmap
    def padded(edges, valid, x):
        adjacency = gcn_adjacency(fast_walk(affinity_stencil(edges, valid=valid), form=form))
        return aggregate(adjacency, x.reshape(2, -1)).reshape(x.shape)[:, :height, :width]

    wide_x = jnp.full((2, *wide.shape), 9.0).at[:, :height, :width].set(x)
    together = padded(*(jnp.stack([a, a]) for a in (wide, valid, wide_x)))
    for one in together:
        np.testing.assert_allclose(one.reshape(2, -1), alone, atol=2e-4)


@all_forms
@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_a_photo_without_boundaries_and_one_of_nothing_else(form, edge):
    edges = jnp.full_like(_edges(), edge)
    ours, theirs = _dense(_fast(edges, form)), _dense(_exact(edges))
    assert np.isfinite(ours).all()
    assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)


@pytest.mark.parametrize("steps", [1, 7, 256])
def test_chebyshev_weights_give_the_power(steps):
    weights = chebyshev_weights(steps)
    x = np.linspace(-1, 1, 201)
    ours = np.polynomial.chebyshev.chebval(x, weights)
    np.testing.assert_allclose(ours, x**steps, atol=2e-5)


def test_walking_by_polynomials_equals_walking_step_by_step():
    # P of a ring of equal affinities, written as a stencil of one row.
    weights = jnp.full((2, 1, 9), 0.25).at[0, 0, -1].set(0).at[1, 0, 0].set(0)
    offsets = np.array([[0, 1], [0, -1]])
    matrix = np.eye(9) / 2 + np.diag(np.full(8, 0.25), 1) + np.diag(np.full(8, 0.25), -1)
    x = jax.random.normal(jax.random.key(3), (1, 9, 2))
    once = by_shifts(weights, jnp.full((1, 9), 0.5), offsets)
    ours = jax.jit(lambda x: walk_steps(once, x, 30))(x)
    # The polynomials' tail, cut at 1e-5, meets values of about 3.
    np.testing.assert_allclose(
        ours[0], np.linalg.matrix_power(matrix, 30) @ np.asarray(x[0]), atol=3e-5
    )


@pytest.mark.parametrize(
    ("backend", "form"), [("cpu", "gather"), ("gpu", "shifts"), ("tpu", "tiles")]
)
def test_each_backend_has_a_form(monkeypatch, backend, form):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert best_form() == form
