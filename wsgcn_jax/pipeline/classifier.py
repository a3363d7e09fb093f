"""Stage: the image-level classifier (docs/method.md section 1)."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.cam import Classifier, multilabel_soft_margin
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.doubts import doubts_of_classifier
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.training import run_training
from wsgcn_jax.trainer.loop import Loss
from wsgcn_jax.types import Example, Skipped

_LAST = 20  # steps whose accuracy says what was learnt


def network(key: jax.Array, config: ConfigDict, classes: int) -> Network:
    """Builds the classifier, ImageNet weights in its backbone.

    Args:
        key: PRNG key of the head's weights.
        config: the whole configuration (`backbone`, `classifier` are read).
        classes: number of foreground classes.
    """
    return networks.build(
        key,
        config.backbone.name,
        lambda backbone: Classifier(backbone=backbone, num_classes=classes),
        frozen_stages=config.classifier.frozen_stages,
        weights=config.backbone.weights,
        init=config.classifier.init,
    )


def make_loss(net: Network, backbone: str) -> Loss:
    """Builds the objective, the multi-label soft margin.

    Args:
        net: the classifier.
        backbone: its name, for the normalisation.
    """

    def loss(
        params: Any, statistics: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        logits = net.apply({"params": params, **statistics}, x, batch["valid"])
        right = (logits > 0) == (batch["labels"] > 0.5)
        return multilabel_soft_margin(logits, batch["labels"]), (
            {"accuracy": right.mean()},
            statistics,
        )

    return loss


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Trains the classifier on the image-level labels of the training split."""
    settings = context.config.classifier
    split = context.split(context.config.data.train_split).without_masks()
    net = network(context.key("classifier"), context.config, len(split.classes) - 1)

    def augment(example: Example, rng: np.random.Generator) -> dict[str, np.ndarray]:
        crop = data.train_crop(
            rng, example.image, None, longer_side=settings.longer_side, crop=settings.crop
        )
        labels = np.asarray(example.labels, np.float32)
        return {"image": crop["image"], "valid": crop["valid"], "labels": labels}

    run_training(
        folder,
        net,
        split,
        augment,
        make_loss(net, context.config.backbone.name),
        settings=settings,
        rates={"backbone": settings.learning_rate, "head": settings.head_learning_rate},
        group_of=lambda path: "backbone" if path[0] == "backbone" else "head",
        seed=context.config.seed,
    )
    accuracy = [value for _, value in read_curve(folder, "accuracy")]
    for doubt in doubts_of_classifier(accuracy[-_LAST:], split.labels):
        log(doubt)
    return ()
