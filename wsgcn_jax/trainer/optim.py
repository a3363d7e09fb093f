"""Optimisers: SGD with parameter groups and the polynomial schedule of the papers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax


def poly_schedule(rate: float, steps: int, *, power: float = 0.9, every: int = 1) -> optax.Schedule:
    """rate * (1 - step / steps)^power (DeepLab, section 4.1.2), possibly a staircase.

    Args:
        rate: learning rate at step 0.
        steps: step at which the rate reaches zero.
        power: exponent.
        every: updates between two changes of the rate; published for DeepLab: 10.

    Returns:
        The schedule.
    """
    smooth = optax.polynomial_schedule(rate, 0.0, power, steps)
    return lambda step: smooth(step // every * every)


def grouped_sgd(
    rates: Mapping[str, float],
    group_of: Callable[[tuple[str, ...]], str],
    *,
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    every: int = 1,
) -> optax.GradientTransformation:
    """SGD in which each group of parameters has a learning rate of its own.

    Weight decay is added to the gradient, as in the published trainers, and falls on kernels
    only: decaying the scales and biases of frozen batch norms would fight their statistics.

    Args:
        rates: learning rate of each group; a group at 0 is frozen.
        group_of: path of a parameter in the tree -> name of its group.
        steps: length of the polynomial schedule.
        momentum: of SGD.
        weight_decay: L2 coefficient.
        every: see `poly_schedule`.

    Returns:
        The optimiser.
    """

    def sgd(rate: float) -> optax.GradientTransformation:
        if rate == 0:
            return optax.set_to_zero()
        return optax.chain(
            _decay_kernels(weight_decay),
            optax.sgd(poly_schedule(rate, steps, every=every), momentum=momentum),
        )

    def labels(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: group_of(tuple(entry.key for entry in path)), params
        )

    return optax.multi_transform({name: sgd(rate) for name, rate in rates.items()}, labels)


def _decay_kernels(weight_decay: float) -> optax.GradientTransformation:
    """Adds `weight_decay * kernel` to the gradient of every kernel that has one.

    One that no gradient reaches (below frozen taps) stays as it is, as in PyTorch.
    """

    def decay(path: tuple[Any, ...], update: jax.Array, param: jax.Array) -> jax.Array:
        if not path[-1].key.endswith("kernel"):
            return update
        return update + weight_decay * jnp.any(update != 0) * param

    def apply(updates: Any, params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(decay, updates, params)

    return optax.stateless(apply)
