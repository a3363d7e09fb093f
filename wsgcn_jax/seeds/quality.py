"""How much seeds label, and how much of it is right."""

from typing import NamedTuple

import numpy as np

from wsgcn_jax.checks import Shaped, checked
from wsgcn_jax.types import IGNORE


class SeedQuality(NamedTuple):
    """How much is labelled and how much of that is right, as shares in [0, 1].

    Attributes:
        background_coverage: nodes labelled background, of all nodes with a truth.
        background_precision: of those, truly background; 0 if there are none.
        foreground_coverage: nodes labelled with an object class, of all nodes with a truth.
        foreground_precision: of those, truly of that class; 0 if there are none.
    """

    background_coverage: float
    background_precision: float
    foreground_coverage: float
    foreground_precision: float


@checked(labels=Shaped("...", "integer"), truth=Shaped("...", "integer"))
def seed_quality(labels: np.ndarray, truth: np.ndarray) -> SeedQuality:
    """Compare seeds with true masks, of one photo or of many joined; for reports only.

    Args:
        labels: any shape, u8, 255 = unlabelled.
        truth: same shape, u8, 255 = not compared.

    Returns:
        coverage and precision of background and of object seeds.
    """
    scored = truth != IGNORE
    right = scored & (labels == truth)
    shares = []
    for kind in (labels == 0, (labels != 0) & (labels != IGNORE)):
        labelled = int((kind & scored).sum())
        shares.append(labelled / max(1, int(scored.sum())))
        shares.append(int((kind & right).sum()) / max(1, labelled))
    return SeedQuality(*shares)
