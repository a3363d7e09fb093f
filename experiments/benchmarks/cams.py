"""Whose CAMs are best on real photos: the trained classifier's, ImageNet's head's, or their mean.

Computes the CAMs of the first training photos of a finished run with its own classifier, with
ImageNet's head, and with both, at the configured scales and without the largest, and scores them
against the true masks at the threshold that suits each best, in percent mIoU. Of a run that trained
no classifier (`--config.cams.sources=imagenet`) only the head is scored.
"""

import argparse
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax.pipeline.cam_sources import configured_program
from wsgcn_jax.pipeline.cams import cams_of_batch
from wsgcn_jax.pipeline.classifier import is_linear
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.evaluate import (
    THRESHOLDS,
    best_threshold,
    class_ids_of,
    confusions_by_threshold,
)
from wsgcn_jax.pipeline.inference import grid_size, make_plans, network_size
from wsgcn_jax.pipeline.progress import progress
from wsgcn_jax.pipeline.scores import best_class
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import DataError

from . import relabel as relabelling
from .relabel import make_config, percent

SOURCES = ("trained", "imagenet", "trained,imagenet")

_BATCH = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which photos."""
    relabelling.add_options(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns mIoU and threshold by sources and scales."""
    if not options.workdir.is_dir():  # opening one would make it
        raise DataError(f"{options.workdir} is no folder; give the work folder of a run")
    figures: dict[str, Any] = {}
    trained = _has_classifier(make_config(options), options)
    if not trained:
        print(f"{options.workdir} trained no classifier: ImageNet's head alone is scored")
    for sources in SOURCES if trained else ("imagenet",):
        config = make_config(options)
        config.cams.sources = sources
        scales = tuple(config.cams.scales)
        fewer = tuple(scale for scale in scales if scale < max(scales))
        for chosen in (scales, *([fewer] if fewer else [])):
            config.cams.scales = chosen
            name = f"{sources}, scales {', '.join(map(str, sorted(chosen)))}"
            figures[name] = _score(config, options)
            print(f"{name}: {figures[name]}", flush=True)
    return figures


def _score(config: ConfigDict, options: argparse.Namespace) -> dict[str, float]:
    """CAMs of the photos at their best threshold."""
    context = Context(config, Workspace(options.workdir))
    split = context.scored()
    first = range(min(options.photos, len(split)))
    labelled = np.asarray(split.labels.any(0))
    folder = context.folder("classifier")
    program = configured_program(config, split.classes[1:], labelled, folder)
    sizes = [network_size(split.sizes[index], 1.0) for index in first]
    count = len(split.classes)
    swept = np.zeros((len(THRESHOLDS), count, count), np.int64)
    for plan in progress(make_plans(sizes, batch_size=_BATCH, bucket=config.cams.bucket), "CAMs"):
        maps = cams_of_batch(program, split, plan, config.cams.scales)
        for row, index in enumerate(plan.indices[: plan.real]):
            example = split[index]
            if example.mask is None:
                continue
            present = np.flatnonzero(split.labels[index])
            height, width = grid_size(split.sizes[index])
            cam = maps[row, present, :height, :width].astype(np.float32)
            enlarged = resize_maps(cam, (example.mask.shape[0], example.mask.shape[1]))
            best, value = best_class(enlarged, (present + 1).astype(np.uint8))
            swept += confusions_by_threshold(example.mask, best, value, count)
    if not swept.any():
        raise DataError(f"{options.root}: none of the first photos has a true mask; give --photos")
    classes = class_ids_of(split.classes, config.report.classes)
    at = best_threshold(swept, classes)
    return {"miou": percent(swept[at], classes), "threshold": float(THRESHOLDS[at])}


def _has_classifier(config: ConfigDict, options: argparse.Namespace) -> bool:
    """Whether the run trained one."""
    context = Context(config, Workspace(options.workdir))
    stamp = context.workspace.stamp("classifier")
    if stamp is None or not stamp.complete:
        raise DataError(f"{options.workdir}: finish the classifier stage of this run first")
    return is_linear(config.classifier) or bool(read_curve(context.folder("classifier")))
