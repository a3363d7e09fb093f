"""Products of long operands, some columns at a time, against products of the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax import precise

COLUMNS = 2 * precise._MOST + 3  # three pieces, the last of them not full


def _operands():
    rng = np.random.default_rng(0)
    shapes = ((5, 7), (7, COLUMNS), (5, COLUMNS))
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.fixture
def in_pieces(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")


def test_a_product_and_its_gradients(in_pieces):
    a, b, weights = _operands()

    def loss(a, b, product):
        return (weights * product(a, b)).sum()

    np.testing.assert_allclose(precise.long_matmul(a, b), a @ b, atol=1e-5)
    ours = jax.grad(partial(loss, product=precise.long_matmul), argnums=(0, 1))(a, b)
    theirs = jax.grad(partial(loss, product=jnp.matmul), argnums=(0, 1))(a, b)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_products_of_rows(in_pieces):
    _, b, other = _operands()
    np.testing.assert_allclose(precise.row_products(b, other), b @ other.T, rtol=1e-4, atol=1e-4)
    text = str(jax.make_jaxpr(precise.row_products)(b, other))
    assert "f32[3,7,2816]" in text and "HIGHEST" in text
