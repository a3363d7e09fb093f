"""The published seed rule: nodes on which two readings of the CAMs agree."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.ranks import by_rank
from wsgcn_jax.types import IGNORE

Refine = Callable[[jax.Array], jax.Array]
"""Maps class scores `[c, H, W] f32` to better ones; scores of absent classes are 0 and stay out."""

_FLAT = 1e-4  # values nearer to each other are rounding
_USABLE = 0.1  # a CAM below this says nothing; the published quantile leaves it out


class Seeds(NamedTuple):
    """Partial labels of one photo.

    Attributes:
        labels: `[H, W] u8`, the classes of the sure nodes, 255 elsewhere.
        scores: `[c, H, W] f32`, what the labels were read from: background by the high exponent,
            foreground by the low one, both refined; 0 for absent classes and padding.
    """

    labels: jax.Array
    scores: jax.Array


@checked(
    cams=Shaped("k H W", low=0, high=1),
    present=Shaped("k", "bool"),
    valid=Shaped("H W", "bool"),
    low_background=Number(low=0, above=True),
    high_background=Number(low=0, above=True),
)
def partial_labels(
    cams: jax.Array,
    present: jax.Array,
    *,
    valid: jax.Array | None = None,
    low_background: float = 4.0,
    high_background: float = 32.0,
    confident: float = 0.3,
    minimum_score: float = 0.8,
    background_minimum: float = 0.8,
    floor: float = 0.0,
    refine: Refine | None = None,
) -> Seeds:
    """Label the nodes on which a cautious and a bold reading of the CAMs agree.

    docs/method.md section 4, tests/golden/README.md section 6. A photo with no class present is all
    background.

    Args:
        cams: `[c - 1, H, W] f32` in [0, 1], one a foreground class; absent ones are not read.
        present: `[c - 1] bool`, the photo's image-level labels.
        valid: `[H, W] bool`, real nodes; None if all are. The others are never labelled.
        low_background: exponent of the background score `(1 - max cam)^a` under which an object
            has to win; background is weak in it only where a CAM is high.
        high_background: exponent of the one under which background has to win.
        confident: share of each class's usable nodes (CAM above 0.1) that may be labelled, the
            strongest first; in (0, 1].
        minimum_score: least refined score of a labelled node.
        background_minimum: least unrefined high-exponent score of a background node.
        floor: in [0, 1); CAM values up to here count as nothing and the rest is stretched back to
            1. The published rule (0) expects CAMs that are zero on background.
        refine: a dense CRF, say; called for the low-exponent scores, then for the high ones.

    Returns:
        the seeds.

    Raises:
        ValueError: `confident` or `floor` is out of range.
    """
    if not (0 < confident <= 1 and 0 <= floor < 1):
        raise ValueError(f"confident={confident} must be in (0, 1] and floor={floor} in [0, 1)")
    valid = jnp.ones(cams.shape[1:], bool) if valid is None else valid
    cams = jnp.maximum(cams - floor, 0.0) / (1.0 - floor)
    known = jnp.concatenate([jnp.ones(1, bool), present])[:, None, None]
    cams = jnp.where(known[1:] & valid[None], cams, 0.0)
    refined, raw = {}, {}
    for name, exponent in (("low", low_background), ("high", high_background)):
        raw[name] = jnp.concatenate([(1.0 - cams.max(axis=0, keepdims=True)) ** exponent, cams])
        scores = raw[name] if refine is None else refine(raw[name])
        # An absent class never wins, whatever the refinement leaves it.
        refined[name] = jnp.where(known, scores, -1.0)
    low, high = refined["low"].argmax(axis=0), refined["high"].argmax(axis=0)
    labels = jnp.where(high == 0, 0, jnp.where(low == 0, IGNORE, low))

    wins = (low[None] == jnp.arange(len(cams) + 1)[:, None, None]) & valid[None]
    sure = _confident_region(
        raw["high"], wins.any(axis=(1, 2)), valid, confident, background_minimum
    )
    scores = jnp.concatenate([refined["high"][:1], refined["low"][1:]])
    # The last condition is the published vote: the label must also be the best of the mixture.
    keep = valid & sure & (scores.max(axis=0) >= minimum_score) & (labels == scores.argmax(axis=0))
    return Seeds(
        labels=jnp.where(keep, labels, IGNORE).astype(jnp.uint8),
        scores=jnp.where(known & valid[None], scores, 0.0),
    )


@partial(jax.jit, static_argnames=("confident", "background_minimum"))
def _confident_region(
    raw: jax.Array, wins: jax.Array, valid: jax.Array, confident: float, background_minimum: float
) -> jax.Array:
    """Nodes `[H, W] bool` among the strongest of their class, from the unrefined scores.

    Of the sorted usable values of a class, those above entry `floor(count * (1 - confident))`;
    strictly, so that even `confident = 1` drops the smallest. Only classes that won some node.
    Where all the values that should lie above equal that entry, as on the plateau of a mask given
    as a CAM, the plateau is the strongest; the published rule labels nobody there.
    """
    num_classes, count = len(raw), valid.size
    best, value = raw.argmax(axis=0).reshape(-1), raw.max(axis=0).reshape(-1)
    usable = (best > 0) & (value > _USABLE) & valid.reshape(-1)
    mine = usable[None, :] & (best[None, :] == jnp.arange(num_classes)[:, None])
    # A table, since the product in float32 would not always round as the published float64 does.
    ranks = jnp.asarray(np.floor(np.arange(count + 1) * (1.0 - confident)).astype(np.int32))
    counts = mine.sum(axis=1)
    threshold = by_rank(value, mine, ranks[counts])
    top = jnp.where(mine, value[None, :], -jnp.inf).max(axis=1)
    flat = (ranks[counts] < counts - 1) & (top - threshold <= _FLAT)
    strong = usable & jnp.where(flat[best], value >= threshold[best], value > threshold[best])
    background = (best == 0) & (value > background_minimum)
    return ((strong | background) & wins[best]).reshape(valid.shape)
