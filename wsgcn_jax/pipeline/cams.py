"""Stage: class activation maps of every photo that gets a pseudo label (method section 1)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.cam import flip_valid, normalise_cam, resize_valid
from wsgcn_jax.pipeline import classifier, networks
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.inference import (
    CELL,
    Plan,
    grid_size,
    make_plans,
    network_size,
    padded_photos,
    run_plans,
    valid_mask,
)
from wsgcn_jax.pipeline.workspace import read_arrays, write_arrays
from wsgcn_jax.types import Skipped


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes `NAME.npz` for each photo: `cam [k, H, W] f16` in [0, 1] and `keys [k] u8`."""
    settings = context.config.cams
    split = context.split(context.config.data.pseudo_split)
    net = networks.load(
        context.folder("classifier"), classifier.network(context, len(split.classes) - 1)
    )
    program = make_program(net, context.config.backbone.name)
    plans = make_plans(
        [network_size(size, 1.0) for size in split.sizes],
        batch_size=settings.batch_size,
        bucket=settings.bucket,
    )

    def path(index: int) -> Path:
        return folder / f"{split.names[index]}.npz"

    def work(plan: Plan) -> None:
        maps = cams_of_batch(program, split, plan, settings.scales)
        for row, index in enumerate(plan.indices[: plan.real]):
            keys = np.flatnonzero(split.labels[index])
            height, width = grid_size(split.sizes[index])
            cam = maps[row, keys, :height, :width]
            write_arrays(path(index), {"cam": cam, "keys": (keys + 1).astype(np.uint8)})

    run_plans(plans, path, work, "cams")
    return ()


Program = Callable[[list[np.ndarray], list[np.ndarray], np.ndarray, tuple[int, int]], jax.Array]
"""(photos of each scale, their real sizes, sizes of the grids, padded grid) -> CAMs."""


def make_program(net: networks.Network, backbone: str) -> Program:
    """Compiles multi-scale CAMs of a batch.

    Args:
        net: the trained classifier.
        backbone: its name, for the normalisation.

    Returns:
        The program; it gives `[b, classes, *grid] f16` in [0, 1], zero in the padding.
    """

    @partial(jax.jit, static_argnames="shape")
    def program(
        variables: Any,
        photos: list[jax.Array],
        sizes: list[jax.Array],
        grids: jax.Array,
        *,
        shape: tuple[int, int],
    ) -> jax.Array:
        total = jnp.zeros(())
        for images, size in zip(photos, sizes, strict=True):
            valid = valid_mask(size, (images.shape[1], images.shape[2]))
            x = normalise(images, backbone, valid)
            both = jnp.concatenate([x, jax.vmap(flip_valid)(x, size[:, 1])])
            cam = net.apply(variables, both, jnp.concatenate([valid, valid]), method="cam")
            straight, mirrored = jnp.split(cam, 2)
            cam = straight + jax.vmap(flip_valid)(mirrored, size[:, 1] // CELL)
            to_grid = partial(resize_valid, out_shape=shape)
            total = total + jax.vmap(to_grid)(cam, size // CELL, grids)
        maps = jnp.moveaxis(total, 3, 1)
        return jax.vmap(normalise_cam)(maps, valid_mask(grids, shape)).astype(jnp.float16)

    return lambda photos, sizes, grids, shape: program(
        net.variables, photos, sizes, grids, shape=shape
    )


def cams_of_batch(
    program: Program, split: data.Split, plan: Plan, scales: Sequence[float]
) -> np.ndarray:
    """Computes the CAMs of one batch.

    Args:
        program: of `make_program`.
        split: the photos.
        plan: the batch.
        scales: of the photo.

    Returns:
        `[b, classes, H, W] f16`, H x W the padded grid.
    """
    photos = [split[index].image for index in plan.indices]
    images, sizes = [], []
    whole = [network_size((p.shape[0], p.shape[1]), 1.0) for p in photos]
    for scale in scales:
        seen = [network_size(size, scale) for size in whole]
        images.append(padded_photos(photos, seen, network_size(plan.shape, scale)))
        sizes.append(np.asarray(seen, np.int32))
    grids = np.asarray([grid_size((p.shape[0], p.shape[1])) for p in photos], np.int32)
    # A photo may be up to half a cell larger than the size at which the network sees it.
    shape = (plan.shape[0] // 4 + 2, plan.shape[1] // 4 + 2)
    return np.asarray(program(images, sizes, grids, shape))


def read_cams(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo's CAMs.

    Args:
        folder: of the stage.
        name: of the photo.

    Returns:
        (`[k, H, W] f32` in [0, 1], `[k] u8` class ids).
    """
    arrays = read_arrays(folder / f"{name}.npz")
    return arrays["cam"].astype(np.float32), arrays["keys"]
