"""The training loop: steps on all devices of all hosts, checkpoints, resumption, curves."""

import contextlib
import io
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils.epath import Path

from wsgcn_jax import interrupt
from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.distributed import lost_hosts, shardings, split_batch
from wsgcn_jax.trainer.checkpoint import Checkpoints

Scalars = dict[str, jax.Array]
Batch = dict[str, jax.Array]
Loss = Callable[[Any, Any, Batch], tuple[jax.Array, tuple[Scalars, Any]]]
"""(params, statistics, batch) -> (loss to minimise, (scalars to log, statistics after it)).

Statistics are a network's variables that no gradient moves; a network with frozen norms gives
back those it was given.
"""


class TrainState(NamedTuple):
    """What an update changes.

    Attributes:
        step: number of updates.
        params: parameters.
        statistics: variables without a gradient.
        opt_state: of the optimiser.
        average: exponential moving average of the parameters; None without one.
    """

    step: jax.Array
    params: Any
    statistics: Any
    opt_state: Any
    average: Any


class Trained(NamedTuple):
    """A finished run's variables, on the host: parameters (or their average), statistics."""

    params: Any
    statistics: Any


class Batches(Protocol):
    """An endless iterator of this host's share of batches that knows its place (Grain's)."""

    def __next__(self) -> Any: ...

    def get_state(self) -> Any: ...

    def set_state(self, state: Any) -> None: ...


Update = Callable[[TrainState, Batch], tuple[TrainState, Scalars]]


def make_update(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    average: float = 0.0,
) -> Update:
    """Builds the update of one step.

    Args:
        loss: the objective.
        optimiser: Optax transformation.
        accumulate: how many parts a batch is worked on in, one after the other; gradients and
            scalars are the means of theirs.
        average: decay of the parameters' moving average; 0 = none.

    Returns:
        (state, batch) -> (next state, scalars, "loss" and "grad_norm" among them).
    """
    differentiate = jax.value_and_grad(loss, has_aux=True)

    def gradient(params: Any, statistics: Any, batch: Batch) -> tuple[Any, tuple[Scalars, Any]]:
        (value, (scalars, statistics)), grads = differentiate(params, statistics, batch)
        return statistics, ({"loss": value, **scalars}, grads)

    def mean_gradient(
        params: Any, statistics: Any, batch: Batch
    ) -> tuple[Any, tuple[Scalars, Any]]:
        if accumulate == 1:
            return gradient(params, statistics, batch)
        # Every accumulate-th photo, not consecutive ones: so each device keeps its own.
        parts = jax.tree.map(
            lambda x: jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0), batch
        )

        def add(carry: Any, part: Batch) -> tuple[Any, None]:
            statistics, one = gradient(params, carry[0], part)
            return (statistics, jax.tree.map(jnp.add, carry[1], one)), None

        first = jax.tree.map(lambda x: x[0], parts)
        _, shapes = jax.eval_shape(gradient, params, statistics, first)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        (statistics, total), _ = jax.lax.scan(add, (statistics, zeros), parts)
        return statistics, jax.tree.map(lambda x: x / accumulate, total)

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
        statistics, (scalars, grads) = mean_gradient(state.params, state.statistics, batch)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        averaged = None
        if average:
            averaged = optax.incremental_update(params, state.average, 1 - average)
        scalars = {**scalars, "grad_norm": optax.global_norm(grads)}
        return TrainState(state.step + 1, params, statistics, opt_state, averaged), scalars

    return update


