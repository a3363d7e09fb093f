"""Devices and hosts: joining them, splitting a batch over them, and who writes."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wsgcn_jax.types import DataError


def join_hosts() -> None:
    """Joins the other hosts of the job, if there are any; before anything else uses JAX.

    JAX finds the hosts of a TPU pod or a Slurm job by itself. Elsewhere three variables say who
    takes part: JAX_COORDINATOR_ADDRESS (`host:port` of the first), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID.
    """
    if "JAX_NUM_PROCESSES" in os.environ:
        jax.distributed.initialize(
            num_processes=int(os.environ["JAX_NUM_PROCESSES"]),
            process_id=int(os.environ["JAX_PROCESS_ID"]),
        )
        return
    try:
        jax.distributed.initialize()
    except ValueError as error:
        if "coordinator_address" not in str(error):
            raise
        # Nobody to join: one host.


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
            "goes on from the newest checkpoint"
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
