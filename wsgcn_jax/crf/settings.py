"""The four CRFs of the published pipeline: kernels, and what they read as unary.

docs/method.md sections 2, 4, 5 and 7; tests/golden/README.md, section 7.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.types import DataError

_LEAST = 1e-5  # probability below which the published code does not look
_IMPOSSIBLE = 1e3


class Settings(NamedTuple):
    """One use of the CRF.

    Attributes:
        unary: (`[c, h, w] f32` scores, `[c] bool` classes that take part) -> `[c, h, w] f32`.
        gaussian: standard deviation in cells, and weight, of the smoothness kernel.
        bilateral: standard deviations in cells and in colour, and weight, of the other.
    """

    unary: Callable[[jax.Array, jax.Array], jax.Array]
    gaussian: tuple[float, float]
    bilateral: tuple[float, float, float]


@checked(
    labels=Shaped("H W", "integer", low=0, high=254),
    classes=Number(low=2, high=255, whole=True),
    confidence=Number(low=0, high=1, above=True),
)
def label_unary(labels: jax.Array, classes: int, *, confidence: float = 0.7) -> jax.Array:
    """Unary of labels that are right with the given probability.

    tests/golden/README.md section 7, "imutils".

    Args:
        labels: `[H, W] i32` in 0..classes-1.
        classes: c, at least 2.
        confidence: probability of the label; the others share the rest.

    Returns:
        `[c, H, W] f32`.
    """
    if not isinstance(labels, jax.core.Tracer) and labels.max(initial=0) >= classes:
        raise DataError(f"label_unary: labels hold class {labels.max()}, but there are {classes}")
    hit = jnp.arange(classes)[:, None, None] == labels[None]
    return -jnp.log(jnp.where(hit, confidence, (1 - confidence) / (classes - 1)))


def score_unary(scores: jax.Array, present: jax.Array) -> jax.Array:
    """Unary of probabilities, or of scores taken for such ("utils", "deeplab").

    Args:
        scores: `[c, h, w] f32` in [0, 1]; they need not sum to 1.
        present: `[c] bool`; the other classes get no probability.
    """
    return _masked(-jnp.log(jnp.clip(scores, _LEAST, 1.0)), present)


def flat_unary(scores: jax.Array, present: jax.Array) -> jax.Array:
    """Unary of probabilities taken for logits once more ("gcn"): of 3 classes, 0.58 at the most.

    Args:
        scores: `[c, h, w] f32` in [0, 1].
        present: `[c] bool`; the other classes get no probability.
    """
    again = jax.nn.softmax(jnp.where(present[:, None, None], scores, -jnp.inf), axis=0)
    return score_unary(again, present)


def winner_unary(scores: jax.Array, present: jax.Array) -> jax.Array:
    """Unary of the best class, right with probability 0.7 ("imutils").

    Args:
        scores: `[c, h, w] f32`.
        present: `[c] bool`; the other classes get no probability.
    """
    best = jnp.where(present[:, None, None], scores, -jnp.inf).argmax(axis=0)
    # Absent classes take no share of the rest; a single class has no rest.
    rest = 0.3 / jnp.maximum(present.sum() - 1, 1)
    hit = jnp.arange(len(scores))[:, None, None] == best[None]
    return _masked(-jnp.log(jnp.where(hit, 0.7, rest)), present)


def _masked(unary: jax.Array, present: jax.Array) -> jax.Array:
    return jnp.where(present[:, None, None], unary, _IMPOSSIBLE)


BOUNDARY_LABELS = Settings(winner_unary, (3.0, 3.0), (50.0, 5.0, 10.0))
"""Of CAMs with a constant background, for the boundary network's labels (IRNet)."""

PARTIAL_LABELS = Settings(score_unary, (4.0, 3.0), (20.0, 3.0, 10.0))
"""Of CAMs with a background by exponent, on the stride-4 grid, for the seeds."""

GCN_SCORES = Settings(flat_unary, (3.0, 3.0), (50.0, 5.0, 3.0))
"""Of the GCN's probabilities at full size."""

GCN_PROBABILITIES = Settings(score_unary, (3.0, 3.0), (50.0, 5.0, 3.0))
"""The same on the probabilities as they are: ours. The published code takes them for logits and
puts them through a softmax once more (docs/quirks.md 3)."""

DEEPLAB = Settings(score_unary, (1.0, 3.0), (67.0, 3.0, 4.0))
"""Of a segmentation network's probabilities at full size."""
