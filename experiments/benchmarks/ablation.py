"""What each part of the GCN and its nodes' features bring on real photos: labels with and without.

Labels the first training photos of a finished run again under one change after the other, and
scores them against the true masks, in percent mIoU, without and with the CRF.
"""

import argparse
from typing import Any

import numpy as np

from wsgcn_jax import data
from wsgcn_jax.pipeline.label_batches import Labelled
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import Example

from . import relabel as relabelling
from .relabel import make_config, percent, relabel

VARIANTS: dict[str, dict[str, Any]] = {
    "as configured": {},
    "no entropy": {"gcn.entropy_weight": 0.0},
    "no Laplacian": {"gcn.laplacian_weight": 0.0},
    "neither": {"gcn.entropy_weight": 0.0, "gcn.laplacian_weight": 0.0},
    "no dropout": {"gcn.dropout": 0.0},
    "ensemble of 4": {"gcn.ensemble": 4},
    "ensemble of 8": {"gcn.ensemble": 8},
    "50 epochs": {"gcn.epochs": 50},
    "250 epochs": {"gcn.epochs": 250},
    "500 epochs": {"gcn.epochs": 500},
    "odds of objects as fitted": {"gcn.foreground_odds": 1.0},
    "mean instead of max": {"graph.symmetrise": "mean"},
    "published seeds, without their CRF": {"seeds.rule": "cam"},
    "features with the taps": {"gcn.features": "boundary,taps"},
    "features with the CAMs": {"gcn.features": "boundary,cams"},
    "features with the walk": {"gcn.features": "boundary,walk"},
    "features of the taps alone": {"gcn.features": "taps"},
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which photos and which changes."""
    relabelling.add_options(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        default=tuple(VARIANTS),
        choices=tuple(VARIANTS),
        metavar="VARIANT",
        help="some of: " + ", ".join(VARIANTS),
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns the figures by variant."""
    figures: dict[str, Any] = {}
    for name in options.only:
        config = make_config(options)
        config.update_from_flattened_dict(VARIANTS[name])
        classes = [data.VOC_CLASSES.index(label) for label in config.report.classes]
        found = relabel(config, options, _look)
        figures[name] = {step: percent(one, classes) for step, one in found.items()}
        print(f"{name}: {figures[name]}", flush=True)
    return figures


def _look(example: Example, photo: Labelled) -> dict[str, np.ndarray]:
    size = (example.image.shape[0], example.image.shape[1])
    enlarged = resize_maps(photo.log_probs[photo.class_ids], size, align_corners=True)
    return {
        "gcn": argmax_labels(enlarged, photo.class_ids),
        "gcn_crf": argmax_labels(photo.scores, photo.class_ids),
    }
