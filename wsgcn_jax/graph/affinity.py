"""Boundary map -> affinities: how freely one node can walk to another."""

from functools import partial

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.graph import grid
from wsgcn_jax.graph.paths import path_offsets, paths


# Compiled even where the caller does not: hundreds of slices are slow one by one.
@checked(
    boundary=Shaped("H W", low=0, high=1),
    radius=Number(low=2, high=64, whole=True),
    beta=Number(low=0, above=True),
    valid=Shaped("H W", "bool"),
)
@partial(jax.jit, static_argnames=("radius", "beta"))
def affinity_stencil(
    boundary: jax.Array, *, radius: int = 5, beta: float = 10.0, valid: jax.Array | None = None
) -> jax.Array:
    """Affinity of every pair of nodes closer than `radius`, stored by offset.

    docs/method.md section 3: `S_ij = (1 - max of the boundary map on the path from i to j) ^ beta`,
    both ends included; outside the photo it is 1.

    Args:
        boundary: `[H, W] f32` in [0, 1], 1 = boundary.
        radius: in nodes.
        beta: exponent; 1 gives the affinities that the boundary network is trained on.
        valid: `[H, W] bool`, real nodes; None if all are. The others get affinity 0.

    Returns:
        `[p, H, W] f32` in [0, 1]: entry `(k, y, x)` belongs to the nodes `(y, x)` and
        `(y, x) + path_offsets(radius)[k]`.
    """
    if valid is not None:
        boundary = jnp.where(valid, boundary, 1.0)
    cells, inverse = np.unique(np.concatenate(paths(radius)), axis=0, return_inverse=True)
    shifted = grid.neighbours(boundary, cells, fill=1.0)
    ends = np.cumsum([len(path) for path in paths(radius)])[:-1]
    on_paths = np.split(inverse.reshape(-1), ends)
    strongest = [jnp.stack([shifted[cell] for cell in path]).max(axis=0) for path in on_paths]
    free = 1.0 - jnp.stack(strongest)
    # Whole exponents become a few multiplications, some ten times faster than a power.
    return free ** (int(beta) if float(beta).is_integer() else beta)


@partial(jax.jit, static_argnames="radius")
def degree(stencil: jax.Array, *, radius: int = 5) -> jax.Array:
    """Column sums `d` of the affinity matrix S, self loops (1) included.

    docs/method.md section 3: `T = S diag(1 / d)`.

    Args:
        stencil: `[p, H, W] f32`, from `affinity_stencil`.
        radius: the one that made it.

    Returns:
        `[H, W] f32`, at least 1; exactly 1 for a node that walks nowhere.
    """
    return 1.0 + grid.column_sums(stencil, path_offsets(radius))


@checked(
    boundary=Shaped("H W", low=0, high=1),
    radius=Number(low=2, high=64, whole=True),
    beta=Number(low=0, above=True),
    valid=Shaped("H W", "bool"),
)
@partial(jax.jit, static_argnames=("radius", "beta"))
def affinity_graph(
    boundary: jax.Array, *, radius: int = 5, beta: float = 10.0, valid: jax.Array | None = None
) -> jraph.GraphsTuple:
    """The affinity matrix S as a graph, both directions and self loops of weight 1.

    docs/method.md section 3. Senders and receivers depend on the shape of the grid only.

    Args:
        boundary: `[H, W] f32` in [0, 1], 1 = boundary.
        radius: in nodes.
        beta: exponent.
        valid: `[H, W] bool`, real nodes; None if all are. The others keep only their self loop.

    Returns:
        `GraphsTuple` with `nodes [n] f32` the degrees, `edges [e] f32` the affinities,
        `senders`, `receivers [e] i32`, `n_node`, `n_edge [1] i32`.
    """
    stencil = affinity_stencil(boundary, radius=radius, beta=beta, valid=valid)
    loops = jnp.ones(boundary.shape, stencil.dtype)
    graph = grid.stencil_graph(stencil, path_offsets(radius), loops)
    return graph._replace(nodes=degree(stencil, radius=radius).reshape(-1))
