"""The colour Laplacian against the published matrix and dense algebra."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.graph.laplacian import (
    laplacian_energy,
    laplacian_graph,
    laplacian_matvec,
    laplacian_stencil,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "laplacian.npz")
RGB = jnp.asarray(GOLDEN["rgbxy"][..., :3])
Z = jax.random.normal(jax.random.key(0), (5, 12, 16)) - 8.0


def dense(weights: jax.Array) -> np.ndarray:
    graph = laplacian_graph(weights)
    n = int(graph.n_node[0])
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.asarray(graph.senders), np.asarray(graph.receivers)), graph.edges)
    return matrix


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parity("Laplacian")
def test_graph_is_the_published_matrix(radius: int) -> None:
    weights = laplacian_stencil(RGB, radius=radius)
    # float32 exponentials summed over 24 neighbours, against float64.
    expected = GOLDEN[f"L_radius{radius}"]
    np.testing.assert_allclose(dense(weights), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 2])
def test_energy_and_product_equal_dense_algebra(radius: int) -> None:
    weights = laplacian_stencil(RGB, radius=radius)
    matrix = GOLDEN[f"L_radius{radius}"]
    z = np.asarray(Z, np.float64).reshape(5, 192)
    np.testing.assert_allclose(laplacian_energy(weights, Z), np.trace(z @ matrix @ z.T), rtol=1e-5)
    product = np.asarray(laplacian_matvec(weights, Z)).reshape(5, 192)
    np.testing.assert_allclose(product, z @ matrix, rtol=1e-5, atol=2e-5)


def test_gradients_equal_those_of_the_sum_over_pairs() -> None:
    weights = laplacian_stencil(RGB)
    graph = laplacian_graph(weights)
    pairs = (np.asarray(graph.senders), np.asarray(graph.receivers))

    def by_pairs(weights: jax.Array, z: jax.Array) -> jax.Array:
        flat = z.reshape(5, 192)
        apart = ((flat[:, pairs[0]] - flat[:, pairs[1]]) ** 2).sum(axis=0)
        return -0.5 * jnp.sum(laplacian_graph(weights).edges * apart)

    def ours(weights: jax.Array, z: jax.Array) -> jax.Array:
        return 3.0 * laplacian_energy(weights, z)

    inside = np.asarray(weights) > 0  # outside the grid there is no pair to ask about
    expected = jax.grad(by_pairs, (0, 1))(weights, Z)
    got = jax.grad(ours, (0, 1))(weights, Z)
    np.testing.assert_allclose(np.where(inside, got[0], 0), 3 * expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got[1], 3 * expected[1], rtol=1e-4, atol=1e-4)


def test_energy_of_a_constant_is_zero() -> None:
    assert float(laplacian_energy(laplacian_stencil(RGB), jnp.full((3, 12, 16), -27.0))) == 0.0


def test_padding_changes_nothing() -> None:
    rgb = jnp.pad(RGB, ((0, 4), (0, 3), (0, 0)), constant_values=0.5)
    valid = jnp.zeros(rgb.shape[:2], bool).at[:12, :16].set(True)
    z = jnp.pad(Z, ((0, 0), (0, 4), (0, 3)), constant_values=7.0)
    weights, padded = laplacian_stencil(RGB), laplacian_stencil(rgb, valid=valid)
    np.testing.assert_allclose(laplacian_energy(padded, z), laplacian_energy(weights, Z), rtol=1e-6)
    product = laplacian_matvec(padded, z)
    np.testing.assert_allclose(product[:, :12, :16], laplacian_matvec(weights, Z), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(product)[:, ~np.asarray(valid)], 0.0)


def test_jit_and_vmap_equal_eager_one_by_one() -> None:
    photos, values = jnp.stack([RGB, RGB[::-1], 1 - RGB]), jnp.stack([Z, Z[:, :, ::-1], 2 * Z])

    def run(rgb: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.value_and_grad(laplacian_energy, 1)(laplacian_stencil(rgb), z)

    energies, gradients = jax.jit(jax.vmap(run))(photos, values)
    for i in range(3):
        energy, gradient = run(photos[i], values[i])
        np.testing.assert_allclose(energies[i], energy, rtol=1e-5)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-4, atol=1e-4)


def test_grid_narrower_than_the_window() -> None:
    rgb = jax.random.uniform(jax.random.key(1), (4, 1, 3))
    matrix = dense(laplacian_stencil(rgb))
    np.testing.assert_allclose(matrix.sum(axis=1), 0.0, atol=1e-6)
    assert matrix[0, 3] == 0.0 and matrix[0, 2] < 0.0
