"""What defects of the published code would change on real photos (docs/quirks.md).

Labels the first training photos of a finished run again, in the sound way and in the published
one, and scores both against the true masks, in percent mIoU.
"""

import argparse
from typing import Any

import numpy as np

from wsgcn_jax import data
from wsgcn_jax.pipeline.evaluate import THRESHOLDS
from wsgcn_jax.pipeline.label_batches import Labelled
from wsgcn_jax.pipeline.label_program import make_full_scores
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import Example

from .relabel import add_options as add_options
from .relabel import make_config, percent, relabel

PUBLISHED_THRESHOLD = 0.25


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns the figures."""
    config = make_config(options)
    flat = config.copy_and_resolve_references()
    flat.crf.flat_unary = True

    def look(example: Example, photo: Labelled) -> dict[str, np.ndarray]:
        image, class_ids = example.image, photo.class_ids
        size = (image.shape[0], image.shape[1])
        walk = resize_maps(photo.walk[class_ids[1:] - 1], size)
        walk /= max(float(walk.max()), 1e-5)
        enlarged = resize_maps(photo.log_probs, size, align_corners=True)
        full_scores = make_full_scores([size], flat)
        (again,) = full_scores([image], [photo.log_probs[class_ids]], 1)
        every = np.arange(len(enlarged), dtype=np.uint8)
        return {
            "final": argmax_labels(photo.scores, class_ids),
            "flat": argmax_labels(again, class_ids),
            "gcn": argmax_labels(enlarged[class_ids], class_ids),
            "every class": argmax_labels(enlarged, every),
            **{f"walk {t}": argmax_labels(walk, class_ids[1:], t) for t in THRESHOLDS},
        }

    found = relabel(config, options, look)
    config.seed += 1
    redrawn = relabel(config, options, lambda _, p: {"final": argmax_labels(p.scores, p.class_ids)})
    classes = [data.VOC_CLASSES.index(name) for name in config.report.classes]
    figures = {
        "3: last CRF on probabilities": percent(found["final"], classes),
        "3: on their softmax": percent(found["flat"], classes),
        "7: GCN, background and the present classes": percent(found["gcn"], classes),
        "7: every class": percent(found["every class"], classes),
        "10: last CRF, other starts and dropout": percent(redrawn["final"], classes),
        "14: walk, best threshold": max(percent(found[f"walk {t}"], classes) for t in THRESHOLDS),
        "14: walk, published threshold": percent(found[f"walk {PUBLISHED_THRESHOLD}"], classes),
        "30: classes in the truth": percent(found["final"]),
        "30: in truth or prediction": percent(found["final"], definition="all"),
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures
