"""What a run will cost, said before it is spent: photos, time, memory.

Costs are those of `configs/voc_animals.py` on two cores, measured, by the megapixel that a network
or a program sees; a product of two matrices tells how this machine compares. Once a stage has
done two batches, its own line says how long it takes (`progress.Progress`), and more exactly.
"""

import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.pipeline.cam_sources import MEGABYTES
from wsgcn_jax.pipeline.classifier import as_needed, is_linear
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.inference import photos_a_batch
from wsgcn_jax.pipeline.progress import duration
from wsgcn_jax.pipeline.training import training_steps

_REFERENCE = 200e9  # operations a second of the two cores, in such products
_FASTEST = 20.0  # times the two cores: beyond, decoding and writing decide
_COMPILING = 30.0  # seconds a stage
_LARGE_BACKBONE = 5.0  # any but EfficientNet-Lite0, in time and memory
# Seconds a megapixel.
_CLASSIFIER, _CAMS, _BOUNDARY, _SEGMENTER, _MASKS = 1.4, 0.7, 1.2, 1.05, 9.0
_GRAPH, _GRAPH_EPOCH = 6.6, 0.024
_LINEAR = 0.055  # seconds a photo
_BASE_GB, _GB_PER_MEGAPIXEL = 1.8, 0.55  # of a batch that a network sees, with its mirror image
_PHOTO_GB = 0.012  # a megapixel of a photo's file, while it is decoded in several threads


def estimate(context: Context, stages: Sequence[str]) -> str:
    """Says how many photos there are, and about how long they take and how much memory.

    Args:
        context: of the run; its data are prepared.
        stages: names of those that are still to be done.
    """
    split = context.split(context.config.data.pseudo_split)
    config = as_needed(context.config, split.classes[1:])
    photos = len(context.split(config.data.train_split)), len(split)
    val = context.split(config.data.val_split) if config.data.val_split else None
    masks = megapixels(val.sizes) if val else 0.0
    seconds = seconds_of_stages(config, *photos, megapixels(split.sizes), masks)
    needed = sum(value for name, value in seconds.items() if name in stages)
    compiling = _COMPILING * sum(name in stages for name in seconds)
    largest = max(height * width for height, width in split.own_sizes) / 1e6
    return (
        f"{photos[1]} photos: what is to be done takes about "
        f"{duration(needed / speed() + compiling)} on this machine, "
        f"{gigabytes(config, split.sizes, largest):.0f} GB"
    )


def megapixels(sizes: Sequence[tuple[int, int]]) -> float:
    """Pixels of all photos, in millions."""
    return sum(height * width for height, width in sizes) / 1e6


def seconds_of_stages(
    config: ConfigDict, photos: int, labelled: int, pixels: float, masks: float
) -> dict[str, float]:
    """Returns the seconds that the stages take on two cores, by name, without compilation.

    Args:
        config: the whole configuration.
        photos: number of photos that the classifier learns from.
        labelled: number of those that are labelled.
        pixels: megapixels of these.
        masks: megapixels of the validation photos.
    """
    large = 1.0 if config.backbone.name == "efficientnet_lite0" else _LARGE_BACKBONE
    own = config.segmenter.backbone or config.backbone.name
    large_segmenter = 1.0 if own == "efficientnet_lite0" else _LARGE_BACKBONE

    def training(name: str, count: int, cost: float) -> float:
        settings = config[name]
        steps = training_steps(settings, count) if settings.epochs else 0
        return steps * settings.batch_size * settings.crop**2 / 1e6 * cost

    scales = sum(scale**2 for scale in config.cams.scales)
    graph = pixels
    if config.graph.longer_side:
        graph = min(graph, labelled * config.graph.longer_side**2 / 1e6)
    fits = config.gcn.epochs * config.gcn.ensemble
    fit = photos * _LINEAR if is_linear(config.classifier) else 0.0
    return {
        "classifier": large * (fit + training("classifier", photos, _CLASSIFIER)),
        "cams": large * pixels * scales * _CAMS,
        "boundary": large * training("boundary", labelled, _BOUNDARY),
        "pseudo_labels": graph * (_GRAPH + _GRAPH_EPOCH * fits),
        "segmenter": large_segmenter
        * (training("segmenter", labelled, _SEGMENTER) + masks * _MASKS),
    }


def gigabytes(config: ConfigDict, sizes: Sequence[tuple[int, int]], largest: float) -> float:
    """Returns about how much memory the hungriest stage needs.

    Args:
        config: the whole configuration.
        sizes: at which the photos are seen.
        largest: megapixels of the largest photo's file.
    """
    large = 1.0 if config.backbone.name == "efficientnet_lite0" else _LARGE_BACKBONE / 2
    shapes = {data.bucket_shape(*size, config.cams.bucket) for size in sizes}
    scale = max(config.cams.scales)
    batch = photos_a_batch(config.cams.batch_size, MEGABYTES * scale**2)
    seen = max(data.batch_of(shape, batch) * shape[0] * shape[1] for shape in shapes) / 1e6
    trained = [s for s in (config.classifier, config.boundary, config.segmenter) if s.epochs]
    steps = max((s.batch_size * s.crop**2 / s.accumulate / 1e6 for s in trained), default=0.0)
    return _BASE_GB + large * _GB_PER_MEGAPIXEL * max(seen * scale**2, steps) + _PHOTO_GB * largest


def speed(clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns how fast this machine multiplies matrices, two cores being 1."""
    side = 1024
    one = jnp.ones((side, side), jnp.float32)
    product = jax.jit(lambda x: x @ x)
    product(one).block_until_ready()
    seconds = []
    for _ in range(3):
        start = clock()
        product(one).block_until_ready()
        seconds.append(clock() - start)
    return min(2 * side**3 / max(min(seconds), 1e-9) / _REFERENCE, _FASTEST)
