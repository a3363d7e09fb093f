"""What a run is given besides its photos, looked at before hours are spent."""

import os
from collections.abc import Collection, Sequence

import jax
from etils.epath import Path, PathLike
from ml_collections import ConfigDict

from wsgcn_jax.data import FolderSource
from wsgcn_jax.data.files import unknown_name
from wsgcn_jax.data.outputs import check_work_folder
from wsgcn_jax.models.imagenet_weights import packaged_weights
from wsgcn_jax.pipeline import segmenter
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.evaluate import class_ids_of
from wsgcn_jax.settings import OPTIONAL
from wsgcn_jax.types import DataError

_TRAINED = ("classifier", "boundary", "segmenter")


def check_place(config: ConfigDict, root: PathLike, stages: Sequence[str]) -> None:
    """Refuses a work folder among the photos, or photos and masks among its results.

    Args:
        config: the whole configuration.
        root: the work folder, which need not be there.
        stages: the folders in it that stages own.

    Raises:
        DataError: the folders cannot be told apart.
    """
    section = config.data
    if section.source == "shapes" or not section.root:
        return
    photos = Path(os.path.expanduser(section.root))
    own = section.source == "folder"
    walked = FolderSource(photos, section.labels, section.masks).walked() if own else ()
    masks = photos / section.masks if own and section.masks else None
    check_work_folder(
        root,
        stages,
        {"the photos' folder": photos, "the true masks' folder": masks},
        walked,
    )


def check_inputs(context: Context, todo: Collection[str]) -> None:
    """Checks splits, classes, first weights and batches of the stages that are to run.

    Args:
        context: the run.
        todo: the stages.

    Raises:
        DataError: something is missing, unknown, or cannot be split over the devices.
    """
    config = context.config
    _check_splits(context)
    if "evaluate" in todo:
        class_ids_of(context.source.classes(), config.report.classes)
    for stage in (name for name in _TRAINED if name in todo):
        check_batches(stage, config[stage])
    for stage in (name for name in _TRAINED[:2] if name in todo):
        init = config[stage].init
        if init and not Path(init).is_dir():
            raise DataError(f"{stage}.init: {init} is no folder; run experiments.convert")
        if not init:
            _check_backbone(config)
    if "segmenter" in todo:
        segmenter.check_start(config)
        if config.segmenter.presence:
            _check_backbone(config)


def _check_backbone(config: ConfigDict) -> None:
    weights = config.backbone.weights
    if weights and not Path(weights).exists():
        raise DataError(f"backbone.weights: {weights} is not there; check the path")
    if not weights:
        packaged_weights(config.backbone.name)


def check_batches(stage: str, settings: ConfigDict) -> None:
    """Checks that a training's batches can be split over the devices.

    Args:
        stage: its name.
        settings: its section of the configuration.

    Raises:
        DataError: they cannot.
    """
    parts = jax.device_count() * settings.accumulate
    if settings.epochs and settings.batch_size % parts:
        raise DataError(
            f"{stage}.batch_size: {settings.batch_size} cannot be split over "
            f"{jax.device_count()} devices and {settings.accumulate} accumulated parts; use a "
            f"multiple of {parts}"
        )


_SPLITS = ("train_split", "pseudo_split", "val_split", "score_split")


def _check_splits(context: Context) -> None:
    """Checks that the splits exist, and that the scored photos are among those labelled."""
    listing, section = context.source.listing(), context.config.data
    for name in context.splits:
        if name and name not in listing:
            key = next(key for key in _SPLITS if section[key] == name)
            none = " (None: there is none)" if f"data.{key}" in OPTIONAL else ""
            raise unknown_name(name, listing, what="split", where=f"data.{key}{none}")
    if section.score_split:
        others = {*listing[section.score_split]} - {*listing[section.pseudo_split]}
        if others:
            raise DataError(
                f"data.score_split: {len(others)} photos of {section.score_split!r} "
                f"({min(others)}) are not in data.pseudo_split={section.pseudo_split!r}"
            )
