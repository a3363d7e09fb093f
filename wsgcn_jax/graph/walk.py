"""The random walk on the pixel graph, and the GCN adjacency made of it.

With S the affinities, d their column sums and T = S / d (columns sum to 1), the published system
needs T^256. It is kept here as the power of the symmetric P = D^-1/2 S D^-1/2, since
T^n = D^1/2 P^n D^-1/2: symmetric squarings do not drift in float32 as squarings of T do.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jraph


class Walk(NamedTuple):
    """The n-step random walk of one photo, exact and dense.

    Attributes:
        power: `[n, n] f32`, P^n, symmetric, entries in [0, 1].
        degree: `[n] f32`, column sums d of the affinities, at least 1 (self loops).
    """

    power: jax.Array
    degree: jax.Array


def dense_walk(graph: jraph.GraphsTuple, *, steps: int = 256) -> Walk:
    """Raises the one-step walk to `steps` by repeated squaring (method section 3).

    Args:
        graph: affinity graph of one photo (`affinity_graph`), both directions and self loops.
        steps: length of the walk, a power of two.

    Returns:
        The walk. Isolated nodes (padding) only walk to themselves.

    Raises:
        ValueError: `steps` is not a power of two.
    """
    if steps < 1 or steps & (steps - 1):
        raise ValueError(f"steps must be a power of two, got {steps}")
    n = graph.nodes.shape[0]
    affinity = jnp.zeros((n, n), graph.edges.dtype)
    affinity = affinity.at[graph.senders, graph.receivers].set(graph.edges)
    degree = affinity.sum(axis=0)
    scale = jax.lax.rsqrt(degree)
    power = affinity * scale[:, None] * scale[None, :]
    for _ in range(steps.bit_length() - 1):
        power = power @ power
    return Walk(power, degree)


def random_walk(walk: Walk, x: jax.Array) -> jax.Array:
    """Spreads scores along the walk: row vectors times T^n (IRNet, section 3; method section 3).

    Args:
        walk: the walk of one photo.
        x: `[n, c] f32`, e.g. CAM * (1 - edge) of each class.

    Returns:
        `[n, c] f32`, out_j = sum_i x_i T^n_ij. Total mass moves, none is made.
    """
    root = jnp.sqrt(walk.degree)[:, None]
    return (walk.power @ (x * root)) / root


class Adjacency(NamedTuple):
    """The GCN's adjacency A = R^-1 (K + I): K symmetric, R the row sums of K + I.

    Attributes:
        kernel: `[n, n] f32`, K.
        rows: `[n] f32`, R, at least 1.
    """

    kernel: jax.Array
    rows: jax.Array


def gcn_adjacency(walk: Walk) -> Adjacency:
    """The GCN's adjacency: max(T^n, its transpose) + I, rows normalised (WSGCN, section 3.2).

    max(T^n, T^n^T)_ij is (P^n)_ij exp|s_i - s_j| with s = log(d) / 2, so no second matrix is made.

    Args:
        walk: the walk of one photo.

    Returns:
        The adjacency.
    """
    s = 0.5 * jnp.log(walk.degree)
    kernel = walk.power * jnp.exp(jnp.abs(s[:, None] - s[None, :]))
    return Adjacency(kernel, 1.0 + kernel.sum(axis=1))


@jax.custom_vjp
def aggregate(adjacency: Adjacency, x: jax.Array) -> jax.Array:
    """A x, with the gradient with respect to x.

    K is symmetric, so A^T g is the same product once more, of g / R. Left to itself XLA would
    multiply by the transposed matrix, which on the CPU takes six times as long. The adjacency is
    taken for a constant: it is not differentiated.

    Args:
        adjacency: of one photo.
        x: `[n, f] f32`.

    Returns:
        `[n, f] f32`.
    """
    return (adjacency.kernel @ x + x) / adjacency.rows[:, None]


def _aggregate_forward(adjacency: Adjacency, x: jax.Array) -> tuple[jax.Array, Adjacency]:
    return aggregate(adjacency, x), adjacency


def _aggregate_backward(adjacency: Adjacency, g: jax.Array) -> tuple[Adjacency, jax.Array]:
    g = g / adjacency.rows[:, None]
    return jax.tree.map(jnp.zeros_like, adjacency), adjacency.kernel @ g + g


aggregate.defvjp(_aggregate_forward, _aggregate_backward)
