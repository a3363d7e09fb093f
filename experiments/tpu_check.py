"""Compiles the programs of configs/voc12.py:tpu for a TPU v5e on a machine without one.

    python -m experiments.tpu_check [--only NAME ...] [--json=FILE]

Needs the compiler for TPUs of `jax[tpu]`, which needs no TPU (`make tpu-check` installs it). Prints
for each program how long the compiler takes, what the chip's memory holds, and what a photo costs:
traffic to that memory, operations of matrix products (six passes of bfloat16 for one of full
float32), the time below which the chip cannot be, at its peaks of 197 TFLOP/s in bfloat16 and 819
GB/s, and the time that the compiler reckons with. Loops count as often as they run (`hlo_cost`).
Nothing is run, and no weights are needed.

Exit status: 0 all compile and fit in 16 GB, 1 one does not, 2 there is no compiler.
"""

import os
import sys
from collections.abc import Sequence

import jax

from . import compile_check

TOPOLOGIES = {1: "v5e:2x2", 8: "v5e:2x4"}  # the smallest there is has four chips; one is used


def main(argv: Sequence[str]) -> int:
    """Compiles; returns the exit status."""
    return compile_check.main(V5E, __doc__, argv)


def _devices(count: int) -> list[jax.Device]:
    """The chips of a topology, described, not there."""
    from jax.experimental import topologies

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_WORKER_ID", "0")
    found = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGIES[count])
    return list(found.devices)[:count]


V5E = compile_check.Chip(
    machine="tpu",
    extra="tpu-check",
    devices=_devices,
    memory=16e9,
    flops=197e12,
    bandwidth=819e9,
    clock=1.5e9,
    options={},
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
