"""Stage: complete pseudo labels; boundary map, seeds, graph, random walk, GCN (sections 2-5)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.models.boundary import edges_and_features
from wsgcn_jax.pipeline import boundary, networks
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context, name_key
from wsgcn_jax.pipeline.devices import over_devices
from wsgcn_jax.pipeline.inference import padded_photos, photo_and_mirror, valid_mask
from wsgcn_jax.pipeline.label_batches import (
    Batch,
    Labelled,
    grid_cams,
    grid_colours,
    label_batches,
)
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.scores import argmax_labels, resize_maps
from wsgcn_jax.pipeline.workspace import write_arrays
from wsgcn_jax.types import Skipped


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes `NAME.png` (the pseudo label) and `NAME.npz` (what led to it) for each photo."""
    split = context.split(context.config.data.pseudo_split)

    def mask(index: int) -> Path:
        return folder / f"{split.names[index]}.png"

    def write(index: int, photo: Labelled) -> None:
        arrays = {
            "keys": photo.keys,
            "edge": photo.edge.astype(np.float16),
            "seeds": photo.seeds,
            "walk": photo.walk[photo.keys[1:] - 1],
            "log_probs": photo.log_probs[photo.keys],
        }
        write_arrays(mask(index).with_suffix(".npz"), arrays)
        data.write_mask(mask(index), argmax_labels(photo.scores, photo.keys))

    return label_split(context, split, write, mask)


def label_split(
    context: Context,
    split: data.Split,
    write: Callable[[int, Labelled], None],
    output: Callable[[int], Path],
) -> list[Skipped]:
    """Labels the photos of a split with the run's classifier and boundary network.

    Args:
        context: the run.
        split: its photos.
        write: takes what was found in the photo of an index.
        output: see `label_batches`.

    Returns:
        The photos that had to be left out.
    """
    net = networks.load(context.folder("boundary"), boundary.network(context))
    edges = make_edge_program(net, context.config.backbone.name)
    return label_batches(
        split.names,
        split.sizes,
        lambda index: split[index].image,
        lambda batch: _inputs(context, split, batch, edges),
        write,
        output,
        context.config,
    )


EdgeProgram = Callable[[np.ndarray, np.ndarray], tuple[jax.Array, jax.Array]]
"""(photos `[b, h, w, 3] u8`, real sizes `[b, 2]`) -> edges `[b, H, W]`, features `[b, H, W, f]`."""


def make_edge_program(net: networks.Network, backbone: str) -> EdgeProgram:
    """Compiles boundary maps and node features, averaged over photo and mirror image.

    Args:
        net: the trained boundary network.
        backbone: its name, for the normalisation.
    """

    def program(variables: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        images, sizes = batch
        photo, mirror = photo_and_mirror(net, variables, images, sizes, backbone)
        valid = valid_mask(sizes, (images.shape[1], images.shape[2]))
        return jax.vmap(edges_and_features)(photo, mirror, valid)

    spread = over_devices(program)
    return lambda images, sizes: spread(net.variables, (images, sizes))


def _inputs(context: Context, split: data.Split, batch: Batch, edges: EdgeProgram) -> PhotoInputs:
    """Collects what one batch needs and runs the boundary network on it."""
    photos = padded_photos(batch.photos, batch.sizes, batch.shape)
    edge, features = edges(photos, np.asarray(batch.sizes, np.int32))
    key = context.key("gcn")

    def cam(index: int, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        maps, ids = read_cams(context.folder("cams"), split.names[index])
        return resize_maps(maps, grid), ids

    return PhotoInputs(
        jnp.stack([name_key(key, split.names[index]) for index in batch.indices]),
        edge,
        features,
        jnp.asarray(grid_cams(batch, cam, len(split.classes))),
        jnp.asarray(split.labels[list(batch.indices)]),
        jnp.asarray(grid_colours(batch)),
        valid_mask(jnp.asarray(batch.grids, jnp.int32), batch.grid),
    )
