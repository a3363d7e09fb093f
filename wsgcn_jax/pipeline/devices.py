"""Sharing the work out: a batch over this host's devices, batches over all hosts.

Every host makes the same plans and takes every n-th (`my_share`), so nothing is sent between them
while they work; they only need the same work folder.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.train.hosts import shardings

T = TypeVar("T")


def over_devices(program: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a program so that each device of this host works on its part of the batch.

    The devices do not speak to each other: each one runs the program on whole photos. A batch
    that does not divide evenly is filled up with its last photo.

    Args:
        program: (shared, batch, **static) -> outputs; shared, batch and outputs are trees, and the
            arrays of the latter two have the photos as their first axis.

    Returns:
        The same function; the static options must be hashable.
    """
    devices = jax.local_devices()
    copied, split = shardings(devices)

    @partial(jax.jit, static_argnums=2, compiler_options=convolution_options())
    def spread(shared: Any, batch: Any, static: tuple[tuple[str, Any], ...]) -> Any:
        # The walk's loops start from constants, which the check would have to be told of.
        part = jax.shard_map(
            partial(program, **dict(static)),
            mesh=split.mesh,
            in_specs=(copied.spec, split.spec),
            out_specs=split.spec,
            check_vma=False,
        )
        return part(shared, batch)

    def run(shared: Any, batch: Any, **static: Any) -> Any:
        photos = len(jax.tree.leaves(batch)[0])
        index = np.minimum(np.arange(-(-photos // len(devices)) * len(devices)), photos - 1)
        if len(index) > photos:
            batch = jax.tree.map(lambda x: jnp.asarray(x)[index], batch)
        # Loaded weights and the last stage's results lie on devices of their own.
        shared = jax.device_put(shared, copied)
        batch = jax.device_put(batch, split)
        outputs = spread(shared, batch, tuple(static.items()))
        return jax.tree.map(lambda x: x[:photos], outputs)

    return run


def my_share(items: Sequence[T]) -> Sequence[T]:
    """Returns the items that this host works on: every n-th of them, n being the hosts."""
    return items[jax.process_index() :: jax.process_count()]


def on_any_host(flags: np.ndarray) -> np.ndarray:
    """Tells every host what any of them found; all must call it.

    Args:
        flags: `[n] bool`, of this host.

    Returns:
        `[n] bool`.
    """
    if jax.process_count() == 1:
        return flags
    found: np.ndarray = np.any(multihost_utils.process_allgather(flags), axis=0)
    return found
