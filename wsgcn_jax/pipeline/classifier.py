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
from wsgcn_jax.models.imagenet_classes import (
    describe_group,
    imagenet_groups,
    is_known_poorly,
)
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import networks, presence
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.doubts import doubts_of_classifier
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.training import run_training
from wsgcn_jax.trainer.loop import Loss
from wsgcn_jax.types import Example, Skipped

_LAST = 20  # steps whose accuracy says what was learnt
_ENOUGH = 50  # photos with a class, and without; of fewer ImageNet knows more
SOURCES = ("trained", "imagenet")
"""The heads that CAMs may come from."""

AS_INIT = "classifier"
"""The word for `segmenter.init`: the segmenter's backbone starts as this stage left it."""


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
        lambda backbone: Classifier(
            backbone=backbone, num_classes=classes, use_bias=is_linear(config.classifier)
        ),
        frozen_stages=config.classifier.frozen_stages,
        weights=config.backbone.weights,
        init=config.classifier.init,
    )


def load(folder: Path, config: ConfigDict, classes: int) -> Network:
    """Reads the run's classifier.

    Args:
        folder: of its finished stage.
        config: as of `network`.
        classes: number of foreground classes.
    """
    key = jax.random.key(0)  # every weight is loaded
    return networks.load(folder, network(key, config, classes))


def is_linear(settings: ConfigDict) -> bool:
    """Tells whether the head alone is fitted, by the `classifier` section."""
    return bool(settings.linear and not settings.epochs and not settings.init)


def cam_sources(config: ConfigDict) -> tuple[str, ...]:
    """Says which heads give CAMs, and checks that they can.

    Args:
        config: the whole configuration (`classifier`, `cams` are read).

    Returns:
        "trained", "imagenet" or both. Unless `cams.sources` says otherwise: the trained head's,
        and with `classifier.head=imagenet` also ImageNet's. A head that is not trained leaves the
        word to ImageNet's where that one is asked, too.
    """
    settings = config.classifier
    if config.cams.sources is None:
        sources = set(SOURCES if settings.head == "imagenet" else SOURCES[:1])
    else:
        sources = {source.strip() for source in config.cams.sources.split(",")}
    if "imagenet" in sources and not _is_trained(config.classifier):
        sources = {"imagenet"}
    return tuple(source for source in SOURCES if source in sources)


def class_groups(
    config: ConfigDict, classes: Sequence[str], labelled: Sequence[bool] | np.ndarray
) -> tuple[tuple[int, ...], ...]:
    """Finds the ImageNet classes of every class.

    Args:
        config: as of `cam_sources`.
        classes: names of the foreground classes.
        labelled: of every class whether a photo is labelled with it.

    Returns:
        As `imagenet_groups`: none for a class without a counterpart, of which the trained head
        alone then speaks.

    Raises:
        DataError: no head is trained, or a linear one although `classifier.head=imagenet` asks for
            ImageNet's, and a class that photos are labelled with has none.
    """
    settings = config.classifier
    learns = _is_trained(settings) and not (is_linear(settings) and settings.head == "imagenet")
    alone = "trained" not in cam_sources(config) and not learns
    needed = [name for name, shown in zip(classes, labelled, strict=True) if shown and alone]
    return imagenet_groups(classes, needed=needed)


def asked_of_trained(
    config: ConfigDict, classes: Sequence[str], groups: Sequence[Sequence[int]]
) -> np.ndarray:
    """Says of which classes the trained head gives CAMs.

    Args:
        config: as of `cam_sources`.
        classes: names of the foreground classes.
        groups: of `class_groups`.

    Returns:
        `[classes] bool`: all where it is a source, else those that ImageNet does not know, or, if
        any head is trained, hardly knows.
    """
    if "trained" in cam_sources(config):
        return np.ones(len(classes), bool)
    learns = _is_trained(config.classifier)
    pairs = zip(classes, groups, strict=True)
    return np.array([not group or (learns and is_known_poorly(name)) for name, group in pairs])


def as_needed(config: ConfigDict, classes: Sequence[str]) -> ConfigDict:
    """Leaves a training out that nothing would read.

    Args:
        config: the whole configuration.
        classes: names of the foreground classes.

    Returns:
        The configuration, or where ImageNet's head gives the CAMs of every class and the segmenter
        asks for no classifier, a copy by which none is trained.
    """
    groups = imagenet_groups(classes, needed=())
    read = config.segmenter.init == AS_INIT or config.segmenter.presence
    if read or asked_of_trained(config, classes, groups).any():
        return config
    copy = config.copy_and_resolve_references().unlock()
    copy.classifier.update(epochs=0, linear=False)
    return copy.lock()


def _is_trained(settings: ConfigDict) -> bool:
    return bool(settings.linear or settings.epochs or settings.init)


def _learnable(
    labels: np.ndarray, names: Sequence[str], groups: Sequence[Sequence[int]]
) -> np.ndarray:
    """Says of which classes enough photos show what they look like, and what they do not.

    Args:
        labels: `[photos, classes] bool`.
        names: of the classes.
        groups: of `class_groups`.

    Returns:
        `[classes] bool`.
    """
    photos = np.minimum(labels.sum(0), (~labels).sum(0))
    hardly = [bool(group) and is_known_poorly(n) for n, group in zip(names, groups, strict=True)]
    return np.asarray(photos >= np.where(hardly, _ENOUGH, 1))


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
    """Trains the classifier on the image-level labels of the training split, where it is needed.

    With `classifier.linear` and no epochs its head alone is fitted.
    """
    split = context.split(context.config.data.train_split).without_masks()
    settings = as_needed(context.config, split.classes[1:]).classifier
    net = network(context.key("classifier"), context.config, len(split.classes) - 1)
    learnable = np.ones(len(split.classes) - 1, bool)
    if "imagenet" in (settings.head, *cam_sources(context.config)):
        labelled = np.asarray(context.split(context.config.data.pseudo_split).labels.any(0))
        names = split.classes[1:]
        groups = class_groups(context.config, names, labelled)
        trained = asked_of_trained(context.config, names, groups) & _is_trained(settings)
        if is_linear(settings):
            learnable = _learnable(np.asarray(split.labels, bool), names, groups)
            trained &= learnable | [not group for group in groups]
        for name, group, shown, learnt in zip(names, groups, labelled, trained, strict=True):
            known = f"ImageNet's {describe_group(group)}"
            log(f"[classifier] {name} is {'learnt' if learnt else known}")
            if shown and not learnt and is_known_poorly(name):
                log(
                    f"warning: ImageNet hardly knows {name}, its CAMs will be poor; from {_ENOUGH} "
                    "photos with and without it classifier.linear=True learns more"
                )
        if _is_trained(context.config.classifier) and not _is_trained(settings):
            log("[classifier] ImageNet's head knows every class: nothing has to be trained")
        if settings.head == "imagenet" and not (settings.init or is_linear(settings)):
            backbone = context.config.backbone
            net = networks.start_from_imagenet(net, groups, backbone.name, weights=backbone.weights)
    if is_linear(settings):
        net = presence.fit(net, context.config.backbone.name, split, learnable)

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
