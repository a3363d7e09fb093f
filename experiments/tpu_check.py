"""Compiles the programs of configs/voc12.py for a TPU v5e on a machine without one.

    python -m experiments.tpu_check [--only NAME ...] [--json=FILE]

Needs the compiler for TPUs of `jax[tpu]`, which needs no TPU (`make tpu-check` installs it). Prints
for each program how long the compiler takes, what the chip's memory holds, and what a photo costs:
traffic to that memory, operations of matrix products (six passes of bfloat16 for one of full
float32), the time below which the chip cannot be, at its peaks of 197 TFLOP/s in bfloat16 and 819
GB/s, and the time that the compiler reckons with. Loops count as often as they run (`hlo_cost`).
Nothing is run, and no weights are needed.

Exit status: 0 all compile and fit in 16 GB, 1 one does not, 2 there is no compiler.
"""

import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.extras import how_to_install

from . import tpu_programs
from .command import Parser, fail
from .hlo_cost import module_cost

FLOPS, BYTES_PER_SECOND, HBM, CYCLES = 197e12, 819e9, 16e9, 1.5e9
TOPOLOGIES = {1: "v5e:2x2", 8: "v5e:2x4"}  # the smallest there is has four chips; one is used
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")


def main(argv: Sequence[str]) -> int:
    """Compiles; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of " + ", ".join(NAMES))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    for name in options.only or ():
        if name not in NAMES:
            return fail(f"--only: no program {name!r}; there are {', '.join(NAMES)}")
    try:
        devices = {count: _devices(count) for count in TOPOLOGIES}
    except Exception as error:  # the compiler's library raises what it likes
        return fail(f"no compiler for TPUs ({str(error)[:200]}); {how_to_install('tpu-check')}")
    figures: dict[str, Any] = {}
    for name in options.only or NAMES:
        figures[name] = _check(tpu_programs.PROGRAMS[name], devices)
        print(_line(name, figures[name]), flush=True)
        if options.json:
            write_atomic(options.json, json.dumps(figures, indent=1).encode())
    return 0 if all(one["fits"] for one in figures.values()) else 1


NAMES = tuple(tpu_programs.PROGRAMS)


def _devices(count: int) -> list[jax.Device]:
    """The chips of a topology, described, not there."""
    from jax.experimental import topologies

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_WORKER_ID", "0")
    found = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGIES[count])
    return list(found.devices)[:count]


@contextmanager
def _as_on_a_tpu() -> Iterator[None]:
    """What chooses by backend chooses the TPU's way."""
    with mock.patch.object(jax, "default_backend", lambda: "tpu"):
        yield


def _check(make: tpu_programs.Maker, devices: dict[int, list[jax.Device]]) -> dict[str, Any]:
    """Compiles one program and reads what the compiler says of it."""
    with _as_on_a_tpu():
        program = make(devices)
        started = time.monotonic()
        try:
            lowered = program.jitted.lower(*program.arguments)
            lower_seconds = time.monotonic() - started
            cpu = _cpu_seconds()
            compiled = lowered.compile()
            seconds = time.monotonic() - started - lower_seconds
            cpu_seconds = _cpu_seconds() - cpu
        except Exception as error:  # of the compiler, any
            return {"fits": False, "error": " ".join(str(error).split())[:300]}
    text, memory = compiled.as_text(), compiled.memory_analysis()
    figures = {
        "lower_seconds": round(lower_seconds, 1),
        "compile_seconds": round(seconds, 1),
        "compile_cpu_seconds": round(cpu_seconds, 1),
    }
    return figures | _size(memory, program.photos) | _costs(text, program.photos)


def _cpu_seconds() -> float:
    """What this process has used of all cores: a busy machine does not lengthen it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _size(memory: Any, photos: int) -> dict[str, Any]:
    """What a program takes of the chip's memory."""
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    held += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {
        "fits": held <= HBM,
        "photos": photos,
        "hbm_mb": round(held / 1e6),
        "temporary_mb_per_photo": round(memory.temp_size_in_bytes / 1e6 / photos, 1),
        "code_mb": round(memory.generated_code_size_in_bytes / 1e6, 1),
    }


def _costs(text: str, photos: int) -> dict[str, Any]:
    """What a photo costs, by the text of the compiled program."""
    cost = module_cost(text)
    bound = max(cost.flops / FLOPS, cost.traffic / BYTES_PER_SECOND)
    return {
        "traffic_gb_per_photo": round(cost.traffic / 1e9 / photos, 2),
        "gflop_per_photo": round(cost.flops / 1e9 / photos, 1),
        "bound_ms_per_photo": round(1e3 * bound / photos, 2),
        "reckoned_ms_per_photo": round(1e3 * cost.cycles / CYCLES / photos, 2),
        "loops_counted_once": len(cost.unknown),
        "collectives": {
            name: n
            for name in COLLECTIVES
            if (n := len(re.findall(rf" {name}(?:-start)?\(", text)))
        },
    }


def _line(name: str, one: dict[str, Any]) -> str:
    if "error" in one:
        return f"{name}: does not compile: {one['error']}"
    collectives = ", ".join(f"{n} {kind}" for kind, n in one["collectives"].items())
    once = one["loops_counted_once"]
    return (
        f"{name}: {one['compile_seconds']} s to compile ({one['compile_cpu_seconds']} of a CPU; "
        f"{one['lower_seconds']} to lower), "
        f"{one['hbm_mb']} MB{'' if one['fits'] else ' DO NOT FIT'}, code {one['code_mb']} MB; "
        f"a photo: {one['temporary_mb_per_photo']} MB, {one['traffic_gb_per_photo']} GB, "
        f"{one['gflop_per_photo']} GFLOP, at least {one['bound_ms_per_photo']} ms, "
        f"reckoned {one['reckoned_ms_per_photo']} ms"
        + (f"; {once} loops of unknown length, counted once" if once else "")
        + (f"; {collectives}" if collectives else "")
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
