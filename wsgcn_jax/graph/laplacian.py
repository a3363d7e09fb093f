"""Colour Laplacian of a photo: neighbours of like colour should get like labels."""

from functools import partial

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.graph import grid
from wsgcn_jax.graph.paths import square_offsets


# Compiled even where the caller does not: dozens of slices are slow one by one.
@checked(
    rgb=Shaped("H W 3", low=0, high=1),
    radius=Number(low=1, high=64, whole=True),
    sigma_rgb=Number(low=0, above=True),
    sigma_xy=Number(low=0, above=True),
    valid=Shaped("H W", "bool"),
)
@partial(jax.jit, static_argnames="radius")
def laplacian_stencil(
    rgb: jax.Array,
    *,
    radius: int = 2,
    sigma_rgb: float = 12.0,
    sigma_xy: float = 20.0,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Weights W between the nodes of a square window, stored by offset.

    docs/method.md section 3:
    `W_ij = exp(-|rgb_i - rgb_j|^2 / sigma_rgb - |xy_i - xy_j|^2 / sigma_xy)`.
    The weight of a node with itself cancels in `L = diag(W 1) - W` and is left out.

    Args:
        rgb: `[H, W, 3] f32` in [0, 1]; the photo resized to the grid (order of channels: any).
        radius: the window is `2 * radius + 1` nodes wide.
        sigma_rgb: divides the squared colour distance as it is (neither squared nor doubled).
        sigma_xy: divides the squared distance in nodes likewise.
        valid: `[H, W] bool`, real nodes; None if all are. The others get weight 0.

    Returns:
        `[p, H, W] f32` in [0, 1]: entry `(k, y, x)` belongs to the nodes `(y, x)` and
        `(y, x) + square_offsets(radius)[k]`; p is 12 for radius 2.
    """
    offsets = square_offsets(radius)
    colour = jnp.stack([((rgb - r) ** 2).sum(axis=-1) for r in grid.neighbours(rgb, offsets)])
    place = jnp.asarray((offsets**2).sum(axis=1), rgb.dtype)[:, None, None]
    weights = jnp.exp(-colour / sigma_rgb - place / sigma_xy)
    return jnp.where(grid.both_valid(valid, rgb.shape[:2], offsets), weights, 0.0)


@jax.jit
def laplacian_matvec(weights: jax.Array, z: jax.Array) -> jax.Array:
    """`L Z`, every number the weighted differences of a node to its neighbours.

    docs/method.md section 3. Written with differences, so that it stays exact where `z` is large
    and nearly constant.

    Args:
        weights: `[p, H, W] f32`, from `laplacian_stencil`.
        z: `[c, H, W] f32`, finite everywhere (padding included).

    Returns:
        `[c, H, W] f32`.
    """
    offsets = _offsets(weights)
    reverse = [grid.shift(w, -dy, -dx) for w, (dy, dx) in zip(weights, offsets, strict=True)]
    both = np.concatenate([offsets, -offsets])

    def one(z: jax.Array) -> jax.Array:
        others = grid.neighbours(z, both)
        result = jnp.zeros_like(z)
        for weight, other in zip([*weights, *reverse], others, strict=True):
            result += weight * (z - other)
        return result

    # One after the other on a CPU: all at once XLA would tear the sum apart there and write every
    # shifted copy to memory, which takes four times as long. A GPU or TPU waits between loops.
    return jax.lax.map(one, z) if jax.default_backend() == "cpu" else jax.vmap(one)(z)


@jax.custom_vjp
def laplacian_energy(weights: jax.Array, z: jax.Array) -> jax.Array:
    """How much `z` differs between alike neighbours: `trace(Z^T L Z)`.

    docs/method.md section 5, last loss term: the sum over pairs of `W_ij |z_i - z_j|^2`. Its
    gradient with respect to `z` is `2 L Z`, which the forward pass has computed already; that
    halves the time of a training step.

    Args:
        weights: `[p, H, W] f32`, from `laplacian_stencil`.
        z: `[c, H, W] f32`, finite everywhere (padding included).

    Returns:
        `[] f32`, at least 0 up to rounding.
    """
    return (z * laplacian_matvec(weights, z)).sum()


def _energy_forward(weights: jax.Array, z: jax.Array) -> tuple[jax.Array, tuple]:
    product = laplacian_matvec(weights, z)
    return (z * product).sum(), (weights, z, product)


def _energy_backward(residuals: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    weights, z, product = residuals
    others = grid.neighbours(jnp.moveaxis(z, 0, 2), _offsets(weights))
    # Left out by the compiler when nobody asks for the gradient of the weights.
    here = jnp.moveaxis(z, 0, 2)
    apart = jnp.stack([((here - other) ** 2).sum(axis=-1) for other in others])
    return gradient * apart, 2.0 * gradient * product


laplacian_energy.defvjp(_energy_forward, _energy_backward)


@checked(weights=Shaped("p H W", low=0, high=1))
@jax.jit
def laplacian_graph(weights: jax.Array) -> jraph.GraphsTuple:
    """L as an edge list: off-diagonal entries are `-W_ij`, self loops the degrees.

    Args:
        weights: `[p, H, W] f32`, from `laplacian_stencil`.

    Returns:
        `GraphsTuple` with `nodes [n] f32` the degrees, `edges [e] f32` the entries of L,
        `senders`, `receivers [e] i32`, `n_node`, `n_edge [1] i32`.
    """
    offsets = _offsets(weights)
    return grid.stencil_graph(-weights, offsets, grid.column_sums(weights, offsets))


def _offsets(weights: jax.Array) -> np.ndarray:
    # p = 2 r (r + 1): the stencil tells its own radius.
    radius = next(r for r in range(len(weights) + 1) if 2 * r * (r + 1) >= len(weights))
    return square_offsets(radius)
