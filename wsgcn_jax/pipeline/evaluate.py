"""Stage: scores against the true masks; besides `segmenter.supervision=truth` their only reader."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from etils.epath import Path

from wsgcn_jax import data, settings
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.doubts import doubts_of_scores
from wsgcn_jax.pipeline.progress import log, progress
from wsgcn_jax.pipeline.scores import argmax_labels, best_class
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays
from wsgcn_jax.resize import resize_labels, resize_maps
from wsgcn_jax.seeds import SeedQuality
from wsgcn_jax.types import IGNORE, DataError, Example, Skipped

_SCORES = "scores.json"
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)
WORST = 10
"""Photos of either split that the report shows because they went worst."""


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes `scores.json`."""
    split = context.scored()
    classes = class_ids_of(split.classes, context.config.report.classes)
    train, hardest = _score_pseudo(context, split, classes)
    scores: dict[str, Any] = {"train": train, "val": {}, "worst": {"train": hardest, "val": []}}
    if context.config.data.val_split:
        val = context.split(context.config.data.val_split)
        predictions = context.folder("segmenter") / "val"
        confusion, scores["worst"]["val"] = score_masks(
            val,
            lambda example: data.read_mask(predictions / f"{example.name}.png"),
            "scores on val",
            context.left_out("segmenter"),
            classes,
        )
        if confusion.any():
            scores["val"]["segmenter"] = _entry(confusion, val.classes, classes)
            scores["val"]["confusion"] = confusion.tolist()
    if is_primary():
        write_atomic(folder / _SCORES, json.dumps(scores, indent=1).encode())
    return ()


def publish(context: Context) -> None:
    """Puts a copy of a finished evaluation's scores where users look for it, if it is not there."""
    scores = (context.folder("evaluate") / _SCORES).read_bytes()
    copy = context.workspace.root / _SCORES
    if not copy.is_file() or copy.read_bytes() != scores:
        write_atomic(copy, scores)


