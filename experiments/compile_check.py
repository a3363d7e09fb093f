"""Compiles programs for a chip that need not be there, and says what they cost.

`tpu_check` and `gpu_check` are the commands.
"""

import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax

from wsgcn_jax.compiler import Options
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.types import DataError

from .command import Parser, check_json, fail, write_json
from .compiled_programs import CHIPS, PROGRAMS, Maker, Target
from .hlo_cost import module_cost

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")


class Chip(NamedTuple):
    """What is compiled for.

    Attributes:
        machine: "tpu" or "gpu", of configs/voc12.py.
        extra: of the package, which installs the compiler.
        devices: makes a number of them, described, not there.
        memory: bytes.
        flops: of matrix products a second, at its peak; None: the compiled text does not hold all.
        bandwidth: bytes a second from and to its memory, at its peak.
        clock: cycles a second of the compiler's estimates; None: it makes none.
        options: of the compiler, besides the programs' own.
    """

    machine: str
    extra: str
    devices: Callable[[int], list[jax.Device]]
    memory: float
    flops: float | None
    bandwidth: float
    clock: float | None
    options: Options


def main(chip: Chip, about: str, argv: Sequence[str]) -> int:
    """Compiles; returns the exit status.

    Args:
        chip: for what.
        about: the command's docstring.
        argv: its arguments.
    """
    parser = Parser(about)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of " + ", ".join(PROGRAMS))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    for name in options.only or ():
        if name not in PROGRAMS:
            return fail(f"--only: no program {name!r}; there are {', '.join(PROGRAMS)}")
    figures: dict[str, Any] = {}
    try:
        check_json(options.json)
        target = _target(chip)
        for name in options.only or PROGRAMS:
            figures[name] = _check(PROGRAMS[name], target, chip)
            print(_line(name, figures[name]), flush=True)
            write_json(options.json, figures)
    except DataError as error:
        return fail(str(error))
    return 0 if all(one["fits"] for one in figures.values()) else 1


def _target(chip: Chip) -> Target:
    """The devices of a chip.

    Raises:
        DataError: its compiler is not installed.
    """
    try:
        return Target(chip.machine, {count: chip.devices(count) for count in CHIPS})
    except Exception as error:  # the compiler's library raises what it likes
        told = f"no compiler for {chip.machine.upper()}s ({str(error)[:200]})"
        raise DataError(f"{told}; {how_to_install(chip.extra)}") from error


@contextmanager
def _as_on_a(machine: str) -> Iterator[None]:
    """What chooses by backend chooses this machine's way."""
    with mock.patch.object(jax, "default_backend", lambda: machine):
        yield


def _check(make: Maker, target: Target, chip: Chip) -> dict[str, Any]:
    """Compiles one program and reads what the compiler says of it."""
    with _as_on_a(chip.machine):
        program = make(target)
        started = time.monotonic()
        try:
            lowered = program.jitted.lower(*program.arguments)
            lower_seconds = time.monotonic() - started
            cpu = _cpu_seconds()
            compiled = lowered.compile(compiler_options=chip.options or None)
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
    return figures | _size(memory, program.photos, chip) | _costs(text, program.photos, chip)


def _cpu_seconds() -> float:
    """What this process has used of all cores: a busy machine does not lengthen it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _size(memory: Any, photos: int, chip: Chip) -> dict[str, Any]:
    """What a program takes of the chip's memory."""
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    held += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {
        "fits": held <= chip.memory,
        "photos": photos,
        "hbm_mb": round(held / 1e6),
        "temporary_mb_per_photo": round(memory.temp_size_in_bytes / 1e6 / photos, 1),
        "code_mb": round(memory.generated_code_size_in_bytes / 1e6, 1),
    }


def _costs(text: str, photos: int, chip: Chip) -> dict[str, Any]:
    """What a photo costs, by the text of the compiled program."""
    cost = module_cost(text)
    bound, more = cost.traffic / chip.bandwidth, {}
    if chip.flops:
        bound = max(bound, cost.flops / chip.flops)
        more["gflop_per_photo"] = round(cost.flops / 1e9 / photos, 1)
    if chip.clock:
        more["reckoned_ms_per_photo"] = round(1e3 * cost.cycles / chip.clock / photos, 2)
    return {
        "traffic_gb_per_photo": round(cost.traffic / 1e9 / photos, 2),
        "bound_ms_per_photo": round(1e3 * bound / photos, 2),
        **more,
        "launches": cost.launches,
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
    a_photo = [f"{one['temporary_mb_per_photo']} MB", f"{one['traffic_gb_per_photo']} GB"]
    if "gflop_per_photo" in one:
        a_photo.append(f"{one['gflop_per_photo']} GFLOP")
    a_photo.append(f"at least {one['bound_ms_per_photo']} ms")
    if "reckoned_ms_per_photo" in one:
        a_photo.append(f"reckoned {one['reckoned_ms_per_photo']} ms")
    return (
        f"{name}: {one['compile_seconds']} s to compile ({one['compile_cpu_seconds']} of a CPU; "
        f"{one['lower_seconds']} to lower), "
        f"{one['hbm_mb']} MB{'' if one['fits'] else ' DO NOT FIT'}, code {one['code_mb']} MB, "
        f"{one['launches']:,} launches; a photo: {', '.join(a_photo)}"
        + (f"; {once} loops of unknown length, counted once" if once else "")
        + (f"; {collectives}" if collectives else "")
    )
