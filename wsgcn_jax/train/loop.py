"""The training loop: steps, checkpoints, resumption, curves."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from wsgcn_jax.train.checkpoint import Checkpoints

Loss = Callable[[Any, Any, dict[str, jax.Array]], tuple[jax.Array, dict[str, jax.Array]]]
"""(params, frozen variables, batch) -> (loss to minimise, scalars to log)."""


class TrainState(NamedTuple):
    """What an update changes: number of updates, parameters, optimiser state."""

    step: jax.Array
    params: Any
    opt_state: Any


class Batches(Protocol):
    """An endless iterator of batches that knows its place (a Grain iterator)."""

    def __next__(self) -> Any: ...

    def get_state(self) -> Any: ...

    def set_state(self, state: Any) -> None: ...


def make_update(
    loss: Loss, optimiser: optax.GradientTransformation
) -> Callable[[TrainState, Any, dict[str, jax.Array]], tuple[TrainState, dict[str, jax.Array]]]:
    """Builds the jitted update of one step.

    Args:
        loss: the objective.
        optimiser: Optax transformation.

    Returns:
        (state, frozen variables, batch) -> (next state, scalars with "loss" among them).
    """

    @jax.jit
    def update(
        state: TrainState, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        (value, scalars), grads = jax.value_and_grad(loss, has_aux=True)(
            state.params, frozen, batch
        )
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, opt_state), {"loss": value, **scalars}

    return update


def train(
    params: Any,
    frozen: Any,
    batches: Batches,
    *,
    loss: Loss,
    optimiser: optax.GradientTransformation,
    steps: int,
    folder: Path,
    save_every: int = 100,
    report: Callable[[int, dict[str, float]], None] = lambda step, scalars: None,
) -> Any:
    """Trains to `steps` updates, resuming from the newest checkpoint in `folder`.

    A run that was killed ends with the same weights as one that was not: the checkpoint holds the
    parameters, the optimiser and the data iterator's place, and nothing else decides a step.

    Args:
        params: initial parameters.
        frozen: variables that the loss reads and nothing changes (batch statistics).
        batches: endless data iterator.
        loss: the objective.
        optimiser: Optax transformation.
        steps: number of updates in all.
        folder: of the checkpoints.
        save_every: updates between checkpoints.
        report: called after every update with its number and scalars.

    Returns:
        The trained parameters.

    Raises:
        FloatingPointError: the loss is not finite; the message names the step.
    """
    state = TrainState(jnp.zeros((), jnp.int32), params, optimiser.init(params))
    checkpoints = Checkpoints(folder)
    try:
        start = 0
        if checkpoints.latest() is not None:
            start, state, place = checkpoints.restore(state)
            batches.set_state(place)
        update = make_update(loss, optimiser)
        for step in range(start, steps):
            state, scalars = update(state, frozen, next(batches))
            values = {name: float(value) for name, value in scalars.items()}
            if not math.isfinite(values["loss"]):
                raise FloatingPointError(
                    f"loss is {values['loss']} at step {step} ({folder}): lower the learning rate"
                )
            report(step + 1, values)
            if (step + 1) % save_every == 0 or step + 1 == steps:
                checkpoints.save(step + 1, state, batches.get_state())
    finally:
        checkpoints.close()
    return state.params
