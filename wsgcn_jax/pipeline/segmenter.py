"""Stage: DeepLab trained on the pseudo labels, and its masks of the validation photos."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.crf import DEEPLAB
from wsgcn_jax.data.class_list import write_classes
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.models.imagenet_weights import packaged_weights
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import classifier, networks, presence
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.predict import predict
from wsgcn_jax.pipeline.saved_segmenter import Description, describe, load_segmenter
from wsgcn_jax.pipeline.targets import training_photos
from wsgcn_jax.pipeline.training import crop_with_labels, run_training
from wsgcn_jax.trainer.loop import Loss
from wsgcn_jax.types import DataError, Skipped


def network(
    key: jax.Array, config: ConfigDict, classes: int, *, classifier_folder: Path | None = None
) -> Network:
    """Builds the segmenter with the weights that it starts from.

    Args:
        key: PRNG key of the head's weights.
        config: the whole configuration (`backbone`, `classifier`, `segmenter` are read).
        classes: number of classes, background included.
        classifier_folder: of the run's trained classifier; read where the segmenter starts from it.
    """
    settings = config.segmenter
    name = backbone_name(config)
    init: str | None = settings.init
    weights: str | Mapping[str, Any] | None = _weights(config)
    if config.segmenter.init == classifier.AS_INIT:
        assert classifier_folder is not None
        init = None
        weights = _classifier_backbone(config, classes, classifier_folder)
    return networks.build(
        key,
        name,
        lambda backbone: DeepLabV2(
            backbone=backbone,
            num_classes=classes,
            rates=tuple(settings.rates),
            decoder=settings.decoder,
        ),
        weights=weights,
        init=init,
        output_stride=settings.output_stride,
        frozen_stages=settings.frozen_stages,
        use_batch_stats=settings.batch_statistics,
        undilated_first=settings.undilated_first,
        ceil_pool=name.endswith("caffe"),
    )


def backbone_name(config: ConfigDict) -> str:
    """Returns the name of the segmenter's backbone: its own, or the other networks'."""
    return config.segmenter.backbone or config.backbone.name


def needs_classifier(config: ConfigDict) -> bool:
    """Tells whether the segmenter starts from the run's own classifier, or its masks ask it."""
    return config.segmenter.init == classifier.AS_INIT or config.segmenter.presence


def check_start(config: ConfigDict) -> None:
    """Looks for the segmenter's first weights, before hours are spent on the stages before it.

    Raises:
        DataError: they are not there.
    """
    init, weights = config.segmenter.init, _weights(config)
    if init and init != classifier.AS_INIT and not Path(init).is_dir():
        raise DataError(
            f"segmenter.init: {init} is no folder; give one that experiments.convert wrote from a "
            f"whole DeepLab, or {classifier.AS_INIT!r}"
        )
    if not init and weights and not Path(weights).exists():
        raise DataError(f"segmenter.weights: {weights} is not there; check the path")
    if not init and not weights:
        try:
            packaged_weights(backbone_name(config))
        except DataError as error:
            raise DataError(f"segmenter.weights: {error}; or a folder of convert") from error


def _weights(config: ConfigDict) -> str | None:
    """Returns the file or folder of the backbone's weights; None: the installed package's."""
    shared = backbone_name(config) == config.backbone.name
    return config.segmenter.weights or (config.backbone.weights if shared else None)


def _classifier_backbone(config: ConfigDict, classes: int, folder: Path) -> dict[str, Any]:
    """Reads the backbone of the run's trained classifier."""
    net = classifier.load(folder, config, classes - 1)
    return {name: tree["backbone"] for name, tree in net.variables.items()}


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Trains on the pseudo labels, then writes `val/NAME.png` for each validation photo."""
    settings = context.config.segmenter
    split = context.split(context.config.data.pseudo_split)
    net = network(
        context.key("segmenter"),
        context.config,
        len(split.classes),
        classifier_folder=context.folder("classifier"),
    )
    describe(folder, description(context.config, split.classes))
    run_training(
        folder,
        net,
        training_photos(context, split),
        crop_with_labels(settings.scales, settings.crop),
        make_loss(net, settings, backbone_name(context.config)),
        settings=settings,
        rates={
            "backbone": settings.learning_rate,
            "norm": settings.learning_rate if settings.train_norms else 0.0,
            "head": settings.head_learning_rate,
            "head_bias": 2 * settings.head_learning_rate,
        },
        group_of=group_of,
        seed=context.config.seed + 2,
    )
    if settings.presence:
        classes = len(split.classes) - 1
        shows = classifier.load(context.folder("classifier"), context.config, classes)
        presence.save(folder, shows)
    if context.config.data.val_split:
        val = context.split(context.config.data.val_split)
        (folder / "val").mkdir(exist_ok=True)
        if is_primary():
            write_classes(folder / "val", split.classes)
        photos = val.without_masks()
        broken = predict(
            load_segmenter(folder),
            val.own_sizes,
            lambda index: photos[index].image,
            lambda index: folder / "val" / f"{val.names[index]}.png",
            "segmenter on val",
            crf=DEEPLAB if settings.crf else None,
        )
        return [Skipped(val.names[index], reason) for index, reason in broken]
    return ()


def make_loss(net: Network, settings: ConfigDict, backbone: str) -> Loss:
    """Builds the objective: the cross entropy, or its sum over scales and their maximum.

    Args:
        net: the segmenter.
        settings: its section of the configuration.
        backbone: name of the backbone, for the normalisation.
    """
    dtype = jnp.bfloat16 if settings.bfloat16 else jnp.float32
    moving = ["batch_stats"] if settings.batch_statistics else []
    scales = tuple(settings.multi_scale)
    measure = partial(segmentation_loss, balanced=settings.balanced)

    def loss(
        params: Any, statistics: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        x = normalise(batch["image"], backbone, batch["valid"]).astype(dtype)
        labels, scores = batch["label_map"], batch.get("scores")
        run = partial(net.module.apply, {"params": params, **statistics}, x, batch["valid"])
        if not scales:
            logits, moved = run(mutable=moving)
            return measure(logits, labels, scores=scores), ({}, {**statistics, **moved})
        each, moved = run(
            scales=scales, by_size=settings.scale_by_size, method="multi_scale", mutable=moving
        )
        losses = [measure(logits, labels, scores=scores) for logits in each]
        return jnp.stack(losses).sum(), ({"fused": losses[-1]}, {**statistics, **moved})

    return loss


def group_of(path: tuple[str, ...]) -> str:
    """Returns a parameter's group: the head (all behind the backbone), its biases, the others."""
    if path[0] != "backbone":
        return "head_bias" if path[-1].endswith("bias") else "head"
    return "norm" if path[-1] in ("scale", "bias") else "backbone"


def description(config: ConfigDict, classes: Sequence[str]) -> Description:
    """Returns what `network.json` says of the segmenter of a configuration and its classes."""
    settings = config.segmenter
    return Description(
        classes=tuple(classes),
        backbone=backbone_name(config),
        output_stride=settings.output_stride,
        rates=tuple(settings.rates),
        undilated_first=settings.undilated_first,
        scales=tuple(settings.eval_scales),
        fuse="max" if settings.multi_scale else "mean",
        longer_side=settings.eval_longer_side,
        batch_size=settings.eval_batch_size,
        bucket=settings.eval_bucket,
        decoder=settings.decoder,
        presence=config.backbone.name if settings.presence else None,
    )
