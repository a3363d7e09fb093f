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
    x = jnp.asarray(rng.normal(size=(1, 32, 32, 32)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 32, 32)), jnp.float32)

    default = jax.jit(_convolve).lower(x, kernel).compile()
    options = compiler.convolution_options()
    if "__ynn_fusion" not in default.as_text() or options is None:
        pytest.skip("this XLA keeps convolutions without being told, or cannot be told")
    program = jax.jit(_convolve, compiler_options=options).lower(x, kernel).compile()

    assert "__ynn_fusion" not in program.as_text()
    # Sums of 288 products of about 1: five digits.
    np.testing.assert_allclose(program(x, kernel), default(x, kernel), rtol=0, atol=1e-4)


@needs_cpu
def test_a_compiler_that_does_not_know_them_goes_without(monkeypatch):
    monkeypatch.setattr(compiler, "_LIBRARY", "xla_cpu_no_such_option")
    assert compiler.convolution_options() is None


@needs_cpu
def test_elementwise_operations_are_handed_on_without_depthwise_filters_only():
    def handed_on(shape):
        return "ELTWISE" in str(compiler.convolution_options({"a": {"kernel": jnp.zeros(shape)}}))

    if compiler.convolution_options() is None:
        pytest.skip("this XLA cannot be told")
    assert handed_on((3, 3, 8, 8)) and handed_on((1, 1, 1, 8)) and handed_on((8,))
    assert not handed_on((3, 3, 1, 8))
    assert "ELTWISE" not in str(compiler.convolution_options())


@needs_cpu
def test_a_gradient_through_the_library_is_the_same():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 32, 32, 16)), jnp.float32)
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 16, 16)) / 12, jnp.float32)}
    options = compiler.convolution_options(params)
    if options is None:
        pytest.skip("this XLA cannot be told")

    def loss(params, x):
        y = jax.nn.relu(_convolve(x, params["kernel"]))
        return jnp.square(y * jax.nn.sigmoid(y) + x).mean()

    gradient = jax.grad(loss, argnums=(0, 1))
    handed_on = jax.jit(gradient, compiler_options=options)(params, x)

    for ours, expected in zip(*map(jax.tree.leaves, (handed_on, gradient(params, x))), strict=True):
        scale = jnp.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=0, atol=1e-5)


def test_other_backends_go_without(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert compiler.convolution_options() is None
    assert compiler.product_options() is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (compiler.product_options, {"xla_gpu_enable_triton_gemm": False}),
        (
            compiler.convolution_options,
            {"xla_gpu_enable_triton_gemm": False, "xla_gpu_deterministic_ops": True},
        ),
    ],
)
def test_a_gpu_leaves_the_choice_to_its_libraries(options, expected, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert options() == expected
    # XLA knows the names on every backend.
    product = jax.jit(lambda x: x @ x, compiler_options=options())
    assert product(jnp.ones((2, 2)))[0, 0] == 2


def test_a_gpus_training_steps_are_tuned(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler.convolution_options({"kernel": jnp.zeros((3, 3, 8, 8))}) is None


@needs_cpu
def test_a_cpus_programs_share_their_options():
    assert compiler.product_options() == compiler.convolution_options()
