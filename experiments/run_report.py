"""Puts a finished run into words and pictures: the score table and `report.html`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from experiments.report import colour_mask, heat, write_report
from wsgcn_jax import data
from wsgcn_jax.data.labels import PALETTE
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.evaluate import read_scores
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.stages import STAGES, is_evaluated
from wsgcn_jax.pipeline.workspace import Workspace, read_arrays
from wsgcn_jax.resize import resize_labels, resize_maps
from wsgcn_jax.types import Example, Skipped

ROWS = (
    ("train", "cam", "CAM"),
    ("train", "random_walk", "random walk"),
    ("train", "gcn", "GCN"),
    ("train", "gcn_crf", "GCN + CRF"),
    ("val", "segmenter", "segmenter"),
)


def table(scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Lays the scores out: header and rows of a table, percent IoU.

    Args:
        scores: what `scores.json` holds.
    """
    found = [
        (split, title, scores[split][key]) for split, key, title in ROWS if key in scores[split]
    ]
    classes = list(dict.fromkeys(name for _, _, entry in found for name in entry["iou"]))
    rows = []
    for split, title, entry in found:
        note = f" (at its best threshold, {entry['threshold']:.2f})" if "threshold" in entry else ""
        ious = [f"{entry['iou'][n]:.1f}" if n in entry["iou"] else "-" for n in classes]
        rows.append([split, title + note, f"{entry['miou']:.1f}", *ious])
    return ["photos", "labels", "mIoU", *classes], rows


def table_text(scores: dict[str, Any]) -> str:
    """Returns the table, and the coverage and precision of the seeds, as plain text."""
    header, rows = table(scores)
    if not rows:
        return "no true masks: nothing to score"
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]
    return "\n".join([*lines, seeds_text(scores)])


def seeds_text(scores: dict[str, Any]) -> str:
    """Says how much of the photos the seeds cover and how much of that is right."""
    seeds = scores["train"].get("seeds")
    if seeds is None:
        return ""
    return (
        f"seeds: background {seeds['background_coverage']:.1f} % of the pixels, "
        f"{seeds['background_precision']:.1f} % of them right; "
        f"foreground {seeds['foreground_coverage']:.1f} %, "
        f"{seeds['foreground_precision']:.1f} % right; "
        f"mIoU {seeds['miou_where_labelled']:.1f} where there are any"
    )


def write(config: ConfigDict, workdir: Path, skipped: Sequence[Skipped]) -> Path | None:
    """Writes `report.html` once the configuration has been evaluated.

    Args:
        config: the whole configuration.
        workdir: the work folder.
        skipped: photos that were left out.

    Returns:
        The path; None where this very configuration has not been evaluated.
    """
    context = Context(config, Workspace(workdir))
    workspace = context.workspace
    if not is_evaluated(context):
        return None
    scores = read_scores(workspace.folder("evaluate"))
    split = context.scored()
    header, rows = table(scores)
    seconds = [(stage.name, workspace.stamp(stage.name)) for stage in STAGES]
    times = [[name, f"{stamp.seconds:.0f} s"] for name, stamp in seconds if stamp is not None]
    tables: list[tuple[str, list[str], list[list[str]]]] = [
        ("Intersection over union, percent", header, rows),
        ("Time of each stage", ["stage", "time"], times),
    ]
    if skipped:
        tables.append(("Photos left out", ["photo", "why"], [[s.name, s.reason] for s in skipped]))
    path = workdir / "report.html"
    write_report(
        path,
        title="WSGCN-JAX: from image-level labels to masks",
        intro=f"{len(split)} photos whose pseudo labels are scored. {seeds_text(scores)}",
        tables=tables,
        curves={
            f"{stage} loss": read_curve(workspace.folder(stage))
            for stage in ("classifier", "boundary", "segmenter")
        },
        gallery=_gallery(context, split, scores),
        legend=[(name, _rgb(i)) for i, name in enumerate(split.classes)],
    )
    return path


def _rgb(label: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in PALETTE[label])
    return red, green, blue


Gallery = list[tuple[str, list[tuple[str, np.ndarray]]]]


def _gallery(context: Context, split: data.Split, scores: dict[str, Any]) -> Gallery:
    """Evenly spread photos, then those that went worst, of either split."""
    # The threshold that is scored; the published one where there is no truth to score with.
    threshold = scores["train"].get("random_walk", {}).get("threshold", 0.25)
    workspace, config = context.workspace, context.config
    folder = workspace.folder("pseudo_labels")
    spread = np.linspace(0, len(split) - 1, min(config.report.photos, len(split)))
    shown = [("", split[int(index)]) for index in dict.fromkeys(spread.round().astype(int))]
    shown += [("among the worst: ", example) for example in _worst(split, scores, "train")]
    gallery = []
    for note, example in shown:
        if not (folder / f"{example.name}.png").exists():
            continue
        title = f"{note}{example.name}: {_names(split, example)}"
        gallery.append((title, _steps(workspace, example, threshold)))
    if scores["val"]:
        val = context.split(config.data.val_split)
        masks = workspace.folder("segmenter") / "val"
        for example in _worst(val, scores, "val"):
            assert example.mask is not None
            columns = [
                ("photo", example.image),
                ("segmenter", colour_mask(data.read_mask(masks / f"{example.name}.png"), PALETTE)),
                ("truth", colour_mask(example.mask, PALETTE)),
            ]
            title = f"among the segmenter's worst: {example.name}: {_names(val, example)}"
            gallery.append((title, columns))
    return gallery


def _worst(split: data.Split, scores: dict[str, Any], key: str) -> list[Example]:
    names = scores.get("worst", {}).get(key, [])  # scores of older runs name none
    return [split[split.names.index(name)] for name in names]


def _names(split: data.Split, example: Example) -> str:
    return ", ".join(split.classes[k + 1] for k in np.flatnonzero(example.labels))


def _steps(
    workspace: Workspace, example: Example, threshold: float
) -> list[tuple[str, np.ndarray]]:
    """Photo, CAM, seeds, boundaries, walk, GCN, final and truth."""
    folder = workspace.folder("pseudo_labels")
    size = (example.image.shape[0], example.image.shape[1])
    arrays = read_arrays(folder / f"{example.name}.npz")
    cam, class_ids = read_cams(workspace.folder("cams"), example.name)
    walk = resize_maps(arrays["walk"], size)
    gcn = argmax_labels(
        resize_maps(arrays["log_probs"], size, align_corners=True), arrays["class_ids"]
    )
    final = data.read_mask(folder / f"{example.name}.png")
    walked = argmax_labels(walk / max(float(walk.max()), 1e-5), class_ids, threshold)
    columns = [
        ("photo", example.image),
        ("CAM", heat(resize_maps(cam, size).max(axis=0))),
        ("partial labels", colour_mask(resize_labels(arrays["seeds"], size), PALETTE)),
        ("boundary map", heat(resize_maps(arrays["boundary"][None], size)[0])),
        ("random walk", colour_mask(walked, PALETTE, example.image)),
        ("GCN", colour_mask(gcn, PALETTE, example.image)),
        ("final", colour_mask(final, PALETTE)),
    ]
    if example.mask is not None:
        columns.append(("truth", colour_mask(example.mask, PALETTE)))
    return columns
