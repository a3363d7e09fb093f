"""Stage: class activation maps of all photos to be labelled (docs/method.md section 1)."""

import threading
from collections.abc import Sequence

import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.pipeline.cam_sources import MEGABYTES, Program, configured_program
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.inference import (
    Plan,
    ScaledPhotos,
    grid_size,
    make_plans,
    network_size,
    photos_a_batch,
    scaled_photos,
)
from wsgcn_jax.pipeline.run_plans import run_plans, too_large
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays, write_arrays
from wsgcn_jax.types import Skipped


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes `NAME.npz` for each photo: `cam [k, H, W] f16` in [0, 1] and `class_ids [k] u8`."""
    settings = context.config.cams
    split = context.split(context.config.data.pseudo_split).without_masks()
    labelled = np.asarray(split.labels.any(0))
    program = configured_program(
        context.config,
        split.classes[1:],
        labelled,
        context.folder("classifier"),
    )
    plans = make_plans(
        [network_size(size, 1.0) for size in split.sizes],
        batch_size=photos_a_batch(settings.batch_size, MEGABYTES * max(settings.scales) ** 2),
        bucket=settings.bucket,
    )

    def path(index: int) -> Path:
        return folder / f"{split.names[index]}.npz"

    device = threading.Lock()

    def alone(photos: ScaledPhotos, grids: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        with device:
            return np.asarray(program(photos, grids, shape))

    def work(plan: Plan) -> None:
        maps = cams_of_batch(alone, split, plan, settings.scales)
        for row, index in enumerate(plan.indices[: plan.real]):
            present = np.flatnonzero(split.labels[index])
            height, width = grid_size(split.sizes[index])
            cam = maps[row, present, :height, :width]
            write_arrays(path(index), {"cam": cam, "class_ids": (present + 1).astype(np.uint8)})

    large = run_plans(plans, path, work, "cams")
    return too_large(split.names, large)


def cams_of_batch(
    program: Program, split: data.Split, plan: Plan, scales: Sequence[float]
) -> np.ndarray:
    """Computes the CAMs of one batch.

    Args:
        program: of `cam_sources.make_program`.
        split: the photos.
        plan: the batch.
        scales: of the photo.

    Returns:
        `[b, classes, H, W] f16`, H x W the padded grid.
    """
    photos = [split[index].image for index in plan.indices]
    grids = np.asarray([grid_size((p.shape[0], p.shape[1])) for p in photos], np.int32)
    # A photo may be up to half a cell larger than the size at which the network sees it.
    shape = (plan.shape[0] // 4 + 2, plan.shape[1] // 4 + 2)
    return np.asarray(program(scaled_photos(photos, plan.shape, scales), grids, shape))


def read_cams(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo's CAMs.

    Args:
        folder: of the stage.
        name: of the photo.

    Returns:
        (`[k, H, W] f32` in [0, 1], `[k] u8` class ids).
    """
    arrays = read_arrays(folder / f"{name}.npz")
    return arrays["cam"].astype(np.float32), arrays["class_ids"]
