"""CAMs -> partial labels: the few nodes of which we are sure supervise the GCN."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.types import IGNORE

Refine = Callable[[jax.Array], jax.Array]
"""Maps class scores `[c, H, W] f32` to better ones; scores of absent classes are 0 and stay out."""

_BINS = 64
_FLAT = 1e-4  # values nearer to each other are rounding
_EVEN = 0.4  # a walk whose low side scores more than this share of the high one has leaked
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
        floor: in [0, 1); CAM values up to here count as nothing and the rest is symmetrise_max back
            to 1. The published rule (0) expects CAMs that are zero on background.
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
    # One sort for all classes: by class first, then by value; useless nodes go to the end.
    group, ordered = jax.lax.sort((jnp.where(usable, best, num_classes), value), num_keys=2)
    starts = jnp.searchsorted(group, jnp.arange(num_classes + 1))
    # A table, since the product in float32 would not always round as the published float64 does.
    ranks = jnp.asarray(np.floor(np.arange(count + 1) * (1.0 - confident)).astype(np.int32))
    # An empty class reads somebody else's threshold, but has no usable node to compare with it.
    counts = jnp.diff(starts)
    threshold = ordered.at[starts[:-1] + ranks[counts]].get(mode="clip")
    top = ordered.at[starts[1:] - 1].get(mode="clip")
    flat = (ranks[counts] < counts - 1) & (top - threshold <= _FLAT)
    strong = usable & jnp.where(flat[best], value >= threshold[best], value > threshold[best])
    background = (best == 0) & (value > background_minimum)
    return ((strong | background) & wins[best]).reshape(valid.shape)


def walk_seeds(
    walked: jax.Array,
    present: jax.Array,
    *,
    cams: jax.Array | None = None,
    valid: jax.Array | None = None,
    margin: float = 0.3,
) -> jax.Array:
    """Label the nodes whose score after the random walk is far from the photo's own threshold.

    Ours, not the paper's. The published rule counts on CAMs that are zero on background, as a
    ResNet-50's nearly are. This one calibrates itself: scores are divided by the photo's largest,
    the threshold between object and background is Otsu's (the one that leaves the least variance
    on both sides, 1979), and the nodes near it stay unlabelled for the GCN to decide.

    A walk through boundaries that do not hold evens everything out, and its threshold means
    nothing. So the CAMs are labelled themselves, in the same way, where the walk's two sides lie
    near each other (0.4) and theirs twice as far apart, or where the walk finds one side only.

    Args:
        walked: `[c - 1, H, W] f32`, at least 0: CAMs after the walk (`random_walk`); absent
            classes are not read.
        present: `[c - 1] bool`, the photo's image-level labels.
        cams: `[c - 1, H, W] f32`, at least 0: the same before the walk; None: the walk alone
            counts.
        valid: `[H, W] bool`, real nodes; None if all are. The others are never labelled.
        margin: in [0, 1); object seeds lie above the threshold by this share of the way to the
            largest score, background seeds below it by this share of the way to zero.

    Returns:
        `[H, W] u8`, the classes of the seeds, 255 elsewhere. A photo without classes, or without
        any score, is all background.

    Raises:
        ValueError: `margin` is out of range.
    """
    if not 0 <= margin < 1:
        raise ValueError(f"margin={margin} must be in [0, 1)")
    valid = jnp.ones(walked.shape[1:], bool) if valid is None else valid
    real = present[:, None, None] & valid[None]
    labels = _far_from_threshold(jnp.where(real, walked, 0.0), valid, margin)
    if cams is not None:
        scores = jnp.where(real, cams, 0.0)
        others = _far_from_threshold(scores, valid, margin)
        one_sided = ~_both_sides(labels) & _both_sides(others)
        even = _evenness(jnp.where(real, walked, 0.0), valid)
        leaked = (even > _EVEN) & (_evenness(scores, valid) < even / 2)
        labels = jnp.where(one_sided | leaked, others, labels)
    return jnp.where(valid, labels, IGNORE).astype(jnp.uint8)


def _relative(scores: jax.Array) -> jax.Array:
    """The best score of every node, `[H, W]` in [0, 1], 1 the photo's largest."""
    return scores.max(axis=0) / jnp.maximum(scores.max(), 1e-10)


def _far_from_threshold(scores: jax.Array, valid: jax.Array, margin: float) -> jax.Array:
    """Labels `[H, W] i32` of scores `[c - 1, H, W]`, 255 near the threshold."""
    value = _relative(scores)
    threshold = _otsu(value, valid)
    best = scores.argmax(axis=0) + 1
    sure = value > threshold + margin * (1.0 - threshold)
    labels = jnp.where(value < threshold * (1.0 - margin), 0, jnp.where(sure, best, IGNORE))
    return jnp.where(valid, jnp.where(scores.max() > 0, labels, 0), IGNORE)


def _both_sides(labels: jax.Array) -> jax.Array:
    """Whether there are background and object among labels."""
    return (labels == 0).any() & ((labels != 0) & (labels != IGNORE)).any()


def _evenness(scores: jax.Array, valid: jax.Array) -> jax.Array:
    """Mean score of the side below Otsu's threshold, as a share of the other side's; `[] f32`."""
    value = _relative(scores)
    above = (value >= _otsu(value, valid)) & valid
    high, low = (
        jnp.where(side, value, 0.0).sum() / jnp.maximum(side.sum(), 1)
        for side in (above, ~above & valid)
    )
    return low / jnp.maximum(high, 1e-10)


def _otsu(value: jax.Array, valid: jax.Array) -> jax.Array:
    """Threshold of scores `[H, W]` in [0, 1] that best parts them in two; `[] f32`."""
    edges = jnp.arange(1, _BINS) / _BINS
    count = jnp.maximum(valid.sum(), 1)
    below = (value[..., None] < edges[None, None]) & valid[..., None]
    share = below.sum(axis=(0, 1)) / count
    mass = jnp.where(below, value[..., None], 0.0).sum(axis=(0, 1)) / count
    mean = jnp.where(valid, value, 0.0).sum() / count
    # The variance between the two sides; 0 where all lie on one.
    apart = (mean * share - mass) ** 2 / jnp.maximum(share * (1.0 - share), 1e-6)
    return edges[apart.argmax()]


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
