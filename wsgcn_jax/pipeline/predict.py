"""Masks from a trained segmenter, without the configuration that trained it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.crf import Settings
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline.inference import (
    Plan,
    ScaledPhotos,
    grid_size,
    make_plans,
    mirrored_mean_on_grid,
    network_size,
    scaled_photos,
)
from wsgcn_jax.pipeline.photo_crf import make_photo_crf
from wsgcn_jax.pipeline.presence import reweigh
from wsgcn_jax.pipeline.run_plans import run_plans, too_large
from wsgcn_jax.pipeline.saved_segmenter import Description, Segmenter
from wsgcn_jax.pipeline.scores import argmax_resized
from wsgcn_jax.resize import resize_maps, resize_photo
from wsgcn_jax.types import DataError


def seen_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Returns the size at which the network sees a photo: its own, or what is bearable."""
    return network_size(size, min(1.0, longer_side / max(size)))


def predict(
    segmenter: Segmenter,
    sizes: Sequence[tuple[int, int]],
    read: Callable[[int], np.ndarray],
    path: Callable[[int], Path],
    what: str,
    *,
    crf: Settings | None = None,
) -> list[tuple[int, str]]:
    """Writes a mask for every photo that has none yet, at the photo's own size.

    Args:
        segmenter: the network.
        sizes: (height, width) of every photo.
        read: index -> photo `[h, w, 3] u8`; DataError where it cannot be read.
        path: index -> its mask's file.
        what: a word for the progress line.
        crf: refines the probabilities, at the size at which the network sees the photo.

    Returns:
        (index, reason) of the photos that could not be read, or do not fit into the memory.
    """
    network, description, presence = segmenter
    program = multi_scale_probabilities(network, description)
    class_ids = np.arange(len(description.classes), dtype=np.uint8)
    seen = [seen_size(size, description.longer_side) for size in sizes]
    plans = make_plans(seen, batch_size=description.batch_size, bucket=description.bucket)
    broken: dict[int, str] = {}
    refine = None if crf is None else make_photo_crf(seen, crf)
    # One batch's networks at a time, beside which a CPU refines the batch before photo by photo.
    device, on_cpu = threading.Lock(), jax.default_backend() == "cpu"

    def photo(index: int) -> np.ndarray:
        try:
            return resize_photo(read(index), seen[index])
        except DataError as error:
            broken[index] = str(error)
            return np.zeros((*seen[index], 3), np.uint8)

    def work(plan: Plan) -> None:
        once = {index: photo(index) for index in dict.fromkeys(plan.indices)}
        photos = [once[index] for index in plan.indices]
        grids = [grid_size(seen[index]) for index in plan.indices]
        scaled = scaled_photos(photos, plan.shape, description.scales)
        with device:
            found = program(scaled, np.asarray(grids, np.int32), grid_size(plan.shape))
            if presence is not None:
                found = reweigh(found, jnp.asarray(presence(photos)))
            probabilities = np.asarray(found)
        rows = [row for row in range(plan.real) if plan.indices[row] not in broken]
        maps: Iterator[np.ndarray] = (
            np.moveaxis(probabilities[row, : grids[row][0], : grids[row][1]], 2, 0) for row in rows
        )
        if refine is not None:
            full = (
                resize_maps(scores, seen[plan.indices[row]])
                for row, scores in zip(rows, maps, strict=True)
            )
            maps = refine([photos[row] for row in rows], full, len(plan.indices))
            if not on_cpu:
                with device:
                    maps = iter(list(maps))
        for row, scores in zip(rows, maps, strict=True):
            index = plan.indices[row]
            data.write_mask(path(index), argmax_resized(scores, sizes[index], class_ids))

    names = [path(index).stem for index in range(len(sizes))]
    large = run_plans(plans, path, work, what)
    reasons = (photo.reason for photo in too_large(names, large))
    return sorted({**broken, **dict(zip(large, reasons, strict=True))}.items())


def multi_scale_probabilities(
    net: Network, description: Description
) -> Callable[[ScaledPhotos, np.ndarray, tuple[int, int]], jax.Array]:
    """Compiles the probabilities of a batch: the network's program for each shape, and the fusion.

    Args:
        net: the segmenter.
        description: how photos are seen.

    Returns:
        (photos, real sizes of the grids `[b, 2] i32`, padded grid) -> `[b, H, W, c] f32`.
    """
    logits = over_devices(logits_at_scale(net, description), convolution_options())
    fused = over_devices(fused_probabilities)

    def program(photos: ScaledPhotos, grids: np.ndarray, shape: tuple[int, int]) -> jax.Array:
        scales = [
            logits(net.variables, (images, sizes, grids), shape=shape)
            for images, sizes in zip(*photos, strict=True)
        ]
        found: jax.Array = fused(None, scales, fuse=description.fuse)
        return found

    return program


def logits_at_scale(net: Network, description: Description) -> Callable[..., jax.Array]:
    """Builds the function that gives a batch's logits at one scale; not compiled.

    Args:
        net: the segmenter.
        description: how photos are seen.

    Returns:
        (variables, (photos `[b, h, w, 3] u8`, their real sizes, real sizes of the grids),
        shape=padded grid) -> `[b, H, W, c] f32`.
    """

    def program(
        variables: Any, batch: tuple[jax.Array, jax.Array, jax.Array], *, shape: tuple[int, int]
    ) -> jax.Array:
        return mirrored_mean_on_grid(
            net, variables, *batch, backbone=description.backbone, shape=shape
        )

    return program


def fused_probabilities(_: None, scales: Sequence[jax.Array], *, fuse: str) -> jax.Array:
    """Fuses the logits of a batch's scales; not compiled.

    Args:
        scales: `[b, H, W, c] f32` each.
        fuse: see `Description`.

    Returns:
        Probabilities `[b, H, W, c] f32`.
    """
    each = jnp.stack(scales)
    if fuse == "max":
        return jax.nn.softmax(each.max(axis=0))
    return jax.nn.softmax(each).mean(axis=0)
