"""Puts a finished run on its page: `report.html` in the work folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.evaluate import read_scores
from wsgcn_jax.pipeline.stages import STAGES, is_evaluated
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import layers, page, sections
from wsgcn_jax.report.cards import LAYERS, all_cards, fitting
from wsgcn_jax.report.record import Record, write_record
from wsgcn_jax.types import Skipped

MOST_BYTES = 8_000_000
"""Size of the page; photos that would exceed it are left off."""

_NOTES = 500  # bytes by which the notes on the photos may grow with their number
_ERRORS = (
    ("object not found", layers.MISSED),
    ("object where there is none", layers.INVENTED),
    ("object of another class", layers.CONFUSED),
)


def write_report(
    config: ConfigDict, workdir: Path, skipped: Sequence[Skipped], *, record: Record | None = None
) -> Path | None:
    """Writes `report.html` once the run has been evaluated.

    Args:
        config: the whole configuration.
        workdir: the work folder.
        skipped: photos that were left out.
        record: what the run was; None: this process is the run, and writes it down.

    Returns:
        The path; None where the evaluation has not been run, or with other settings.
    """
    context = Context(config, Workspace(workdir))
    workspace = context.workspace
    stamp = workspace.stamp("evaluate")
    if stamp is None or not stamp.complete or not is_evaluated(context):
        return None
    record = record or write_record(workdir)
    scores = read_scores(workspace.folder("evaluate"))
    split = context.scored()
    colours = _colours(split)
    content = page.Page(
        title=f"{workdir.name}: from image-level labels to masks",
        subtitle=f"WSGCN-JAX, {record.date}, on {record.devices}.",
        tiles=_tiles(context, scores, split, skipped),
        sections=[
            *sections.scores_by_class(scores, split.classes),
            *sections.confusions(scores, split.classes),
            *sections.curves(workspace),
            *sections.times(workspace),
            *sections.settings(config),
            *sections.about(record, workdir),
            *sections.left_out(skipped),
        ],
        gallery=_gallery(context, split, colours, []),
    )
    room = MOST_BYTES - len(page.render(content)) - _NOTES
    photos = fitting(all_cards(context, scores, colours), room)
    path = workdir / "report.html"
    gallery = _gallery(context, split, colours, photos)
    write_atomic(path, page.render(content._replace(gallery=gallery)))
    return path


def _colours(split: data.Split) -> np.ndarray:
    """Returns `[256, 3] u8`: the classes that occur get the colours that differ most."""
    colours = np.full((256, 3), 128, np.uint8)
    seen = np.flatnonzero(split.labels.any(axis=0)) + 1
    others = np.setdiff1d(np.arange(1, len(colours)), seen)
    colours[[*seen, *others]] = layers.class_colours(len(colours) - 1)
    return colours


def _rgb(colour: Sequence[int]) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"


def _gallery(
    context: Context, split: data.Split, colours: np.ndarray, photos: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Returns what `page.js` reads."""
    section = context.config.data
    train_note = f"Pseudo labels of {_some(photos, 'train', len(split))}"
    if section.val_split:
        total = len(context.split(section.val_split))
        val_note = f"The segmenter's masks of {_some(photos, 'val', total)}"
    else:
        val_note = (
            "There is no validation split, so no masks of the segmenter are shown; name one by "
            "data.val_split."
        )
        train_note = f"{train_note} {val_note}"
    return {
        "layers": LAYERS,
        "classes": {k: [name, _rgb(colours[k])] for k, name in enumerate(split.classes)},
        "errors": [[meaning, _rgb(colour)] for meaning, colour in _ERRORS],
        "splits": [
            ["train", "Pseudo labels", train_note],
            ["val", "Segmenter", val_note],
        ],
        "photos": list(photos),
    }


def _some(photos: Sequence[dict[str, Any]], name: str, total: int) -> str:
    shown = [photo for photo in photos if photo["split"] == name]
    if len(shown) == total:
        return f"all {total} photos." if total != 1 else "the only photo."
    first = "the most doubtful ones"
    if any(photo["score"] is not None for photo in shown):
        first = "those that went worst"
    return f"{len(shown)} of {total} photos: {first}, and others evenly spread over the list."


def _tiles(
    context: Context, scores: dict[str, Any], split: data.Split, skipped: Sequence[Skipped]
) -> list[tuple[str, str, str]]:
    train, val = scores["train"], scores["val"]
    tiles = []
    labels = train.get("gcn_crf") or train.get("gcn")
    if labels:
        remark = f"{_mean(labels, split)}, {len(split)} photos"
        tiles.append(("Pseudo labels", f"{labels['miou']:.1f}", remark))
    else:
        tiles.append(("Pseudo labels", f"{len(split)}", "photos; no true masks to score with"))
    if "segmenter" in val:
        count = len(context.split(context.config.data.val_split))
        remark = f"{_mean(val['segmenter'], split)}, {count} validation photos"
        tiles.append(("Segmenter", f"{val['segmenter']['miou']:.1f}", remark))
    stamps = (context.workspace.stamp(stage.name) for stage in STAGES)
    seconds = sum(stamp.seconds for stamp in stamps if stamp is not None)
    tiles.append(("Classes", f"{len(split.classes) - 1}", "and background"))
    tiles.append(("Time", sections.duration(seconds), "all stages"))
    if skipped:
        tiles.append(("Left out", f"{len(skipped)}", "photos; see the end of the page"))
    return tiles


def _mean(entry: dict[str, Any], split: data.Split) -> str:
    """Names the mean of a table's entry; of which classes, where others are not scored."""
    count = len(set(entry["iou"]) - {split.classes[0]})
    return "mIoU" if count == len(split.classes) - 1 else f"mIoU of {count} classes"
