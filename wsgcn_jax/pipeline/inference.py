"""Running networks over photos of every size: static padded shapes, a mask of what is real.

A network sees a photo resized so that both sides are multiples of 16. Then the cells of every
stride cover it exactly, and the mirror image's cells fall on the photo's own; the published code
mirrors at any width, which shifts the mirror's cells by up to 12 pixels.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.cam import flip_valid
from wsgcn_jax.models.network import Network
from wsgcn_jax.resize import resize_photo, resize_valid

CELL = 16

_CPU_BATCH, _LARGEST_BATCH = 4, 128
_USABLE = 0.6  # of an accelerator's free memory: programs of several shapes stay beside each other


class Plan(NamedTuple):
    """Photos that share a padded shape and are worked on together.

    Attributes:
        shape: padded (height, width) at scale 1, in pixels.
        indices: of the photos in their split; a short batch repeats its last photo.
        real: how many of the indices count.
    """

    shape: tuple[int, int]
    indices: tuple[int, ...]
    real: int


def network_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Returns the size at which a network sees a photo: multiples of 16, at least 16."""
    height, width = (max(1, round(side * scale / CELL)) * CELL for side in size)
    return height, width


def grid_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the stride-4 grid of a photo."""
    return (size[0] - 1) // 4 + 1, (size[1] - 1) // 4 + 1


def longer_side_scale(size: tuple[int, int], longer: int | None) -> float:
    """Returns the scale that brings the longer side to `longer`; 1 for None."""
    return longer / max(size) if longer else 1.0


def photos_a_batch(batch_size: int | None, megabytes: float) -> int:
    """Returns how many photos are worked on together.

    Args:
        batch_size: as configured; None: as many as an accelerator's memory holds, 4 on a CPU,
            which more photos at a time do not make faster.
        megabytes: that one photo of 512x512 takes.

    Returns:
        The number; where it is found here, a power of two.
    """
    if batch_size is not None:
        return batch_size
    memory = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if not memory:
        return _CPU_BATCH
    free = _USABLE * (memory["bytes_limit"] - memory["bytes_in_use"]) / 1e6
    each = max(1.0, free / megabytes) * jax.local_device_count()
    return 1 << int(min(_LARGEST_BATCH, each)).bit_length() - 1


def make_plans(
    sizes: Sequence[tuple[int, int]], *, batch_size: int, bucket: int
) -> tuple[Plan, ...]:
    """Groups photos by padded shape.

    The plan depends on the list of photos only, and a batch is always computed whole: so a
    resumed run puts every photo in the same company, and float sums come out the same.

    Args:
        sizes: (height, width) at which the network sees each photo at scale 1.
        batch_size: photos a batch, fewer of large ones (`data.batch_of`).
        bucket: padded sides are multiples of this.
    """
    plans = []
    for shape, indices in data.plan_batches(sizes, batch_size, bucket):
        missing = data.batch_of(shape, batch_size) - len(indices)
        filled = (*indices, *(indices[-1],) * missing)
        plans.append(Plan(shape, filled, len(indices)))
    return tuple(plans)


def padded_photos(
    photos: Sequence[np.ndarray],
    sizes: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    method: Literal["bicubic", "lanczos"] = "bicubic",
) -> np.ndarray:
    """Resizes photos and pads them to one shape.

    Args:
        photos: `[h, w, 3] u8` each.
        sizes: (height, width) of each after resizing.
        shape: padded shape.
        method: of resizing.

    Returns:
        `[b, *shape, 3] u8`.
    """
    resized = (resize_photo(p, s, method=method) for p, s in zip(photos, sizes, strict=True))
    return np.stack([data.pad_to(p, shape) for p in resized])


def valid_mask(sizes: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Marks the real pixels of padded photos.

    Args:
        sizes: `[b, 2] i32`, real heights and widths.
        shape: padded shape.

    Returns:
        `[b, *shape] bool`.
    """
    rows = jnp.arange(shape[0])[None, :, None] < sizes[:, 0, None, None]
    columns = jnp.arange(shape[1])[None, None, :] < sizes[:, 1, None, None]
    return rows & columns


