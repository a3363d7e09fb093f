"""What `benchmark accelerator` measures of the graph part and the CRF, on drawn or real photos."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax.compiler import product_options
from wsgcn_jax.crf import BOUNDARY_LABELS, Kernel, refine
from wsgcn_jax.pipeline.label_photo import PhotoInputs, PhotoOutputs, label_photo
from wsgcn_jax.pipeline.label_program import each_photo, label_options
from wsgcn_jax.types import IGNORE

from .crf import drawn_photo
from .published import comparable_config, run_published

CLASSES, FEATURES = 21, 160
SQUARINGS, EPOCHS = 2, 5
"""Of the dense algorithm that are timed; their number does the rest."""

Figures = dict[str, Any]


def label(inputs: PhotoInputs, form: str, epochs: int) -> Figures:
    """Time and memory of seeds, walk and fit of a batch, in one form of the walk."""
    return _measured(partial(each_photo, _labeller(form, epochs)), len(inputs.boundary), inputs)


def rounding(inputs: PhotoInputs, epochs: int) -> Figures:
    """Labels by this backend's default rounding against those by full float32, photo by photo."""
    labels = []
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            found = jax.jit(partial(each_photo, _labeller(None, epochs)))(inputs)
        labels.append(_best(found, inputs))
    same = [100 * float((ours == exact).mean()) for ours, exact in zip(*labels, strict=True)]
    return {"same_labels_min": min(same), "same_labels_median": float(np.median(same))}


def dense(inputs: PhotoInputs, epochs: int, precision: str | None) -> Figures:
    """Time of the published algorithm on the first photo, from a few squarings and epochs.

    Args:
        inputs: a batch.
        epochs: of the whole fit.
        precision: "highest" for float32; None: the backend's default.
    """
    config = _config(epochs)
    photo = jax.tree.map(lambda x: x[0], inputs)
    cams = np.asarray(photo.cams)
    sure = np.where(cams.max(axis=0) > 0.8, cams.argmax(axis=0) + 1, IGNORE)
    seeds = np.where(cams.max(axis=0) < 0.05, 0, sure).astype(np.uint8)
    with jax.default_matmul_precision(precision) if precision else nullcontext():
        found = run_published(photo, seeds, config, squarings=SQUARINGS, epochs=EPOCHS)
    return {
        "ms_per_photo": 1e3 * found.seconds(config.graph.steps.bit_length() - 1, epochs),
        "ms_a_squaring": 1e3 * found.squaring,
        "ms_of_the_set_up": 1e3 * found.rest,
        "ms_an_epoch": 1e3 * found.epoch,
        "squarings_timed": SQUARINGS,
        "epochs_timed": EPOCHS,
    }


def crf(kernel: Kernel, labels: int, shape: tuple[int, int], photos: int) -> Figures:
    """Time and memory of a CRF of `photos` drawings, one program."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(np.stack([drawn_photo(index, shape) for index in range(photos)]))
    noise = jnp.asarray(rng.normal(size=(photos, labels, *shape)), jnp.float32)
    one = partial(refine, settings=BOUNDARY_LABELS, kernel=kernel)
    return _measured(one, photos, images, jax.nn.softmax(noise, axis=1))


def _config(epochs: int) -> ConfigDict:
    config = comparable_config()
    config.gcn.epochs = epochs
    return config


def _labeller(form: str | None, epochs: int) -> Callable[[PhotoInputs], PhotoOutputs]:
    config = _config(epochs)
    config.graph.form = form
    return partial(label_photo, **label_options(config))


def _best(found: PhotoOutputs, inputs: PhotoInputs) -> np.ndarray:
    """Labels of the nodes, among the classes of each photo."""
    shown = np.pad(np.asarray(inputs.present), [(0, 0), (1, 0)], constant_values=True)
    scores = np.where(shown[:, :, None, None], np.asarray(found.log_probs), -np.inf)
    labels: np.ndarray = scores.argmax(axis=1)
    return labels


def _measured(function: Callable[..., Any], photos: int, *arrays: Any) -> Figures:
    """Compiles, calls twice, and says what a photo of the second call takes."""
    started = time.perf_counter()
    program = jax.jit(function, compiler_options=product_options()).lower(*arrays).compile()
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
