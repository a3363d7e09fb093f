"""Stage: the boundary network, trained on labels that confident CAMs give (method section 2)."""

from collections.abc import Sequence
from typing import Any

import jax
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.graph.paths import paths
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.boundary_loss import affinity_displacement_loss
from wsgcn_jax.models.labels import resize_labels
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.boundary_labels import boundary_labels
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.workspace import progress
from wsgcn_jax.types import Skipped


def network(context: Context) -> networks.Network:
    """Builds the boundary network on a frozen ImageNet backbone."""
    return networks.build(
        context.key("boundary"),
        context.config.backbone.name,
        lambda backbone: BoundaryNet(backbone=backbone),
        weights=context.config.backbone.weights,
        init=context.config.boundary.init,
    )


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes the label maps, then trains the network on them."""
    settings = context.config.boundary
    split = context.split(context.config.data.pseudo_split)
    labels = folder / "labels"
    labels.mkdir(exist_ok=True)
    todo = [i for i, name in enumerate(split.names) if not (labels / f"{name}.png").exists()]
    for index in progress(todo, "boundary labels"):
        cam, keys = read_cams(context.folder("cams"), split.names[index])
        label_map = boundary_labels(split[index].image, cam, keys, settings, context.config.crf)
        data.write_mask(labels / f"{split.names[index]}.png", label_map)

    net = network(context)
    backbone = context.config.backbone.name
    cells = paths(settings.radius)

    def loss(
        params: Any, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        output = net.apply({"params": params, **frozen}, x, batch["valid"])
        terms = affinity_displacement_loss(
            output.edge_logits,
            output.displacement,
            resize_labels(batch["label_map"], output.edge_logits.shape[1:]),
            paths=cells,
        )
        return terms.total, ({"positive": terms.positive, "negative": terms.negative}, frozen)

    networks.run_training(
        folder,
        net,
        networks.LabelledPhotos(split, labels),
        networks.crop_with_labels(settings.scales, settings.crop),
        loss,
        settings=settings,
        rates={
            "backbone": 0.0,
            "edge": settings.learning_rate,
            "displacement": settings.displacement_learning_rate,
        },
        group_of=lambda path: (
            path[0] if path[0] == "backbone" else "edge" if "edge" in path[0] else "displacement"
        ),
        seed=context.config.seed + 1,
    )
    return ()
