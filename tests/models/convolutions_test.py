"""The fast convolutions against XLA's general one, values and gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from wsgcn_jax.models import convolutions


def _general(
    x: jax.Array, kernel: jax.Array, stride: int, dilation: int, padding: list, groups: int
) -> jax.Array:
    """XLA's convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )


def _inputs(size: int, channels: int, features: int) -> tuple[jax.Array, jax.Array]:
    """Gives a picture of odd and even sides, and a kernel."""
    keys = jax.random.split(jax.random.key(size))
    x = jax.random.normal(keys[0], (2, 11, 14, channels))
    return x, jax.random.normal(keys[1], (size, size, features, channels))


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_depthwise_equals_grouped(size: int, stride: int, dilation: int) -> None:
    x, kernel = _inputs(size, 6, 1)
    padding = [(size // 2, size // 2 + 1), (1, 2 * dilation)]

    def fast(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolutions.depthwise_conv(
            x, kernel, stride=stride, dilation=dilation, padding=padding
        )

    def general(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _general(x, kernel, stride, dilation, padding, 6)

    @jax.jit
    def both(x: jax.Array, kernel: jax.Array) -> list[tuple[jax.Array, ...]]:
        out, pull = jax.vjp(fast, x, kernel)
        expected, pull_expected = jax.vjp(general, x, kernel)
        cotangent = jax.random.normal(jax.random.key(9), out.shape)
        return [(out, *pull(cotangent)), (expected, *pull_expected(cotangent))]

    for value, expected in zip(*both(x, kernel), strict=True):
        np.testing.assert_allclose(value, expected, atol=3e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_pointwise_equals_general(stride: int) -> None:
    x, _ = _inputs(1, 6, 1)
    kernel = jax.random.normal(jax.random.key(1), (1, 1, 6, 4))
    expected = _general(x, kernel, stride, 1, [(0, 0), (0, 0)], 1)
    np.testing.assert_allclose(convolutions.conv(x, kernel, stride=stride), expected, atol=1e-5)


def test_dense_passes_everything_on() -> None:
    x, _ = _inputs(3, 6, 1)
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 6, 4))
    padding = [(2, 1), (0, 3)]
    out = convolutions.conv(x, kernel, stride=2, dilation=2, padding=padding)
    # One output cell by hand: row 1 reads rows 2 - 2 + (0, 2, 4), column 0 columns (0, 2, 4).
    patch = x[0, 0:5:2, 0:5:2]
    np.testing.assert_allclose(out[0, 1, 0], jnp.einsum("ijc,ijcd->d", patch, kernel), atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "depthwise"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_scaled_has_the_products_gradients_even_where_a_factor_is_zero(kind: str, dtype) -> None:
    x, kernel = _inputs(3, 6, 6 if kind == "dense" else 1)
    factor = jnp.asarray([0.0, -1.5, 0.2, 1.0, 3.0, 1e-3])
    convolution = partial(
        convolutions.conv if kind == "dense" else convolutions.depthwise_conv,
        padding=((1, 1), (1, 1)),
    )

    def plain(x: jax.Array, kernel: jax.Array, factor: jax.Array) -> jax.Array:
        return convolution(x, kernel) * factor[None, None, None, :]

    inputs = (x.astype(dtype), kernel, factor)
    out, pull = jax.vjp(partial(convolutions.scaled, convolution), *inputs)
    expected, pull_expected = jax.vjp(plain, *inputs)
    cotangent = jax.random.normal(jax.random.key(9), out.shape)
    assert out.size > 2 * kernel.size  # else both would be the same
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, expected)
    tolerance = 1e-5 if dtype == jnp.float32 else 0.03
    for ours, theirs in zip(pull(cotangent), pull_expected(cotangent), strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(a, np.float32) for a in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_of_an_accelerator_equals_the_one_of_a_cpu(stride, monkeypatch) -> None:
    """Elsewhere XLA's grouped convolution is the fast one; here it is run on a CPU."""
    x, kernel = _inputs(3, 6, 1)
    convolve = partial(
        convolutions.depthwise_conv, stride=stride, dilation=2, padding=((2, 2), (2, 2))
    )

    def energy(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.square(convolve(x, kernel)).sum()

    ours, here = convolve(x, kernel), jax.grad(energy, (0, 1))(x, kernel)
    called = []
    grouped = lax.conv_general_dilated
    monkeypatch.setattr(
        lax, "conv_general_dilated", lambda *a, **o: called.append(o) or grouped(*a, **o)
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    theirs, there = convolve(x, kernel), jax.grad(energy, (0, 1))(x, kernel)
    assert called and all(options["feature_group_count"] == 6 for options in called)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
