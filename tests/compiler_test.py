import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax import compiler
from wsgcn_jax.models.convolutions import conv

needs_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="of XLA's CPU backend")


def _convolve(x, kernel):
    return conv(x, kernel, padding=((1, 1), (1, 1)))


@needs_cpu
def test_convolutions_stay_with_xla_and_give_the_same():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 16, 16, 8)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 8, 8)), jnp.float32)

    options = compiler.convolution_options()
    assert options is not None, "this jaxlib does not know them: measure again without them"
    program = jax.jit(_convolve, compiler_options=options).lower(x, kernel).compile()

    assert "__ynn_fusion" not in program.as_text()
    np.testing.assert_allclose(
        program(x, kernel), jax.jit(_convolve)(x, kernel), rtol=1e-5, atol=1e-5
    )


@needs_cpu
def test_a_compiler_that_does_not_know_them_goes_without(monkeypatch):
    monkeypatch.setattr(compiler, "_CPU_OPTIONS", {"xla_cpu_no_such_option": "1"})
    assert compiler.convolution_options() is None


def test_other_backends_go_without(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert compiler.convolution_options() is None
