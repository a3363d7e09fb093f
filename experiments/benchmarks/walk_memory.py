"""Peak memory of one program, in a process of its own.

python -m experiments.benchmarks.walk_memory fast|dense ROWS COLUMNS BATCH
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.label_program import make_label_program

from .published import comparable_config, run_published


def peak_megabytes(kind: str, grid: tuple[int, int], batch: int) -> float:
    """Measures what a batch needs beyond the idle program, all batch together.

    Args:
        kind: "fast" or "dense" (the published algorithm; one photo).
        grid: rows and columns of nodes.
        batch: photos.
    """
    module = f"{__package__}.walk_memory"
    command = [sys.executable, "-W", "ignore", "-m", module, kind, *map(str, (*grid, batch))]
    # Freed arrays must go back to the system, or the first run's would hide the second's.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    with tempfile.TemporaryDirectory() as compiled:  # nor may the second run compile
        env |= {
            "JAX_COMPILATION_CACHE_DIR": compiled,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    return float(output.split()[-1])


def _random_inputs(grid: tuple[int, int], batch: int) -> PhotoInputs:
    # What is in the arrays does not matter: every shape is static.
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.random((batch, *shape), np.float32))

    return PhotoInputs(
        jax.random.split(jax.random.key(0), batch),
        draw(*grid),
        draw(*grid, 160),
        draw(20, *grid),
        jnp.ones((batch, 20), bool),
        draw(*grid, 3),
        jnp.ones((batch, *grid), bool),
    )


def _status(field: str) -> float:
    """A line of /proc/self/status, in MB; where there is none, the peak of the whole process."""
    path = Path("/proc/self/status")
    if not path.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    line = next(line for line in path.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def main(kind: str, rows: int, columns: int, batch: int) -> None:
    """Prints the megabytes."""
    config = comparable_config()
    config.gcn.epochs = 2  # the same buffers are used in every epoch
    run = make_label_program(config)

    def work(squarings: int, epochs: int) -> None:
        grid = (rows, columns)
        inputs = _random_inputs(grid, batch)
        if kind == "dense":
            one = jax.tree.map(lambda x: x[0], inputs)
            seeds = np.full(grid, 255, np.uint8)
            seeds[0, :2] = 0, 1
            run_published(one, seeds, config, squarings=squarings, epochs=epochs)
        else:
            jax.block_until_ready(run(inputs))

    work(0, 0)  # so that compiling counts for nothing
    idle = _status("VmRSS")
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    work(1, 2)
    print(_status("VmHWM") - idle)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