class ScaledPhotos(NamedTuple):
    """The photos of a batch at several scales.

    Attributes:
        images: `[b, h, w, 3] u8` for each scale, padded.
        sizes: `[b, 2] i32` for each scale, the real heights and widths.
    """

    images: tuple[jax.Array, ...]
    sizes: tuple[jax.Array, ...]


def scaled_photos(
    photos: Sequence[np.ndarray], shape: tuple[int, int], scales: Sequence[float]
) -> ScaledPhotos:
    """Resizes the photos of a batch for multi-scale inference.

    Args:
        photos: `[h, w, 3] u8` each.
        shape: padded shape at scale 1 (`Plan.shape`).
        scales: of the photo.
    """
    whole = [network_size((p.shape[0], p.shape[1]), 1.0) for p in photos]
    images, sizes = [], []
    for scale in scales:
        seen = [network_size(size, scale) for size in whole]
        images.append(jnp.asarray(padded_photos(photos, seen, network_size(shape, scale))))
        sizes.append(jnp.asarray(seen, jnp.int32))
    return ScaledPhotos(tuple(images), tuple(sizes))


def photo_and_mirror(
    net: Network,
    variables: Any,
    images: jax.Array,
    sizes: jax.Array,
    backbone: str,
    *,
    method: str | None = None,
) -> tuple[Any, Any]:
    """Runs a network on photos and on their mirror images, in one batch.

    Args:
        net: the network.
        variables: its variables.
        images: `[b, h, w, 3] u8`, padded.
        sizes: `[b, 2] i32`, real heights and widths.
        backbone: name of the backbone, for the normalisation.
        method: of the module; None for its call.

    Returns:
        What the network gives for the photos and for the mirror images (still mirrored).
    """
    valid = valid_mask(sizes, (images.shape[1], images.shape[2]))
    x = normalise(images, backbone, valid)
    both = jnp.concatenate([x, jax.vmap(flip_valid)(x, sizes[:, 1])])
    output = net.apply(variables, both, jnp.concatenate([valid, valid]), method=method)
    straight, mirrored = (jax.tree.map(lambda a, i=i: jnp.split(a, 2)[i], output) for i in (0, 1))
    return straight, mirrored


def mirrored_sum(
    net: Network,
    variables: Any,
    images: jax.Array,
    sizes: jax.Array,
    backbone: str,
    *,
    method: str | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Score map of photos plus that of their mirror images, mirrored back.

    Args:
        net: a network with one score map.
        variables: its variables.
        images: `[b, h, w, 3] u8`, padded.
        sizes: `[b, 2] i32`, real heights and widths, multiples of 16.
        backbone: name of the backbone, for the normalisation.
        method: of the module; None for its call.

    Returns:
        The sums `[b, H, W, c] f32` at the network's output stride, and their real sizes
        `[b, 2] i32`.
    """
    straight, mirrored = photo_and_mirror(net, variables, images, sizes, backbone, method=method)
    cells = sizes // (images.shape[1] // straight.shape[1])
    return straight + jax.vmap(flip_valid)(mirrored, cells[:, 1]), cells


def mirrored_mean_on_grid(
    net: Network,
    variables: Any,
    images: jax.Array,
    sizes: jax.Array,
    grids: jax.Array,
    *,
    backbone: str,
    shape: tuple[int, int],
) -> jax.Array:
    """Mean score map of photos and mirror images, resized to the stride-4 grid.

    Args:
        net: a network with one score map.
        variables: its variables.
        images: `[b, h, w, 3] u8`, padded.
        sizes: `[b, 2] i32`, real heights and widths, multiples of 16.
        grids: `[b, 2] i32`, real rows and columns of the grids.
        backbone: name of the backbone, for the normalisation.
        shape: padded shape of the grid.

    Returns:
        `[b, *shape, c] f32`, 0 in the padding.
    """
    total, cells = mirrored_sum(net, variables, images, sizes, backbone)
    return jax.vmap(partial(resize_valid, out_shape=shape))(total / 2, cells, grids)
