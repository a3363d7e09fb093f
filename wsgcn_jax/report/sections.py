"""What stands below the photos: scores, confusion, curves, times, settings and photos left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.pipeline.curves import read_curve
from wsgcn_jax.pipeline.stages import STAGES
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import page
from wsgcn_jax.report.record import Record, all_settings, changed_settings
from wsgcn_jax.report.tables import ROWS, seeds_text, shares
from wsgcn_jax.types import Skipped

_MOST_SKIPPED = 200  # photos left out that are listed
_MOST_CONFUSED = 40  # classes in a confusion matrix

Section = tuple[str, str, str]
"""Id, heading, HTML."""


def scores_by_class(scores: dict[str, Any], classes: Sequence[str]) -> list[Section]:
    """Scores by class; nothing where there is no truth.

    Args:
        scores: what `scores.json` holds.
        classes: names by id, background included.
    """
    found = [(s, title, scores[s][key]) for s, key, title in ROWS if key in scores[s]]
    if not found:
        return []
    header = ["IoU, percent", *(f"{title} ({split})" for split, title, _ in found)]
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
    cuts = [f"{title} at {e['threshold']:.2f}" for _, title, e in found if "threshold" in e]
    notes = [f"{' and '.join(cuts)}: the threshold that suits these photos best"] if cuts else []
    if len(names) < len(classes):
        notes.append("Classes that are not listed do not count for the mean")
    notes.append(seeds_text(scores))
    text = " ".join(f"{note[0].upper()}{note[1:]}." for note in notes if note)
    table = f'<div class="scores">{page.table(header, rows, shades=shades)}</div>'
    return [("scores", "Scores", f'{table}<p class="soft">{page.escape(text)}</p>')]


def confusions(scores: dict[str, Any], classes: Sequence[str]) -> list[Section]:
    """Which class is taken for which; nothing where there is no truth.

    Args:
        scores: what `scores.json` holds.
        classes: names by id, background included.
    """
    matrices = [
        f"<div><h3>{page.escape(title)}</h3>{_confusion(scores[s]['confusion'], classes)}</div>"
        for s, title in (("train", "Pseudo labels"), ("val", "Segmenter"))
        if "confusion" in scores[s]
    ]
    if not matrices:
        return []
    text = (
        '<p class="soft">Rows: the true class; columns: the class given; percent of the '
        f'row\'s pixels.</p><div class="columns confusion">{"".join(matrices)}</div>'
    )
    return [("confusion", "What is taken for what", text)]


def _confusion(confusion: Any, classes: Sequence[str]) -> str:
    ids, share = shares(confusion, _MOST_CONFUSED)
    names = [classes[k] for k in ids]
    percents = 100 * share
    rows = [
        [name, *("" if p < 0.05 else f"{p:.1f}" for p in row)]
        for name, row in zip(names, percents, strict=True)
    ]
    shades = {(i, j + 1): float(s) for (i, j), s in np.ndenumerate(share)}
    wrong = {(i, j) for i, j in shades if j != i + 1}
    return page.table(["", *names], rows, shades=shades, wrong=wrong)


def curves(workspace: Workspace) -> list[Section]:
    """How the losses of the networks fell."""
    stages = ("classifier", "boundary", "segmenter")
    charts = [page.chart(f"{s}, loss", read_curve(workspace.folder(s))) for s in stages]
    drawn = "".join(charts)
    return [("curves", "Training", f'<div class="charts">{drawn}</div>')] if drawn else []


def duration(seconds: float) -> str:
    """Says how long that is."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def times(workspace: Workspace) -> list[Section]:
    """How long every stage took."""
    stamps = [(stage.name, workspace.stamp(stage.name)) for stage in STAGES]
    rows = [[name, duration(stamp.seconds)] for name, stamp in stamps if stamp is not None]
    return [("times", "Times", page.table(["stage", "time"], rows))]


def settings(config: ConfigDict) -> list[Section]:
    """Which settings differ from the defaults, and all of them."""
    changed = changed_settings(config)
    every = [[key, value] for key, value in all_settings(config.to_dict()).items()]
    first = (
        page.table(["differs from the default", "here", "default"], changed)
        if changed
        else '<p class="soft">Nothing differs from the defaults.</p>'
    )
    text = (
        f'<div class="settings">{first}<details><summary>All {len(every)} settings</summary>'
        f"{page.table(['key', 'value'], every)}</details></div>"
    )
    return [("settings", "Settings", text)]


def about(record: Record, workdir: Path) -> list[Section]:
    """The command, the machine and the versions."""
    rows = [["date", record.date], ["devices", record.devices], ["work folder", str(workdir)]]
    rows += [[name, version] for name, version in record.versions.items()]
    table = f'<div class="words">{page.table([], rows)}</div>'
    return [("about", "About this run", f"<pre>{page.escape(record.command)}</pre>{table}")]


def left_out(skipped: Sequence[Skipped]) -> list[Section]:
    """Photos that were left out, and why."""
    if not skipped:
        return []
    rows = [[entry.name, entry.reason] for entry in skipped[:_MOST_SKIPPED]]
    more = len(skipped) - len(rows)
    note = f'<p class="soft">and {more} more</p>' if more else ""
    table = f'<div class="words">{page.table(["photo", "why"], rows)}</div>'
    return [("left-out", f"{len(skipped)} photos left out", table + note)]
