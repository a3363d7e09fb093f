"""XLA's compiler: options of programs, and keeping what was compiled."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from wsgcn_jax.folders import cache_folder

Options = dict[str, str | int]
"""For `compiler_options` of `jax.jit`."""

_LIBRARY = "xla_cpu_experimental_ynn_fusion_type"
# Matrix products and sums stay with YNNPACK, where they are fast.
_FAST_THERE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
_DETERMINISTIC, _TRITON = "xla_gpu_deterministic_ops", "xla_gpu_enable_triton_gemm"
_PRECISION = "jax_default_matmul_precision"
_CACHE_BYTES = 4 * 2**30


def convolution_options(trained: Any = None) -> Options | None:
    """Returns compiler options for programs that run a network.

    XLA's CPU backend would hand convolutions to YNNPACK, which takes up to 1.7 times as long as
    XLA itself does (jaxlib 0.10.2, 3x3 with 64 channels: 135 against 220 GFLOP/s on 2 cores).
    Elementwise operations are handed to it only on request, which pays in training large networks
    (ResNet-101: a tenth), but not where depthwise convolutions are made of them
    (EfficientNet-Lite0: twice the time).

    On a GPU, XLA would compile and time all of cuDNN's ways to convolve, which took 42 to 50
    seconds a program on an H200, longer than hundreds of photos take. Asked for programs that
    give the same numbers in every run, it takes cuDNN's first choice. Training steps, which run
    thousands of times, are left to it.

    Args:
        trained: the parameters of the network whose update is to be compiled, kernels
            `[k, k, in, out]`; None for other programs.

    Returns:
        For `compiler_options` of `jax.jit`; None where there is nothing to say, and where the
        compiler does not know them.
    """
    if jax.default_backend() == "gpu" and trained is None:
        return _if_known({_DETERMINISTIC: True, _TRITON: False})
    if jax.default_backend() != "cpu":
        return None
    options: Options = {_LIBRARY: _FAST_THERE}
    if trained is not None and not any(map(_is_depthwise, jax.tree.leaves(trained))):
        options[_LIBRARY] = _FAST_THERE + ",LIBRARY_FUSION_TYPE_ELTWISE"
    return _if_known(options)


def product_options() -> Options | None:
    """Returns compiler options for programs of matrix products in full float32: the graph part's.

    On a GPU the products are cuBLAS's: Triton would write each out multiplication by
    multiplication, in dozens of variants to choose from, which takes minutes (seen on an H200).

    Returns:
        For `compiler_options` of `jax.jit`; elsewhere those of `convolution_options`.
    """
    if jax.default_backend() == "gpu":
        return _if_known({_TRITON: False})
    return convolution_options()


def _if_known(options: Options) -> Options | None:
    """The options, None where this compiler has no such."""
    try:
        jax.jit(lambda x: x + 1, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


def _is_depthwise(kernel: jax.Array) -> bool:
    """Says whether a parameter is a filter with one input channel for every output channel."""
    return kernel.ndim == 4 and kernel.shape[0] > 1 and kernel.shape[2] == 1


def keep_compiled_programs() -> None:
    """Keeps compiled programs in the user's cache, for all runs in whatever work folder.

    The folder is locked while it is read and written, and programs that nobody has used for
    longest go when it reaches four gigabytes. It is on a disk: XLA cannot write into a bucket. A
    folder that JAX was given before (`JAX_COMPILATION_CACHE_DIR`) stays.
    """
    if not jax.config.values["jax_compilation_cache_dir"]:
        folder = cache_folder() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@contextlib.contextmanager
def products_of_networks(precision: str | None) -> Iterator[None]:
    """Sets the precision of products that name none, which are those of the networks.

    Args:
        precision: "highest" or "high"; None: the backend's own.
    """
    # For the whole process: JAX's own context manager is one thread's, and stages have several.
    before = jax.config.values[_PRECISION]
    jax.config.update(_PRECISION, precision)
    try:
        yield
    finally:
        jax.config.update(_PRECISION, before)
