"""Masks from a trained segmenter, without the configuration that trained it."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.crf import Settings
from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.models.backbone import BACKBONES, make_backbone
from wsgcn_jax.models.decoder import DECODERS
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.network import Network, variable_shapes
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.inference import (
    Plan,
    ScaledPhotos,
    grid_size,
    make_plans,
    mirrored_mean_on_grid,
    network_size,
    scaled_photos,
)
from wsgcn_jax.pipeline.photo_crf import make_photo_crf
from wsgcn_jax.pipeline.presence import Presence, reweigh
from wsgcn_jax.pipeline.presence import load as presence_of
from wsgcn_jax.pipeline.run_plans import batches_at_once, run_plans, too_large
from wsgcn_jax.pipeline.scores import argmax_resized
from wsgcn_jax.resize import resize_maps, resize_photo
from wsgcn_jax.types import DataError

_FILE = "network.json"


class Description(NamedTuple):
    """What rebuilds a trained segmenter; lies beside its weights as `network.json`.

    Attributes:
        classes: names, background first.
        backbone: its name.
        output_stride: of the backbone.
        rates: of the ASPP.
        undilated_first: see `models.resnet.ResNet`.
        scales: of the photo, at which it is seen.
        fuse: "mean" of the scales' probabilities, or "max" of their logits (as published).
        longer_side: larger photos are seen at this size, which bounds the memory.
        batch_size: photos at a time.
        bucket: padded sides are multiples of this.
        decoder: one of `models.decoder.DECODERS`; descriptions of older versions name none.
        presence: the backbone of the classifier that says which classes a photo shows
            (`pipeline/presence.py`); None: nothing says it.
    """

    classes: tuple[str, ...]
    backbone: str
    output_stride: int
    rates: tuple[int, ...]
    undilated_first: bool
    scales: tuple[float, ...]
    fuse: str
    longer_side: int
    batch_size: int
    bucket: int
    decoder: str = "none"
    presence: str | None = None


class Segmenter(NamedTuple):
    """A trained network, its description, and what tells the classes of a photo, if it has that."""

    network: Network
    description: Description
    presence: Presence | None = None


def describe(folder: Path, description: Description) -> None:
    """Writes `network.json` beside the weights."""
    write_atomic(folder / _FILE, json.dumps(description._asdict(), indent=1).encode())


def load_segmenter(folder: Path) -> Segmenter:
    """Rebuilds a segmenter from its stage's folder or from the work folder around it.

    Args:
        folder: holds `network.json`, `weights` and `statistics`, or a `segmenter` that does.

    Raises:
        DataError: they are not there, or damaged.
    """
    if not (folder / _FILE).exists() and (folder / "segmenter" / _FILE).exists():
        folder = folder / "segmenter"
    if not (folder / _FILE).exists():
        raise DataError(
            f"{folder} holds no trained segmenter ({_FILE}); give the work folder of a run, and "
            "finish that run first"
        )
    description = _read_description(folder / _FILE)
    module = network_module(description)
    shapes = variable_shapes(module)
    blank = Network(module, shapes.pop("params"), shapes)
    presence = None
    if description.presence is not None:
        presence = presence_of(folder, description.presence, len(description.classes) - 1)
    return Segmenter(networks.load(folder, blank), description, presence)


def network_module(description: Description) -> DeepLabV2:
    """Returns the network that a description stands for, without its weights."""
    return DeepLabV2(
        # Never `ceil_pool`: photos are seen at multiples of 16, whose further cells lie outside.
        backbone=make_backbone(
            description.backbone,
            output_stride=description.output_stride,
            undilated_first=description.undilated_first,
        ),
        num_classes=len(description.classes),
        rates=description.rates,
        decoder=description.decoder,
    )


def _read_description(path: Path) -> Description:
    """Reads and checks the description: it is a file like any other."""
    text = read_text(path, what="the trained segmenter's description")
    try:
        raw = json.loads(text)
        for key in ("classes", "rates", "scales"):
            raw[key] = tuple(raw[key])
        found = Description(**raw)
        numbers = (*found.rates, *found.scales, found.longer_side, found.batch_size, found.bucket)
        if (
            found.backbone not in BACKBONES
            or found.output_stride not in (8, 16)
            or found.fuse not in ("mean", "max")
            or found.decoder not in DECODERS
            or found.presence not in (None, *BACKBONES)
            or not all(isinstance(name, str) for name in found.classes)
            or not 2 <= len(found.classes) <= 255
            or not found.scales
            or not all(0 < number <= 10**5 for number in numbers)
        ):
            raise ValueError("a value is out of its range")
        return found
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}); train the segmenter again") from error


def seen_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Returns the size at which the network sees a photo: its own, or what is bearable."""
    return network_size(size, min(1.0, longer_side / max(size)))


