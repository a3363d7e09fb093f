"""Mean-field inference in a dense CRF.

Kraehenbuehl & Koltun, NIPS 2011; conventions of the published pipeline
(tests/golden/README.md section 7): Potts compatibility, self pairs included, symmetric
normalisation, parallel updates.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.crf.gaussian import gaussian_filter, symmetric_norm
from wsgcn_jax.crf.lattice import (
    Lattice,
    build,
    choose_size,
    lattice_filter,
    normalised,
    table_sizes,
)
from wsgcn_jax.crf.pairs import mean_field_of_pairs
from wsgcn_jax.crf.simplex import find_corners, packing
from wsgcn_jax.precise import matmul
from wsgcn_jax.types import DataError

Kernel = Literal["lattice", "attention", "sampled", "exact"]
_VECTOR = 8  # floats
_STEP = 2  # cells; of "sampled"

Message = Callable[[jax.Array], jax.Array]
"""Probabilities `[c, H, W]` -> what a symmetrically normalised kernel adds to the energy."""


def resolve_kernel(kernel: Kernel | None, *, coarse: bool = False) -> Kernel:
    """The kernel named; for None the backend's: "sampled" on TPUs, "lattice" elsewhere.

    Args:
        kernel: a name or None.
        coarse: the cells are the stride-4 grid's, of which none can be left out: "attention" on
            TPUs.

    Raises:
        ValueError: no such kernel.
    """
    if kernel is None:
        on_tpus: Kernel = "attention" if coarse else "sampled"
        return on_tpus if jax.default_backend() == "tpu" else "lattice"
    if kernel not in get_args(Kernel):
        raise DataError(f"kernel {kernel!r} is none of {', '.join(get_args(Kernel))}")
    return kernel


@checked(
    unary=Shaped("... c H W"),
    image=Shaped("H W 3", "number", low=0, high=255),
    valid=Shaped("H W", "bool"),
    iterations=Number(low=0, high=1000, whole=True),
)
@partial(jax.jit, static_argnames=("gaussian", "bilateral", "iterations", "kernel"))
def mean_field(
    unary: jax.Array,
    image: jax.Array,
    *,
    valid: jax.Array | None = None,
    gaussian: tuple[float, float] = (3.0, 3.0),
    bilateral: tuple[float, float, float] = (50.0, 5.0, 10.0),
    iterations: int = 10,
    kernel: Kernel | None = None,
) -> jax.Array:
    """Refines label probabilities of one photo.

    Q <- softmax(-U + w_g K_g Q + w_b K_b Q), starting from Q = softmax(-U).

    Args:
        unary: `[c, H, W] f32`, U, minus log probabilities; large for impossible labels. Several
            `[b, c, H, W]` of the same photo share its kernels.
        image: `[H, W, 3]`, u8 or f32 in 0..255, in any order of channels.
        valid: `[H, W] bool`, real cells; None if all are. The others influence nothing.
        gaussian: standard deviation in cells, and weight, of the smoothness kernel.
        bilateral: standard deviations in cells and in colour, and weight, of the other.
        iterations: number of updates.
        kernel: "lattice", an approximation whose time and memory grow with the number of cells;
            "attention", exact, whose memory grows so, but time with its square: for TPUs, where
            sorting and gathers are slow; "sampled", the same with messages from every second cell
            of every second row alone, for photos, in a tenth of the time; or "exact", where both
            grow so: for a few thousand cells, and to check the others. None: "sampled" on TPUs,
            "lattice" elsewhere (docs/accelerators.md).

    Returns:
        `[c, H, W] f32` probabilities, summing to 1 over c; `[b, c, H, W]` for several unaries.
        Differentiable in unary. For a batch of photos `jax.lax.map` is faster than `jax.vmap`,
        which must make the largest tables for all.

    Raises:
        ValueError: no such kernel; or the kernel is so fine for a photo of that size that the
            lattice's vertices cannot be numbered.
    """
    unary = unary.astype(jnp.float32)
    real = jnp.ones(image.shape[:2], bool) if valid is None else valid
    kernel = resolve_kernel(kernel)
    if kernel in ("attention", "sampled"):
        step = 1 if kernel == "attention" else _STEP
        return mean_field_of_pairs(
            unary,
            image,
            real,
            gaussian=gaussian,
            bilateral=bilateral,
            iterations=iterations,
            step=step,
        )
    if kernel == "exact":
        colour = image.reshape(-1, 3).astype(unary.dtype) / bilateral[1]
        places = _places(real.shape) / bilateral[0]
        near = _exact(_places(real.shape) / gaussian[0], real, gaussian[1])
        far = _exact(jnp.concatenate([places, colour], axis=1), real, bilateral[2])
        return _infer(unary, near, far, iterations)

    near = _convolution(real, *gaussian)
    packed = packing((image.shape[0], image.shape[1]), *bilateral[:2])
    corners = find_corners(image, real, *bilateral[:2], packed)

    def with_tables(size: tuple[int, int]) -> jax.Array:
        lattice = normalised(build(corners, size, packed))
        return _infer(unary, near, _on_lattice(lattice, bilateral[2]), iterations)

    tables = [partial(with_tables, size) for size in table_sizes(real.size)]
    if len(tables) == 1:
        return tables[0]()
    return jax.lax.switch(choose_size(corners, real.size), tables)


def _infer(unary: jax.Array, near: Message, far: Message, iterations: int) -> jax.Array:
    if unary.ndim == 4:
        return jax.vmap(lambda one: _infer(one, near, far, iterations))(unary)

    # One message travels with q, which has it stored: fused into the softmax, it would be
    # computed once for each of the softmax's steps.
    def update(state: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, None]:
        q, from_near = state
        q = jax.nn.softmax(from_near + far(q) - unary, axis=0)
        return (q, near(q)), None

    q = jax.nn.softmax(-unary, axis=0)
    (q, _), _ = jax.lax.scan(update, (q, near(q)), length=iterations)
    return q


def _on_lattice(lattice: Lattice, weight: float) -> Message:
    """The lattice's message: pixels first, through the filter, labels first and weighted."""

    def message(q: jax.Array) -> jax.Array:
        rows = _pixels_first(q)
        return _labels_first(lattice_filter(lattice, rows, False), weight, q.shape)

    return message


