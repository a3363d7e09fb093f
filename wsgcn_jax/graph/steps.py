"""One step of the walk as weights of the grid's offsets, and n steps as a short polynomial."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.graph import grid


def step_weights(stencil: jax.Array, scale: jax.Array, offsets: np.ndarray) -> jax.Array:
    """The off-diagonal part of D S D, both directions of every pair.

    Args:
        stencil: `[p, H, W] f32`, S without its diagonal.
        scale: `[H, W] f32`, the diagonal of D; d^-1/2 gives one step of the walk.
        offsets: `[p, 2] i32`, of the stencil.

    Returns:
        `[2 p, H, W] f32`, weights of the offsets, then of their opposites.
    """
    others = grid.neighbours(scale, offsets)
    forth = [w * scale * other for w, other in zip(stencil, others, strict=True)]
    back = [grid.shift(w, -dy, -dx) for w, (dy, dx) in zip(forth, offsets.tolist(), strict=True)]
    return jnp.stack([*forth, *back])


def by_shifts(
    weights: jax.Array, diagonal: jax.Array, offsets: np.ndarray
) -> Callable[[jax.Array], jax.Array]:
    """Makes one step of the walk of its weights: a sum of shifted maps, without gathers.

    Args:
        weights: `[p, H, W] f32`, of the offsets.
        diagonal: `[H, W] f32`.
        offsets: `[p, 2] i32`, of both signs.

    Returns:
        x `[H, W, f] f32` -> P x.
    """
    # Taken apart here, once: a GPU would cut them out of the array anew in every step.
    apart = list(weights)

    def once(x: jax.Array) -> jax.Array:
        total = diagonal[..., None] * x
        for weight, other in zip(apart, grid.neighbours(x, offsets), strict=True):
            total += weight[..., None] * other
        return total

    return once


def walk_steps(
    once: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    steps: int,
    *,
    error: float = 1e-5,
    unroll: int = 2,
) -> jax.Array:
    """P^n x by Chebyshev polynomials: x^n needs a few times sqrt(n) products, not n.

    x^n is the mean of T_|s|(x) over the sum s of n signs (Sachdeva & Vishnoi, 2014, section 3.1).

    Args:
        once: x -> P x, the spectrum of P in [-1, 1].
        x: any shape.
        steps: n.
        error: of the polynomial, where |x| <= 1.
        unroll: products at a time; with two the carry is not copied between them, on CPUs.

    Returns:
        the shape of `x`.
    """

    def term(
        carry: tuple[jax.Array, jax.Array, jax.Array], numbers: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        total, before, now = carry
        weight, factor = numbers
        return (total + weight * now, now, factor * once(now) - before), None

    weights = jnp.asarray(chebyshev_weights(steps, error), x.dtype)
    # T_1 = P, then T_s+1 = 2 P T_s - T_s-1: one loop makes all, so that the product compiles once.
    factors = jnp.full_like(weights, 2.0).at[0].set(1.0)
    start = (jnp.zeros_like(x), jnp.zeros_like(x), x)
    (total, _, _), _ = jax.lax.scan(term, start, (weights, factors), unroll=unroll)
    return total


def chebyshev_weights(steps: int, error: float = 1e-5) -> np.ndarray:
    """Weights of T_0, T_1, ... in x^n; the tail, below `error` in sum, is cut."""
    chances = np.array([1.0])
    for _ in range(steps):
        chances = np.convolve(chances, [0.5, 0.5])
    sums = np.abs(2 * np.arange(steps + 1) - steps)
    weights = np.bincount(sums, weights=chances)
    return weights[: int(np.searchsorted(np.cumsum(weights), 1 - error)) + 1]
