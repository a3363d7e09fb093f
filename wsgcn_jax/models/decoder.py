"""A decoder for the segmenter: scores drawn to what the backbone saw at stride 4.

After DeepLab v3+ (Chen et al., ECCV 2018, section 3.1), made small for CPUs: it corrects scores
instead of making them out of 256 features a cell, and its convolutions are depthwise separable.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wsgcn_jax.models.convolutions import conv, depthwise_conv
from wsgcn_jax.models.layers import GroupNorm, apply_valid, relu
from wsgcn_jax.resize import upsample

DECODERS = ("none", "skip")
"""The names that `DeepLabV2` takes: scores as they are, or through `SkipDecoder`."""

_SKIP = 48  # channels of the tap, as published
_HIDDEN = 64
_BLOCKS = 2  # 3x3 each, as published
_GROUP = 8  # channels
_INIT = nn.initializers.he_normal()


class SkipDecoder(nn.Module):
    """Enlarges scores to stride 4 and adds a correction, made of them and of the backbone's tap.

    The correction's last layer starts at zero: an untrained decoder only enlarges.

    Attributes:
        factor: by how much it enlarges, 2 or 4.
    """

    factor: int

    @nn.compact
    def __call__(
        self,
        scores: jax.Array,
        tap: jax.Array,
        cells: jax.Array | None,
        fine_cells: jax.Array | None,
    ) -> jax.Array:
        """Refines the scores of a batch.

        Args:
            scores: `[b, h, w, c] f32`.
            tap: `[b, H, W, f]`, the backbone's features at stride 4, f32 or bf16; H and W at most
                `factor` times h and w.
            cells: `[b, h, w] bool`, the real cells; None where all are.
            fine_cells: `[b, H, W] bool`, the same at stride 4.

        Returns:
            `[b, H, W, c] f32`; cells of the padding hold anything (but finite).
        """
        coarse = upsample(scores, self.factor, cells)[:, : tap.shape[1], : tap.shape[2]]
        skip = conv(tap.astype(scores.dtype), self._kernel("skip", tap.shape[-1], _SKIP))
        skip = relu(GroupNorm(_SKIP // _GROUP, name="skip_norm")(skip, fine_cells))
        x = jnp.concatenate([coarse, skip], -1)
        for block in range(1, _BLOCKS + 1):
            taps = self.param(f"depthwise{block}_kernel", _INIT, (3, 3, 1, x.shape[-1]))
            x = depthwise_conv(apply_valid(x, fine_cells), taps, padding=((1, 1), (1, 1)))
            x = conv(x, self._kernel(f"pointwise{block}", x.shape[-1], _HIDDEN))
            x = relu(GroupNorm(_HIDDEN // _GROUP, name=f"norm{block}")(x, fine_cells))
        last = self.param("last_kernel", nn.initializers.zeros, (1, 1, _HIDDEN, scores.shape[-1]))
        bias = self.param("last_bias", nn.initializers.zeros, scores.shape[-1:])
        return coarse + conv(x, last) + bias[None, None, None]

    def _kernel(self, name: str, before: int, after: int) -> jax.Array:
        """The kernel of a 1x1 convolution."""
        return self.param(f"{name}_kernel", _INIT, (1, 1, before, after))
