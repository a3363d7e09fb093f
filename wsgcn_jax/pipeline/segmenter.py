"""Stage: DeepLab trained on the pseudo labels, and its masks of the validation photos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.predict import Description, describe, load_segmenter, predict
from wsgcn_jax.train.loop import Loss
from wsgcn_jax.types import DataError, Skipped


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
        use_batch_stats=settings.batch_statistics,
        undilated_first=settings.undilated_first,
        ceil_pool=context.config.backbone.name.endswith("caffe"),
    )


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Trains on the pseudo labels, then writes `val/NAME.png` for each validation photo."""
    settings = context.config.segmenter
    split = context.split(context.config.data.pseudo_split)
    net = network(context, len(split.classes))
    describe(folder, _description(context.config, split.classes))
    networks.run_training(
        folder,
        net,
        _training_photos(context, split),
        networks.crop_with_labels(settings.scales, settings.crop),
        make_loss(net, settings, context.config.backbone.name),
        settings=settings,
        rates={
            "backbone": settings.learning_rate,
            "norm": settings.learning_rate if settings.train_norms else 0.0,
            "head": settings.head_learning_rate,
            "head_bias": 2 * settings.head_learning_rate,
        },
        group_of=_group,
        seed=context.config.seed + 2,
    )
    if context.config.data.val_split:
        val = context.split(context.config.data.val_split)
        (folder / "val").mkdir(exist_ok=True)
        predict(
            load_segmenter(folder),
            val.sizes,
            lambda index: val[index].image,
            lambda index: folder / "val" / f"{val.names[index]}.png",
            "segmenter on val",
        )
    return ()


def make_loss(net: networks.Network, settings: ConfigDict, backbone: str) -> Loss:
    """Builds the objective: the cross entropy, or its sum over scales and their maximum.

    Args:
        net: the segmenter.
        settings: its section of the configuration.
        backbone: name of the backbone, for the normalisation.
    """
    dtype = jnp.bfloat16 if settings.bfloat16 else jnp.float32
    moving = ["batch_stats"] if settings.batch_statistics else []
    scales = tuple(settings.multi_scale)

    def loss(
        params: Any, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        x = normalise(batch["image"], backbone, batch["valid"]).astype(dtype)
        run = partial(net.module.apply, {"params": params, **frozen}, x, batch["valid"])
        if not scales:
            logits, moved = run(mutable=moving)
            return segmentation_loss(logits, batch["label_map"]), ({}, {**frozen, **moved})
        each, moved = run(scales=scales, method="multi_scale", mutable=moving)
        losses = [segmentation_loss(logits, batch["label_map"]) for logits in each]
        return jnp.stack(losses).sum(), ({"fused": losses[-1]}, {**frozen, **moved})

    return loss


def _group(path: tuple[str, ...]) -> str:
    """The published groups: ASPP kernels learn ten times, their biases twenty times as fast."""
    if path[0] != "backbone":
        return "head_bias" if path[-1].endswith("bias") else "head"
    return "norm" if path[-1] in ("scale", "bias") else "backbone"


def _description(config: ConfigDict, classes: Sequence[str]) -> Description:
    settings = config.segmenter
    return Description(
        classes=tuple(classes),
        backbone=config.backbone.name,
        output_stride=settings.output_stride,
        rates=tuple(settings.rates),
        undilated_first=settings.undilated_first,
        scales=tuple(settings.test_scales),
        fuse="max" if settings.multi_scale else "mean",
        longer_side=settings.test_longer_side,
        batch_size=settings.test_batch_size,
        bucket=settings.test_bucket,
    )


def _training_photos(context: Context, split: data.Split) -> Any:
    if context.config.segmenter.supervision == "truth":
        return TruePhotos(split)
    return networks.LabelledPhotos(split, context.folder("pseudo_labels"))


class TruePhotos:
    """The photos of a split with their true masks: the fully supervised reference.

    Besides the scores this is the only reader of true masks, and only by
    `segmenter.supervision=truth`.
    """

    def __init__(self, split: data.Split) -> None:
        """Takes the photos.

        Raises:
            DataError: one has no mask.
        """
        self._split = split
        self._indices = [i for i in range(len(split)) if split[i].mask is not None]
        if not self._indices:
            raise DataError(
                f"{split}: no photo has a true mask; give masks, or train with "
                "--config.segmenter.supervision=pseudo"
            )

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and true mask."""
        example = self._split[self._indices[position]]
        assert example.mask is not None
        return example.image, example.mask
