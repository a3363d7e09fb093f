"""The permutohedral lattice against loops over its definition, and the convolution likewise."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.crf.gaussian import gaussian_filter
from wsgcn_jax.crf.lattice import build, lattice_filter, table_sizes
from wsgcn_jax.crf.simplex import find_corners, packing

SHAPE, SIGMA_XY, SIGMA_RGB = (9, 11), 5.3, 17.0


def photo():
    # Half flat, for busy vertices; half noise, for lonely ones.
    rng = np.random.default_rng(0)
    image = np.full((*SHAPE, 3), 90.0, np.float32)
    image[:, 5:] = rng.integers(0, 256, (SHAPE[0], 6, 3))
    return image


def elevated(image):
    """Positions `[n, 6]` of the pixels in the hyperplane of the lattice."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    place = np.stack([columns, rows], -1).reshape(-1, 2) / SIGMA_XY
    features = np.concatenate([place, image.reshape(-1, 3) / SIGMA_RGB], axis=1)
    scaled = np.sqrt(2 / 3) * 6 * features / np.sqrt([2, 6, 12, 20, 30])
    basis = np.array([[1] * j + [-j] + [0] * (5 - j) for j in range(1, 6)])
    return scaled @ basis


def simplex(position):
    """The six vertices round a position, and its barycentric coordinates: by trial."""
    for k in itertools.product((0, 1), repeat=6):
        point = 6 * (np.floor(position / 6).astype(int) + np.array(k))
        if point.sum() != 0:
            continue
        order = np.argsort(point - position)  # largest difference first
        vertices = [point.copy()]
        for step in range(1, 6):
            vertex = point + step
            vertex[order[6 - step :]] -= 6
            vertices.append(vertex)
        system = np.vstack([np.array(vertices).T, np.ones(6)])
        weights = np.linalg.lstsq(system, np.append(position, 1), rcond=None)[0]
        if (weights > -1e-9).all():
            return [tuple(v) for v in vertices], weights
    raise AssertionError("no simplex holds the position")


def by_the_definition(image, values, valid, axes):
    simplices = [simplex(position) for position in elevated(image)]
    simplices = [s for s, real in zip(simplices, valid.reshape(-1), strict=True) if real]
    values = values[valid.reshape(-1)]
    grid: dict[tuple[int, ...], np.ndarray] = {}
    for (vertices, weights), value in zip(simplices, values, strict=True):
        for vertex, weight in zip(vertices, weights, strict=True):
            grid[vertex] = grid.get(vertex, 0) + weight * value
    for axis in axes:
        step = np.ones(6, int)
        step[axis] -= 6
        grid = {
            vertex: here
            + 0.5 * grid.get(tuple(vertex + step), 0)
            + 0.5 * grid.get(tuple(vertex - step), 0)
            for vertex, here in grid.items()
        }
    rows = [
        sum(weight * grid[vertex] for vertex, weight in zip(vertices, weights, strict=True))
        for vertices, weights in simplices
    ]
    return np.array(rows), len(grid)


@pytest.mark.parametrize("backward", [False, True])
def test_filter_is_the_definition(backward):
    image = photo()
    values = np.random.default_rng(1).random((image[..., 0].size, 2)).astype(np.float32)
    axes = range(6)[:: -1 if backward else 1]
    # Column 0 lies between simplices, either of which is right.
    valid = np.broadcast_to(np.arange(SHAPE[1]) > 0, SHAPE)
    expected, vertices = by_the_definition(image, values, valid, axes)
    packed = packing(SHAPE, SIGMA_XY, SIGMA_RGB)

    @jax.jit
    def ours(image, values):
        corners = find_corners(image, jnp.asarray(valid), SIGMA_XY, SIGMA_RGB, packed)
        tables = build(corners, table_sizes(len(values))[-1], packed)
        return lattice_filter(tables, values, backward), corners.total

    filtered, total = ours(image, values)
    assert int(total) == vertices
    real = valid.reshape(-1)
    np.testing.assert_allclose(filtered[real], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(filtered[~real], 0)


def test_gaussian_is_the_sum_over_all_pairs():
    values = np.random.default_rng(2).random((9, 14)).astype(np.float32)
    rows, columns = (
        np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)[None]) / 1.5) ** 2) for n in (9, 14)
    )
    expected = rows @ values @ columns
    ours = gaussian_filter(jnp.asarray(values)[None], 1.5)
    np.testing.assert_allclose(ours[0], expected, rtol=2e-4)
