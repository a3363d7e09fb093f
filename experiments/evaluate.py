"""Scores of masks against true masks: both definitions of mean IoU, and every class.

    python -m experiments.evaluate --pred=DIR --truth=DIR [--classes=FILE|NAMES] [--json=FILE]

Both folders hold palette or grey PNGs of the same names and sizes. Class names, background
first, in the order of their ids: from --classes (a file with one a line, or a comma-separated
list), else from the folder that `experiments.predict` wrote, else VOC's. Exit status: 0
measured, 2 the input cannot be used.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsgcn_jax import data
from wsgcn_jax.data.files import check_relative, read_text, unknown_name, write_atomic
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.types import IGNORE, DataError

from .command import Parser, fail
from .predict import STAMP

_NAMED = 5


def main(argv: Sequence[str]) -> int:
    """Scores; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--pred", type=Path, required=True, help="folder of predicted masks")
    parser.add_argument("--truth", type=Path, required=True, help="folder of true masks")
    parser.add_argument("--classes", help="file with a name a line, or names; all, in order of id")
    parser.add_argument("--average", help="names of the classes to average; default: all")
    parser.add_argument("--list", type=Path, help="file with the names to score; default: all true")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    try:
        classes = _classes(options.classes, options.pred)
        averaged = [
            _id(name, classes) for name in (options.average or "").split(",") if name.strip()
        ]
        scores = evaluate(
            options.pred,
            options.truth,
            classes,
            averaged or list(range(len(classes))),
            _names(options.truth, options.list),
        )
        print(text(scores))
        if options.json:
            write_atomic(options.json, json.dumps(scores, indent=1).encode())
    except DataError as error:
        return fail(str(error))
    return 0


def evaluate(
    pred: Path, truth: Path, classes: Sequence[str], averaged: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Scores a folder of masks.

    Args:
        pred: folder of predicted masks.
        truth: folder of true masks.
        classes: their names, background first.
        averaged: ids of those that count.
        names: of the masks, without `.png`.

    Returns:
        In percent: `miou` over the classes that occur in the truth, `miou_all` which also counts
        classes only predicted, as 0, `iou` by class name (those in truth or prediction),
        `pixel_accuracy`, and `labelled`, the share of the scored pixels with a prediction: the
        others (255) are left out of everything else. And `photos`, their number.

    Raises:
        DataError: a mask is missing, unreadable, of another size or holds unknown classes.
    """
    missing = [name for name in names if not (pred / f"{name}.png").is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DataError(
            f"{pred} lacks {len(missing)} of {len(names)} masks: "
            f"{', '.join(f'{name}.png' for name in missing[:_NAMED])}{more}; predict them, or "
            "score fewer by --list."
        )
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    scored = 0
    for name in names:
        true = _read(truth / f"{name}.png", len(classes))
        mask = _read(pred / f"{name}.png", len(classes))
        if true.shape != mask.shape:
            raise DataError(
                f"mask {pred / name}.png is {mask.shape[1]}x{mask.shape[0]}, the true one "
                f"{true.shape[1]}x{true.shape[0]}; predict at the photo's size."
            )
        confusion += confusion_matrix(true, mask, len(classes))
        scored += int((true != IGNORE).sum())
    if not confusion.any():
        raise DataError(f"{truth}: no pixel has both a true class and a prediction.")
    each = iou(confusion)
    return {
        "miou": _percent(mean_iou(confusion, classes=averaged)),
        "miou_all": _percent(mean_iou(confusion, definition="all", classes=averaged)),
        "iou": {classes[k]: _percent(each[k]) for k in averaged if np.isfinite(each[k])},
        "pixel_accuracy": _percent(np.trace(confusion) / confusion.sum()),
        "labelled": _percent(confusion.sum() / scored),
        "photos": len(names),
    }


def text(scores: dict[str, Any]) -> str:
    """The scores as a table."""
    lines = [f"{name:<16}{value:6.2f}" for name, value in scores["iou"].items()]
    names = {
        "miou": "mIoU (classes in the truth)",
        "miou_all": "mIoU (predicted ones too)",
        "pixel_accuracy": "pixel accuracy",
        "labelled": "labelled pixels",
    }
    for key, name in names.items():
        value = "none" if scores[key] is None else f"{scores[key]:6.2f}"
        lines.append(f"{name:<30}{value}")
    lines.append(f"{'photos':<30}{scores['photos']:6d}")
    return "\n".join(lines)


def _percent(share: float) -> float | None:
    """In percent; None for nothing, since JSON has no NaN."""
    return None if math.isnan(share) else round(100 * float(share), 4)


def _read(path: Path, classes: int) -> np.ndarray:
    mask = data.read_mask(path)
    unknown = mask[(mask >= classes) & (mask != IGNORE)]
    if unknown.size:
        raise DataError(
            f"mask {path} holds class {unknown[0]}, but there are {classes}; name all of them by "
            "--classes (and those that count by --average)."
        )
    return mask


def _names(truth: Path, listed: Path | None) -> list[str]:
    if not truth.is_dir():
        raise DataError(f"the folder of true masks {truth} is missing; give another by --truth.")
    if listed is not None:
        names = read_text(listed, what="list").split()
        for name in names:
            check_relative(name, where=str(listed))
    else:
        files = truth.rglob("*.png")
        names = sorted(str(file.relative_to(truth).with_suffix("")) for file in files)
    if not names:
        raise DataError(f"{listed or truth} names no mask.")
    return names


def _classes(given: str | None, pred: Path) -> tuple[str, ...]:
    """The names from the command line, from the predictions' folder, or VOC's."""
    if given is None:
        try:
            return tuple(json.loads((pred / STAMP).read_text())["classes"])
        except (OSError, ValueError, KeyError, TypeError):
            return data.VOC_CLASSES
    listed = read_text(Path(given), what="class list").splitlines() if Path(given).is_file() else ()
    names = tuple(name.strip() for name in listed or given.split(",") if name.strip())
    if len(set(names)) != len(names) or not 2 <= len(names) <= 255:
        raise DataError(f"--classes={given}: give 2 to 255 different names, background first.")
    return names


def _id(name: str, classes: Sequence[str]) -> int:
    if name.strip() not in classes:
        raise unknown_name(name.strip(), classes, what="class", where="--average")
    return list(classes).index(name.strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
