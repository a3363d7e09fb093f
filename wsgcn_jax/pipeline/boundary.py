"""Stage: the boundary network, trained on labels of confident CAMs (docs/method.md section 2)."""

from collections.abc import Sequence
from typing import Any

import jax
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.graph.paths import paths
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.boundary import BoundaryNet, without_displacement
from wsgcn_jax.models.boundary_loss import affinity_displacement_loss
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.boundary_labels import boundary_crf, boundary_labels
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.doubts import doubts_of_boundary_labels
from wsgcn_jax.pipeline.progress import log, progress
from wsgcn_jax.pipeline.training import LabelledPhotos, crop_with_labels, run_training
from wsgcn_jax.resize import resize_labels
from wsgcn_jax.trainer.loop import Loss
from wsgcn_jax.types import IGNORE, Skipped


def network(key: jax.Array, config: ConfigDict) -> Network:
    """Builds the boundary network on a frozen ImageNet backbone.

    Args:
        key: PRNG key of the branches' weights.
        config: the whole configuration (`backbone`, `boundary` are read).
    """
    settings = config.boundary

    def build(displacement: bool) -> Network:
        return networks.build(
            key,
            config.backbone.name,
            lambda backbone: BoundaryNet(backbone=backbone, displacement=displacement),
            weights=config.backbone.weights,
            init=settings.init,
        )

    if not settings.init or settings.displacement:
        return build(settings.displacement)
    # A converted IRNet has both branches.
    whole = build(True)
    module = whole.module.clone(displacement=False)
    return Network(module, without_displacement(whole.params), whole.statistics)


def make_loss(net: Network, radius: int, backbone: str) -> Loss:
    """Builds the objective on pairs of labelled nodes.

    Args:
        net: the boundary network.
        radius: how far apart the nodes of a pair may be, in nodes.
        backbone: its name, for the normalisation.
    """
    cells = paths(radius)

    def loss(
        params: Any, statistics: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        output = net.apply({"params": params, **statistics}, x, batch["valid"])
        terms = affinity_displacement_loss(
            output.logits,
            output.displacement,
            resize_labels(batch["label_map"], output.logits.shape[1:]),
            paths=cells,
        )
        return terms.total, ({"positive": terms.positive, "negative": terms.negative}, statistics)

    return loss


def group_of(path: tuple[str, ...]) -> str:
    """Returns a parameter's group: the frozen backbone, or its branch."""
    if path[0] == "backbone":
        return "backbone"
    return "displacement" if path[0].startswith("displacement") else "boundary"


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes the label maps, then trains the network on them."""
    settings = context.config.boundary
    split = context.split(context.config.data.pseudo_split).without_masks()
    labels = folder / "labels"
    labels.mkdir(exist_ok=True)
    out = context.left_out("cams")
    todo = [
        i
        for i, name in enumerate(split.names)
        if name not in out and not (labels / f"{name}.png").exists()
    ]
    crf = boundary_crf(split.sizes, context.config.crf)
    usable = shown = 0
    for index in progress(todo, "boundary labels"):
        cam, class_ids = read_cams(context.folder("cams"), split.names[index])
        label_map = boundary_labels(
            split[index].image, cam, class_ids, settings, context.config.crf, crf
        )
        data.write_mask(labels / f"{split.names[index]}.png", label_map)
        shown += bool(len(class_ids))
        usable += bool((label_map == 0).any() and ((label_map > 0) & (label_map < IGNORE)).any())
    for doubt in doubts_of_boundary_labels(usable, shown):
        log(doubt)

    net = network(context.key("boundary"), context.config)
    run_training(
        folder,
        net,
        LabelledPhotos(split, labels),
        crop_with_labels(settings.scales, settings.crop),
        make_loss(net, settings.radius, context.config.backbone.name),
        settings=settings,
        rates={
            "backbone": 0.0,
            "boundary": settings.learning_rate,
            "displacement": settings.displacement_learning_rate,
        },
        group_of=group_of,
        seed=context.config.seed + 1,
    )
    return ()
