"""A run in figures: the tables of scores, in text for the screen and in cells for the page."""

from typing import Any

import numpy as np

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


def shares(confusion: Any, most: int) -> tuple[list[int], np.ndarray]:
    """Reads a confusion matrix for the page.

    Args:
        confusion: `[c, c]` counts, row = truth, column = prediction.
        most: classes at the most; the most frequent ones stay.

    Returns:
        Ids of the `k` classes that occur in the truth or the prediction, ascending; `[k, k] f64`,
        the share in [0, 1] of a row's true pixels, 0 where it has none.
    """
    counts = np.asarray(confusion, np.float64)
    seen = counts.sum(axis=0) + counts.sum(axis=1)
    frequent = np.argsort(-seen, kind="stable")[:most]
    kept = sorted(int(k) for k in frequent if seen[k] > 0)
    true = counts.sum(axis=1, keepdims=True)
    row_shares = np.divide(counts, true, out=np.zeros_like(counts), where=true > 0)
    return kept, row_shares[np.ix_(kept, kept)]
