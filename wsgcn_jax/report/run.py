"""Puts a finished run on its page: `report.html` in the work folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.evaluate import read_scores
from wsgcn_jax.pipeline.stages import STAGES, is_evaluated
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import layers, page
from wsgcn_jax.report.cards import LAYERS, all_cards, fitting
from wsgcn_jax.report.record import Record, all_settings, changed_settings, write_record
from wsgcn_jax.report.tables import ROWS, seeds_text, shares
from wsgcn_jax.types import Skipped

MOST_BYTES = 8_000_000
"""Size of the page; photos that would exceed it are left off."""

_NOTES = 500  # bytes by which the notes on the photos may grow with their number
_MOST_SKIPPED = 200  # photos left out that are listed
_MOST_CONFUSED = 40  # classes in a confusion matrix
_ERRORS = (
    ("object not found", layers.MISSED),
    ("object where there is none", layers.INVENTED),
    ("object of another class", layers.CONFUSED),
)

Section = tuple[str, str, str]
"""Id, heading, HTML."""


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
    sections = [
        *_scores(scores, split.classes),
        *_curves(workspace),
        ("times", "Times", page.table(["stage", "time"], _times(workspace))),
        ("settings", "Settings", _settings(config)),
        ("about", "About this run", _about(record, workdir)),
        *_left_out(skipped),
    ]
    content = page.Page(
        title=f"{workdir.name}: from image-level labels to masks",
        subtitle=f"WSGCN-JAX, {record.date}, on {record.devices}.",
        tiles=_tiles(context, scores, split, skipped),
        sections=sections,
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
        remark = f"mIoU, {len(split)} photos"
        tiles.append(("Pseudo labels", f"{labels['miou']:.1f}", remark))
    else:
        tiles.append(("Pseudo labels", f"{len(split)}", "photos; no true masks to score with"))
    if "segmenter" in val:
        tiles.append(("Segmenter", f"{val['segmenter']['miou']:.1f}", "mIoU, validation photos"))
    stamps = (context.workspace.stamp(stage.name) for stage in STAGES)
    seconds = sum(stamp.seconds for stamp in stamps if stamp is not None)
    tiles.append(("Classes", f"{len(split.classes) - 1}", "and background"))
    tiles.append(("Time", _duration(seconds), "all stages"))
    if skipped:
        tiles.append(("Left out", f"{len(skipped)}", "photos; see the end of the page"))
    return tiles


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def _scores(scores: dict[str, Any], classes: Sequence[str]) -> list[Section]:
    """Scores by class, and which class is taken for which; nothing where there is no truth."""
    found = [(s, title, scores[s][key]) for s, key, title in ROWS if key in scores[s]]
    if not found:
        return []
    header = ["IoU, percent"]
    for split, title, entry in found:
        note = f", threshold {entry['threshold']:.2f}" if "threshold" in entry else ""
        header.append(f"{title} ({split}{note})")
    names = list(dict.fromkeys(name for _, _, entry in found for name in entry["iou"]))
    rows = [["mean", *(f"{entry['miou']:.1f}" for _, _, entry in found)]]
    for name in names:
        ious = (entry["iou"].get(name) for _, _, entry in found)
        rows.append([name, *("-" if value is None else f"{value:.1f}" for value in ious)])
    shades = {
        (i, j): float(cell) / 100
        for i, row in enumerate(rows)
        for j, cell in enumerate(row[1:], start=1)
        if cell != "-"
    }
    seeds = seeds_text(scores)
    notes = (
        "CAM and walk are cut at the threshold that suits them best on these very photos. "
        f"{seeds[:1].upper()}{seeds[1:]}"
    )
    table = page.table(header, rows, shades=shades)
    table = f'<div class="scores">{table}</div><p class="soft">{page.escape(notes)}</p>'
    sections = [("scores", "Scores", table)]
    matrices = [
        f"<div><h3>{page.escape(title)}</h3>{_confusion(scores[s]['confusion'], classes)}</div>"
        for s, title in (("train", "Pseudo labels"), ("val", "Segmenter"))
        if "confusion" in scores[s]
    ]
    if matrices:
        text = (
            '<p class="soft">Rows: the true class; columns: the class given; percent of the '
            f'row\'s pixels.</p><div class="columns confusion">{"".join(matrices)}</div>'
        )
        sections.append(("confusion", "What is taken for what", text))
    return sections


def _confusion(confusion: Any, classes: Sequence[str]) -> str:
    ids, share = shares(confusion, _MOST_CONFUSED)
    names = [classes[k] for k in ids]
    percents = 100 * share
    rows = [
        [name, *("" if p < 0.05 else f"{p:.1f}" for p in row)]
        for name, row in zip(names, percents, strict=True)
    ]
    shades = {(i, j + 1): float(s) for (i, j), s in np.ndenumerate(share)}
    return page.table(["", *names], rows, shades=shades)


def _curves(workspace: Workspace) -> list[Section]:
    stages = ("classifier", "boundary", "segmenter")
    charts = [page.chart(f"{s}, loss", read_curve(workspace.folder(s))) for s in stages]
    drawn = "".join(charts)
    return [("curves", "Training", f'<div class="charts">{drawn}</div>')] if drawn else []


def _times(workspace: Workspace) -> list[list[str]]:
    stamps = [(stage.name, workspace.stamp(stage.name)) for stage in STAGES]
    return [[name, _duration(stamp.seconds)] for name, stamp in stamps if stamp is not None]


def _settings(config: ConfigDict) -> str:
    changed = changed_settings(config)
    every = [[key, value] for key, value in all_settings(config.to_dict()).items()]
    first = (
        page.table(["differs from the default", "here", "default"], changed)
        if changed
        else '<p class="soft">Nothing differs from the defaults.</p>'
    )
    return (
        f'<div class="settings">{first}<details><summary>All {len(every)} settings</summary>'
        f"{page.table(['key', 'value'], every)}</details></div>"
    )


def _about(record: Record, workdir: Path) -> str:
    rows = [["date", record.date], ["devices", record.devices], ["work folder", str(workdir)]]
    rows += [[name, version] for name, version in record.versions.items()]
    table = page.table([], rows)
    return f'<pre>{page.escape(record.command)}</pre><div class="words">{table}</div>'


def _left_out(skipped: Sequence[Skipped]) -> list[Section]:
    if not skipped:
        return []
    rows = [[entry.name, entry.reason] for entry in skipped[:_MOST_SKIPPED]]
    more = len(skipped) - len(rows)
    note = f'<p class="soft">and {more} more</p>' if more else ""
    table = f'<div class="words">{page.table(["photo", "why"], rows)}</div>'
    return [("left-out", f"{len(skipped)} photos left out", table + note)]
