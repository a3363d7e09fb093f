"""Pseudo labels of a folder of photos from anybody's maps (`external_maps`).

What is not given, the networks of a finished run make. Walk and GCN are those of the
`pseudo_labels` stage.
"""

from functools import partial

import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data, settings
from wsgcn_jax.pipeline import boundary as boundary_stage
from wsgcn_jax.pipeline import cams as cams_stage
from wsgcn_jax.pipeline import classifier as classifier_stage
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.external_maps import (
    ExternalMaps,
    Photos,
    read_boundary,
    read_labelled_cam,
    read_seeds,
)
from wsgcn_jax.pipeline.graph_inputs import (
    Array,
    Batch,
    BoundarySource,
    CamSource,
    MapSources,
    cams_on_grid,
    graph_inputs,
    grid_colours,
    grid_valid,
    maps_on_grid,
    network_boundary,
    plain_features,
    seeds_on_grid,
)
from wsgcn_jax.pipeline.inference import network_size, scaled_photos
from wsgcn_jax.pipeline.label_batches import Labelled, label_batches
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workspace import write_arrays
from wsgcn_jax.resize import resize_labels, resize_map
from wsgcn_jax.types import DataError, Skipped

_SECTIONS = ("seed", "backbone", "cams", "crf", "graph", "seeds", "gcn")


def label_folder(
    source: data.Source,
    given: ExternalMaps,
    config: ConfigDict,
    labels: Path,
    scores: Path | None = None,
) -> tuple[int, list[Skipped]]:
    """Writes `NAME.png`, the pseudo label, for every photo of a source.

    What is there already is not made again; so give another folder with another setting.

    Args:
        source: photos and image-level labels (its split "train").
        given: the maps there are.
        config: the configuration (`graph`, `seeds`, `crf`, `gcn`, `cams`, `backbone`, `seed`).
        labels: folder of the label maps.
        scores: folder of `NAME.npz` with `scores [k, h, w] f16` (probabilities of `keys`, of
            all classes; not summing to 1), or None for none.

    Returns:
        (number of photos with a label map, photos that were left out).

    Raises:
        DataError: the settings, the photos' list, the maps or the run cannot be used.
    """
    settings.check(config, sections=_SECTIONS)
    for folder in given:
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder; correct the path.")
    if given.run is None and not ((given.cams or given.seeds) and given.boundary):
        raise DataError(
            "without boundary maps, or without CAMs or partial labels, --checkpoint must name a "
            "run."
        )
    photos = Photos(source, given)

    def output(index: int) -> Path:
        name = photos.names[index]
        return labels / f"{name}.png" if scores is None else scores / f"{name}.npz"

    def write(index: int, photo: Labelled) -> None:
        mask = argmax_labels(photo.scores, photo.class_ids)
        data.write_mask(labels / f"{photos.names[index]}.png", mask)
        if scores is not None:
            arrays = {"keys": photo.class_ids, "scores": photo.scores.astype(np.float16)}
            write_arrays(output(index), arrays)

    classes = len(source.classes())
    key = name_key(jax.random.key(config.seed), "gcn")
    present = np.zeros((len(photos.names), classes - 1), bool)
    for row, ids in zip(present, photos.labels, strict=True):
        row[np.asarray(ids) - 1] = True
    inputs = partial(
        graph_inputs,
        key,
        names=photos.names,
        present=present,
        sources=_sources(photos, given, config, present),
    )
    failed = label_batches(photos.names, photos.sizes, photos.image, inputs, write, output, config)
    return len(photos.names) - len(failed), [*photos.skipped, *failed]


def _sources(
    photos: Photos, given: ExternalMaps, config: ConfigDict, present: np.ndarray
) -> MapSources:
    """Chooses a source for each kind of map: the given files first, then the run's networks."""
    seeds = None
    if given.seeds is not None:
        seeds = partial(seeds_on_grid, read=partial(_seeds, photos, given.seeds))
    if given.cams is not None:
        read = partial(_cam, photos, given.cams)
        cams: CamSource = partial(cams_on_grid, read=read, classes=present.shape[1] + 1)
    elif given.seeds is not None:
        cams = partial(_no_cams, classes=present.shape[1] + 1)
    else:
        assert given.run is not None
        cams = _network_cams(given.run, config, present)
    return MapSources(cams, _boundary_source(photos, given, config), seeds)


def _boundary_source(photos: Photos, given: ExternalMaps, config: ConfigDict) -> BoundarySource:
    """Boundary maps from files or the run's network, features of the network or without one."""
    network = None
    if given.run is not None:
        key = jax.random.key(0)  # every weight is loaded
        net = networks.load(given.run / "boundary", boundary_stage.network(key, config))
        network = network_boundary(net, config.backbone.name)
        if given.boundary is None:
            return network
    assert given.boundary is not None
    read = partial(_boundary, photos, given.boundary)

    def source(batch: Batch) -> tuple[Array, Array]:
        features = _plain_features(batch) if network is None else network(batch)[1]
        return maps_on_grid(batch, read, 0.0), features

    return source


def _network_cams(run: Path, config: ConfigDict, present: np.ndarray) -> CamSource:
    """CAMs of a run's classifier."""
    key = jax.random.key(0)  # every weight is loaded
    net = classifier_stage.network(key, config, present.shape[1])
    program = cams_stage.make_program(networks.load(run / "classifier", net), config.backbone.name)

    def source(batch: Batch) -> np.ndarray:
        sides = [network_size((p.shape[0], p.shape[1]), 1.0) for p in batch.photos]
        largest = (max(h for h, _ in sides), max(w for _, w in sides))
        padded = data.bucket_shape(*largest, config.cams.bucket)
        scaled = scaled_photos(batch.photos, padded, config.cams.scales)
        cams = program(scaled, np.asarray(batch.grids, np.int32), batch.grid)
        return np.asarray(cams, np.float32) * present[list(batch.indices)][:, :, None, None]

    return source


def _no_cams(batch: Batch, *, classes: int) -> np.ndarray:
    """No CAMs: of a photo with given seeds nothing of the labels hangs on them."""
    return np.zeros((len(batch.indices), classes - 1, *batch.grid), np.float32)


def _plain_features(batch: Batch) -> jax.Array:
    """Node features without a network."""
    return jax.jit(jax.vmap(plain_features))(grid_colours(batch), grid_valid(batch))


def _cam(
    photos: Photos, folder: Path, index: int, grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo's CAMs `[k, *grid]` and their class ids."""
    labels = photos.labels[index]
    given = read_labelled_cam(folder, photos.names[index], labels)
    return np.stack([resize_map(cam, grid) for cam in given]), np.asarray(labels)


def _seeds(photos: Photos, folder: Path, index: int, grid: tuple[int, int]) -> np.ndarray:
    """Reads a photo's partial labels `[*grid] u8`."""
    name, labels, size = photos.names[index], photos.labels[index], photos.sizes[index]
    return resize_labels(read_seeds(folder, name, labels, size), grid)


def _boundary(photos: Photos, folder: Path, index: int, grid: tuple[int, int]) -> np.ndarray:
    """Reads a photo's boundary map `[*grid] f32`."""
    return resize_map(read_boundary(folder, photos.names[index]), grid)
