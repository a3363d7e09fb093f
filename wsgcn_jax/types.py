"""What travels between the stages: NamedTuples of arrays, and the errors users meet.

Nothing here computes. Dimensions in docstrings: `h w` a photo's pixels, `H W` the stride-4
grid (`H = (h - 1) // 4 + 1`), `n = H * W` nodes (row-major), `f` features, `c` classes with
0 = background, `k` the classes present in one photo.
"""

from typing import NamedTuple

import jax
import numpy as np

IGNORE = 255
"""Label of a pixel that nobody has labelled: never trained on, never scored."""


class DataError(ValueError):
    """Input that cannot be used; the message names the file and the fix."""


class Skipped(NamedTuple):
    """A photo that was left out of a run, and why."""

    name: str
    reason: str


class Example(NamedTuple):
    """One photo as the readers give it.

    Attributes:
        name: file stem, unique in its data set.
        image: `[h, w, 3] u8`, RGB.
        labels: `[c - 1] bool`, which foreground classes are present (entry i is class i + 1).
        mask: `[h, w] u8`, true classes with 255 = ignore; None where there is no truth.
            For evaluation only.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray | None


class Features(NamedTuple):
    """A backbone's five taps, `[batch, height, width, channels] f32`.

    Strides 4, 4, 8, 16, 16 at output stride 16 (and 4, 4, 8, 8, 8 at output stride 8);
    sizes are rounded up. `x5` carries the class evidence: CAM and ASPP heads read it.
    """

    x1: jax.Array
    x2: jax.Array
    x3: jax.Array
    x4: jax.Array
    x5: jax.Array
