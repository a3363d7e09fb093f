"""The road entered half-way: pseudo labels of a folder of photos from anybody's maps.

CAMs and boundary maps come from files (`foreign`) or from the networks of a finished run, partial
labels from files or the seed rule. Walk and GCN are those of the `pseudo_labels` stage.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.pipeline import cams as cams_stage
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.foreign import (
    Entry,
    Photos,
    read_edge,
    read_labelled_cam,
    read_seeds,
    resize_map,
)
from wsgcn_jax.pipeline.inference import (
    network_size,
    padded_photos,
    scaled_photos,
    valid_mask,
)
from wsgcn_jax.pipeline.label_batches import (
    Batch,
    Labelled,
    grid_cams,
    grid_colours,
    label_batches,
)
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.pseudo_labels import EdgeProgram, make_edge_program
from wsgcn_jax.pipeline.scores import argmax_labels, nearest_labels
from wsgcn_jax.pipeline.workspace import write_arrays
from wsgcn_jax.types import IGNORE, DataError, Skipped

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
    for folder in entry:
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder; mend the path.")
    if entry.run is None and not ((entry.cams or entry.seeds) and entry.edges):
        raise DataError(
            "without boundary maps, or without CAMs or partial labels, --checkpoint must name a "
            "run."
        )
    photos = Photos(source, entry)

    def output(index: int) -> Path:
        name = photos.names[index]
        return labels / f"{name}.png" if scores is None else scores / f"{name}.npz"

    def write(index: int, photo: Labelled) -> None:
        mask = argmax_labels(photo.scores, photo.keys)
        data.write_mask(labels / f"{photos.names[index]}.png", mask)
        if scores is not None:
            arrays = {"keys": photo.keys, "scores": photo.scores.astype(np.float16)}
            write_arrays(output(index), arrays)

    inputs = _make_inputs(photos, entry, config, len(source.classes()))
    failed = label_batches(photos.names, photos.sizes, photos.image, inputs, write, output, config)
    return len(photos.names) - len(failed), [*photos.skipped, *failed]


def _make_inputs(
    photos: Photos, entry: Entry, config: ConfigDict, classes: int
) -> Callable[[Batch], PhotoInputs]:
    """Prepares what turns a batch's photos and maps into inputs of the graph part."""
    make_cams = None
    if entry.run and not (entry.cams or entry.seeds):
        make_cams = _cam_maker(entry.run, config, classes)
    make_edges = _edge_maker(entry.run, config) if entry.run else None
    key = name_key(jax.random.key(config.seed), "gcn")

    def inputs(batch: Batch) -> PhotoInputs:
        present = np.zeros((len(batch.indices), classes - 1), bool)
        for row, index in enumerate(batch.indices):
            present[row, np.asarray(photos.labels[index]) - 1] = True
        rgb = grid_colours(batch)
        valid = valid_mask(jnp.asarray(batch.grids, jnp.int32), batch.grid)
        if make_cams:
            made = np.asarray(make_cams(batch.photos, batch.grids, batch.grid), np.float32)
            cams = made * present[:, :, None, None]
        elif entry.cams is None:  # nothing of the labels hangs on them: the seeds are given
            cams = np.zeros((len(batch.indices), classes - 1, *batch.grid), np.float32)
        else:
            cams = grid_cams(batch, partial(_given_cam, photos, entry), classes)
        if make_edges:
            padded = padded_photos(batch.photos, batch.sizes, batch.shape)
            edge, features = make_edges(padded, np.asarray(batch.sizes, np.int32))
        else:
            features = jax.jit(jax.vmap(plain_features))(rgb, valid)
        if entry.edges:
            edge = jnp.asarray(_given_edges(photos, entry.edges, batch))
        return PhotoInputs(
            jnp.stack([name_key(key, photos.names[index]) for index in batch.indices]),
            edge,
            features,
            jnp.asarray(cams),
            jnp.asarray(present),
            jnp.asarray(rgb),
            valid,
            None if entry.seeds is None else jnp.asarray(_given_seeds(photos, entry.seeds, batch)),
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


def _given_cam(
    photos: Photos, entry: Entry, index: int, grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo's CAMs `[k, *grid]` and their class ids."""
    labels = photos.labels[index]
    given = read_labelled_cam(entry.cams or Path(), photos.names[index], labels)
    return np.stack([resize_map(cam, grid) for cam in given]), np.asarray(labels)


def _given_seeds(photos: Photos, folder: Path, batch: Batch) -> np.ndarray:
    """Reads a batch's partial labels `[b, H, W] u8`, 255 in the padding."""
    seeds = np.full((len(batch.indices), *batch.grid), IGNORE, np.uint8)
    for row, (index, grid) in enumerate(zip(batch.indices, batch.grids, strict=True)):
        given = read_seeds(folder, photos.names[index], photos.labels[index], photos.sizes[index])
        seeds[row, : grid[0], : grid[1]] = nearest_labels(given, grid)
    return seeds


def _given_edges(photos: Photos, folder: Path, batch: Batch) -> np.ndarray:
    """Reads a batch's boundary maps `[b, H, W] f32`, 0 in the padding."""
    given = (read_edge(folder, photos.names[index]) for index in batch.indices)
    resized = (resize_map(edge, grid) for edge, grid in zip(given, batch.grids, strict=True))
    return np.stack([data.pad_to(edge, batch.grid) for edge in resized])
