"""Devices and hosts: what they are, sharing the work out over both, and who writes.

Inference needs no word between hosts: every host makes the same plans and takes every n-th of
them (`host_shard`); they only need the same work folder. Training splits each batch over all
devices of all hosts (`shardings`, `split_batch`).
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wsgcn_jax.compiler import Options, product_options
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.types import DataError

T = TypeVar("T")

_DEVICE_FILES = ("/dev/nvidia0", "/dev/accel0")


def describe_devices() -> str:
    """Says what the job runs on: "8 x TPU v5e, 2 hosts", "CPU: no accelerator was found".

    Raises:
        DataError: JAX was installed for an accelerator and one is in this machine, but it could
            not be started, and nobody asked for the CPU.
    """
    hosts = f", {jax.process_count()} hosts" if jax.process_count() > 1 else ""
    if jax.devices()[0].platform != "cpu":
        return f"{_devices()}{hosts}"
    if os.environ.get("JAX_PLATFORMS"):
        return f"{_devices()}{hosts}, as JAX_PLATFORMS says"
    found = [path for path in _DEVICE_FILES if os.path.exists(path)]
    if found:
        raise DataError(
            f"{found[0]} is an accelerator, but JAX could not start it: it is busy, or JAX is "
            f"installed without it ({how_to_install('jax[cuda13]')}, or 'jax[tpu]'); "
            "JAX_PLATFORMS=cpu runs on the CPU"
        )
    return f"{_devices()}{hosts}: no accelerator was found"


def describe_machine() -> str:
    """Says what a result was made on: "8 x TPU v5e, 2 hosts of 96 cores", "CPU, 2 cores"."""
    hosts = f"{jax.process_count()} hosts of " if jax.process_count() > 1 else ""
    cores = os.cpu_count() or 1
    return f"{_devices()}, {hosts}{cores} {'core' if cores == 1 else 'cores'}"


def _devices() -> str:
    """Number and kind of the job's devices; the number of CPUs only where there are several."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"{len(devices)} x CPU" if len(devices) > 1 else "CPU"
    return f"{len(devices)} x {devices[0].device_kind}"


def is_primary() -> bool:
    """Tells whether this host writes what only one may write."""
    return jax.process_index() == 0


def wait_for_all(where: str) -> None:
    """Waits until every host is there; the name must be the same on all."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


@contextlib.contextmanager
def lost_hosts() -> Iterator[None]:
    """Turns what JAX raises when another host dies into one sentence.

    Raises:
        DataError: another host was lost.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"another host was lost ({reason}); start the same command again on all of them: it "
            "is resumed from the newest checkpoint"
        ) from error


def shardings(
    devices: Sequence[jax.Device] | None = None,
) -> tuple[NamedSharding, NamedSharding]:
    """Returns how arrays lie on devices: (copied, split along their first axis).

    A loss over a split batch is the same sum as on one device, in another order.

    Args:
        devices: which; all of all hosts where None.
    """
    mesh = Mesh(np.asarray(devices or jax.devices()), ("batch",))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))


def split_batch(batch: Any, sharding: NamedSharding) -> Any:
    """Makes the global batch of every host's share.

    Args:
        batch: tree of arrays `[b / hosts, ...]`, this host's share.
        sharding: of `shardings`, the split one.

    Returns:
        The tree of `[b, ...]` on all devices.
    """
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch
    )


def over_devices(program: Callable[..., Any], options: Options | None = None) -> Callable[..., Any]:
    """Compiles a program so that each device of this host works on its part of the batch.

    The devices do not speak to each other: each one runs the program on whole photos. A batch
    that does not divide evenly is filled up with its last photo.

    Args:
        program: (shared, batch, **static) -> outputs; shared, batch and outputs are trees, and the
            arrays of the latter two have the photos as their first axis.
        options: of the compiler; None: `product_options`.

    Returns:
        The same function; the static options must be hashable.
    """
    devices = jax.local_devices()
    copied, split = shardings(devices)
    spread = spread_program(program, devices, options)

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


def spread_program(
    program: Callable[..., Any],
    devices: Sequence[jax.Device],
    options: Options | None = None,
) -> Any:
    """Compiles a program so that each of some devices works on an equal part of the batch.

    Args:
        program: see `over_devices`.
        devices: which; they divide the batch.
        options: see `over_devices`.

    Returns:
        The jitted (shared, batch, static) -> outputs, static as a tuple of names and values.
    """
    copied, split = shardings(devices)

    @partial(jax.jit, static_argnums=2, compiler_options=options or product_options())
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

    return spread


def host_shard(items: Sequence[T]) -> Sequence[T]:
    """Returns the items that this host works on: every n-th of them, n being the hosts."""
    return items[jax.process_index() :: jax.process_count()]


def any_across_hosts(flags: np.ndarray) -> np.ndarray:
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
