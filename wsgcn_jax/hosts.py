"""Joining the hosts of a job: for whom and how long is said, and one clear line where in vain."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from wsgcn_jax.types import DataError

WAIT = "WSGCN_JAX_JOIN_TIMEOUT"
"""Environment variable: seconds to wait for the other hosts."""

_ADDRESS, _COUNT, _PLACE = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
# What JAX looks for in the environment of a Slurm step.
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_PATIENCE = 300  # seconds
_GRACE = 60  # seconds by which JAX, which ends with a dump, is more patient


class _Job(NamedTuple):
    """Who takes part: a description, and the options of `jax.distributed.initialize`."""

    what: str
    options: dict[str, Any]


def join_hosts(log: Callable[[str], None] = lambda line: None) -> None:
    """Joins the other hosts of the job, if there are any; before anything else uses JAX.

    JAX finds the hosts of a TPU pod or a Slurm job by itself. Elsewhere three variables say who
    takes part: JAX_COORDINATOR_ADDRESS (`host:port` of the first), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID. JAX_NUM_PROCESSES=1 joins nobody, whatever the job.

    If the others do not come in time, the process ends with one line and status 2.

    Args:
        log: is told for whom this host waits, and how long.

    Raises:
        DataError: one of the variables is missing or cannot be, or joining failed.
    """
    patience = _number(WAIT, _PATIENCE)
    job = _named_job() if _COUNT in os.environ else _slurm_job()
    if job is not None and job.options.get("num_processes") == 1:
        return
    if job is not None:
        log(f"{job.what}: waiting for the others, {patience} s at the most")
    what = job.what if job is not None else "this host"
    options: dict[str, Any] = job.options if job is not None else {}
    try:
        with _watched(what, patience):
            jax.distributed.initialize(**options, initialization_timeout=patience + _GRACE)
    except (ValueError, TypeError, RuntimeError) as error:
        if job is None and "coordinator_address" in str(error):
            return  # nobody to join: one host
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{what}: the other hosts cannot be joined ({reason})") from error


def _named_job() -> _Job:
    """The job that JAX's variables describe."""
    count, place = _number(_COUNT), 0
    if count == 1:
        return _Job("one process", {"num_processes": 1})
    place = _number(_PLACE)
    address = os.environ.get(_ADDRESS, "")
    if not 0 <= place < count:
        raise DataError(f"{_PLACE}={place} must be at least 0 and below {_COUNT}={count}")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise DataError(f"{_ADDRESS}={address!r} is no host:port, of the first process")
    return _Job(
        f"process {place} of {count}, the first one at {address}",
        {"num_processes": count, "process_id": place},
    )


def _slurm_job() -> _Job | None:
    """The Slurm step that this process belongs to, if it does."""
    if not all(name in os.environ for name in _SLURM):
        return None
    count, place = _number("SLURM_NTASKS"), _number("SLURM_PROCID")
    nodes = os.environ["SLURM_STEP_NODELIST"]
    job = f"task {place} of {count} of Slurm job {_number('SLURM_JOB_ID')} on {nodes}"
    return _Job(job, {"num_processes": 1} if count == 1 else {})


def _number(variable: str, default: int | None = None) -> int:
    text = os.environ.get(variable, "")
    if variable not in os.environ and default is not None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise DataError(
            f"{variable}={text!r} is no whole number; set it, or {_COUNT}=1 for this process alone"
        )
    return int(text)


@contextmanager
def _watched(what: str, patience: int) -> Iterator[None]:
    """Ends the process where joining takes too long: JAX itself cannot be interrupted at it."""
    timer = threading.Timer(patience, _give_up, (what, patience))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(what: str, patience: int) -> None:
    print(
        f"error: {what}: waited {patience} s for the others in vain; start them all, or set "
        f"{_COUNT}=1 to run alone ({WAIT} says how long to wait)",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
