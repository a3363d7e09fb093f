"""The image classifier and its class activation maps (CAM).

IRNet's (docs/method.md section 1). CAMs of several scales and of the mirrored photo are added up by
the functions below the classifier. They work on one photo in a padded bucket whose real size is
traced, not static: one compilation serves all photos of a bucket.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.models.layers import apply_valid, downsample_valid
from wsgcn_jax.resize import resize_valid

_EPSILON = 1e-5


class Classifier(nn.Module):
    """A backbone, the mean over the photo, and one linear score per class.

    Attributes:
        backbone: from normalised photos to `types.Features`, with an `output_stride`.
        num_classes: foreground classes, without background.
        group_sizes: neighbouring columns of the head of which the largest score is a class's;
            None: one column a class.
        use_bias: whether the head has biases; without them a CAM is the logit's share of a cell.
    """

    backbone: nn.Module
    num_classes: int
    group_sizes: tuple[int, ...] | None = None
    use_bias: bool = False

    def setup(self) -> None:
        """Declares the 1x1 head."""
        columns = sum(self.group_sizes) if self.group_sizes else self.num_classes
        self.classifier = nn.Dense(columns, use_bias=self.use_bias)

    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Scores photos.

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            Logits `[b, num_classes] f32`; entry i is class i + 1.
        """
        return self._scores(self.pooled(x, valid))

    def pooled(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Averages the backbone's features over photos.

        Args:
            x: as in a call.
            valid: as in a call.

        Returns:
            `[b, f] f32`.
        """
        features, cells = self._features(x, valid)
        if cells is None:
            return features.mean((1, 2))
        count = jnp.maximum(cells.sum((1, 2)), 1).astype(features.dtype)
        return apply_valid(features, cells).sum((1, 2)) / count[:, None]

    def cam(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Maps where photos show the classes, in no particular unit.

        Args:
            x: `[b, h, w, 3] f32`, normalised.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            `[b, H, W, num_classes] f32`, at least 0, at the backbone's output stride; 0 where
            not valid.
        """
        features, cells = self._features(x, valid)
        return apply_valid(nn.relu(self._scores(features)), cells)

    def _scores(self, features: jax.Array) -> jax.Array:
        """Scores `[..., f]` by class, `[..., num_classes]`."""
        scores = self.classifier(features)
        if not self.group_sizes:
            return scores
        groups = jnp.split(scores, np.cumsum(self.group_sizes)[:-1], axis=-1)
        return jnp.stack([group.max(-1) for group in groups], -1)

    def _features(
        self, x: jax.Array, valid: jax.Array | None
    ) -> tuple[jax.Array, jax.Array | None]:
        """Gives the last tap and its real cells."""
        stride: int = self.backbone.output_stride
        return self.backbone(x, valid).x5, downsample_valid(valid, stride)


def multilabel_soft_margin(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Averages the sigmoid cross entropy over photos and classes.

    Args:
        logits: `[b, c] f32`.
        labels: `[b, c] bool or f32` in 0..1, which classes each photo shows.

    Returns:
        `[] f32`.
    """
    y = labels.astype(logits.dtype)
    return -jnp.mean(y * nn.log_sigmoid(logits) + (1 - y) * nn.log_sigmoid(-logits))


def merge_cams(
    cams: Sequence[jax.Array],
    sizes: Sequence[jax.Array],
    size: jax.Array,
    *,
    shape: tuple[int, int],
) -> jax.Array:
    """Adds CAMs of several scales up at one size and normalises each class.

    Args:
        cams: one `[h, w, c] f32` per scale, the mirrored photo's mirrored back and added.
        sizes: one `[2] i32` per scale: the CAM's real rows and columns (top-left).
        size: `[2] i32`, the rows and columns that every CAM is resized to.
        shape: rows and columns of the result.

    Returns:
        `[c, *shape] f32` in 0..1, 0 outside the photo. Classes the photo does not show are
        scaled like the others: keep those it does.
    """
    resized = [
        resize_valid(cam, size_in, size, shape) for cam, size_in in zip(cams, sizes, strict=True)
    ]
    total = jnp.moveaxis(jnp.stack(resized).sum(0), -1, 0)
    return normalise_cam(total, real_region(size, shape))


def normalise_cam(cam: jax.Array, valid: jax.Array) -> jax.Array:
    """Divides each class by its maximum (plus 1e-5) over the photo.

    Args:
        cam: `[c, h, w] f32`, at least 0.
        valid: `[h, w] bool`, the real pixels.

    Returns:
        `[c, h, w] f32` in 0..1, 0 where not valid.
    """
    real = cam * valid[None].astype(cam.dtype)
    return real / (real.max((1, 2), keepdims=True) + _EPSILON)


def real_region(size: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Marks the top-left rectangle of a traced size.

    Args:
        size: `[2] i32`, rows and columns.
        shape: rows and columns of the result.

    Returns:
        `[*shape] bool`.
    """
    return (jnp.arange(shape[0]) < size[0])[:, None] & (jnp.arange(shape[1]) < size[1])[None, :]


def flip_valid(x: jax.Array, width: jax.Array) -> jax.Array:
    """Mirrors the real columns of a padded map; the padding stays on the right.

    Args:
        x: `[h, w, c]`.
        width: `[] i32`, the real columns.

    Returns:
        `[h, w, c]`.
    """
    column = jnp.arange(x.shape[1])
    return jnp.take(x, jnp.where(column < width, width - 1 - column, column), axis=1)
