"""The parts of the walk by tiles against dense matrices written by loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.graph import tiles
from wsgcn_jax.graph.kernel_factors import kernel_factors
from wsgcn_jax.graph.steps import walk_steps
from wsgcn_jax.graph.tiled_kernel import inverse_root
from wsgcn_jax.graph.tiled_walk import _by_tiles, _local_power

REACH = 2


def _matrix(height=8, width=16):
    """A random symmetric matrix of nodes at most 2 apart either way, and its band."""
    rng = np.random.default_rng(0)
    n, side = height * width, 2 * REACH + 1
    y, x = np.divmod(np.arange(n), width)
    dy, dx = (at[None, :] - at[:, None] for at in (y, x))
    half = rng.random((n, n)) * (np.maximum(abs(dy), abs(dx)) <= REACH)
    matrix = half + half.T
    matrix /= np.abs(np.linalg.eigvalsh(matrix)).max()
    band = np.zeros((side, side, height, width))
    for i, j in np.argwhere(matrix):
        band[dy[i, j] + REACH, dx[i, j] + REACH, y[i], x[i]] = matrix[i, j]
    return matrix, jnp.asarray(band, jnp.float32)


def test_walking_by_tiles_is_the_power():
    matrix, band = _matrix()
    x = np.random.default_rng(1).random((8, 16, 3))
    ours = jax.jit(lambda band, x: walk_steps(_by_tiles(band), x, 9))(band, jnp.float32(x))
    theirs = np.linalg.matrix_power(matrix, 9) @ x.reshape(-1, 3)
    np.testing.assert_allclose(ours.reshape(-1, 3), theirs, atol=1e-5)


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_local_power_is_exact_for_walks_that_stay_in_their_window(steps, backend, monkeypatch):
    # Tiles of 4 see 2 nodes further: two steps stay, three may leave and come back.
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    matrix, band = _matrix()
    slow = np.random.default_rng(1).random((8, 16)) < 0.7
    ours = jax.jit(partial(_local_power, steps=steps, near=1))(band, jnp.asarray(slow))
    block = np.where(np.outer(slow, slow), matrix, 0)
    power = np.linalg.matrix_power(block, steps).reshape(8, 16, 8, 16)
    theirs = np.zeros_like(ours)
    for y, x, dy, dx in np.ndindex(8, 16, 3, 3):
        if 0 <= y + dy - 1 < 8 and 0 <= x + dx - 1 < 16:
            theirs[dy, dx, y, x] = power[y, x, y + dy - 1, x + dx - 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-6 if steps < 3 else 0.02)


def test_bands_undo_matrices():
    _, band = _matrix()
    cut = partial(tiles.tile_rows, tile=4)
    dense = tiles.matrices(band, cut, start=0, size=4 + 2 * REACH)
    np.testing.assert_array_equal(tiles.band_untiled(tiles.bands(dense, 4), 8), band)


def test_inverse_root_of_a_nearly_singular_matrix():
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(64, 64)))[0]
    values = 10.0 ** np.linspace(-5, 2, 64)
    gram = (turn * values) @ turn.T
    inverse = jax.jit(inverse_root)
    root = np.asarray(inverse(jnp.asarray(gram, jnp.float32)), np.float64)
    # Whitening is what it is for; the smallest modes are near float32's rounding of the largest.
    white = turn.T @ (root @ gram @ root) @ turn
    np.testing.assert_allclose(np.diag(white)[16:], 1, atol=0.02)
    assert np.isfinite(inverse(jnp.zeros((64, 64)))).all()
    assert np.isnan(inverse(jnp.full((64, 64), jnp.nan))).all()


def test_an_eigendecomposition_that_fails_is_seen(monkeypatch):
    """LAPACK's way to fail is NaN; where it became finite, it would pass for a photo's scores."""
    monkeypatch.setattr(
        jnp.linalg, "eigh", lambda a: (jnp.full(len(a), jnp.nan), jnp.full_like(a, jnp.nan))
    )
    for found in kernel_factors(jnp.linspace(0, 1, 128), jnp.ones(128, bool)):
        assert np.isnan(found).all()
