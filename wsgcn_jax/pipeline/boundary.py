"""Stage: the boundary network, trained on labels that confident CAMs give (method section 2)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from wsgcn_jax import data
from wsgcn_jax.crf.mean_field import label_unary, mean_field
from wsgcn_jax.graph.paths import paths
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.boundary_loss import affinity_displacement_loss
from wsgcn_jax.models.labels import resize_labels
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.inference import resize_photo
from wsgcn_jax.pipeline.scores import nearest_labels, resize_maps
from wsgcn_jax.pipeline.workspace import progress
from wsgcn_jax.types import IGNORE, Skipped


def network(context: Context) -> networks.Network:
    """Builds the boundary network on a frozen ImageNet backbone."""
    return networks.build(
        context.key("boundary"),
        context.config,
        lambda backbone: BoundaryNet(backbone=backbone),
    )


def confident_labels(
    cam: np.ndarray, keys: np.ndarray, *, foreground: float, background: float
) -> np.ndarray:
    """Labels where two readings of the CAMs agree (IRNet, section 4.2; method section 2).

    Args:
        cam: `[k, h, w] f32` in [0, 1].
        keys: `[k] u8`, class ids.
        foreground: background score that sure objects exceed.
        background: background score that sure background stays below.

    Returns:
        `[h, w] u8`; 255 between the two.
    """
    best, value = keys[cam.argmax(axis=0)], cam.max(axis=0)
    unsure = np.where(value > background, IGNORE, 0)
    return np.where(value > foreground, best, unsure).astype(np.uint8)


def refined_labels(
    photo: np.ndarray,
    cam: np.ndarray,
    keys: np.ndarray,
    levels: tuple[float, float],
    crf: ConfigDict,
) -> np.ndarray:
    """Labels where two readings of the CAMs agree, each drawn to the photo's edges by a CRF.

    Args:
        photo: `[h, w, 3] u8`.
        cam: `[k, H, W] f32` in [0, 1], on the stride-4 grid.
        keys: `[k] u8`, class ids.
        levels: background scores of the sure objects and of the sure background.
        crf: the section of the configuration.

    Returns:
        `[H, W] u8`; 255 where the readings disagree.
    """
    small = resize_photo(photo, (cam.shape[1], cam.shape[2]), Image.Resampling.LANCZOS)
    # Padded to one shape per bucket: each new shape would be compiled anew.
    height, width = (-(-side // GRID_BUCKET) * GRID_BUCKET for side in cam.shape[1:])
    image = data.pad_to(small, (height, width))
    valid = np.zeros((height, width), bool)
    valid[: cam.shape[1], : cam.shape[2]] = True
    readings = []
    for level in levels:
        scores = np.concatenate([np.full((1, *cam.shape[1:]), level, np.float32), cam])
        best = data.pad_to(scores.argmax(axis=0).astype(np.int32), (height, width))
        q = _refine(best, image, valid, len(keys) + 1, crf.sigma_xy, crf.sigma_rgb, crf.weight)
        refined = np.asarray(q).argmax(axis=0)[: cam.shape[1], : cam.shape[2]]
        readings.append(np.concatenate([[0], keys]).astype(np.uint8)[refined])
    sure, loose = readings
    return np.where(sure > 0, sure, np.where(loose > 0, IGNORE, 0)).astype(np.uint8)


GRID_BUCKET = 8


@partial(jax.jit, static_argnums=3)
def _refine(
    labels: jax.Array,
    image: jax.Array,
    valid: jax.Array,
    classes: int,
    sigma_xy: float,
    sigma_rgb: float,
    weight: float,
) -> jax.Array:
    return mean_field(
        label_unary(labels, classes),
        image.astype(jnp.float32),
        valid=valid,
        bilateral=(sigma_xy, sigma_rgb, weight),
    )


class LabelledPhotos:
    """Photos with the stage's own label maps, for the trainer."""

    def __init__(self, split: data.Split, folder: Path) -> None:
        """Takes the photos and the folder of their palette PNGs."""
        self._split, self._folder = split, folder

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and label map."""
        mask = data.read_mask(self._folder / f"{self._split.names[index]}.png")
        return self._split[index].image, mask


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes the label maps, then trains the network on them."""
    settings = context.config.boundary
    split = context.split(context.config.data.pseudo_split)
    labels = folder / "labels"
    labels.mkdir(exist_ok=True)
    todo = [i for i, name in enumerate(split.names) if not (labels / f"{name}.png").exists()]
    for index in progress(todo, "boundary labels"):
        cam, keys = read_cams(context.folder("cams"), split.names[index])
        levels = (settings.foreground, settings.background)
        if context.config.crf.boundary_labels:
            small = refined_labels(split[index].image, cam, keys, levels, context.config.crf)
            label_map = nearest_labels(small, split.sizes[index])
        else:
            label_map = confident_labels(
                resize_maps(cam, split.sizes[index]),
                keys,
                foreground=levels[0],
                background=levels[1],
            )
        data.write_mask(labels / f"{split.names[index]}.png", label_map)

    net = network(context)
    backbone = context.config.backbone.name
    cells = paths(settings.radius)

    def augment(photo: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> data.Crop:
        return data.train_crop(rng, *photo, scales=settings.scales, crop=settings.crop)

    def loss(
        params: Any, frozen: Any, batch: dict[str, jax.Array]
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        x = normalise(batch["image"], backbone, batch["valid"])
        output = net.apply({"params": params, **frozen}, x, batch["valid"])
        terms = affinity_displacement_loss(
            output.edge_logits,
            output.displacement,
            resize_labels(batch["label_map"], output.edge_logits.shape[1:]),
            paths=cells,
        )
        return terms.total, {"positive": terms.positive, "negative": terms.negative}

    networks.run_training(
        folder,
        net,
        LabelledPhotos(split, labels),
        augment,
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