def class_ids_of(names: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Returns the ids of the classes that are scored.

    Args:
        names: of the data set's classes, in the order of their ids.
        wanted: `report.classes`; None: all.

    Raises:
        DataError: the data set has no such class.
    """
    if wanted is None:
        return list(range(len(names)))
    for name in wanted:
        if name not in names:
            near = settings.did_you_mean(name, names)
            raise DataError(
                f"report.classes: no class {name!r}{near}; there are {', '.join(names)}"
            )
    return [names.index(name) for name in wanted]


def _entry(confusion: np.ndarray, names: Sequence[str], classes: list[int]) -> dict[str, Any]:
    each = 100 * iou(confusion)
    return {
        "miou": round(100 * mean_iou(confusion, classes=classes), 2),
        "iou": {names[k]: round(float(each[k]), 2) for k in classes if np.isfinite(each[k])},
    }


def score_masks(
    split: data.Split,
    predict: Callable[[Example], np.ndarray],
    what: str,
    left_out: set[str],
    classes: list[int],
) -> tuple[np.ndarray, list[str]]:
    """Compares masks with the true ones.

    Args:
        split: the photos; those without a true mask do not count.
        predict: photo -> its mask `[h, w] u8`.
        what: for the progress line.
        left_out: names that have no mask.
        classes: ids that are scored.

    Returns:
        The confusion matrix `[c, c] i64` of all classes, and the names of the photos whose mIoU
        over the scored classes is lowest, worst first.
    """
    total = np.zeros((len(split.classes), len(split.classes)), np.int64)
    each: dict[str, float] = {}
    for index in progress(range(len(split)), what):
        example = split[index]
        if example.mask is not None and example.name not in left_out:
            one = confusion_matrix(example.mask, predict(example), len(split.classes))
            each[example.name] = mean_iou(one, classes=classes)
            total += one
    return total, _worst(each)


def _worst(each: dict[str, float]) -> list[str]:
    """The photos of the lowest mIoU of the scored classes, worst first."""
    return sorted((name for name in each if np.isfinite(each[name])), key=each.__getitem__)[:WORST]


def confusions_by_threshold(
    truth: np.ndarray, best: np.ndarray, value: np.ndarray, classes: int
) -> np.ndarray:
    """Confusion matrices of "best class where its score exceeds t, else background", for all t.

    Args:
        truth: `[h, w] u8`, 255 = not scored.
        best: `[h, w] u8`, the best foreground class.
        value: `[h, w] f32` in [0, 1], its score.
        classes: number of classes, background included.

    Returns:
        `[len(THRESHOLDS), classes, classes] i64`.
    """
    steps = len(THRESHOLDS)
    known = truth < classes
    # A score in bin j exceeds the first j thresholds.
    bins = np.searchsorted(THRESHOLDS, value[known], side="left")
    flat = (truth[known].astype(np.int64) * classes + best[known]) * (steps + 1) + bins
    counts = np.bincount(flat, minlength=classes * classes * (steps + 1))
    joint = counts.reshape(classes, classes, steps + 1)
    above = joint[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    confusions = np.moveaxis(above, -1, 0).copy()
    confusions[:, :, 0] += joint.sum(axis=(1, 2))[None, :] - above.sum(axis=1).T
    return confusions


def best_threshold(confusions: np.ndarray, classes: Sequence[int]) -> int:
    """Returns the index of the threshold with the highest mIoU.

    Args:
        confusions: `[len(THRESHOLDS), c, c] i64`, of `confusions_by_threshold`, summed over photos.
        classes: ids that are scored.
    """
    return int(np.argmax([mean_iou(confusion, classes=classes) for confusion in confusions]))


def _score_pseudo(
    context: Context, split: data.Split, classes: list[int]
) -> tuple[dict[str, Any], list[str]]:
    """CAM and walk at their best threshold, the GCN as it is, coverage and precision of seeds.

    Besides, the photos whose final labels are worst.
    """
    count = len(split.classes)
    folder = context.folder("pseudo_labels")
    swept = {
        name: np.zeros((len(THRESHOLDS), count, count), np.int64) for name in ("cam", "random_walk")
    }
    gcn, final, labelled = np.zeros((3, count, count), np.int64)
    known = 0  # pixels with a truth
    each: dict[str, float] = {}
    for index in progress(range(len(split)), "scores on train"):
        example = split[index]
        if example.mask is None or not (folder / f"{example.name}.png").exists():
            continue
        truth, size = example.mask, (example.mask.shape[0], example.mask.shape[1])
        arrays = read_arrays(folder / f"{example.name}.npz")
        cam, class_ids = read_cams(context.folder("cams"), example.name)
        walk = resize_maps(arrays["walk"], size)
        walk /= max(float(walk.max(initial=0)), 1e-5)
        for name, maps in (("cam", resize_maps(cam, size)), ("random_walk", walk)):
            best, value = best_class(maps, class_ids)
            swept[name] += confusions_by_threshold(truth, best, value, count)
        scores_on_photo = resize_maps(arrays["log_probs"], size, align_corners=True)
        gcn += confusion_matrix(truth, argmax_labels(scores_on_photo, arrays["class_ids"]), count)
        one = confusion_matrix(truth, data.read_mask(folder / f"{example.name}.png"), count)
        each[example.name] = mean_iou(one, classes=classes)
        final += one
        seed = resize_labels(arrays["seeds"], size)
        labelled += confusion_matrix(truth, seed, count)  # of the pixels that have one
        known += int((truth != IGNORE).sum())
    if not gcn.any():
        return {}, []
    scores: dict[str, Any] = {}
    for name, confusions in swept.items():
        at = best_threshold(confusions, classes)
        scores[name] = _entry(confusions[at], split.classes, classes)
        scores[name]["threshold"] = float(THRESHOLDS[at])
    scores["gcn"] = _entry(gcn, split.classes, classes)
    if context.config.crf.post_process:
        scores["gcn_crf"] = _entry(final, split.classes, classes)
    for doubt in doubts_of_scores(scores):
        log(doubt)
    quality = _seed_quality(labelled, known)
    scores["seeds"] = {k: round(100 * v, 2) for k, v in quality._asdict().items()}
    where = _entry(labelled, split.classes, classes)["miou"] if labelled.any() else 0.0
    scores["seeds"]["miou_where_labelled"] = where
    scores["confusion"] = final.tolist()
    return scores, _worst(each)


def _seed_quality(labelled: np.ndarray, known: int) -> SeedQuality:
    """Coverage and precision from the confusion matrix of all seeds, of so many known pixels."""
    background, objects = int(labelled[:, 0].sum()), int(labelled[:, 1:].sum())
    right = np.diag(labelled)
    return SeedQuality(
        background / max(1, known),
        int(right[0]) / max(1, background),
        objects / max(1, known),
        int(right[1:].sum()) / max(1, objects),
    )


def read_scores(folder: Path) -> dict[str, Any]:
    """Reads the scores that a finished evaluation wrote."""
    return json.loads((folder / _SCORES).read_text())
