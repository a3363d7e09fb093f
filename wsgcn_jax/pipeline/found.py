"""What the masks of labelled photos hold, whenever they were made: the ground of `doubts`."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays
from wsgcn_jax.types import IGNORE


class Found(NamedTuple):
    """What was found in a labelled photo.

    Attributes:
        object: whether its mask holds one.
        background: whether its mask holds any.
        seeds: whether its partial labels hold an object; None: they were not kept.
    """

    object: bool
    background: bool
    seeds: bool | None


def found_in(mask: np.ndarray, seeds: np.ndarray | None) -> Found:
    """Looks at one photo's result.

    Args:
        mask: `[h, w] u8`.
        seeds: `[H, W] u8`, partial labels, 255 = none; None: they were not kept.
    """
    seeded = None if seeds is None else bool(((seeds > 0) & (seeds < IGNORE)).any())
    return Found(bool(mask.any()), not mask.all(), seeded)


def with_earlier(found: Mapping[str, Found], masks: Mapping[str, Path]) -> dict[str, Found]:
    """Adds the photos that an earlier start of the same command labelled, or another host.

    Args:
        found: of the photos labelled here, by name.
        masks: of all photos with a label, by name; those that are missing are passed over. Beside
            `NAME.png` there may be `NAME.npz` with the partial labels `seeds`.

    Returns:
        What was found in each, in the order of `masks`.

    Raises:
        DataError: a mask, or what lies beside it, is damaged.
    """
    return {
        name: found[name] if name in found else _read(mask)
        for name, mask in masks.items()
        if name in found or mask.exists()
    }


def _read(mask: Path) -> Found:
    beside = mask.with_suffix(".npz")
    seeds = read_arrays(beside).get("seeds") if beside.exists() else None
    return found_in(data.read_mask(mask), seeds)