def predict(
    segmenter: Segmenter,
    sizes: Sequence[tuple[int, int]],
    read: Callable[[int], np.ndarray],
    path: Callable[[int], Path],
    what: str,
    *,
    crf: Settings | None = None,
) -> list[tuple[int, str]]:
    """Writes a mask for every photo that has none yet, at the photo's own size.

    Args:
        segmenter: the network.
        sizes: (height, width) of every photo.
        read: index -> photo `[h, w, 3] u8`; DataError where it cannot be read.
        path: index -> its mask's file.
        what: a word for the progress line.
        crf: refines the probabilities, at the size at which the network sees the photo.

    Returns:
        (index, reason) of the photos that could not be read, or do not fit into the memory.
    """
    network, description, presence = segmenter
    program = multi_scale_probabilities(network, description)
    class_ids = np.arange(len(description.classes), dtype=np.uint8)
    seen = [seen_size(size, description.longer_side) for size in sizes]
    plans = make_plans(seen, batch_size=description.batch_size, bucket=description.bucket)
    broken: dict[int, str] = {}
    refine = None if crf is None else make_photo_crf(seen, crf)
    # One batch's networks at a time, beside which a CPU refines the batch before photo by photo.
    device, on_cpu = threading.Lock(), jax.default_backend() == "cpu"

    def photo(index: int) -> np.ndarray:
        try:
            return resize_photo(read(index), seen[index])
        except DataError as error:
            broken[index] = str(error)
            return np.zeros((*seen[index], 3), np.uint8)

    def work(plan: Plan) -> None:
        once = {index: photo(index) for index in dict.fromkeys(plan.indices)}
        photos = [once[index] for index in plan.indices]
        grids = [grid_size(seen[index]) for index in plan.indices]
        scaled = scaled_photos(photos, plan.shape, description.scales)
        with device:
            found = program(scaled, np.asarray(grids, np.int32), grid_size(plan.shape))
            if presence is not None:
                found = reweigh(found, jnp.asarray(presence(photos)))
            probabilities = np.asarray(found)
        rows = [row for row in range(plan.real) if plan.indices[row] not in broken]
        maps: Iterator[np.ndarray] = (
            np.moveaxis(probabilities[row, : grids[row][0], : grids[row][1]], 2, 0) for row in rows
        )
        if refine is not None:
            full = (
                resize_maps(scores, seen[plan.indices[row]])
                for row, scores in zip(rows, maps, strict=True)
            )
            maps = refine([photos[row] for row in rows], full, len(plan.indices))
            if not on_cpu:
                with device:
                    maps = iter(list(maps))
        for row, scores in zip(rows, maps, strict=True):
            index = plan.indices[row]
            data.write_mask(path(index), argmax_resized(scores, sizes[index], class_ids))

    names = [path(index).stem for index in range(len(sizes))]
    large = run_plans(plans, path, work, what, at_once=batches_at_once())
    reasons = (photo.reason for photo in too_large(names, large))
    return sorted({**broken, **dict(zip(large, reasons, strict=True))}.items())


def multi_scale_probabilities(
    net: Network, description: Description
) -> Callable[[ScaledPhotos, np.ndarray, tuple[int, int]], jax.Array]:
    """Compiles the probabilities of a batch: the network's program for each shape, and the fusion.

    Args:
        net: the segmenter.
        description: how photos are seen.

    Returns:
        (photos, real sizes of the grids `[b, 2] i32`, padded grid) -> `[b, H, W, c] f32`.
    """
    logits = over_devices(logits_at_scale(net, description))
    fused = over_devices(fused_probabilities)

    def program(photos: ScaledPhotos, grids: np.ndarray, shape: tuple[int, int]) -> jax.Array:
        scales = [
            logits(net.variables, (images, sizes, grids), shape=shape)
            for images, sizes in zip(*photos, strict=True)
        ]
        found: jax.Array = fused(None, scales, fuse=description.fuse)
        return found

    return program


def logits_at_scale(net: Network, description: Description) -> Callable[..., jax.Array]:
    """Builds the function that gives a batch's logits at one scale; not compiled.

    Args:
        net: the segmenter.
        description: how photos are seen.

    Returns:
        (variables, (photos `[b, h, w, 3] u8`, their real sizes, real sizes of the grids),
        shape=padded grid) -> `[b, H, W, c] f32`.
    """

    def program(
        variables: Any, batch: tuple[jax.Array, jax.Array, jax.Array], *, shape: tuple[int, int]
    ) -> jax.Array:
        return mirrored_mean_on_grid(
            net, variables, *batch, backbone=description.backbone, shape=shape
        )

    return program


def fused_probabilities(_: None, scales: Sequence[jax.Array], *, fuse: str) -> jax.Array:
    """Fuses the logits of a batch's scales; not compiled.

    Args:
        scales: `[b, H, W, c] f32` each.
        fuse: see `Description`.

    Returns:
        Probabilities `[b, H, W, c] f32`.
    """
    each = jnp.stack(scales)
    if fuse == "max":
        return jax.nn.softmax(each.max(axis=0))
    return jax.nn.softmax(each).mean(axis=0)
