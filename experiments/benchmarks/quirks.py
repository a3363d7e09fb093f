"""What defects of the published code would change on real photos (docs/quirks.md).

Labels the first photos of a finished run of configs/voc_animals.py again, in the sound way and in
the published one, and scores both against the true masks.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import voc_animals
from wsgcn_jax.metrics import confusion_matrix, mean_iou
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.evaluate import THRESHOLDS
from wsgcn_jax.pipeline.label_batches import Labelled
from wsgcn_jax.pipeline.label_photo import full_scores
from wsgcn_jax.pipeline.pseudo_labels import label_split
from wsgcn_jax.pipeline.scores import argmax_labels, resize_maps, resize_maps_aligned
from wsgcn_jax.pipeline.workspace import Workspace
from wsgcn_jax.types import DataError, Example

PUBLISHED_THRESHOLD = 0.25


class Labels(NamedTuple):
    """Label maps of one photo, `[h, w] u8`: sound or published."""

    final: np.ndarray
    flat_unary: np.ndarray
    gcn: np.ndarray
    all_classes: np.ndarray
    walks: tuple[np.ndarray, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--root", type=Path, required=True, help="folder that holds JPEGImages")
    parser.add_argument("--workdir", type=Path, required=True, help="of a finished run")
    parser.add_argument("--photos", type=int, default=120, help="how many (default 120)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns mIoU in percent."""
    if options.photos < 1:
        raise DataError("--photos must be at least 1")
    config = voc_animals.get_config().unlock()
    config.data.root = str(options.root)
    ours = _labels(Context(config, Workspace(options.workdir)), options.photos)
    config.seed += 1
    redrawn = _labels(Context(config, Workspace(options.workdir)), options.photos)
    config.seed -= 1
    split = Context(config, Workspace(options.workdir)).split(config.data.pseudo_split)
    examples = [split[index] for index in ours]
    classes = [split.classes.index(name) for name in config.report.classes]

    def score(pick: Callable[[Labels], np.ndarray], found: dict[int, Labels], **how: Any) -> float:
        pairs = zip(examples, (found[index] for index in ours), strict=True)
        total = sum(_confusion(e, pick(labels), len(split.classes)) for e, labels in pairs)
        return round(100 * mean_iou(total, **how), 2)

    each = {"classes": classes}
    walks = [score(lambda x, i=i: x.walks[i], ours, **each) for i in range(len(THRESHOLDS))]
    final = score(lambda x: x.final, ours, **each)
    figures = {
        "photos": len(ours),
        "3: last CRF on probabilities": final,
        "3: on their softmax": score(lambda x: x.flat_unary, ours, **each),
        "7: GCN, background and the present classes": score(lambda x: x.gcn, ours, **each),
        "7: all classes": score(lambda x: x.all_classes, ours, **each),
        "10: GCN + CRF, other starts and dropout": score(lambda x: x.final, redrawn, **each),
        "14: walk, best threshold": max(walks),
        "14: walk, the published threshold": walks[list(THRESHOLDS).index(PUBLISHED_THRESHOLD)],
        "30: classes in the truth": score(lambda x: x.final, ours),
        "30: classes in truth or prediction": score(lambda x: x.final, ours, definition="all"),
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures


def _labels(context: Context, count: int) -> dict[int, Labels]:
    """Labels the first photos, of which those with a true mask are kept."""
    split = context.split(context.config.data.pseudo_split)
    stamp = context.workspace.stamp("boundary")
    if stamp is None or not stamp.complete:
        raise DataError(f"{context.workspace.root}: finish its boundary stage first")
    found: dict[int, Labels] = {}
    wanted = {i for i in range(min(count, len(split))) if split[i].mask is not None}
    flat = context.config.copy_and_resolve_references()
    flat.crf.flat_unary = True

    def keep(index: int, photo: Labelled) -> None:
        if index not in wanted:
            return
        image, keys = split[index].image, photo.keys
        size = (image.shape[0], image.shape[1])
        walk = resize_maps(photo.walk[keys[1:] - 1], size)
        walk /= max(float(walk.max()), 1e-5)
        enlarged = resize_maps_aligned(photo.log_probs, size)
        again = full_scores(image, photo.log_probs[keys], flat)
        found[index] = Labels(
            argmax_labels(photo.scores, keys),
            argmax_labels(again, keys),
            argmax_labels(enlarged[keys], keys),
            argmax_labels(enlarged, np.arange(len(enlarged), dtype=np.uint8)),
            tuple(argmax_labels(walk, keys[1:], t) for t in THRESHOLDS),
        )

    with tempfile.TemporaryDirectory() as folder:
        done, todo = Path(folder), Path(folder) / "not yet"
        label_split(context, split, keep, lambda index: todo if index in wanted else done)
    return dict(sorted(found.items()))


def _confusion(example: Example, labels: np.ndarray, classes: int) -> np.ndarray:
    assert example.mask is not None
    return confusion_matrix(example.mask, labels, classes)
