"""The random walk on the pixel graph, and the GCN adjacency made of it.

With S the affinities, d their column sums and T = S / d (columns sum to 1), the published system
needs T^256. It is kept here as the power of the symmetric P = D^-1/2 S D^-1/2, since
T^n = D^1/2 P^n D^-1/2. A power is stored in one of three ways that multiply alike (`Power`):
`Dense` (the published one), `Steps` (the edge list, walked step by step) and `Factored`
(`fast_walk`). All are symmetric, so a gradient is the same product once more.

Vectors on the nodes are rows, `[f, n]`: a loop along n is long and contiguous.
"""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import jraph

from wsgcn_jax.checks import Made, Number, Shaped, checked
from wsgcn_jax.precise import matmul


class Kernel(Protocol):
    """A symmetric `[n, n]` matrix that knows how to multiply; a pytree, so it maps and compiles."""

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""
        ...


class Power(Kernel, Protocol):
    """P^n."""

    def symmetrise_max(self, s: jax.Array) -> Kernel:
        """Multiplies every entry (i, j) by exp|s_i - s_j|, s `[n] f32`."""
        ...


class Walk(NamedTuple):
    """The n-step random walk of one photo.

    Attributes:
        power: P^n.
        degree: `[n] f32`, column sums d of the affinities, at least 1 (self loops).
    """

    power: Power
    degree: jax.Array


_GRAPH = Made(jraph.GraphsTuple, "a graph, as `affinity_graph` returns it")
_WALK = Made(Walk, "what `fast_walk` returns, or another of the walks")


class Dense(NamedTuple):
    """Every entry: `[n, n] f32`, symmetric."""

    matrix: jax.Array

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""
        return matmul(x, self.matrix)

    def symmetrise_max(self, s: jax.Array) -> "Dense":
        """Multiplies every entry (i, j) by exp|s_i - s_j|."""
        return Dense(self.matrix * jnp.exp(jnp.abs(s[:, None] - s[None, :])))


class Steps(NamedTuple):
    """One step as an edge list (`weights`, `senders`, `receivers`: `[e]`), and how many of them.

    Memory grows with the edges only, but a product costs `length` sweeps over them.
    """

    weights: jax.Array
    senders: jax.Array
    receivers: jax.Array
    length: jax.Array

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""

        def step(_: int, x: jax.Array) -> jax.Array:
            sent = self.weights[:, None] * x[self.senders]
            return jax.ops.segment_sum(sent, self.receivers, x.shape[0])

        return jax.lax.fori_loop(0, self.length, step, x.T).T

    def symmetrise_max(self, s: jax.Array) -> Dense:
        """Multiplies every entry by exp|s_i - s_j|, for which the entries must be known: n^2."""
        return Dense(self.matvec(jnp.eye(len(s), dtype=s.dtype))).symmetrise_max(s)


class Mean(NamedTuple):
    """A power whose entries (i, j) are multiplied by cosh(s_i - s_j), a sum of two products."""

    power: Power
    s: jax.Array

    def matvec(self, x: jax.Array) -> jax.Array:
        """Multiplies `[f, n] f32`, a vector a row."""
        up, down = jnp.exp(self.s)[None, :], jnp.exp(-self.s)[None, :]
        return (up * self.power.matvec(down * x) + down * self.power.matvec(up * x)) / 2


@checked(graph=_GRAPH, steps=Number(low=1, high=2**20, whole=True))
@partial(jax.jit, static_argnames="steps")
def dense_walk(graph: jraph.GraphsTuple, *, steps: int = 256) -> Walk:
    """The oracle: raises one step to `steps` by repeated squaring (docs/method.md section 3).

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
        power = matmul(power, power)
    return Walk(Dense(power), degree)


@checked(graph=_GRAPH, steps=Number(low=1, high=2**20, whole=True))
def sparse_walk(graph: jraph.GraphsTuple, *, steps: int = 256) -> Walk:
    """Keeps the walk as the edges of one step, walked anew in every product. Exact, any graph.

    Args:
        graph: symmetric weighted graph with self loops (`affinity_graph`, or your own).
        steps: length of the walk.

    Returns:
        The walk.
    """
    degree = jax.ops.segment_sum(graph.edges, graph.receivers, graph.nodes.shape[0])
    scale = jax.lax.rsqrt(degree)
    weights = graph.edges * scale[graph.senders] * scale[graph.receivers]
    length = jnp.asarray(steps, jnp.int32)
    return Walk(Steps(weights, graph.senders, graph.receivers, length), degree)


@jax.custom_vjp
def multiply(power: Kernel, x: jax.Array) -> jax.Array:
    """A symmetric matrix times x, with the gradient with respect to x.

    The gradient is the same product of g. Left to itself XLA would multiply by the transposed
    matrix, which on the CPU takes six times as long, and could not turn a loop of traced length
    round. The matrix is taken for a constant.

    Args:
        power: the matrix.
        x: `[f, n] f32`.

    Returns:
        `[f, n] f32`.
    """
    return power.matvec(x)


def _multiply_forward(power: Kernel, x: jax.Array) -> tuple[jax.Array, Kernel]:
    return power.matvec(x), power


def _multiply_backward(power: Kernel, g: jax.Array) -> tuple[None, jax.Array]:
    return None, power.matvec(g)


multiply.defvjp(_multiply_forward, _multiply_backward)


@checked(walk=_WALK, x=Shaped("c n"))
def random_walk(walk: Walk, x: jax.Array) -> jax.Array:
    """Spreads scores along the walk: rows times T^n (IRNet, section 5.2; docs/method.md section 3).

    Args:
        walk: the walk of one photo.
        x: `[c, n] f32`, e.g. CAM * (1 - boundary) of each class.

    Returns:
        `[c, n] f32`, out_j = sum_i x_i T^n_ij. Total mass moves, none is made.
    """
    root = jnp.sqrt(walk.degree)[None, :]
    return multiply(walk.power, x * root) / root


class Adjacency(NamedTuple):
    """The GCN's adjacency A = R^-1 (K + I): K symmetric, R the row sums of K + I.

    Attributes:
        kernel: K.
        rows: `[n] f32`, R, at least 1.
    """

    kernel: Kernel
    rows: jax.Array


# Compiled even where the caller does not: its eigenvectors are slow one by one.
@checked(walk=_WALK)
@partial(jax.jit, static_argnames="symmetrise")
def gcn_adjacency(walk: Walk, *, symmetrise: str = "max") -> Adjacency:
    """Makes T^n symmetric, adds I and normalises the rows (docs/method.md section 3).

    max(T^n, T^n^T)_ij is (P^n)_ij exp|s_i - s_j| with s = log(d) / 2; the mean of the two has
    cosh in its place.

    Args:
        walk: the walk of one photo.
        symmetrise: "max", as published, or "mean".

    Returns:
        The adjacency.

    Raises:
        ValueError: `symmetrise` is neither.
    """
    s = 0.5 * jnp.log(walk.degree)
    if symmetrise not in ("max", "mean"):
        raise ValueError(f"symmetrise must be 'max' or 'mean', got {symmetrise!r}")
    kernel: Kernel = walk.power.symmetrise_max(s) if symmetrise == "max" else Mean(walk.power, s)
    ones = jnp.ones((1, len(s)), s.dtype)
    return Adjacency(kernel, 1.0 + kernel.matvec(ones)[0])


@checked(adjacency=Made(Adjacency, "what `gcn_adjacency` returns"), x=Shaped("f n"))
def aggregate(adjacency: Adjacency, x: jax.Array) -> jax.Array:
    """A times each row of x, with the gradient with respect to x; A is taken for a constant.

    Args:
        adjacency: of one photo.
        x: `[f, n] f32`.

    Returns:
        `[f, n] f32`.
    """
    return (multiply(adjacency.kernel, jnp.asarray(x)) + x) / adjacency.rows[None, :]
