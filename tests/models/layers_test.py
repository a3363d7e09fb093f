"""Resizing, masks and norms against NumPy written out."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.models import layers
from wsgcn_jax.resize import resize_bilinear


def _resize_one(row: np.ndarray, size: int) -> np.ndarray:
    """Interpolates a vector at the source coordinates of PyTorch's documentation."""
    length = len(row)
    source = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    return np.interp(source, np.arange(length), row)


@pytest.mark.parametrize("size", [(12, 18), (5, 4), (1, 9), (7, 7)])
def test_resize_interpolates_linearly(size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 9, 3)).astype(np.float32)
    expected = np.apply_along_axis(_resize_one, 1, x, size[0])
    expected = np.apply_along_axis(_resize_one, 2, expected, size[1])
    resized = jax.jit(resize_bilinear, static_argnums=1)(x, size)
    np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_a_coarse_cell_is_real_if_its_top_left_pixel_is() -> None:
    valid = jnp.zeros((1, 7, 9), bool).at[:, :5, :8].set(True)
    coarse = layers.downsample_valid(valid, 4)
    np.testing.assert_array_equal(coarse[0], [[True, True, False], [True, True, False]])
    assert layers.downsample_valid(None, 4) is None


def test_apply_valid_zeroes_the_padding() -> None:
    x = jnp.ones((1, 2, 2, 3))
    valid = jnp.array([[[True, False], [True, True]]])
    np.testing.assert_array_equal(layers.apply_valid(x, valid)[0, 0, 1], jnp.zeros(3))
    assert layers.apply_valid(x, valid).sum() == 9
    assert layers.apply_valid(x, None) is x


class _Nothing:
    """A convolution that leaves everything as it is."""

    features = None

    def __call__(self, x, factor):
        return x if factor is None else x * factor[None, None, None, :]


def test_frozen_batch_norm_uses_the_running_statistics() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    scale, bias, mean = rng.normal(size=(3, 5)).astype(np.float32)
    var = rng.uniform(0.5, 2, 5).astype(np.float32)
    variables = {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }
    out = layers.BatchNorm(1e-3).apply(variables, x, _Nothing())
    expected = (x - mean) / np.sqrt(var + 1e-3) * scale + bias
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_batch_statistics_normalise_and_move_the_running_ones() -> None:
    x = np.random.default_rng(2).normal(3, 2, size=(2, 3, 4, 5)).astype(np.float32)
    norm = layers.BatchNorm(use_batch_stats=True)
    variables = norm.init(jax.random.key(0), x, _Nothing())
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(5))
    out, changed = norm.apply(variables, x, _Nothing(), mutable=["batch_stats"])
    np.testing.assert_allclose(out.mean((0, 1, 2)), np.zeros(5), atol=1e-5)
    np.testing.assert_allclose(out.var((0, 1, 2)), np.ones(5), atol=1e-4)
    flat = x.reshape(-1, 5)
    moved = changed["batch_stats"]
    np.testing.assert_allclose(moved["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize(("limit", "library"), [(np.inf, nn.relu), (6.0, nn.relu6)])
def test_relu_and_its_gradient_are_the_librarys(limit, library) -> None:
    x = jnp.asarray(np.random.default_rng(3).normal(3, 4, size=(50, 7)), jnp.float32)
    assert (x < 0).any()
    assert (x > 6).any()
    ours, back = jax.vjp(lambda x: layers.relu(x, limit), x)
    theirs, library_back = jax.vjp(library, x)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(back(x)[0], library_back(x)[0])
