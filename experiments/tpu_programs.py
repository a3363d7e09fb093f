"""The programs of configs/voc12.py, as functions with the shapes of what they are given.

Every network has the shapes of its variables only; no weight is read or drawn.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from wsgcn_jax.crf import GCN_PROBABILITIES, refine
from wsgcn_jax.distributed import shardings, spread_program
from wsgcn_jax.models.backbone import make_backbone
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.network import Module, Network, variable_shapes
from wsgcn_jax.pipeline import boundary, classifier, segmenter
from wsgcn_jax.pipeline.cam_sources import multi_scale_cams
from wsgcn_jax.pipeline.graph_inputs import mirrored_boundary
from wsgcn_jax.pipeline.inference import ScaledPhotos, grid_size, network_size
from wsgcn_jax.pipeline.label_photo import PhotoInputs, label_photo
from wsgcn_jax.pipeline.label_program import each_photo, label_options
from wsgcn_jax.pipeline.predict import multi_scale_probabilities
from wsgcn_jax.settings import load_config
from wsgcn_jax.trainer.loop import Loss, TrainState, make_update
from wsgcn_jax.trainer.optim import grouped_sgd

CLASSES = 21
PADDED = (384, 512)  # of a photo of 375x500
FEATURES = 160
IMAGENET: dict[str, Any] = {
    "backbone": "resnet101",
    "undilated_first": True,
    "batch_statistics": True,
    "scale_by_size": True,
    "batch_size": 12,
    "accumulate": 1,
}
"""What the segmenter's ImageNet recipe changes; see the docstring of configs/voc12.py."""

Devices = Mapping[int, list[jax.Device]]


class Program(NamedTuple):
    """A jitted function, the shapes of its arguments, and how many photos they hold."""

    jitted: Any
    arguments: tuple[Any, ...]
    photos: int


Maker = Callable[[Devices], Program]
"""Chips by number -> the program for them."""


def _config() -> ConfigDict:
    config = load_config("voc12").unlock()
    config.cams.batch_size = config.graph.batch_size = 4  # whatever would fit on this machine
    return config