def train(
    params: Any,
    statistics: Any,
    batches: Batches,
    *,
    loss: Loss,
    optimiser: optax.GradientTransformation,
    steps: int,
    folder: Path,
    save_every: int = 100,
    accumulate: int = 1,
    average: float = 0.0,
    begin: Callable[[int], None] = lambda step: None,
    report: Callable[[int, dict[str, float]], None] = lambda step, scalars: None,
) -> Trained:
    """Trains to `steps` updates, resuming from the newest whole checkpoint in `folder`.

    A run that was killed ends with the same weights as one that was not: the checkpoint holds the
    state and the data iterator's place, and nothing else decides a step. Every host calls this
    with the same arguments and its own share of the batches.

    Args:
        params: initial parameters.
        statistics: initial statistics.
        batches: endless data iterator.
        loss: the objective.
        optimiser: Optax transformation.
        steps: number of updates in all.
        folder: of the checkpoints.
        save_every: updates between checkpoints.
        accumulate: see `make_update`.
        average: see `make_update`.
        begin: called once, with the number of updates that are done.
        report: called for every update with its number and scalars.

    Returns:
        The trained variables.

    Raises:
        FloatingPointError: the loss or its gradient is not finite; the message names the step
            and the file with the batch.
        DataError: the disk is full, or another host was lost.
        Interrupted: somebody asked the command to end; a checkpoint of the step in hand is there.
    """
    copied, split = shardings()
    update = make_update(loss, optimiser, accumulate=accumulate, average=average)
    jitted = jax.jit(
        update,
        donate_argnums=0,
        out_shardings=(copied, copied),
        compiler_options=convolution_options(params),
    )
    state = _initial_state(params, statistics, optimiser, copied, average=bool(average))
    with lost_hosts(), contextlib.closing(Checkpoints(folder)) as checkpoints:
        start = 0
        restored = checkpoints.restore(state)
        if restored is not None:
            start, state, place = restored
            batches.set_state(place)
        begin(start)
        pending: list[Callable[[], None]] = []
        for step in range(start, steps):
            batch = next(batches)
            state, scalars = jitted(state, split_batch(batch, split))
            # One step behind, so that the devices never wait for the host.
            while pending:
                pending.pop()()
            pending.append(partial(_check_and_report, step, scalars, batch, folder, report))
            stops = interrupt.requested() or step + 1 == steps
            if stops or (step + 1) % save_every == 0 or checkpoints.must_save(step + 1):
                pending.pop()()
                checkpoints.save(step + 1, state, batches.get_state())
            interrupt.check()
    final = state.params if state.average is None else state.average
    return Trained(jax.device_get(final), jax.device_get(state.statistics))


def _initial_state(
    params: Any,
    statistics: Any,
    optimiser: optax.GradientTransformation,
    sharding: jax.sharding.Sharding,
    *,
    average: bool,
) -> TrainState:
    """Copies the variables to every device; the copy may be donated, the caller's stays."""

    @partial(jax.jit, out_shardings=sharding)
    def build(params: Any, statistics: Any) -> TrainState:
        averaged = jax.tree.map(jnp.copy, params) if average else None
        return TrainState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(jnp.copy, params),
            jax.tree.map(jnp.copy, statistics),
            optimiser.init(params),
            averaged,
        )

    host = jax.tree.map(np.asarray, (params, statistics))
    return build(*jax.device_put(host, sharding))


def _check_and_report(
    step: int,
    scalars: Scalars,
    batch: Any,
    folder: Path,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """Reads the scalars of a step; stops the run, its batch saved, where they are not finite."""
    values = {name: float(value) for name, value in scalars.items()}
    if not (math.isfinite(values["loss"]) and math.isfinite(values["grad_norm"])):
        path = folder.with_name(f"bad_batch_step_{step}_host_{jax.process_index()}.npz")
        temporary = path.with_name(f".{path.name}")
        buffer = io.BytesIO()
        arrays = {name: np.asarray(array) for name, array in batch.items()}
        np.savez(buffer, allow_pickle=False, **arrays)
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
        raise FloatingPointError(
            f"loss is {values['loss']}, its gradient's norm {values['grad_norm']} at step {step}; "
            f"the batch is in {path}: look at it, or lower the learning rate"
        )
    report(step + 1, values)
