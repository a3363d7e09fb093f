"""The road entered half-way: pseudo labels of a folder of photos from anybody's maps.

CAMs and boundary maps come from files (`foreign`) or from the networks of a finished run. Seeds,
walk and GCN are those of the `pseudo_labels` stage.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from wsgcn_jax import data
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.pipeline import cams as cams_stage
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.foreign import Entry, Photos, read_edge, read_labelled_cam, resize_map
from wsgcn_jax.pipeline.inference import (
    Plan,
    grid_size,
    longer_side_scale,
    make_plans,
    network_size,
    padded_photos,
    resize_photo,
    run_plans,
    scaled_photos,
    valid_mask,
)
from wsgcn_jax.pipeline.pseudo_labels import (
    EdgeProgram,
    PhotoInputs,
    full_scores,
    make_edge_program,
    make_label_program,
)
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workspace import write_arrays
from wsgcn_jax.types import DataError, Skipped

_WAVES = 48
_FREQUENCIES = (6.0, 6.0, 6.0, 3.0, 3.0)  # of red, green, blue, row, column


def plain_features(rgb: jax.Array, valid: jax.Array) -> jax.Array:
    """Node features where there is no boundary network: random waves of colour and position.

    Ours, not the paper's, whose features are the boundary network's 160 activations. Waves
    (random Fourier features) tell nodes apart and have mean zero and equal size; raw values do
    not, and 250 steps of Adam then fit them badly.

    Args:
        rgb: `[H, W, 3] f32` in [0, 1].
        valid: `[H, W] bool`, a rectangle at the top left.

    Returns:
        `[H, W, 48] f32`, of variance about 1.
    """
    rows = jnp.arange(rgb.shape[0]) / jnp.maximum(valid.any(1).sum() - 1, 1)
    columns = jnp.arange(rgb.shape[1]) / jnp.maximum(valid.any(0).sum() - 1, 1)
    place = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), -1) * 2 - 1
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(5, _WAVES)) * np.array(_FREQUENCIES)[:, None]
    phases = rng.uniform(0, 2 * np.pi, _WAVES)
    angles = jnp.concatenate([rgb, place], -1) @ jnp.asarray(waves, jnp.float32)
    return jnp.sqrt(2.0) * jnp.cos(angles + jnp.asarray(phases, jnp.float32)[None, None])


CamMaker = Callable[[Sequence[np.ndarray], Sequence[tuple[int, int]], tuple[int, int]], jax.Array]
"""(photos, real grids, padded grid) -> CAMs `[b, c - 1, H, W]`."""


def _cam_maker(run: Path, config: ConfigDict, classes: int) -> CamMaker:
    """Loads a run's classifier."""
    net = networks.build(
        jax.random.key(0),
        config.backbone.name,
        lambda backbone: Classifier(backbone=backbone, num_classes=classes - 1),
        weights=config.backbone.weights,
        init=config.classifier.init,
    )
    program = cams_stage.make_program(networks.load(run / "classifier", net), config.backbone.name)

    def make(
        photos: Sequence[np.ndarray], grids: Sequence[tuple[int, int]], shape: tuple[int, int]
    ) -> jax.Array:
        sides = [network_size((p.shape[0], p.shape[1]), 1.0) for p in photos]
        largest = (max(h for h, _ in sides), max(w for _, w in sides))
        padded = data.bucket_shape(*largest, config.cams.bucket)
        scaled = scaled_photos(photos, padded, config.cams.scales)
        return program(scaled, np.asarray(grids, np.int32), shape)

    return make