def _shape(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def _on(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    def place(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(place, tree)


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
        use_batch_stats=settings.batch_statistics,
        undilated_first=settings.undilated_first,
        ceil_pool=name.endswith("caffe"),
    )
    rates, decoder = tuple(settings.rates), settings.decoder
    return _network(DeepLabV2(backbone, num_classes=CLASSES, rates=rates, decoder=decoder))


def _crops(settings: ConfigDict, **more: Any) -> dict[str, Any]:
    size, side = settings.batch_size, settings.crop
    image = _shape(size, side, side, 3, dtype=jnp.uint8)
    return {"image": image, "valid": _shape(size, side, side, dtype=jnp.bool_), **more}


def _labelled(settings: ConfigDict) -> dict[str, Any]:
    size, side = settings.batch_size, settings.crop
    return _crops(settings, label_map=_shape(size, side, side, dtype=jnp.uint8))


def _step(
    net: Network,
    loss: Loss,
    settings: ConfigDict,
    batch: dict[str, Any],
    group_of: Callable[[tuple[str, ...]], str],
    devices: list[jax.Device],
) -> Program:
    """A training step, its batch split over the devices."""
    groups = ("backbone", "norm", "head", "head_bias", "boundary", "displacement")
    rates = dict.fromkeys(groups, 0.1)
    optimiser = grouped_sgd(rates, group_of, steps=1000, momentum=settings.momentum)

    def start(params: Any, statistics: Any) -> TrainState:
        step = jnp.zeros((), jnp.int32)
        return TrainState(step, params, statistics, optimiser.init(params), None)

    state = jax.eval_shape(start, net.params, net.statistics)
    copied, split = shardings(devices)
    update = make_update(loss, optimiser, accumulate=settings.accumulate)
    jitted = jax.jit(update, donate_argnums=0, out_shardings=(copied, copied))
    arguments = (_on(state, copied), _on(batch, split))
    return Program(jitted, arguments, settings.batch_size)


def classifier_step(devices: Devices) -> Program:
    """The classifier's training step."""
    config, settings = _config(), _config().classifier
    net = _classifier(config)
    batch = _crops(settings, labels=_shape(settings.batch_size, CLASSES - 1))
    loss = classifier.make_loss(net, config.backbone.name)
    return _step(net, loss, settings, batch, _backbone_or_head, devices[1])


def _backbone_or_head(path: tuple[str, ...]) -> str:
    return "backbone" if path[0] == "backbone" else "head"


def boundary_step(devices: Devices) -> Program:
    """The boundary network's training step."""
    config, settings = _config(), _config().boundary
    net = _boundary(config)
    loss = boundary.make_loss(net, settings.radius, config.backbone.name)
    return _step(net, loss, settings, _labelled(settings), boundary.group_of, devices[1])


def segmenter_step(devices: Devices, *, chips: int = 1, **changes: Any) -> Program:
    """The segmenter's training step, by the COCO recipe unless changed."""
    config = _config()
    config.segmenter.update(changes)
    settings, net = config.segmenter, _segmenter(config)
    loss = segmenter.make_loss(net, settings, segmenter.backbone_name(config))
    return _step(net, loss, settings, _labelled(settings), segmenter.group_of, devices[chips])


def _spread(
    function: Callable[..., Any],
    shared: Any,
    batch: Any,
    devices: list[jax.Device],
    **static: Any,
) -> Program:
    """An inference program, its batch split over the devices."""
    copied, split = shardings(devices)
    arguments = (_on(shared, copied), _on(batch, split), tuple(static.items()))
    return Program(spread_program(function, devices), arguments, jax.tree.leaves(batch)[0].shape[0])


def _scaled(size: int, scales: tuple[float, ...]) -> ScaledPhotos:
    shapes = [network_size(PADDED, scale) for scale in scales]
    return ScaledPhotos(
        tuple(_shape(size, *shape, 3, dtype=jnp.uint8) for shape in shapes),
        tuple(_shape(size, 2, dtype=jnp.int32) for _ in shapes),
    )


def cams(devices: Devices) -> Program:
    """CAMs of all scales and the mirror image."""
    config, size = _config(), _config().cams.batch_size
    net = _classifier(config)
    batch = (_scaled(size, config.cams.scales), _shape(size, 2, dtype=jnp.int32))
    function = multi_scale_cams(net, config.backbone.name)
    return _spread(function, net.variables, batch, devices[1], shape=grid_size(PADDED))


def boundary_maps(devices: Devices) -> Program:
    """Boundary maps and node features."""
    config, size = _config(), _config().graph.batch_size
    net = _boundary(config)
    photos = _shape(size, *PADDED, 3, dtype=jnp.uint8)
    batch = (photos, _shape(size, 2, dtype=jnp.int32))
    return _spread(mirrored_boundary(net, config.backbone.name), net.variables, batch, devices[1])


def label(devices: Devices, *, photos: int, chips: int = 1) -> Program:
    """Seeds, walk and GCN."""
    options = label_options(_config())
    options["seed_rule"] = partial(options["seed_rule"].func)  # their CRF is a program of its own
    one = partial(label_photo, **options)
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
    return _spread(lambda _, batch: each_photo(one, batch), None, maps, devices[chips])


def crf(devices: Devices, *, labels: int) -> Program:
    """The dense CRF at the photo's size."""
    copied, _ = shardings(devices[1])
    arguments = (_shape(*PADDED, 3, dtype=jnp.uint8), _shape(labels, *PADDED))
    jitted = jax.jit(lambda photo, scores: refine(photo, scores, GCN_PROBABILITIES))
    return Program(jitted, _on(arguments, copied), 1)


def masks(devices: Devices) -> Program:
    """The segmenter's probabilities of all scales and the mirror image."""
    config = _config()
    net = _segmenter(config)
    description = segmenter.description(config, [str(k) for k in range(CLASSES)])
    size = description.batch_size
    batch = (_scaled(size, description.scales), _shape(size, 2, dtype=jnp.int32))
    function = multi_scale_probabilities(net, description)
    return _spread(function, net.variables, batch, devices[1], shape=grid_size(PADDED))


PROGRAMS: dict[str, Maker] = {
    "classifier step": classifier_step,
    "CAMs": cams,
    "boundary step": boundary_step,
    "boundary maps": boundary_maps,
    "label 4": partial(label, photos=4),
    "label 32": partial(label, photos=32),
    "CRF 3": partial(crf, labels=3),
    "CRF 21": partial(crf, labels=21),
    "segmenter step COCO": segmenter_step,
    "segmenter step ImageNet": lambda devices: segmenter_step(devices, **IMAGENET),
    "masks": masks,
    "label 32 on 8 chips": partial(label, photos=32, chips=8),
    "segmenter step on 8 chips": partial(segmenter_step, chips=8, batch_size=16),
}
"""Makers by the name that is printed."""
