"""Optimisers: SGD with parameter groups and the polynomial schedule of the papers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax


def poly_schedule(rate: float, steps: int, *, power: float = 0.9) -> optax.Schedule:
    """rate * (1 - step / steps)^power (DeepLab, section 4.3).

    Args:
        rate: learning rate at step 0.
        steps: step at which the rate reaches zero.
        power: exponent.

    Returns:
        The schedule.
    """
    return optax.polynomial_schedule(rate, 0.0, power, steps)


def grouped_sgd(
    rates: Mapping[str, float],
    group_of: Callable[[tuple[str, ...]], str],
    *,
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
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

    Returns:
        The optimiser.
    """

    def sgd(rate: float) -> optax.GradientTransformation:
        if rate == 0:
            return optax.set_to_zero()
        return optax.chain(
            optax.add_decayed_weights(weight_decay, mask=_is_kernel),
            optax.sgd(poly_schedule(rate, steps), momentum=momentum),
        )

    def labels(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: group_of(tuple(entry.key for entry in path)), params
        )

    return optax.multi_transform({name: sgd(rate) for name, rate in rates.items()}, labels)


def _is_kernel(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
