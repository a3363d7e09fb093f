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
from wsgcn_jax.models.cam import flip_valid, resize_valid
from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.inference import (
    Plan,
    grid_size,
    make_plans,
    network_size,
    padded_photos,
    run_plans,
    valid_mask,
)
from wsgcn_jax.pipeline.scores import argmax_labels, resize_maps
from wsgcn_jax.types import Skipped


class PseudoLabelled:
    """The photos that have a pseudo label, with it."""

    def __init__(self, split: data.Split, folder: Path) -> None:
        """Takes the photos and the folder of the pseudo labels."""
        self._split, self._folder = split, folder
        self._indices = [i for i, n in enumerate(split.names) if (folder / f"{n}.png").exists()]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and label map."""
        index = self._indices[position]
        mask = data.read_mask(self._folder / f"{self._split.names[index]}.png")
        return self._split[index].image, mask


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

    def augment(photo: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> data.Crop:
        return data.train_crop(rng, *photo, scales=settings.scales, crop=settings.crop)

    def loss(
        params: Any, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        logits = net.apply({"params": params, **frozen}, x, batch["valid"])
        return segmentation_loss(logits, batch["label_map"]), {}

    networks.run_training(
        folder,
        net,
        PseudoLabelled(split, context.folder("pseudo_labels")),
        augment,
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
        images, seen = [], []
        for scale in scales:
            seen.append([network_size(sizes[index], scale) for index in plan.indices])
            images.append(padded_photos(photos, seen[-1], network_size(plan.shape, scale)))
        grids = [grid_size(sizes[index]) for index in plan.indices]
        probabilities = np.asarray(
            program(images, np.asarray(seen, np.int32), np.asarray(grids, np.int32), plan.shape)
        )
        for row, index in enumerate(plan.indices[: plan.real]):
            height, width = grids[row]
            scores = np.moveaxis(probabilities[row, :height, :width], 2, 0)
            full = resize_maps(scores, split.sizes[index])
            data.write_mask(path(index), argmax_labels(full, keys))

    run_plans(plans, path, work, "segmenter on val")


def _make_program(
    net: networks.Network, backbone: str
) -> Callable[[list[np.ndarray], np.ndarray, np.ndarray, tuple[int, int]], jax.Array]:
    """(photos of each scale, sizes, grids, padded shape) -> `[b, H, W, c]` on the stride-4 grid."""

    @partial(jax.jit, static_argnames="shape")
    def program(
        variables: Any,
        photos: list[jax.Array],
        sizes: jax.Array,
        grids: jax.Array,
        *,
        shape: tuple[int, int],
    ) -> jax.Array:
        total = jnp.zeros(())
        for images, size in zip(photos, sizes, strict=True):
            valid = valid_mask(size, (images.shape[1], images.shape[2]))
            x = normalise(images, backbone, valid)
            both = jnp.concatenate([x, jax.vmap(flip_valid)(x, size[:, 1])])
            logits = net.apply(variables, both, jnp.concatenate([valid, valid]))
            stride = images.shape[1] // logits.shape[1]
            straight, mirrored = jnp.split(logits, 2)
            logits = (straight + jax.vmap(flip_valid)(mirrored, size[:, 1] // stride)) / 2
            to_grid = partial(resize_valid, out_shape=grid_size(shape))
            logits = jax.vmap(to_grid)(logits, size // stride, grids)
            total = total + jax.nn.softmax(logits)
        return total / len(photos)

    return lambda photos, sizes, grids, shape: program(
        net.variables, photos, jnp.asarray(sizes), grids, shape=shape
    )
