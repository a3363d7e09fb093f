"""What was read, in a line: photos, classes, how many show each, how many were left out."""

from collections.abc import Sequence

import numpy as np

_SHOWN = 30  # classes; of more, those that most photos show


def describe(labels: np.ndarray, classes: Sequence[str], left_out: int) -> str:
    """Says what a set holds: `24 photos, 3 classes: cat 8, dog 8, horse 8; 2 left out`.

    Args:
        labels: `[photos, c - 1] bool`, which classes each photo shows.
        classes: names by id, "background" first.
        left_out: number of photos that could not be used.
    """
    counts = labels.sum(axis=0)
    shown = [k for k in np.argsort(-counts, kind="stable") if counts[k]][:_SHOWN]
    parts = [f"{classes[k + 1]} {counts[k]}" for k in sorted(shown)]
    others = int((counts > 0).sum()) - len(shown)
    parts += [f"{others} others"] if others else []
    negatives = int((~labels.any(axis=1)).sum())
    parts += [f"without any {negatives}"] if negatives else []
    number = int((counts > 0).sum())
    noun = "class" if number == 1 else "classes"
    tail = f"; {left_out} left out" if left_out else ""
    photos = "photo" if len(labels) == 1 else "photos"
    return f"{len(labels)} {photos}, {number} {noun}: {', '.join(parts)}{tail}"


def shortcoming(labels: np.ndarray, classes: Sequence[str]) -> str | None:
    """Says what a set lacks for a classifier to learn from it; None where it lacks nothing.

    Args:
        labels: `[photos, c - 1] bool`.
        classes: names by id, "background" first.
    """
    always = [classes[k + 1] for k in np.flatnonzero(labels.all(axis=0)).tolist()]
    if not always:
        return None
    names = ", ".join(always[:_SHOWN])
    return (
        f"warning: every photo shows {names}, so a classifier cannot learn what tells it apart; "
        "add photos without it (with an empty label), or set classifier.head=imagenet"
    )
