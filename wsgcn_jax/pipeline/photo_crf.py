"""The dense CRF of many photos: few padded shapes, and on accelerators one program a batch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.crf import Kernel, Settings, counting_classes, refine, refined_whole
from wsgcn_jax.distributed import over_devices

BUCKET = 128
"""Pixels to whose multiples photos are padded for the CRF, at least."""

_CLASSES = 4  # their number is rounded up to a multiple, so that photos share programs

PhotoCRF = Callable[[Sequence[np.ndarray], Iterable[np.ndarray], int], Iterator[np.ndarray]]
"""(photos of a batch `[h, w, 3] u8`, probabilities `[k, h, w] f32` of each, how many photos a
whole batch has) -> refined probabilities of each."""


class PaddedPhotos(NamedTuple):
    """Arguments of `refine`, padded to one shape.

    Attributes:
        photos: `[b, h, w, 3] u8`.
        scores: `[b, c, h, w] f32`, probabilities.
        valid: `[b, h, w] bool`.
        present: `[b, c] bool`.
    """

    photos: np.ndarray
    scores: np.ndarray
    valid: np.ndarray
    present: np.ndarray


def make_photo_crf(
    sizes: Sequence[tuple[int, int]],
    settings: Settings,
    *,
    kernel: Kernel | None = None,
    bucket: int = BUCKET,
) -> PhotoCRF:
    """Builds the CRF of photos whose sizes are known: at most `data.MOST_SHAPES` padded ones.

    On an accelerator the photos of a batch are padded alike and refined by one program, each
    device of this host on its part; a CPU refines one after the other. Photos too large to be
    refined as they are (`crf.refined_whole`) are refined one by one everywhere.

    Args:
        sizes: (height, width) of all photos.
        settings: of `crf.refine`.
        kernel: of `crf.refine`.
        bucket: padded sides are multiples of this.
    """
    shapes = dict(zip(sizes, data.padded_shapes(sizes, bucket), strict=True))
    together = jax.default_backend() != "cpu"
    refined = refine_batch(settings, kernel=kernel)
    program = over_devices(refined) if together else refined

    def batch(
        photos: Sequence[np.ndarray], scores: Sequence[np.ndarray], count: int
    ) -> Iterator[np.ndarray]:
        each = [shapes[photo.shape[0], photo.shape[1]] for photo in photos]
        shape = (max(height for height, _ in each), max(width for _, width in each))
        if not refined_whole(shape, settings, kernel=kernel):
            for photo, maps in zip(photos, scores, strict=True):
                yield np.asarray(refine(photo, maps, settings, kernel=kernel, bucket=bucket))
            return
        present = [counting_classes(maps, settings, kernel) for maps in scores]
        found = np.asarray(program(None, _padded(photos, scores, present, shape, count)))
        for one, maps in zip(found, scores, strict=False):
            classes, height, width = maps.shape
            yield one[:classes, :height, :width]

    def crf(
        photos: Sequence[np.ndarray], scores: Iterable[np.ndarray], count: int = 1
    ) -> Iterator[np.ndarray]:
        if together and photos:
            yield from batch(photos, list(scores), count)
        elif photos:
            for photo, maps in zip(photos, scores, strict=True):
                yield from batch([photo], [maps], 1)

    return crf


def refine_batch(
    settings: Settings, *, kernel: Kernel | None = None
) -> Callable[[None, PaddedPhotos], np.ndarray | jax.Array]:
    """Builds the function that refines padded photos; not compiled.

    Args:
        settings: of `crf.refine`.
        kernel: of `crf.refine`.
    """

    def refined(_: None, batch: PaddedPhotos) -> np.ndarray | jax.Array:
        photos, scores, valid, present = batch
        return refine(photos, scores, settings, kernel=kernel, valid=valid, present=present)

    return refined


def padded_classes(classes: int) -> int:
    """Returns the number of classes that so many share a program with."""
    return -(-classes // _CLASSES) * _CLASSES


def _padded(
    photos: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    present: Sequence[np.ndarray],
    shape: tuple[int, int],
    count: int,
) -> PaddedPhotos:
    """Pads photos, maps and classes; a short batch repeats its last photo, up to `count`."""
    most = max(map(len, present))
    slots = padded_classes(most)
    padded = PaddedPhotos(
        np.zeros((count, *shape, 3), np.uint8),
        np.zeros((count, slots, *shape), np.float32),
        np.zeros((count, *shape), bool),
        np.zeros((count, slots), bool),
    )
    for row in range(count):
        last = min(row, len(photos) - 1)
        maps = scores[last]
        classes, height, width = maps.shape
        padded.photos[row, :height, :width] = photos[last]
        padded.scores[row, :classes, :height, :width] = maps
        padded.valid[row, :height, :width] = True
        padded.present[row, :classes] = present[last]
    return padded
