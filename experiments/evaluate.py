"""Scores of masks against true masks: both definitions of mean IoU, and every class.

    python -m experiments.evaluate --pred=DIR --truth=DIR [--classes=FILE|NAMES] [--json=FILE]

Both folders hold palette or grey PNGs of the same names and sizes; `.PNG` is as `.png`. Class names
in the order of their ids come from --classes (a file with one a line, a comma-separated list, or
`voc`; background comes first, named or not), else from the `classes.json` that the commands here
write beside masks, else they are VOC's. Pixels without a prediction (255) are left out, as
published; where there are any, the scores with them as background stand beside. A mask that --list
names several times counts once. Exit status: 0 measured, 2 the input cannot be used.
"""

import argparse
import math
import posixpath
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsgcn_jax import data
from wsgcn_jax.data.class_list import CLASS_LIST, check_classes, parse_classes, read_classes
from wsgcn_jax.data.files import check_folder, check_relative, read_text, unknown_name
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.types import IGNORE, DataError, printable

from .command import Parser, check_json, fail, write_json

_NAMED = 5
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def main(argv: Sequence[str]) -> int:
    """Scores; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--pred", type=Path, required=True, help="folder of predicted masks")
    parser.add_argument("--truth", type=Path, required=True, help="folder of true masks")
    parser.add_argument("--classes", help="file with a name a line, names, or voc; all, by id")
    parser.add_argument("--average", help="names of the classes to average; default: all")
    parser.add_argument("--list", type=Path, help="file with the names to score; default: all true")
    parser.add_argument(
        "--allow-missing", action="store_true", help="leave out true masks without a prediction"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    try:
        check_json(options.json, _read_besides_masks(options))
        names = _names(options.truth, options.list)
        classes = _classes(options.classes, options.pred, options.truth)
        averaged = [
            _id(name, classes) for name in (options.average or "").split(",") if name.strip()
        ]
        names = _predicted(options.pred, names, allow_missing=options.allow_missing)
        scores = evaluate(
            options.pred, options.truth, classes, averaged or list(range(len(classes))), names
        )
        print(text(scores))
        write_json(options.json, scores)
    except DataError as error:
        return fail(str(error))
    return 0


def _read_besides_masks(options: argparse.Namespace) -> list[Path]:
    """The files of names that the figures must not replace, whatever they hold."""
    lists = [folder / CLASS_LIST for folder in (options.pred, options.truth)]
    return [*lists, *(Path(name) for name in (options.list, options.classes) if name)]


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
        others (255) are left out of everything else. Where there are such, `as_background` has
        the first four with them as background. And `photos`, their number.

    Raises:
        DataError: a mask is missing, unreadable, of another size or holds unknown classes.
    """
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    unlabelled = np.zeros(len(classes), np.int64)
    for name in names:
        file = data.mask_file(pred, name)
        true = _read(data.mask_file(truth, name), len(classes))
        mask = _read(file, len(classes))
        if true.shape != mask.shape:
            raise DataError(
                f"mask {file} is {mask.shape[1]}x{mask.shape[0]}, the true one "
                f"{true.shape[1]}x{true.shape[0]}; predict at the photo's size."
            )
        confusion += confusion_matrix(true, mask, len(classes))
        lost = true[(mask == IGNORE) & (true != IGNORE)]
        unlabelled += np.bincount(lost, minlength=len(classes))
    if not confusion.any():
        raise DataError(f"{truth}: no pixel has both a true class and a prediction.")
    labelled = int(confusion.sum())
    scores = {
        **_figures(confusion, classes, averaged),
        "labelled": _percent(labelled / (labelled + int(unlabelled.sum()))),
        "photos": len(names),
    }
    if unlabelled.any():
        confusion[:, 0] += unlabelled
        scores["as_background"] = _figures(confusion, classes, averaged)
    return scores


def _figures(
    confusion: np.ndarray, classes: Sequence[str], averaged: Sequence[int]
) -> dict[str, Any]:
    each = iou(confusion)
    return {
        "miou": _percent(mean_iou(confusion, classes=averaged)),
        "miou_all": _percent(mean_iou(confusion, definition="all", classes=averaged)),
        "iou": {classes[k]: _percent(each[k]) for k in averaged if np.isfinite(each[k])},
        "pixel_accuracy": _percent(np.trace(confusion) / confusion.sum()),
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
        lines.append(f"{name:<30}{_shown(scores[key])}")
    beside = scores.get("as_background")
    if beside is not None:
        lines.append("with unlabelled pixels as background:")
        for key in ("miou", "miou_all", "pixel_accuracy"):
            lines.append(f"  {names[key]:<28}{_shown(beside[key])}")
    lines.append(f"{'photos':<30}{scores['photos']:6d}")
    return "\n".join(lines)


def _shown(percent: float | None) -> str:
    return "  none" if percent is None else f"{percent:6.2f}"


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
    """Names of the masks to score, without suffix: those of a list, or all true ones."""
    check_folder(truth, what="the folder of true masks", fix="give another by --truth")
    if listed is not None:
        lines = [line.strip() for line in read_text(listed, what="list").splitlines()]
        given = [_without_suffix(line) for line in lines if line]
        for name in given:
            check_relative(name, where=str(listed))
        names = list(dict.fromkeys(map(posixpath.normpath, given)))
        if more := len(given) - len(names):
            said = f"{listed}: {more} of {len(given)} lines name a mask that stands above them"
            print(printable(f"{said}; each mask counts once"), file=sys.stderr)
    else:
        names = _all_names(truth)
    if not names:
        raise DataError(f"{listed or truth} names no mask.")
    return names


def _all_names(truth: Path) -> list[str]:
    """Names of all masks below a folder, the case of their ending aside; each is one file's."""
    names: dict[str, Path] = {}
    for file in sorted(truth.rglob("*")):
        if file.suffix.lower() == ".png":
            other = names.setdefault(str(file.relative_to(truth).with_suffix("")), file)
            if other != file:
                raise DataError(f"{other} and {file.name} are masks of one name; remove one.")
    return sorted(names)


def _without_suffix(name: str) -> str:
    """A list may name photos or masks as files; a dot elsewhere belongs to the name."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in _SUFFIXES else name


def _predicted(pred: Path, names: Sequence[str], *, allow_missing: bool) -> list[str]:
    """The names that have a prediction; DataError where some have none and that is not allowed."""
    check_folder(pred, what="the folder of masks to score", fix="give another by --pred")
    missing = [name for name in names if not data.mask_file(pred, name).is_file()]
    if not missing:
        return list(names)
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    said = (
        f"{pred} lacks {len(missing)} of {len(names)} masks: "
        f"{', '.join(f'{name}.png' for name in missing[:_NAMED])}{more}"
    )
    if not allow_missing or len(missing) == len(names):
        raise DataError(
            f"{said}; predict them, name those to score by --list, or leave them out by "
            "--allow-missing."
        )
    print(printable(f"{said}; left out"), file=sys.stderr)
    lacking = set(missing)
    return [name for name in names if name not in lacking]


def _classes(given: str | None, pred: Path, truth: Path) -> tuple[str, ...]:
    """The names from the command line, from the list beside either kind of masks, or VOC's."""
    if given is not None:
        classes = parse_classes(given)
    else:
        classes = read_classes(pred) or read_classes(truth) or data.VOC_CLASSES
    for folder in (pred, truth):
        check_classes(folder, classes)
    return classes


def _id(name: str, classes: Sequence[str]) -> int:
    if name.strip() not in classes:
        raise unknown_name(name.strip(), classes, what="class", where="--average")
    return list(classes).index(name.strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
