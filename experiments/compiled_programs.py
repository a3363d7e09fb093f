"""The programs of configs/voc12.py:tpu or :gpu, with the shapes of what they are given.

The pipeline's own functions build them. Of networks the shapes of their variables are enough; no
weight is read or drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from wsgcn_jax.compiler import Options, convolution_options
from wsgcn_jax.crf import DEEPLAB, GCN_PROBABILITIES, Settings
from wsgcn_jax.distributed import shardings, spread_program
from wsgcn_jax.models.backbone import make_backbone
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.network import Module, Network, variable_shapes
from wsgcn_jax.pipeline import boundary, classifier, segmenter
from wsgcn_jax.pipeline.cam_sources import cams_at_scale, merged_cams
from wsgcn_jax.pipeline.graph_inputs import mirrored_boundary
from wsgcn_jax.pipeline.inference import CELL, grid_size, network_size
from wsgcn_jax.pipeline.label_photo import PhotoInputs, label_photo
from wsgcn_jax.pipeline.label_program import each_photo, label_options
from wsgcn_jax.pipeline.photo_crf import PaddedPhotos, padded_classes, refine_batch
from wsgcn_jax.pipeline.predict import fused_probabilities, logits_at_scale
from wsgcn_jax.pipeline.saved_segmenter import network_module
from wsgcn_jax.settings import load_config
from wsgcn_jax.trainer.loop import Loss, TrainState, make_update
from wsgcn_jax.trainer.optim import grouped_sgd

CLASSES = 21
PADDED = (384, 512)  # of a photo of 375x500
FEATURES = 160
IMAGENET: dict[str, Any] = {"backbone": "resnet101", "batch_size": 12, "accumulate": 1}
IMAGENET |= dict.fromkeys(("undilated_first", "batch_statistics", "scale_by_size"), True)
"""What the segmenter's ImageNet recipe changes; see the docstring of configs/voc12.py."""


CHIPS = (1, 8)
"""How many devices programs are compiled for."""


class Target(NamedTuple):
    """What programs are compiled for.

    Attributes:
        machine: "tpu" or "gpu", of configs/voc12.py.
        chips: devices by their number, each of CHIPS.
    """

    machine: str
    chips: Mapping[int, list[jax.Device]]


class Program(NamedTuple):
    """A jitted function, the shapes of its arguments, and how many photos a chip works on."""

    jitted: Any
    arguments: tuple[Any, ...]
    photos: int


Maker = Callable[[Target], Program]


def _config(target: Target) -> ConfigDict:
    config = load_config(f"voc12:{target.machine}").unlock()
    config.cams.batch_size = config.graph.batch_size = 4  # for None, the machine's memory decides
    return config


