"""The random walk of a full-size photo, factored: what mixes is smooth, what does not is local.

P^n is nearly a matrix of low rank plus a few entries. Inside a region the walk mixes: there P^n
is determined by what it makes of a few dozen test vectors (Nystroem). *Slow* nodes, on boundaries,
have a degree of about 1 and keep most of a walker to themselves and a few neighbours: their block
of P^n is the power of their own block of P, which is local, so it is raised in small windows.
Walks from one slow node to another through a region are in the first part already.
"""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.graph import grid
from wsgcn_jax.graph.affinity import degree as degrees
from wsgcn_jax.graph.kernel_factors import kernel_factors
from wsgcn_jax.graph.local_walk import SLOW, Local, local_power
from wsgcn_jax.graph.paths import path_offsets
from wsgcn_jax.graph.steps import by_shifts, step_weights, walk_steps
from wsgcn_jax.graph.tiled_walk import tiled_walk
from wsgcn_jax.graph.walk import Walk, dense_walk
from wsgcn_jax.positions import bits_by_position, node_positions
from wsgcn_jax.precise import matmul

Form = Literal["gather", "tiles", "shifts"]
"""Of `fast_walk`."""

_NOISE = 1e-4  # modes weaker than this share of the strongest are rounding


def best_form(backend: str | None = None) -> Form:
    """The form that a backend ("cpu", "gpu", "tpu"; None: this one) is fastest with."""
    forms: dict[str, Form] = {"tpu": "tiles", "gpu": "shifts"}
    return forms.get(backend or jax.default_backend(), "gather")


class Factored(NamedTuple):
    """basis^T diag(weights) basis + local.

    Attributes:
        basis: `[r, n] f32`.
        weights: `[r] f32`.
        local: the rest.
    """

    basis: jax.Array
    weights: jax.Array
    local: Local

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""
        # In this order: XLA's CPU backend takes twice as long for x @ basis.T.
        inner = self.weights[:, None] * matmul(self.basis, x.T)
        smooth = matmul(inner.T, self.basis)
        return self.local.add_to(smooth, x)

    def symmetrise_max(self, s: jax.Array) -> "Factored":
        """Multiplies every entry (i, j) by exp|s_i - s_j|, in a third more columns than before."""
        terms, scale = kernel_factors(s, jnp.abs(self.basis).max(axis=0) > 0)
        wide = (terms[:, None, :] * self.basis[None, :, :]).reshape(-1, len(s))
        signs = (scale[:, None] * self.weights[None, :]).reshape(-1)
        basis, weights = _compress(wide, signs, -(-4 * self.basis.shape[0] // 3))
        return Factored(basis, weights, self.local.symmetrise_max(s))


# Compiled even where the caller does not: operator by operator it takes a minute.
@checked(
    stencil=Shaped("p H W", low=0, high=1),
    radius=Number(low=2, high=64, whole=True),
    steps=Number(low=1, high=2**20, whole=True),
    basis=Number(low=1, whole=True),
)
@partial(jax.jit, static_argnames=("radius", "steps", "basis", "form"))
def fast_walk(
    stencil: jax.Array,
    *,
    radius: int = 5,
    steps: int = 256,
    basis: int = 64,
    form: Form | None = None,
) -> Walk:
    """Factors the n-step walk of one photo without ever making an n x n matrix.

    Args:
        stencil: `[p, H, W] f32`, of `affinity_stencil`; 0 between padding and anything.
        radius: the one that made it.
        steps: length of the walk.
        basis: columns of the adjacency's smooth part, the one knob; as many test vectors are
            walked, of which three quarters of the modes are kept. H * W or more: exact and dense.
        form: "gather" (`Factored`); "tiles" (`tiled_walk`), for matrix units: a quarter of the
            memory, no gathers; "shifts", the same with a step as in "gather". None: the backend's,
            which are CPU, TPU and GPU in this order (docs/accelerators.md).

    Returns:
        The walk.

    Raises:
        ValueError: `form` is none of these.
    """
    form = form or best_form()
    if form not in get_args(Form):
        raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got {form!r}")
    height, width = stencil.shape[1:]
    n = height * width
    offsets = path_offsets(radius)
    if basis >= n:
        loops = jnp.ones((height, width), stencil.dtype)
        return dense_walk(grid.stencil_graph(stencil, offsets, loops), steps=steps)
    if form != "gather":
        return tiled_walk(stencil, radius=radius, steps=steps, basis=basis, shifts=form == "shifts")
    degree = degrees(stencil, radius=radius)
    step = step_weights(stencil, jax.lax.rsqrt(degree), offsets)
    both = np.concatenate([offsets, -offsets])
    slow = (degree < SLOW).reshape(-1)

    bits = bits_by_position(jax.random.key(0), node_positions(height, width), basis)
    signs = jnp.where(bits >> 31, 1.0, -1.0).astype(stencil.dtype)
    tests = jnp.where(slow[:, None], 0.0, signs * jnp.sqrt(degree).reshape(-1, 1))
    once = by_shifts(step, 1.0 / degree, both)
    walked = walk_steps(once, tests.reshape(height, width, -1), steps).reshape(n, -1)
    core = matmul(tests.T, walked)
    strength, modes = jnp.linalg.eigh((core + core.T) / 2)
    kept = max(1, basis * 3 // 4)
    strength, modes = strength[-kept:], modes[:, -kept:]
    real = strength > jnp.maximum(strength[-1] * _NOISE, 1e-20)
    scale = jnp.where(real, jax.lax.rsqrt(jnp.where(real, strength, 1.0)), 0.0)
    smooth = matmul(walked, modes * scale[None, :])
    local = local_power(step, degree, both, steps, reach=radius - 1)
    ones = jnp.ones(kept, stencil.dtype)
    return Walk(Factored(smooth.T, ones, local), degree.reshape(-1))


def _compress(wide: jax.Array, signs: jax.Array, rank: int) -> tuple[jax.Array, jax.Array]:
    """The best `basis^T diag(weights) basis` of given rank of `wide^T diag(signs) wide`."""
    gram, turn = jnp.linalg.eigh(matmul(wide, wide.T))
    real = gram > jnp.maximum(gram[-1] * 1e-6, 1e-20)
    root = jnp.where(real, jnp.sqrt(jnp.where(real, gram, 1.0)), 0.0)
    inverse = jnp.where(real, 1 / jnp.where(real, root, 1.0), 0.0)
    core = matmul(root[:, None] * turn.T * signs[None, :], turn * root[None, :])
    weights, vectors = jnp.linalg.eigh((core + core.T) / 2)
    order = jnp.argsort(-jnp.abs(weights))[:rank]
    columns = matmul(turn * inverse[None, :], vectors[:, order])
    return matmul(columns.T, wide), weights[order]
