"""Signs that a run's results are noise: a warning each, one line that says what helps.

Nothing here stops a run; who knows better goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsgcn_jax.pipeline.found import Found

FEW_STEPS = 40
"""Updates of a fresh head below which it has hardly left its random start."""

_MOST = 0.5  # share of the photos
_ABOVE_GUESSING = 0.02  # share of the labels
_WORSE = 5.0  # points of mIoU
_NAMED = 5  # photos in a warning


def doubts_of_training(name: str, steps: int) -> list[str]:
    """Warns of a network that is trained too briefly.

    Args:
        name: of its section of the configuration.
        steps: number of updates.
    """
    if steps >= FEW_STEPS:
        return []
    return [
        f"warning: {name}: {steps} steps are few, its result will be close to noise; set "
        f"{name}.min_steps={2 * FEW_STEPS} or more"
    ]


def doubts_of_classifier(accuracy: Sequence[float], labels: np.ndarray) -> list[str]:
    """Warns of a classifier that is hardly better than guessing.

    Args:
        accuracy: shares of right labels, of the last steps.
        labels: `[photos, c - 1] bool`, the photos' labels.
    """
    share = labels.mean(axis=0)
    guessed = float(np.maximum(share, 1 - share).mean())
    if not len(accuracy) or guessed > 1 - _ABOVE_GUESSING:
        return []
    right = float(np.mean(accuracy))
    if right >= guessed + _ABOVE_GUESSING:
        return []
    return [
        f"warning: classifier: {right:.0%} of the labels are right, {guessed:.0%} without looking "
        "at the photos; its CAMs will be noise: check the labels, or train longer "
        "(classifier.min_steps)"
    ]


def doubts_of_boundary_labels(usable: int, photos: int) -> list[str]:
    """Warns where few photos teach the boundary network anything.

    Args:
        usable: photos with both sure object and sure background.
        photos: that were looked at.
    """
    if not photos or usable >= _MOST * photos:
        return []
    return [
        f"warning: boundary: only {usable} of {photos} photos have both sure object and sure "
        "background; set boundary.foreground lower or boundary.background higher"
    ]


def doubts_of_labels(found: Mapping[str, Found]) -> list[str]:
    """Warns of masks that hold no object, or nothing else, and where most photos have no seeds.

    Args:
        found: in each labelled photo, by name.
    """
    seeds = [photo.seeds for photo in found.values() if photo.seeds is not None]
    doubts, bare = [], len(seeds) - sum(seeds)
    if bare > (1 - _MOST) * len(seeds):
        doubts.append(
            f"warning: {bare} of {len(seeds)} photos have no seeds of an object; try "
            "seeds.rule=walk, which finds each photo's own threshold"
        )
    empty = [name for name, photo in found.items() if not photo.object]
    full = [name for name, photo in found.items() if not photo.background]
    for names, what in ((empty, "no object"), (full, "no background")):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            most = names is empty and len(names) > (1 - _MOST) * len(found)
            doubts.append(
                f"warning: {len(names)} of {len(found)} masks of labelled photos hold {what}: "
                f"{', '.join(names[:_NAMED])}{more}; look at their CAMs, boundary maps and seeds"
                f"{', or use the configuration photos' if most else ''}"
            )
    return doubts


def doubts_of_scores(scores: Mapping[str, Any]) -> list[str]:
    """Warns where a later step undoes what an earlier one found.

    Args:
        scores: of the pseudo labels, by row, each with "miou".
    """
    cam, final = scores.get("cam"), scores.get("gcn")
    if not cam or not final or final["miou"] >= cam["miou"] - _WORSE:
        return []
    return [
        f"warning: the GCN's labels score {final['miou']:.1f}, the CAMs they come from "
        f"{cam['miou']:.1f}: the boundary map or the seeds mislead it; look at them in the report"
    ]