def label_folder(
    source: data.Source,
    entry: Entry,
    config: ConfigDict,
    labels: Path,
    scores: Path | None = None,
) -> tuple[int, list[Skipped]]:
    """Writes `NAME.png`, the pseudo label, for every photo of a source.

    What is there already is not made again; so give another folder with another setting.

    Args:
        source: photos and image-level labels (its split "train").
        entry: the maps there are.
        config: the configuration (`graph`, `seeds`, `crf`, `gcn`, `cams`, `backbone`, `seed`).
        labels: folder of the label maps.
        scores: folder of `NAME.npz` with `scores [k, h, w] f16` (probabilities of `keys`, of
            all classes; not summing to 1), or None for none.

    Returns:
        (number of photos with a label map, photos that were left out).

    Raises:
        DataError: the photos' list, the maps or the run cannot be used.
    """
    for folder in (entry.cams, entry.edges, entry.run):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder; mend the path.")
    if entry.run is None and not (entry.cams and entry.edges):
        raise DataError("without CAMs or without boundary maps, --checkpoint must name a run.")
    photos = Photos(source, entry)
    num_classes, skipped = len(source.classes()), list(photos.skipped)
    settings = config.graph
    seen = [network_size(s, longer_side_scale(s, settings.longer_side)) for s in photos.sizes]
    plans = make_plans(seen, batch_size=settings.batch_size, bucket=settings.bucket)
    inputs = _make_inputs(photos, seen, entry, config, num_classes)
    label = make_label_program(config)

    def path(index: int) -> Path:
        name = photos.names[index]
        return labels / f"{name}.png" if scores is None else scores / f"{name}.npz"

    def work(plan: Plan) -> None:
        log_probs = np.asarray(label(inputs(plan)).log_probs)
        for row, index in enumerate(plan.indices[: plan.real]):
            height, width = grid_size(seen[index])
            keys = np.asarray([0, *photos.labels[index]], np.uint8)
            one = log_probs[row, keys, :height, :width]
            if not np.isfinite(one).all():
                name = photos.names[index]
                skipped.append(Skipped(name, f"{name}: the GCN's scores are not finite"))
                continue
            full = full_scores(photos.image(index), one, config)
            data.write_mask(labels / f"{photos.names[index]}.png", argmax_labels(full, keys))
            if scores is not None:
                write_arrays(path(index), {"keys": keys, "scores": full.astype(np.float16)})

    run_plans(plans, path, work, "pseudo labels")
    return len(photos.names) + len(photos.skipped) - len(skipped), skipped


def _make_inputs(
    photos: Photos,
    seen: Sequence[tuple[int, int]],
    entry: Entry,
    config: ConfigDict,
    num_classes: int,
) -> Callable[[Plan], PhotoInputs]:
    """Prepares what turns a batch's photos and maps into inputs of the graph part."""
    make_cams = None if entry.cams else _cam_maker(entry.run or Path(), config, num_classes)
    make_edges = _edge_maker(entry.run, config) if entry.run else None
    key = name_key(jax.random.key(config.seed), "gcn")

    def inputs(plan: Plan) -> PhotoInputs:
        images = [photos.image(index) for index in plan.indices]
        sizes = [seen[index] for index in plan.indices]
        grids, shape = [grid_size(size) for size in sizes], grid_size(plan.shape)
        rgb = np.zeros((len(images), *shape, 3), np.float32)
        present = np.zeros((len(images), num_classes - 1), bool)
        for row, (index, grid) in enumerate(zip(plan.indices, grids, strict=True)):
            present[row, np.asarray(photos.labels[index]) - 1] = True
            small = resize_photo(images[row], grid, Image.Resampling.LANCZOS)
            rgb[row, : grid[0], : grid[1]] = small.astype(np.float32) / 255
        cams, edge = _given_maps(photos, plan, entry, grids, shape, num_classes)
        valid = valid_mask(jnp.asarray(grids, jnp.int32), shape)
        if make_cams:
            made = np.asarray(make_cams(images, grids, shape), np.float32)
            cams = made * present[:, :, None, None]
        if make_edges:
            padded = padded_photos(images, sizes, plan.shape)
            made_edge, features = make_edges(padded, np.asarray(sizes, np.int32))
            edge = edge if entry.edges else np.asarray(made_edge)
        else:
            features = jax.jit(jax.vmap(plain_features))(rgb, valid)
        keys = jnp.stack([name_key(key, photos.names[index]) for index in plan.indices])
        maps = {"edge": edge, "cams": cams, "present": present, "rgb": rgb}
        return PhotoInputs(
            key=keys, features=features, valid=valid, **{k: jnp.asarray(v) for k, v in maps.items()}
        )

    return inputs


def _edge_maker(run: Path, config: ConfigDict) -> EdgeProgram:
    """Loads a run's boundary network."""
    net = networks.build(
        jax.random.key(0),
        config.backbone.name,
        lambda backbone: BoundaryNet(backbone=backbone),
        weights=config.backbone.weights,
        init=config.boundary.init,
    )
    return make_edge_program(networks.load(run / "boundary", net), config.backbone.name)


def _given_maps(
    photos: Photos,
    plan: Plan,
    entry: Entry,
    grids: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    num_classes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a batch's maps: CAMs `[b, c - 1, *shape]`, edges `[b, *shape]`; 0 where not given."""
    cams = np.zeros((len(plan.indices), num_classes - 1, *shape), np.float32)
    edge = np.zeros((len(plan.indices), *shape), np.float32)
    for row, (index, (height, width)) in enumerate(zip(plan.indices, grids, strict=True)):
        name, labels = photos.names[index], photos.labels[index]
        if entry.cams:
            given = read_labelled_cam(entry.cams, name, labels)
            for label, cam in zip(labels, given, strict=True):
                cams[row, label - 1, :height, :width] = resize_map(cam, (height, width))
        if entry.edges:
            given = read_edge(entry.edges, name)
            edge[row, :height, :width] = resize_map(given, (height, width))
    return cams, edge
