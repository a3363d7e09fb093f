"""Stage: DeepLab trained on the pseudo labels, and its masks of the validation photos."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.devices import over_devices
from wsgcn_jax.pipeline.inference import (
    Plan,
    ScaledPhotos,
    grid_size,
    make_plans,
    mirrored_mean_on_grid,
    network_size,
    run_plans,
    scaled_photos,
)
from wsgcn_jax.pipeline.scores import argmax_labels, resize_maps
from wsgcn_jax.types import Skipped


def network(context: Context, classes: int) -> networks.Network:
    """Builds the segmenter, ImageNet weights in its backbone.

    Args:
        context: the run.
        classes: number of classes, background included.
    """
    settings = context.config.segmenter
    return networks.build(
        context.key("segmenter"),
        context.config,
        lambda backbone: DeepLabV2(
            backbone=backbone, num_classes=classes, rates=tuple(settings.rates)
        ),
        output_stride=settings.output_stride,
        frozen_taps=settings.frozen_taps,
    )


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Trains on the pseudo labels, then writes `val/NAME.png` for each validation photo."""
    settings = context.config.segmenter
    split = context.split(context.config.data.pseudo_split)
    net = network(context, len(split.classes))
    backbone = context.config.backbone.name

    def loss(
        params: Any, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        logits = net.apply({"params": params, **frozen}, x, batch["valid"])
        return segmentation_loss(logits, batch["label_map"]), {}

    networks.run_training(
        folder,
        net,
        networks.LabelledPhotos(split, context.folder("pseudo_labels")),
        networks.crop_with_labels(settings.scales, settings.crop),
        loss,
        settings=settings,
        rates={"backbone": settings.learning_rate, "head": settings.head_learning_rate},
        group_of=lambda path: "backbone" if path[0] == "backbone" else "head",
        seed=context.config.seed + 2,
    )
    if context.config.data.val_split:
        predict(
            networks.load(folder, net),
            context.split(context.config.data.val_split),
            folder / "val",
            backbone=backbone,
            scales=settings.test_scales,
            batch_size=settings.test_batch_size,
            bucket=settings.test_bucket,
        )
    return ()


def predict(
    net: networks.Network,
    split: data.Split,
    folder: Path,
    *,
    backbone: str,
    scales: Sequence[float],
    batch_size: int,
    bucket: int,
) -> None:
    """Writes a mask for every photo: mean probability over scales and mirror images.

    Args:
        net: the trained segmenter.
        split: the photos.
        folder: where `NAME.png` goes.
        backbone: name of the backbone, for the normalisation.
        scales: of the photo.
        batch_size: photos a batch.
        bucket: padded sides are multiples of this.
    """
    folder.mkdir(exist_ok=True)
    program = _make_program(net, backbone)
    keys = np.arange(len(split.classes), dtype=np.uint8)
    sizes = [network_size(size, 1.0) for size in split.sizes]
    plans = make_plans(sizes, batch_size=batch_size, bucket=bucket)

    def path(index: int) -> Path:
        return folder / f"{split.names[index]}.png"

    def work(plan: Plan) -> None:
        photos = [split[index].image for index in plan.indices]
        grids = [grid_size(sizes[index]) for index in plan.indices]
        probabilities = np.asarray(
            program(
                scaled_photos(photos, plan.shape, scales),
                np.asarray(grids, np.int32),
                grid_size(plan.shape),
            )
        )
        for row, index in enumerate(plan.indices[: plan.real]):
            height, width = grids[row]
            scores = np.moveaxis(probabilities[row, :height, :width], 2, 0)
            full = resize_maps(scores, split.sizes[index])
            data.write_mask(path(index), argmax_labels(full, keys))

    run_plans(plans, path, work, "segmenter on val")


def _make_program(
    net: networks.Network, backbone: str
) -> Callable[[ScaledPhotos, np.ndarray, tuple[int, int]], jax.Array]:
    """(photos, sizes of the grids, padded grid) -> probabilities `[b, H, W, c]` on the grid."""

    def program(
        variables: Any, batch: tuple[ScaledPhotos, jax.Array], *, shape: tuple[int, int]
    ) -> jax.Array:
        photos, grids = batch
        logits = partial(mirrored_mean_on_grid, net, variables, backbone=backbone, shape=shape)
        each = [jax.nn.softmax(logits(x, n, grids)) for x, n in zip(*photos, strict=True)]
        return jnp.stack(each).mean(axis=0)

    spread = over_devices(program)
    return lambda photos, grids, shape: spread(net.variables, (photos, grids), shape=shape)
