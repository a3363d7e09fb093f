"""What a GPU or TPU makes of the programs: time and memory a photo, first calls.

One command that ends within minutes on a bare machine, on drawn photos: the label program (seeds,
walk, 250 epochs of the GCN) in either form of the walk, and the CRF by either kernel. On a CPU it
runs at toy sizes. `--budget` seconds bound it: what would start later is left out and said.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.crf import BOUNDARY_LABELS, Kernel, refine
from wsgcn_jax.distributed import describe_devices
from wsgcn_jax.pipeline.inference import grid_size
from wsgcn_jax.pipeline.label_photo import PhotoInputs, label_photo
from wsgcn_jax.pipeline.label_program import label_options
from wsgcn_jax.settings import load_config

PARTS = ("label", "crf")
FORMS = ("tiles", "gather")
KERNELS: tuple[Kernel, ...] = ("attention", "lattice")
PHOTO, TOY = (375, 500), (64, 96)
CLASSES, FEATURES = 21, 160


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which (all)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="of the walk")
    parser.add_argument("--batches", nargs="+", type=int, help="of the label program")
    parser.add_argument("--epochs", type=int, help="of the fit (250; 5 on a CPU)")
    parser.add_argument("--budget", type=float, default=330.0, help="seconds (default 330)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns the figures."""
    toy = jax.default_backend() == "cpu"
    size = TOY if toy else PHOTO
    ends = time.monotonic() + options.budget
    figures: dict[str, Any] = {"devices": describe_devices(), "jax": jax.__version__, "size": size}
    print(f"{figures['devices']}, JAX {figures['jax']}")
    work: dict[str, Callable[[], dict[str, float]]] = {}
    if "label" in options.parts:
        epochs = options.epochs or (5 if toy else 250)
        for batch in options.batches or ((2,) if toy else (64, 1, 16, 128)):
            for form in options.forms:
                name = f"label, {form}, batch {batch}"
                work[name] = partial(_label, form, batch, epochs, grid_size(size))
    if "crf" in options.parts:
        half = (size[0] // 2, size[1] // 2)
        for labels in (3, 21):
            for kernel in KERNELS:
                for shape in (half, size):
                    name = f"CRF, {kernel}, {labels} labels, {shape[0]}x{shape[1]}"
                    work[name] = partial(_crf, kernel, labels, shape)
    for name, measure in work.items():
        if time.monotonic() > ends:
            print(f"{name}: left out, the budget is spent")
            continue
        figures[name] = measure()
        print(
            f"{name}: " + ", ".join(f"{value:.4g} {what}" for what, value in figures[name].items())
        )
    return figures


def _measured(function: Callable[..., Any], photos: int, *arrays: Any) -> dict[str, float]:
    """Compiles, calls twice, and says what a photo of the second call takes."""
    started = time.perf_counter()
    program = jax.jit(function).lower(*arrays).compile()
    compiled = time.perf_counter() - started
    outputs = jax.block_until_ready(program(*arrays))
    first = time.perf_counter() - started
    started = time.perf_counter()
    outputs = jax.block_until_ready(program(*arrays))
    seconds = time.perf_counter() - started
    memory: Any = program.memory_analysis()
    finite = all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(outputs))
    return {
        "ms_per_photo": 1e3 * seconds / photos,
        "mb_per_photo": memory.temp_size_in_bytes / photos / 1e6,
        "compile_seconds": compiled,
        "first_call_seconds": first,
        "finite": float(finite),
    }


def _label(form: str, batch: int, epochs: int, grid: tuple[int, int]) -> dict[str, float]:
    config = load_config("voc_animals").unlock()
    config.gcn.epochs, config.graph.form = epochs, form
    one = partial(label_photo, **label_options(config))
    return _measured(jax.vmap(one), batch, drawn_inputs(batch, grid))


def _crf(kernel: Kernel, labels: int, shape: tuple[int, int]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.integers(0, 256, (*shape, 3)), jnp.uint8)
    scores = jax.nn.softmax(jnp.asarray(rng.normal(size=(labels, *shape)), jnp.float32), axis=0)
    return _measured(partial(refine, settings=BOUNDARY_LABELS, kernel=kernel), 1, image, scores)


def drawn_inputs(photos: int, grid: tuple[int, int]) -> PhotoInputs:
    """Draws what the graph part reads: a ring and a wall on clutter, two classes, random features.

    Args:
        photos: how many.
        grid: rows and columns.

    Returns:
        The inputs, every array with the photos as its first axis.
    """
    rng = np.random.default_rng(0)
    y, x = (at / side for at, side in zip(np.mgrid[: grid[0], : grid[1]], grid, strict=True))
    maps, cams = [], np.zeros((photos, CLASSES - 1, *grid), np.float32)
    for photo in range(photos):
        centre, radius = rng.uniform(0.35, 0.6, 2), rng.uniform(0.15, 0.3)
        away = np.hypot(y - centre[0], x - centre[1])
        ring = np.exp(-(((away - radius) * grid[0] / 1.5) ** 2))
        wall = np.exp(-(((x - rng.uniform(0.7, 0.9)) * grid[1] / 1.8) ** 2))
        maps.append(np.clip(np.maximum(ring, 0.97 * wall) + 0.05 * rng.random(grid), 0, 1))
        cams[photo, 0] = np.clip(1.1 - away / radius, 0, 1)
        cams[photo, 1] = np.clip(1.1 - away[:, ::-1] / radius, 0, 1)
    present = np.zeros((photos, CLASSES - 1), bool)
    present[:, :2] = True
    return PhotoInputs(
        jax.random.split(jax.random.key(0), photos),
        jnp.asarray(np.stack(maps), jnp.float32),
        jnp.asarray(rng.random((photos, *grid, FEATURES), np.float32)),
        jnp.asarray(cams),
        jnp.asarray(present),
        jnp.asarray(rng.random((photos, *grid, 3), np.float32)),
        jnp.ones((photos, *grid), bool),
    )