def _shape(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def _on(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _network(module: Module) -> Network:
    shapes = variable_shapes(module)
    return Network(module, shapes.pop("params"), shapes)


def _classifier(config: ConfigDict) -> Network:
    stages = config.classifier.frozen_stages
    backbone = make_backbone(config.backbone.name, frozen_stages=stages)
    return _network(Classifier(backbone=backbone, num_classes=CLASSES - 1))


def _boundary(config: ConfigDict) -> Network:
    return _network(BoundaryNet(backbone=make_backbone(config.backbone.name)))


def _segmenter(config: ConfigDict) -> Network:
    settings = config.segmenter
    name = segmenter.backbone_name(config)
    backbone = make_backbone(
        name,
        output_stride=settings.output_stride,
        frozen_stages=settings.frozen_stages,
        use_batch_stats=settings.batch_statistics,
        undilated_first=settings.undilated_first,
        ceil_pool=name.endswith("caffe"),
    )
    rates, decoder = tuple(settings.rates), settings.decoder
    return _network(DeepLabV2(backbone, num_classes=CLASSES, rates=rates, decoder=decoder))


def _crops(settings: ConfigDict) -> dict[str, Any]:
    shape = (settings.batch_size, settings.crop, settings.crop)
    return {
        "image": _shape(*shape, 3, dtype=jnp.uint8),
        "valid": _shape(*shape, dtype=jnp.bool_),
        "label_map": _shape(*shape, dtype=jnp.uint8),
    }


def _step(
    net: Network,
    loss: Loss,
    settings: ConfigDict,
    batch: dict[str, Any],
    group_of: Callable[[tuple[str, ...]], str],
    devices: list[jax.Device],
    *,
    groups: tuple[str, ...],
    frozen: str = "",
) -> Program:
    """A training step, its batch split over the devices; a group of parameters may be frozen."""
    rates = {**dict.fromkeys(groups, 0.1), frozen: 0.0}
    optimiser = grouped_sgd(rates, group_of, steps=1000, momentum=settings.momentum)

    def start(params: Any, statistics: Any) -> TrainState:
        step = jnp.zeros((), jnp.int32)
        return TrainState(step, params, statistics, optimiser.init(params), None)

    state = jax.eval_shape(start, net.params, net.statistics)
    copied, split = shardings(devices)
    update = make_update(loss, optimiser, accumulate=settings.accumulate)
    jitted = jax.jit(update, donate_argnums=0, out_shardings=(copied, copied))
    arguments = (_on(state, copied), _on(batch, split))
    return Program(jitted, arguments, settings.batch_size // len(devices))


def classifier_step(target: Target) -> Program:
    """The classifier's training step."""
    config, settings = _config(target), _config(target).classifier
    net = _classifier(config)
    batch = _crops(settings) | {"labels": _shape(settings.batch_size, CLASSES - 1)}
    del batch["label_map"]
    loss = classifier.make_loss(net, config.backbone.name)
    groups = ("backbone", "classifier")
    return _step(net, loss, settings, batch, lambda path: path[0], target.chips[1], groups=groups)


def boundary_step(target: Target) -> Program:
    """The boundary network's training step."""
    config, settings = _config(target), _config(target).boundary
    net = _boundary(config)
    loss = boundary.make_loss(net, settings.radius, config.backbone.name)
    step = partial(_step, groups=("boundary", "displacement"), frozen="backbone")
    return step(net, loss, settings, _crops(settings), boundary.group_of, target.chips[1])


def segmenter_step(target: Target, *, chips: int = 1, **changes: Any) -> Program:
    """The segmenter's training step, by the COCO recipe unless changed."""
    config = _config(target)
    config.segmenter.update(changes)
    settings, net = config.segmenter, _segmenter(config)
    loss = segmenter.make_loss(net, settings, segmenter.backbone_name(config))
    groups = ("backbone", "norm", "head", "head_bias")
    step = partial(_step, groups=groups, frozen="" if settings.train_norms else "norm")
    return step(net, loss, settings, _crops(settings), segmenter.group_of, target.chips[chips])


def _spread(
    function: Callable[..., Any],
    shared: Any,
    batch: Any,
    devices: list[jax.Device],
    options: Options | None = None,
    **static: Any,
) -> Program:
    """An inference program, its batch split over the devices."""
    copied, split = shardings(devices)
    arguments = (_on(shared, copied), _on(batch, split), tuple(static.items()))
    photos = jax.tree.leaves(batch)[0].shape[0] // len(devices)
    return Program(spread_program(function, devices, options), arguments, photos)


def _photos(size: int, scale: float) -> tuple[Any, Any]:
    """A batch of padded photos at a scale, and their real sizes."""
    shape = (size, *network_size(PADDED, scale), 3)
    return _shape(*shape, dtype=jnp.uint8), _shape(size, 2, dtype=jnp.int32)


def cams(target: Target, *, scale: float) -> Program:
    """CAMs of photos and mirror images at one scale."""
    config, size = _config(target), _config(target).cams.batch_size
    net = _classifier(config)
    function = cams_at_scale(net, config.backbone.name)
    photos = _photos(size, scale)
    return _spread(function, net.variables, photos, target.chips[1], convolution_options())


def cams_merged(target: Target) -> Program:
    """One map of the CAMs of all scales."""
    config, size = _config(target), _config(target).cams.batch_size
    sizes = _shape(size, 2, dtype=jnp.int32)
    scales = []
    for scale in config.cams.scales:
        rows, columns = (side // CELL for side in network_size(PADDED, scale))
        scales.append((_shape(size, rows, columns, CLASSES - 1), sizes))
    return _spread(merged_cams, None, (scales, sizes), target.chips[1], shape=grid_size(PADDED))


def boundary_maps(target: Target) -> Program:
    """Boundary maps and node features."""
    config, size = _config(target), _config(target).graph.batch_size
    net = _boundary(config)
    photos = _shape(size, *PADDED, 3, dtype=jnp.uint8)
    batch = (photos, _shape(size, 2, dtype=jnp.int32))
    function = mirrored_boundary(net, config.backbone.name)
    return _spread(function, net.variables, batch, target.chips[1], convolution_options())


def label(target: Target, *, photos: int, chips: int = 1, seeds: str = "cam") -> Program:
    """Walk, seeds, with their CRF where they are the CAMs', and GCN."""
    config = _config(target)
    config.seeds.rule = seeds
    one = partial(label_photo, **label_options(config))
    rows, columns = grid_size(PADDED)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), photos))
    maps = PhotoInputs(
        key,
        _shape(photos, rows, columns),
        _shape(photos, rows, columns, FEATURES),
        _shape(photos, CLASSES - 1, rows, columns),
        _shape(photos, CLASSES - 1, dtype=jnp.bool_),
        _shape(photos, rows, columns, 3),
        _shape(photos, rows, columns, dtype=jnp.bool_),
    )
    return _spread(lambda _, batch: each_photo(one, batch), None, maps, target.chips[chips])


def crf(target: Target, settings: Settings, *, labels: int) -> Program:
    """The dense CRF of a batch, at the photos' size."""
    size = _config(target).graph.batch_size
    slots = padded_classes(labels)
    batch = PaddedPhotos(
        _shape(size, *PADDED, 3, dtype=jnp.uint8),
        _shape(size, slots, *PADDED),
        _shape(size, *PADDED, dtype=jnp.bool_),
        _shape(size, slots, dtype=jnp.bool_),
    )
    return _spread(refine_batch(settings), None, batch, target.chips[1])


def masks(target: Target, *, scale: float) -> Program:
    """The segmenter's logits of photos and mirror images at one scale."""
    config = _config(target)
    description = segmenter.description(config, [str(k) for k in range(CLASSES)])
    net = _network(network_module(description))
    size = description.batch_size
    batch = (*_photos(size, scale), _shape(size, 2, dtype=jnp.int32))
    function, options = logits_at_scale(net, description), convolution_options()
    shape = grid_size(PADDED)
    return _spread(function, net.variables, batch, target.chips[1], options, shape=shape)


def masks_fused(target: Target) -> Program:
    """Probabilities of the logits of all scales."""
    description = segmenter.description(_config(target), [str(k) for k in range(CLASSES)])
    logits = _shape(description.batch_size, *grid_size(PADDED), CLASSES)
    scales = [logits] * len(description.scales)
    return _spread(fused_probabilities, None, scales, target.chips[1], fuse=description.fuse)


def _at_scales(
    name: str, make: Callable[..., Program], scales: Sequence[float]
) -> dict[str, Maker]:
    """A program for each scale."""
    return {f"{name} at scale {scale}": partial(make, scale=scale) for scale in scales}


PROGRAMS: dict[str, Maker] = {
    "classifier step": classifier_step,
    **_at_scales("CAMs", cams, load_config("voc12").cams.scales),
    "CAMs merged": cams_merged,
    "boundary step": boundary_step,
    "boundary maps": boundary_maps,
    "label 4": partial(label, photos=4),
    "label 32": partial(label, photos=32),
    "label 64, walk's seeds": partial(label, photos=64, seeds="walk"),
    "CRF 3": partial(crf, settings=GCN_PROBABILITIES, labels=3),
    "CRF 21": partial(crf, settings=DEEPLAB, labels=21),
    "segmenter step COCO": segmenter_step,
    "segmenter step ImageNet": lambda target: segmenter_step(target, **IMAGENET),
    **_at_scales("masks", masks, load_config("voc12").segmenter.eval_scales),
    "masks fused": masks_fused,
    "label 32 on 8 chips": partial(label, photos=32, chips=8),
    "segmenter step on 8 chips": partial(segmenter_step, chips=8, batch_size=16),
}
"""Makers by the name that is printed."""
