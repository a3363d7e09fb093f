"""A seed rule of our own: nodes far from the photo's own threshold of the walked scores."""

import jax
import jax.numpy as jnp

from wsgcn_jax.checks import Shaped, checked
from wsgcn_jax.types import IGNORE

_BINS = 64
_ROUNDING = 1e-5
_EVEN = 0.4  # a walk whose low side scores more than this share of the high one has leaked


@checked(
    walked=Shaped("k H W"),
    present=Shaped("k", "bool"),
    cams=Shaped("k H W", low=0),
    valid=Shaped("H W", "bool"),
)
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
    """Threshold of scores `[H, W]` in [0, 1] that best parts them in two; `[] f32`.

    Where several do equally well, as between the two values of a walk that stops at its boundaries,
    it is the middle one: the lowest would lie on the lower value.
    """
    edges = jnp.arange(1, _BINS) / _BINS
    count = jnp.maximum(valid.sum(), 1)
    below = (value[..., None] < edges[None, None]) & valid[..., None]
    share = below.sum(axis=(0, 1)) / count
    mass = jnp.where(below, value[..., None], 0.0).sum(axis=(0, 1)) / count
    mean = jnp.where(valid, value, 0.0).sum() / count
    # The variance between the two sides; 0 where all lie on one.
    apart = (mean * share - mass) ** 2 / jnp.maximum(share * (1.0 - share), 1e-6)
    best = apart >= apart.max() * (1.0 - _ROUNDING)
    ends = jnp.where(best, edges, jnp.inf).min() + jnp.where(best, edges, -jnp.inf).max()
    return jnp.where(apart.max() > 0, ends / 2, edges[0])
