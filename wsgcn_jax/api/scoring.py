"""Scores of masks against true masks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wsgcn_jax.checks import as_array
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.types import IGNORE, DataError


class Scores(NamedTuple):
    """How well masks agree with the truth.

    Attributes:
        miou: mean intersection over union of the classes that occur in the truth, in [0, 1]; NaN
            where no pixel is scored.
        iou: of every class that occurs in either.
        pixel_accuracy: share of the scored pixels whose class is right; NaN where there are none.
        confusion: `[c, c] i64`; row = truth, column = prediction.
    """

    miou: float
    iou: dict[str, float]
    pixel_accuracy: float
    confusion: np.ndarray


def evaluate(
    masks: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, classes: Sequence[str]
) -> Scores:
    """Scores masks against true masks, all photos together.

    Args:
        masks: `[h, w] u8` each; 255 (unknown) counts as background.
        truths: the same shapes; 255 is not scored.
        classes: names by id, background first.

    Raises:
        DataError: there are not as many of both, shapes differ, a mask or a true one holds an id
            without a name, or a name is given twice.
    """
    for what, given in (("masks", masks), ("truths", truths)):
        if not hasattr(given, "__len__"):
            raise DataError(f"{what}: {type(given).__name__} has no length; give a list")
    if len(masks) != len(truths):
        raise DataError(f"{len(masks)} masks but {len(truths)} true ones; give one for each")
    if isinstance(classes, str):
        raise DataError(f"classes are {classes!r}; give a list of names, background first")
    if len(set(classes)) != len(classes):
        raise DataError(f"classes name one twice: {', '.join(map(str, classes))}; give each once")
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for index, (mask, truth) in enumerate(zip(masks, truths, strict=True)):
        filled = as_array(mask, f"mask {index}").copy()
        true = as_array(truth, f"true mask {index}")
        _check_ids(filled, classes, f"mask {index}")
        _check_ids(true, classes, f"true mask {index}")
        filled[filled == IGNORE] = 0
        confusion += confusion_matrix(true, filled, len(classes))
    each = iou(confusion)
    scored = confusion.sum()
    return Scores(
        miou=mean_iou(confusion),
        iou={name: float(each[k]) for k, name in enumerate(classes) if np.isfinite(each[k])},
        pixel_accuracy=float(np.trace(confusion) / scored) if scored else float("nan"),
        confusion=confusion,
    )


def _check_ids(mask: np.ndarray, classes: Sequence[str], what: str) -> None:
    """Refuses ids without a name; what holds no whole numbers is not looked at.

    Raises:
        DataError: there is such an id.
    """
    if mask.dtype.kind not in "iu":
        return
    unknown = mask[((mask < 0) | (mask >= len(classes))) & (mask != IGNORE)]
    if unknown.size:
        raise DataError(
            f"{what} holds class {unknown[0]}, but there are {len(classes)}: "
            f"{', '.join(map(str, classes))}; name all of them, and give {IGNORE} for unknown"
        )
