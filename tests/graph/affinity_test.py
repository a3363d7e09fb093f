"""Affinities against the published matrix and against a loop over paths."""

from pathlib import Path

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from wsgcn_jax.graph import grid
from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil, degree
from wsgcn_jax.graph.paths import path_offsets, paths

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "affinity.npz")
EDGE = jnp.asarray(GOLDEN["edge"])


def dense(graph: jraph.GraphsTuple) -> np.ndarray:
    n = int(graph.n_node[0])
    matrix = np.zeros((n, n), np.float64)
    np.add.at(matrix, (np.asarray(graph.senders), np.asarray(graph.receivers)), graph.edges)
    return matrix


@pytest.mark.parity("affinity")
def test_stencil_is_the_published_sparse_affinity() -> None:
    # The published sources are the rows of the photo, 5 columns into a frame of edges 1.
    ours = np.asarray(affinity_stencil(EDGE, beta=1.0))
    height, width = EDGE.shape
    sources = GOLDEN["src_indices"]
    row, column = sources // 38, sources % 38 - 5
    inside = (row < height) & (column >= 0) & (column < width)
    expected = GOLDEN["sparse_affinity"][:, inside]
    np.testing.assert_array_equal(ours[:, row[inside], column[inside]], expected)


@pytest.mark.parity("affinity")
def test_graph_is_the_published_dense_matrix() -> None:
    np.testing.assert_array_equal(dense(affinity_graph(EDGE, beta=1.0)), GOLDEN["dense_affinity"])


@pytest.mark.parity("affinity")
def test_normalised_powers_are_the_published_transition_matrix() -> None:
    graph = affinity_graph(EDGE)
    transition = dense(graph) / np.asarray(graph.nodes, np.float64)
    np.testing.assert_allclose(transition, GOLDEN["trans_1step"], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "radius", "beta"), [((7, 9), 4, 2.5), ((3, 2), 5, 10), ((1, 6), 5, 1)]
)
def test_stencil_equals_a_loop_over_paths(shape: tuple[int, int], radius: int, beta: float) -> None:
    rng = np.random.default_rng(3)
    edges = rng.random(shape, np.float32)
    valid = np.zeros(shape, bool)
    valid[: shape[0] - shape[0] // 3, : shape[1] - 1] = True
    ours = affinity_stencil(jnp.asarray(edges), radius=radius, beta=beta, valid=jnp.asarray(valid))
    expected = np.zeros_like(ours)
    for k, path in enumerate(paths(radius)):
        for y in range(shape[0]):
            for x in range(shape[1]):
                cells = [(y + int(dy), x + int(dx)) for dy, dx in path]
                real = all(
                    0 <= v < shape[0] and 0 <= u < shape[1] and valid[v, u] for v, u in cells
                )
                if real:
                    expected[k, y, x] = (1 - max(edges[cell] for cell in cells)) ** beta
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)
    matrix = dense(affinity_graph(jnp.asarray(edges), radius=radius, beta=beta))
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1.0)


def test_degree_is_the_column_sum() -> None:
    graph = affinity_graph(EDGE)
    np.testing.assert_allclose(graph.nodes, dense(graph).sum(axis=0), rtol=1e-6)
    alone = degree(affinity_stencil(EDGE)).reshape(-1)
    np.testing.assert_allclose(graph.nodes, alone, rtol=1e-6)


def test_edges_exist_once_in_each_direction() -> None:
    graph = affinity_graph(EDGE)
    pairs = np.stack([graph.senders, graph.receivers])
    count = pairs.shape[1]
    assert np.unique(pairs, axis=1).shape[1] == count == int(graph.n_edge[0])
    height, width = EDGE.shape
    inside = sum((height - abs(dy)) * (width - abs(dx)) for dy, dx in path_offsets(5).tolist())
    assert count == 2 * inside + height * width


def test_padding_is_isolated_and_changes_nothing() -> None:
    height, width = EDGE.shape
    padded = jnp.pad(EDGE, ((0, 6), (0, 5)), constant_values=0.3)
    valid = jnp.zeros(padded.shape, bool).at[:height, :width].set(True)
    small, large = dense(affinity_graph(EDGE)), dense(affinity_graph(padded, valid=valid))
    real = np.flatnonzero(np.asarray(valid))
    np.testing.assert_array_equal(large[np.ix_(real, real)], small)
    rest = np.flatnonzero(~np.asarray(valid))
    np.testing.assert_array_equal(large[rest], np.eye(valid.size)[rest])


def test_jit_and_vmap_equal_eager_one_by_one() -> None:
    batch = jnp.stack([EDGE, EDGE[::-1], 1 - EDGE])
    together = jax.jit(jax.vmap(affinity_stencil))(batch)
    for ours, edges in zip(together, batch, strict=True):
        np.testing.assert_allclose(ours, affinity_stencil(edges), rtol=1e-6)
    graphs = jax.jit(jax.vmap(affinity_graph))(batch)
    np.testing.assert_allclose(graphs.edges[1], affinity_graph(batch[1]).edges, rtol=1e-6)


def test_gradient_is_finite_even_on_certain_edges() -> None:
    gradient = jax.grad(lambda e: affinity_stencil(e, radius=3).sum())(EDGE.at[3:5].set(1.0))
    assert bool(jnp.isfinite(gradient).all()) and float(jnp.abs(gradient).max()) > 0


def test_shift_reads_from_the_offset() -> None:
    x = jnp.arange(12.0).reshape(3, 4)
    expected = np.array([[9, 9, 9, 9], [9, 0, 1, 2], [9, 4, 5, 6]], np.float32)
    np.testing.assert_array_equal(grid.shift(x, -1, -1, fill=9.0), expected)
    assert float(grid.shift(x, 1, 2)[0, 0]) == 6.0
