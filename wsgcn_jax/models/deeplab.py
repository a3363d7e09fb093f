"""DeepLab v2: atrous spatial pyramid pooling on a backbone, and its loss (TPAMI 2018).

A decoder may refine the scores (`models/decoder.py`); without one this is DeepLab v2 itself.
"""

from collections import defaultdict
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from wsgcn_jax.models.decoder import SkipDecoder
from wsgcn_jax.models.layers import apply_valid, downsample_valid, extend_valid
from wsgcn_jax.resize import resize_bilinear, resize_labels, scale_photos
from wsgcn_jax.types import IGNORE


class DeepLabV2(nn.Module):
    """A backbone and the sum of dilated 3x3 convolutions (docs/method.md section 7).

    Attributes:
        backbone: gives `Features`, with an `output_stride`.
        num_classes: including background.
        rates: the convolutions' dilations, in cells of `x5`. Published at output stride 8;
            half of them look equally far at output stride 16.
        decoder: one of DECODERS; "none" is DeepLab v2.
    """

    backbone: nn.Module
    num_classes: int
    rates: tuple[int, ...] = (6, 12, 18, 24)
    decoder: str = "none"

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Scores every cell.

        Args:
            x: `[b, h, w, 3]`, normalised; what is computed in (f32 or bf16) is its dtype.
            valid: `[b, h, w] bool`, the real pixels; None where all are.

        Returns:
            Logits `[b, H, W, num_classes] f32` at the backbone's output stride, or at stride 4
            behind a decoder; cells of the padding hold anything (but finite).
        """
        stride: int = self.backbone.output_stride
        taps = self.backbone(x, valid)
        features = taps.x5
        cells = extend_valid(downsample_valid(valid, stride), features)
        features = apply_valid(features, cells)
        shape = (len(self.rates), 3, 3, features.shape[-1], self.num_classes)
        # A tenth of the published deviation: with 1280 features and 36 taps the first logits
        # would be so large that the first steps wreck the backbone.
        kernel = self.param("aspp_kernel", nn.initializers.normal(0.001), shape)
        # One bias for every rate, as published: their sum learns four times as fast as one.
        bias = self.param("aspp_bias", nn.initializers.zeros, (shape[0], shape[-1]))
        # bf16 becomes f32 again: a sum of 36 taps and a softmax want it.
        scores = dilated_sum(features, kernel, self.rates) + bias.sum(0)[None, None, None]
        if self.decoder == "none":
            return scores
        fine_cells = extend_valid(downsample_valid(valid, 4), taps.x2)
        return SkipDecoder(stride // 4, name="decoder")(scores, taps.x2, cells, fine_cells)

    def multi_scale(
        self,
        x: jax.Array,
        valid: jax.Array | None = None,
        *,
        scales: Sequence[float],
        by_size: bool = False,
    ) -> tuple[jax.Array, ...]:
        """Scores every cell at several scales (MSC, tests/golden/README.md section 10).

        Args:
            x: as in a call.
            valid: as in a call.
            scales: of the photo, besides 1; published: 0.5, 0.75.
            by_size: see `scale_photos`.

        Returns:
            Logits of scale 1, of every other scale at its own size, and the largest of all at
            scale 1's cells.
        """
        each = [self(x, valid)]
        for scale in scales:
            small, real = scale_photos(x, valid, scale, by_size=by_size)
            each.append(self(small, real))
        size = (each[0].shape[1], each[0].shape[2])
        fused = each[0]
        for logits in each[1:]:
            fused = jnp.maximum(fused, resize_bilinear(logits, size))
        return (*each, fused)


def dilated_sum(x: jax.Array, kernel: jax.Array, rates: tuple[int, ...]) -> jax.Array:
    """Sums 3x3 convolutions of several dilations, zero-padded to keep the size.

    Few channels come out of many: so one matrix product makes what every tap contributes, and
    the contributions, not the features, are shifted. Taps that all fall outside are left out,
    and the centres of all rates are one tap.

    Args:
        x: `[b, h, w, f]`, f32 or bf16, which is also what is computed in.
        kernel: `[rates, 3, 3, f, c] f32`.
        rates: the dilations.

    Returns:
        `[b, h, w, c]` of `x`'s dtype.
    """
    height, width = x.shape[1:3]
    kernel = kernel.astype(x.dtype)
    taps = defaultdict(list)
    for index, rate in enumerate(rates):
        for i in range(3):
            for j in range(3):
                dy, dx = (i - 1) * rate, (j - 1) * rate
                if abs(dy) < height and abs(dx) < width:
                    taps[dy, dx].append(kernel[index, i, j])
    products = jnp.split(x @ jnp.concatenate([sum(k) for k in taps.values()], -1), len(taps), -1)
    total = jnp.zeros((*x.shape[:3], kernel.shape[-1]), x.dtype)
    for (dy, dx), product in zip(taps, products, strict=True):
        moves = ((0, 0, 0), (-dy, dy, 0), (-dx, dx, 0), (0, 0, 0))
        total = total + lax.pad(product, jnp.zeros((), x.dtype), moves)
    return total


def segmentation_loss(
    logits: jax.Array,
    labels: jax.Array,
    *,
    scores: jax.Array | None = None,
    balanced: bool = False,
) -> jax.Array:
    """Averages the cross entropy over the labelled pixels of a batch.

    As published the labels come to the logits' size, by the nearest pixel.

    Args:
        logits: `[b, H, W, c] f32`.
        labels: `[b, h, w] u8`, 255 where unknown.
        scores: `[b, c, h, w]`, probabilities to learn in place of the labels, which then only
            say which pixels count, and as what.
        balanced: the mean of the averages over objects and over background, as in the GCN's loss;
            one of them, where the batch has no other. Ours: three pixels in four are background,
            and IoU, unlike accuracy, does not forgive what is missed for that.

    Returns:
        `[] f32`; 0 where nothing is labelled.
    """
    size = (logits.shape[1], logits.shape[2])
    labels = resize_labels(labels, size)
    known = labels != IGNORE
    log_probs = nn.log_softmax(logits)
    if scores is None:
        target = jnp.where(known, labels, 0).astype(jnp.int32)
        chosen = jnp.take_along_axis(log_probs, target[..., None], axis=-1)[..., 0]
    else:
        chosen = (jnp.moveaxis(resize_labels(scores, size), 1, -1) * log_probs).sum(-1)
    kinds = (known & (labels == 0), known & (labels != 0)) if balanced else (known,)
    means = [-jnp.where(kind, chosen, 0).sum() / jnp.maximum(kind.sum(), 1) for kind in kinds]
    some = jnp.stack([kind.any() for kind in kinds])
    return jnp.stack(means).sum() / jnp.maximum(some.sum(), 1)
