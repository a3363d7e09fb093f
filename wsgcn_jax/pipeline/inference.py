"""Running networks over photos of every size: static padded shapes, a mask of what is real.

A network sees a photo resized so that both sides are multiples of 16. Then the cells of every
stride cover it exactly, and the mirror image's cells fall on the photo's own; the published code
mirrors at any width, which shifts the mirror's cells by up to 12 pixels.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.distributed import host_shard
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.cam import flip_valid
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline.progress import progress
from wsgcn_jax.resize import resize_photo, resize_valid

CELL = 16


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


def make_plans(
    sizes: Sequence[tuple[int, int]], *, batch_size: int, bucket: int
) -> tuple[Plan, ...]:
    """Groups photos by padded shape.

    The plan depends on the list of photos only, and a batch is always computed whole: so a
    resumed run puts every photo in the same company, and float sums come out the same.

    Args:
        sizes: (height, width) at which the network sees each photo at scale 1.
        batch_size: photos a batch.
        bucket: padded sides are multiples of this.
    """
    plans = []
    for shape, indices in data.plan_batches(sizes, batch_size, bucket):
        filled = (*indices, *(indices[-1],) * (batch_size - len(indices)))
        plans.append(Plan(shape, filled, len(indices)))
    return tuple(plans)


def run_plans(
    plans: Sequence[Plan],
    outputs: Callable[[int], Path],
    work: Callable[[Plan], None],
    what: str,
    *,
    at_once: int = 1,
) -> None:
    """Does this host's share of the batches, as far as an output is missing.

    Args:
        plans: all batches.
        outputs: index of a photo -> the file that is written last for it.
        work: computes and writes one batch.
        what: a word for the progress line.
        at_once: batches that are worked on side by side, each in a thread of its own.
    """
    todo = [p for p in host_shard(plans) if not all(outputs(i).exists() for i in p.indices)]
    pool = ThreadPoolExecutor(at_once)
    try:
        for done in progress([pool.submit(work, plan) for plan in todo], what):
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


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
