"""Every way in which photos, maps and labels change their size, and the convention of each.

| function | of what | convention |
|---|---|---|
| `resize_photo` | photos, host | Pillow's bicubic or Lanczos: half-pixel, antialiased |
| `resize_map` | one map of a file, host | Pillow's bilinear: half-pixel, antialiased |
| `resize_maps` | score maps, host | bilinear, half-pixel or corners aligned, not antialiased |
| `resized_strips` | score maps, host | the same, a strip of rows at a time |
| `resize_labels` | label maps, host or device | nearest: half-pixel, or by corners |
| `resize_bilinear` | batches, device | bilinear, half-pixel, not antialiased |
| `resize_valid` | the real part of padded maps, device | the same, real sizes are traced |
| `upsample` | the real part of padded batches, device | the same, by a power of two |
| `scale_photos` | training batches, device | bilinear, PyTorch's coordinates for a scale factor |

Half-pixel is PyTorch's `align_corners=False`: cell i of n covers i/n to (i + 1)/n. Antialiased
means that a smaller picture averages what falls into a cell.
"""

from wsgcn_jax.resize.device import resize_bilinear, resize_valid, scale_photos, upsample
from wsgcn_jax.resize.host import (
    Size,
    resize_labels,
    resize_map,
    resize_maps,
    resize_photo,
    resized_strips,
    within,
)

__all__ = [
    "Size",
    "resize_bilinear",
    "resize_labels",
    "resize_map",
    "resize_maps",
    "resize_photo",
    "resize_valid",
    "resized_strips",
    "scale_photos",
    "upsample",
    "within",
]
