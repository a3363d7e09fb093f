"""Labelling many photos: batches of one padded shape, what fails left out, the rest handed on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.distributed import any_across_hosts
from wsgcn_jax.pipeline.graph_inputs import Batch
from wsgcn_jax.pipeline.inference import (
    Plan,
    grid_size,
    longer_side_scale,
    make_plans,
    network_size,
    run_plans,
)
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.label_program import full_scores, make_label_program
from wsgcn_jax.types import Skipped


class Labelled(NamedTuple):
    """What was found in one photo.

    Attributes:
        class_ids: `[k] u8`, background and the classes that are present.
        boundary: `[H, W] f32`, the boundary map the walk went by.
        seeds, walk, log_probs: of `PhotoOutputs`, without padding; of all classes.
        scores: `[k, h, w] f32`, probabilities of `class_ids` at the photo's size (`full_scores`).
    """

    class_ids: np.ndarray
    boundary: np.ndarray
    seeds: np.ndarray
    walk: np.ndarray
    log_probs: np.ndarray
    scores: np.ndarray


def label_batches(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
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
        image: decodes the photo of an index, `[h, w, 3] u8`; asked once a photo.
        inputs: prepares a batch for the graph part.
        write: saves what was found in the photo of an index.
        output: the file that `write` writes last for an index.
        config: the whole configuration.

    Returns:
        The photos whose scores are not finite, on whichever host; nothing is written for them.
    """
    settings = config.graph
    seen = [network_size(size, longer_side_scale(size, settings.longer_side)) for size in sizes]
    plans = make_plans(seen, batch_size=settings.batch_size, bucket=settings.bucket)
    label = make_label_program(config)
    failed = np.zeros(len(names), bool)

    def work(plan: Plan) -> None:
        shown = [seen[index] for index in plan.indices]
        photos = {index: image(index) for index in set(plan.indices)}
        batch = Batch(
            plan.indices,
            [photos[index] for index in plan.indices],
            shown,
            plan.shape,
            [grid_size(size) for size in shown],
            grid_size(plan.shape),
        )
        given = inputs(batch)
        outputs = jax.tree.map(np.asarray, label(given))
        for row, index in enumerate(plan.indices[: plan.real]):
            height, width = batch.grids[row]
            one = jax.tree.map(lambda x, r=row, h=height, w=width: x[r][..., :h, :w], outputs)
            if not np.isfinite(one.log_probs).all():
                failed[index] = True
                continue
            class_ids = np.asarray([0, *(np.flatnonzero(given.present[row]) + 1)], np.uint8)
            full = full_scores(batch.photos[row], one.log_probs[class_ids], config)
            boundary = np.asarray(given.boundary[row, :height, :width])
            write(
                index,
                Labelled(class_ids, boundary, one.seeds, one.walk, one.log_probs, full),
            )

    # A fit is many small products, which do not keep a second core busy, and the photos before and
    # after it are the host's work: two batches side by side.
    run_plans(plans, output, work, "pseudo labels", at_once=2)
    return [
        Skipped(name, f"{name}: the GCN's scores are not finite")
        for name, lost in zip(names, any_across_hosts(failed), strict=True)
        if lost
    ]
