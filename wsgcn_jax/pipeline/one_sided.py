"""Masks of labelled photos that found nothing, or nothing else: counted and named."""

from collections.abc import Sequence

from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.pipeline.progress import log

_NAMED = 5


def warn_of_one_sided(masks: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Says how many masks of labelled photos are all background, and how many all object.

    Args:
        masks: of photos with a label; those that are missing are passed over.

    Returns:
        (names of the photos without an object, of those without background).
    """
    empty, full = [], []
    for path in masks:
        if not path.exists():
            continue
        mask = data.read_mask(path)
        if not mask.any():
            empty.append(path.stem)
        elif mask.all():
            full.append(path.stem)
    for names, what in ((empty, "no object"), (full, "no background")):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            log(
                f"warning: {len(names)} of {len(masks)} masks of labelled photos hold {what}: "
                f"{', '.join(names[:_NAMED])}{more}; look at their CAMs, boundary maps and seeds"
            )
    return empty, full
