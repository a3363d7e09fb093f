"""The random walk of a full-size photo, factored: what mixes is smooth, what does not is local.

P^n is nearly a matrix of low rank plus a few entries. Inside a region the walk mixes: there P^n
is determined by what it makes of a few dozen test vectors (Nystroem). *Slow* nodes, on boundaries,
have a degree of about 1 and keep most of a walker to themselves and a few neighbours: their block
of P^n is the power of their own block of P, which is local, so it is raised in small windows.
Walks from one slow node to another through a region are in the first part already.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.graph import grid
from wsgcn_jax.graph.affinity import degree as degrees
from wsgcn_jax.graph.local_walk import SLOW, Local, local_power
from wsgcn_jax.graph.paths import path_offsets
from wsgcn_jax.graph.walk import Walk, dense_walk
from wsgcn_jax.positions import bits_by_position, node_positions
from wsgcn_jax.precise import matmul

_NOISE = 1e-4  # modes weaker than this share of the strongest are rounding
_TERMS = 8  # rank of the kernel exp|s_i - s_j|
_KNOTS = 64


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
        terms, scale = _kernel_factors(s, jnp.abs(self.basis).max(axis=0) > 0)
        wide = (terms[:, None, :] * self.basis[None, :, :]).reshape(-1, len(s))
        signs = (scale[:, None] * self.weights[None, :]).reshape(-1)
        basis, weights = _compress(wide, signs, -(-4 * self.basis.shape[0] // 3))
        return Factored(basis, weights, self.local.symmetrise_max(s))


# Compiled even where the caller does not: operator by operator it takes a minute.
@partial(jax.jit, static_argnames=("radius", "steps", "basis"))
def fast_walk(stencil: jax.Array, *, radius: int = 5, steps: int = 256, basis: int = 64) -> Walk:
    """Factors the n-step walk of one photo without ever making an n x n matrix.

    Args:
        stencil: `[p, H, W] f32`, of `affinity_stencil`; 0 between padding and anything.
        radius: the one that made it.
        steps: length of the walk.
        basis: columns of the adjacency's smooth part, the one knob; as many test vectors are
            walked, of which three quarters of the modes are kept. H * W or more: exact and dense.

    Returns:
        The walk.
    """
    height, width = stencil.shape[1:]
    n = height * width
    offsets = path_offsets(radius)
    if basis >= n:
        loops = jnp.ones((height, width), stencil.dtype)
        return dense_walk(grid.stencil_graph(stencil, offsets, loops), steps=steps)
    degree = degrees(stencil, radius=radius)
    step = _step_weights(stencil, degree, offsets)
    both = np.concatenate([offsets, -offsets])
    slow = (degree < SLOW).reshape(-1)

    bits = bits_by_position(jax.random.key(0), node_positions(height, width), basis)
    signs = jnp.where(bits >> 31, 1.0, -1.0).astype(stencil.dtype)
    tests = jnp.where(slow[:, None], 0.0, signs * jnp.sqrt(degree).reshape(-1, 1))
    walked = _walk(step, degree, both, tests.reshape(height, width, -1), steps).reshape(n, -1)
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


def _step_weights(stencil: jax.Array, degree: jax.Array, offsets: np.ndarray) -> jax.Array:
    """P without its diagonal, `[2 p, H, W]`: weights of the offsets, then of their opposites."""
    scale = jax.lax.rsqrt(degree)
    others = grid.neighbours(scale, offsets)
    forth = [w * scale * other for w, other in zip(stencil, others, strict=True)]
    back = [grid.shift(w, -dy, -dx) for w, (dy, dx) in zip(forth, offsets.tolist(), strict=True)]
    return jnp.stack([*forth, *back])


def _walk(
    step: jax.Array, degree: jax.Array, offsets: np.ndarray, x: jax.Array, steps: int
) -> jax.Array:
    """P^n x by Chebyshev polynomials: x^n needs a few times sqrt(n) products, not n.

    x^n is the mean of T_|s|(x) over the sum s of n signs (Sachdeva & Vishnoi, 2014, section 3.1).
    """
    weights = _chebyshev_weights(steps)

    def once(x: jax.Array) -> jax.Array:
        total = x / degree[..., None]
        for weight, other in zip(step, grid.neighbours(x, offsets), strict=True):
            total += weight[..., None] * other
        return total

    def term(
        carry: tuple[jax.Array, jax.Array, jax.Array], weight: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        total, before, now = carry
        return (total + weight * now, now, 2 * once(now) - before), None

    first = once(x)
    # T_-1 = T_1, so the recurrence also makes T_1 of T_0.
    start = (jnp.zeros_like(x), first, x)
    # Two products at a time: the carry is not copied between them.
    (total, _, _), _ = jax.lax.scan(term, start, jnp.asarray(weights, x.dtype), unroll=2)
    return total


def _chebyshev_weights(steps: int) -> np.ndarray:
    """Weights of T_0, T_1, ... in x^n; the tail, below 1e-5 in sum, is cut."""
    chances = np.array([1.0])
    for _ in range(steps):
        chances = np.convolve(chances, [0.5, 0.5])
    sums = np.abs(2 * np.arange(steps + 1) - steps)
    weights = np.bincount(sums, weights=chances)
    return weights[: int(np.searchsorted(weights.cumsum(), 1 - 1e-5)) + 1]


def _kernel_factors(s: jax.Array, used: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp|s_i - s_j| = sum_k scale_k terms_ik terms_jk, nearly: `[q, n]` and `[q]`.

    The leading eigenvectors on quantiles of the used nodes' s, continued to all nodes.
    """
    count = used.sum()
    ordered = jnp.sort(jnp.where(used, s, jnp.inf))
    at = ((jnp.arange(_KNOTS) + 0.5) / _KNOTS * count).astype(jnp.int32)
    knots = jnp.where(count > 0, ordered[at], 0.0)
    values, vectors = jnp.linalg.eigh(jnp.exp(jnp.abs(knots[:, None] - knots[None, :])))
    order = jnp.argsort(-jnp.abs(values))[:_TERMS]
    scale = values[order]
    safe = jnp.where(jnp.abs(scale) > 1e-6, scale, jnp.inf)  # few distinct values: rank below q
    away = jnp.abs(s[None, :] - knots[:, None])
    return matmul((vectors[:, order] / safe[None, :]).T, jnp.exp(away)), scale


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
