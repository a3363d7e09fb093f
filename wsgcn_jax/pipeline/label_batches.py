"""Labelling many photos: batches of one padded shape, what fails left out, the rest handed on."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.distributed import any_across_hosts, host_shard
from wsgcn_jax.pipeline.graph_inputs import Batch
from wsgcn_jax.pipeline.inference import (
    Plan,
    grid_size,
    longer_side_scale,
    make_plans,
    network_size,
    photos_a_batch,
)
from wsgcn_jax.pipeline.label_photo import PhotoInputs, PhotoOutputs
from wsgcn_jax.pipeline.label_program import check_memory, make_full_scores, make_label_program
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.run_plans import run_plans, too_large
from wsgcn_jax.pipeline.scores import argmax_resized
from wsgcn_jax.resize import resize_photo, within
from wsgcn_jax.types import Skipped

_MEGABYTES = 200.0  # that a photo of 512x512 takes


class Labelled(NamedTuple):
    """What was found in one photo.

    Attributes:
        class_ids: `[k] u8`, background and the classes that are present.
        boundary: `[H, W] f32`, the boundary map the walk went by.
        seeds, walk, log_probs: of `PhotoOutputs`, without padding; of all classes.
        scores: `[k, h, w] f32`, probabilities of `class_ids` (`make_full_scores`), at the photo's
            size, or at that at which a larger one is seen (`data.longer_side`).
        label_map: `[h, w] u8`, the best class, at the photo's own size.
    """

    class_ids: np.ndarray
    boundary: np.ndarray
    seeds: np.ndarray
    walk: np.ndarray
    log_probs: np.ndarray
    scores: np.ndarray
    label_map: np.ndarray


def label_batches(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    present: np.ndarray,
    image: Callable[[int], np.ndarray],
    inputs: Callable[[Batch], PhotoInputs],
    write: Callable[[int, Labelled], None],
    output: Callable[[int], Path],
    config: ConfigDict,
) -> list[Skipped]:
    """Labels this host's share of the photos, as far as an output is missing.

    Args:
        names: of the photos.
        sizes: (height, width) of the photos.
        present: `[photos, c - 1] bool`, which classes each shows. One that shows none is all
            background, and neither decoded nor fitted.
        image: decodes the photo of an index, `[h, w, 3] u8`; asked once a photo.
        inputs: prepares a batch for the graph part.
        write: saves what was found in the photo of an index.
        output: the file that `write` writes last for an index.
        config: the whole configuration.

    Returns:
        The photos whose scores are not finite or for which there is not enough memory, on whichever
        host; nothing is written for them.

    Raises:
        DataError: see `check_memory`.
    """
    given = [within(size, config.data.longer_side) for size in sizes]
    scales = [longer_side_scale(size, config.graph.longer_side) for size in given]
    seen = list(map(network_size, given, scales))
    _write_backgrounds(sizes, given, [grid_size(size) for size in seen], present, write, output)
    plans = _plans_of_objects(seen, present, config)
    for warning in check_memory([grid_size(plan.shape) for plan in plans], config):
        log(warning)
    label = make_label_program(config)
    full_scores = make_full_scores([given[i] for i in np.flatnonzero(present.any(axis=1))], config)
    failed = np.zeros(len(names), bool)

    def decoded(index: int) -> np.ndarray:
        return resize_photo(image(index), given[index])

    def work(plan: Plan) -> None:
        shown = [seen[index] for index in plan.indices]
        once = set(plan.indices)
        photos = dict(zip(once, decoders.map(decoded, once), strict=True))
        batch = Batch(
            plan.indices,
            [photos[index] for index in plan.indices],
            shown,
            plan.shape,
            [grid_size(size) for size in shown],
            grid_size(plan.shape),
        )
        maps = inputs(batch)
        with device:
            outputs = jax.tree.map(np.asarray, label(maps))
        cuts = [_without_padding(batch, maps, outputs, row) for row in range(plan.real)]
        finite = {index: cut for index, cut in zip(plan.indices, cuts, strict=False) if cut}
        failed[[index for index in plan.indices if index not in finite]] = True
        log_probs = (cut.log_probs[cut.class_ids] for cut in finite.values())
        drawn = full_scores([photos[index] for index in finite], log_probs, len(plan.indices))
        for (index, cut), full in zip(finite.items(), drawn, strict=True):
            write(index, Labelled(*cut, full, argmax_resized(full, sizes[index], cut.class_ids)))

    # On a CPU a fit is many small products, which do not keep a second core busy, and the photos
    # before and after it are other work: two batches side by side. An accelerator has one batch at
    # a time, while the one before it is written and the next ones are decoded.
    device = threading.Semaphore(2 if jax.default_backend() == "cpu" else 1)
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as decoders:
        large = run_plans(plans, output, work, "pseudo labels")
    return too_large(names, large) + [
        Skipped(name, f"{name}: the GCN's scores are not finite")
        for name, lost in zip(names, any_across_hosts(failed), strict=True)
        if lost
    ]


class _Cut(NamedTuple):
    """The first fields of `Labelled`."""

    class_ids: np.ndarray
    boundary: np.ndarray
    seeds: np.ndarray
    walk: np.ndarray
    log_probs: np.ndarray


def _without_padding(
    batch: Batch, maps: PhotoInputs, outputs: PhotoOutputs, row: int
) -> _Cut | None:
    """Cuts the padding off one photo's outputs; None where its scores are not finite.

    Args:
        batch: the photos.
        maps: what the graph part was given of them.
        outputs: what it found, NumPy arrays.
        row: of the photo in the batch.
    """
    height, width = batch.grids[row]
    one = jax.tree.map(lambda x: x[row][..., :height, :width], outputs)
    if not np.isfinite(one.log_probs).all():
        return None
    class_ids = np.asarray([0, *(np.flatnonzero(maps.present[row]) + 1)], np.uint8)
    boundary = np.asarray(maps.boundary[row, :height, :width])
    return _Cut(class_ids, boundary, one.seeds, one.walk, one.log_probs)


def _plans_of_objects(
    seen: Sequence[tuple[int, int]], present: np.ndarray, config: ConfigDict
) -> list[Plan]:
    """Batches of the photos that show a class."""
    settings = config.graph
    objects = np.flatnonzero(present.any(axis=1)).tolist()
    batch_size = photos_a_batch(settings.batch_size, _MEGABYTES)
    sizes = [seen[index] for index in objects]
    plans = make_plans(sizes, batch_size=batch_size, bucket=settings.bucket)
    return [plan._replace(indices=tuple(objects[i] for i in plan.indices)) for plan in plans]


def _write_backgrounds(
    sizes: Sequence[tuple[int, int]],
    given: Sequence[tuple[int, int]],
    grids: Sequence[tuple[int, int]],
    present: np.ndarray,
    write: Callable[[int, Labelled], None],
    output: Callable[[int], Path],
) -> None:
    """Writes this host's share of the photos without any class: background, with certainty."""
    empty = np.flatnonzero(~present.any(axis=1)).tolist()
    if empty:
        log(f"pseudo labels: {len(empty)} photos without any class are all background")
    objects = present.shape[1]
    for index in host_shard(empty):
        if not output(index).exists():
            grid = grids[index]
            log_probs = np.full((1 + objects, *grid), -np.inf, np.float32)
            log_probs[0] = 0
            found = Labelled(
                class_ids=np.zeros(1, np.uint8),
                boundary=np.zeros(grid, np.float32),
                seeds=np.zeros(grid, np.uint8),
                walk=np.zeros((objects, *grid), np.float32),
                log_probs=log_probs,
                scores=np.ones((1, *given[index]), np.float32),
                label_map=np.zeros(sizes[index], np.uint8),
            )
            write(index, found)
