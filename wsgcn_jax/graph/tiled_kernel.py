"""A symmetric matrix on the grid: a smooth part of low rank and weights by offset."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.graph import grid
from wsgcn_jax.graph.kernel_factors import kernel_factors
from wsgcn_jax.graph.paths import path_offsets
from wsgcn_jax.precise import long_matmul, matmul, row_products

_ROUNDS = 3  # of subspace iteration
_NEWTON = 26  # rounds of Newton's iteration
_SHIFT = 1e-6  # share of the trace that keeps a Gram matrix away from zero


class Tiled(NamedTuple):
    """basis^T core basis + local.

    Attributes:
        basis: `[r, n] f32`.
        core: `[r, r] f32`, symmetric.
        diagonal: `[H, W] f32`.
        local: `[p, H, W] f32`, entries by `path_offsets` of some radius, one of each pair.
    """

    basis: jax.Array
    core: jax.Array
    diagonal: jax.Array
    local: jax.Array

    @classmethod
    def of(cls, basis: jax.Array, core: jax.Array, band: jax.Array, offsets: np.ndarray) -> "Tiled":
        """Takes basis, core and a nearly symmetric band `[k, k, H, W]`.

        Windows are cut differently for the two nodes of a pair: their mean is symmetric.
        """
        reach = band.shape[0] // 2
        there = offsets + reach
        back = [
            grid.neighbours(band[reach - dy, reach - dx], np.array([[dy, dx]]))[0]
            for dy, dx in offsets.tolist()
        ]
        forth = [band[y, x] for y, x in there.tolist()]
        local = (jnp.stack(forth) + jnp.stack(back)) / 2
        return cls(basis, core, band[reach, reach], local)

    @property
    def offsets(self) -> np.ndarray:
        """Of `local`: their number tells the radius."""
        count = len(self.local)
        radius = next(r for r in range(2, count + 3) if len(path_offsets(r)) >= count)
        return path_offsets(radius)

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""
        inner = row_products(self.basis, x)
        smooth = long_matmul(matmul(self.core, inner).T, self.basis)
        maps = x.reshape(-1, *self.diagonal.shape)
        return smooth + self._near(maps).reshape(x.shape)

    def _near(self, maps: jax.Array) -> jax.Array:
        """The local part of `[f, H, W]`."""
        reach = int(np.abs(self.offsets).max())
        height, width = self.diagonal.shape
        maps, weights = (
            jnp.pad(x, [(0, 0), (reach, reach), (reach, reach)]) for x in (maps, self.local)
        )

        def at(x: jax.Array, dy: int, dx: int) -> jax.Array:
            return x[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]

        total = self.diagonal[None] * at(maps, 0, 0)
        for weight, (dy, dx) in zip(weights, self.offsets.tolist(), strict=True):
            total += at(weight, 0, 0)[None] * at(maps, dy, dx)
            total += at(weight, -dy, -dx)[None] * at(maps, -dy, -dx)
        return total

    def symmetrise_max(self, s: jax.Array) -> "Tiled":
        """Multiplies every entry (i, j) by exp|s_i - s_j|; the smooth part keeps its rank."""
        terms, scale = kernel_factors(s, jnp.abs(self.basis).max(axis=0) > 0)
        parts = _SymmetrisedSmooth(self.basis, self.core, terms, scale)

        def improve(
            carry: tuple[jax.Array, jax.Array, jax.Array], _: None
        ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
            basis = carry[0]
            image, core = parts.image_and_core(basis)
            return (orthonormal(image), basis, core), None

        # One more round than counts, for its core: what is made outside compiles a second time.
        start = (self.basis, self.basis, self.core)
        (_, basis, core), _ = jax.lax.scan(improve, start, length=_ROUNDS + 1)
        here = s.reshape(self.diagonal.shape)
        others = grid.neighbours(here, self.offsets)
        stretch = jnp.stack([jnp.exp(jnp.abs(here - other)) for other in others])
        return Tiled(basis, core, self.diagonal, self.local * stretch)


class _SymmetrisedSmooth(NamedTuple):
    """sum_k scale_k (terms_k o basis)^T core (terms_k o basis)."""

    basis: jax.Array
    core: jax.Array
    terms: jax.Array
    scale: jax.Array

    def image_and_core(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """K x^T, as rows `[f, n]`, and x K x^T, `[f, f]` and symmetric, for `[f, n]`.

        One term at a time, for memory.
        """
        seen = jax.lax.map(lambda term: row_products(term[None] * self.basis, x), self.terms)
        inner = self.scale[:, None, None] * matmul(self.core, seen)

        def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            term, here = part
            return total + term[None] * long_matmul(here.T, self.basis), None

        image = jax.lax.scan(add, jnp.zeros_like(x), (self.terms, inner))[0]
        core = matmul(seen.reshape(-1, len(x)).T, inner.reshape(-1, len(x)))
        return image, (core + core.T) / 2


def orthonormal(x: jax.Array) -> jax.Array:
    """Rows that span those of `[r, n]` and are orthonormal, or nearly 0 where these depend.

    Twice: the first time leaves an error of its condition times the rounding.
    """

    def once(_: int, x: jax.Array) -> jax.Array:
        return long_matmul(inverse_root(_positive(row_products(x, x))), x)

    return jax.lax.fori_loop(0, 2, once, x)


def inverse_root(gram: jax.Array) -> jax.Array:
    """gram^-1/2 by products alone; finite where gram is 0.

    Newton's iteration, coupled so that it is stable (Higham, Functions of Matrices, 2008,
    equation 6.35). Unlike eigenvectors or Cholesky it is fast on any machine, and it ends: each of
    its rounds makes the smallest eigenvalues 2.25 times larger, until all are 1.

    Args:
        gram: `[r, r] f32`, symmetric, no eigenvalue below 1e-7 of the trace.

    Returns:
        `[r, r] f32`, symmetric.
    """
    one = jnp.eye(len(gram), dtype=gram.dtype)
    trace = jnp.trace(gram)
    size = jnp.where(trace > 0, trace, 1.0)

    def refine(_: int, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        y, z = pair
        factor = 1.5 * one - 0.5 * matmul(z, y)
        return matmul(y, factor), matmul(factor, z)

    start = ((gram + gram.T) / 2 / size, one)
    inverse = jax.lax.fori_loop(0, _NEWTON, refine, start)[1]
    return (inverse + inverse.T) / 2 * jax.lax.rsqrt(size)


def _positive(gram: jax.Array) -> jax.Array:
    """Lifts eigenvalues that rounding made negative, by about 1e-7 of the trace."""
    return gram + _SHIFT * jnp.trace(gram) * jnp.eye(len(gram), dtype=gram.dtype)
