"""CAMs by the trained classifier, by ImageNet's own head, or by both: their mean.

Of a class that ImageNet does not know, or hardly, the trained classifier speaks alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.models.cam import merge_cams
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import classifier, networks
from wsgcn_jax.pipeline.graph_inputs import Batch, CamSource
from wsgcn_jax.pipeline.inference import (
    ScaledPhotos,
    mirrored_sum,
    network_size,
    photos_a_batch,
    scaled_photos,
)

_SMALLEST = 1e-3  # a class that nothing speaks for stays dark

MEGABYTES = 150.0
"""That a photo of 512x512 and its mirror image take at scale 1."""

Program = Callable[[ScaledPhotos, np.ndarray, tuple[int, int]], jax.Array | np.ndarray]
"""(photos, `[b, 2] i32` real sizes of the grids, padded grid) -> CAMs `[b, c - 1, H, W] f16`."""


def cams_at_scale(net: Network, backbone: str) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Builds the function that gives the CAMs of a batch at one scale; not compiled.

    Args:
        net: the classifier.
        backbone: its name, for the normalisation.

    Returns:
        (variables, (photos `[b, h, w, 3] u8`, their real sizes `[b, 2] i32`)) -> (sums over photo
        and mirror image `[b, H, W, c - 1] f32` at the network's stride, their real sizes).
    """

    def program(variables: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return mirrored_sum(net, variables, *batch, backbone=backbone, method="cam")

    return program


def merged_cams(
    _: None,
    batch: tuple[Sequence[tuple[jax.Array, jax.Array]], jax.Array],
    *,
    shape: tuple[int, int],
) -> jax.Array:
    """Merges the CAMs of a batch's scales; not compiled.

    Args:
        batch: (what `cams_at_scale` gives for each scale, real sizes of the grids).
        shape: the padded grid.

    Returns:
        CAMs, as `Program`.
    """
    cams, sizes = zip(*batch[0], strict=True)
    merge = partial(merge_cams, shape=shape)
    return jax.vmap(merge)(cams, sizes, batch[1]).astype(jnp.float16)


def make_program(nets: Sequence[tuple[Network, np.ndarray]], backbone: str) -> Program:
    """Compiles multi-scale CAMs of a batch: a network's program for each shape, and the merging.

    A shape is compiled once, whatever scale it comes from; all scales as one program take an
    accelerator's compiler several times as long as the longest of them.

    Args:
        nets: the classifiers whose CAMs are averaged, each with `[c - 1] bool`, the classes that
            it is asked for.
        backbone: the name of theirs, for the normalisation.

    Returns:
        The program; its CAMs lie in [0, 1] and are zero in the padding.
    """
    options = convolution_options()
    spread = [over_devices(cams_at_scale(net, backbone), options) for net, _ in nets]
    merged = over_devices(merged_cams)

    def program(photos: ScaledPhotos, grids: np.ndarray, shape: tuple[int, int]) -> jax.Array:
        cams = []
        for cam, (net, asked) in zip(spread, nets, strict=True):
            scales = [cam(net.variables, one) for one in zip(*photos, strict=True)]
            cams.append(merged(None, (scales, grids), shape=shape) * asked[None, :, None, None])
        return cams[0] if len(cams) == 1 else mean_of_cams(cams)

    return program


@jax.jit
def mean_of_cams(cams: Sequence[jax.Array]) -> jax.Array:
    """Averages CAMs and brings every class's maximum back to what CAMs of one network have.

    Args:
        cams: `[b, c, H, W] f16` each, in [0, 1], 0 in the padding.

    Returns:
        `[b, c, H, W] f16`.
    """
    mean = jnp.stack(cams).astype(jnp.float32).mean(0)
    return (mean / jnp.maximum(mean.max((2, 3), keepdims=True), _SMALLEST)).astype(jnp.float16)


def configured_program(
    config: ConfigDict, classes: Sequence[str], labelled: np.ndarray, folder: Path | None
) -> Program:
    """Compiles the CAMs that the configuration asks for.

    Args:
        config: the whole configuration (`backbone`, `classifier`, `cams` are read).
        classes: names of the foreground classes.
        labelled: `[len(classes)] bool`, whether a photo is labelled with each.
        folder: of the finished classifier stage; not read where only ImageNet's head is asked.

    Raises:
        DataError: see `classifier.class_groups`.
    """
    sources, name = classifier.cam_sources(config), config.backbone.name
    everything = np.ones(len(classes), bool)
    nets, asked = list[tuple[Network, np.ndarray]](), everything
    if "imagenet" in sources:
        groups = classifier.class_groups(config, classes, labelled)
        asked = classifier.asked_of_trained(config, classes, groups) & labelled
        imagenet = networks.imagenet_classifier(groups, name, weights=config.backbone.weights)
        nets.append((imagenet, everything if "trained" in sources else ~asked))
    if asked.any():
        assert folder is not None
        trained = classifier.load(folder, config, len(classes))
        if classifier.is_linear(config.classifier) and sources == ("imagenet",):
            nets = [(networks.with_columns(imagenet, groups, trained, asked), everything)]
        else:
            nets.append((trained, asked))
    return make_program(nets, name)


def computed_cams(
    config: ConfigDict, classes: Sequence[str], present: np.ndarray, folder: Path | None = None
) -> CamSource:
    """Returns the source that computes CAMs of a batch as it is labelled.

    Args:
        config: as of `configured_program`; also `cams` is read.
        classes: names of the foreground classes.
        present: `[photos, len(classes)] bool`, the labels, by index.
        folder: of the finished classifier stage; None: ImageNet's head alone gives the CAMs,
            untrained.

    Raises:
        DataError: see `configured_program`.
    """
    if folder is None:
        config = config.copy_and_resolve_references().unlock()
        config.cams.sources = "imagenet"
        config.classifier.update(epochs=0, linear=False, init=None)
    program = configured_program(config, classes, np.asarray(present.any(0)), folder)

    settings = config.cams
    megabytes = MEGABYTES * max(settings.scales) ** 2

    def source(batch: Batch) -> np.ndarray:
        sides = [network_size((p.shape[0], p.shape[1]), 1.0) for p in batch.photos]
        largest = (max(h for h, _ in sides), max(w for _, w in sides))
        padded = data.bucket_shape(*largest, settings.bucket)
        room = data.batch_of(padded, photos_a_batch(settings.batch_size, megabytes))
        cams = np.concatenate(
            [
                program(
                    scaled_photos(batch.photos[start : start + room], padded, settings.scales),
                    np.asarray(batch.grids[start : start + room], np.int32),
                    batch.grid,
                )
                for start in range(0, len(batch.photos), room)
            ]
        )
        return cams.astype(np.float32) * present[list(batch.indices)][:, :, None, None]

    return source