def _pixels_first(q: jax.Array) -> jax.Array:
    """`[c, h, w]` -> `[h w, channels]`, with columns of zeros up to a whole number of vectors.

    Many labels are rounded up so, which halves the splatting. The transpose is a product with
    the identity: XLA stores a product's operands and result, but would fuse a plain transpose
    into the filter and compute it over and over from scattered memory.
    """
    labels = len(q)
    channels = labels if labels < _VECTOR else -(-labels // _VECTOR) * _VECTOR
    identity = jnp.eye(labels, channels)
    return jnp.einsum("an,ab->nb", q.reshape(labels, -1), identity, precision="highest")


def _labels_first(rows: jax.Array, weight: float, shape: tuple[int, ...]) -> jax.Array:
    """`[h w, channels]` -> weight times `[c, h, w]`, the Potts compatibility; also a product."""
    potts = weight * jnp.eye(rows.shape[1], shape[0])
    return jnp.einsum("na,ab->bn", rows, potts, precision="highest").reshape(shape)


def _convolution(real: jax.Array, sigma: float, weight: float) -> Message:
    mass = gaussian_filter(real[None].astype(jnp.float32), sigma)
    norm = symmetric_norm(mass, real[None])
    return lambda q: weight * norm * gaussian_filter(norm * q, sigma)


def _places(shape: tuple[int, ...]) -> jax.Array:
    rows, columns = jnp.meshgrid(*(jnp.arange(side) for side in shape), indexing="ij")
    return jnp.stack([rows, columns], -1).reshape(-1, 2).astype(jnp.float32)


def _exact(features: jax.Array, real: jax.Array, weight: float) -> Message:
    # Differences, not the expanded square: its rounding would show after the exponential.
    distance = sum(
        (features[:, i, None] - features[None, :, i]) ** 2 for i in range(features.shape[1])
    )
    flat = real.reshape(-1)
    kernel = jnp.where(flat[:, None] & flat[None, :], jnp.exp(-0.5 * distance), 0.0)
    norm = symmetric_norm(kernel.sum(axis=1), flat)
    kernel = weight * kernel * norm[:, None] * norm[None, :]
    return lambda q: matmul(q.reshape(len(q), -1), kernel).reshape(q.shape)
