"""Pseudo labels of a folder of photos from anybody's maps (`external_maps`).

What is not given, the networks of a finished run make. Walk and GCN are those of the
`pseudo_labels` stage.
"""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data, settings
from wsgcn_jax.data.class_list import check_classes, write_classes
from wsgcn_jax.data.summary import describe
from wsgcn_jax.pipeline import boundary as boundary_stage
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.cam_sources import computed_cams
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.doubts import doubts_of_labels
from wsgcn_jax.pipeline.external.cam_files import read_cams
from wsgcn_jax.pipeline.external.external_maps import ExternalMaps, read_boundary, read_seeds
from wsgcn_jax.pipeline.external.given_photos import Photos
from wsgcn_jax.pipeline.external.regions import read_regions, vote
from wsgcn_jax.pipeline.found import Found, found_in, with_earlier
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
from wsgcn_jax.pipeline.label_batches import Labelled, label_batches
from wsgcn_jax.pipeline.node_features import node_features
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays
from wsgcn_jax.resize import resize_labels, resize_map, resize_maps
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
        config: the configuration (`data.longer_side`, `graph`, `seeds`, `crf`, `gcn`, `cams`,
            `backbone`, `seed`).
        labels: folder of the label maps.
        scores: folder of `NAME.npz` with `scores [k, h, w] f16` (probabilities of `keys`, of
            all classes; not summing to 1; of photos larger than `data.longer_side` at that
            size), or None for none.

    Returns:
        (number of photos with a label map, photos that were left out).

    Raises:
        DataError: the settings, the photos' list, the maps or the run cannot be used.
    """
    settings.check(config, sections=_SECTIONS)
    _check(given, source)
    photos = _photos(source, given)

    def output(index: int) -> Path:
        name = photos.names[index]
        return labels / f"{name}.png" if scores is None else scores / f"{name}.npz"

    looked: dict[str, Found] = {}

    def write(index: int, photo: Labelled) -> None:
        name, found, label_map = photos.names[index], photo.scores, photo.label_map
        if given.regions is not None:
            size = photos.facts[index].size
            found = vote(resize_maps(found, size), read_regions(given.regions, name, size))
            label_map = argmax_labels(found, photo.class_ids)
        data.write_mask(labels / f"{name}.png", label_map)
        if len(photo.class_ids) > 1:
            looked[name] = found_in(label_map, photo.seeds)
        if scores is not None:
            arrays = {"keys": photo.class_ids, "scores": found.astype(np.float16)}
            write_arrays(output(index), arrays)

    write_classes(labels, source.classes())
    key = name_key(jax.random.key(config.seed), "gcn")
    ids = np.arange(1, len(source.classes()))
    present = np.stack([np.isin(ids, facts.labels) for facts in photos.facts])
    for line in (*source.notes(), describe(present, source.classes(), len(photos.skipped))):
        log(line)
    inputs = partial(
        graph_inputs,
        key,
        names=photos.names,
        present=present,
        sources=_sources(photos, given, config, source.classes()[1:], present),
        cam_features="cams" in node_features(config),
    )
    sizes = [facts.size for facts in photos.facts]
    failed = label_batches(
        photos.names, sizes, present, photos.image, inputs, write, output, config
    )
    each = zip(photos.names, photos.facts, strict=True)
    masks = {name: labels / f"{name}.png" for name, facts in each if facts.labels}
    for doubt in doubts_of_labels(with_earlier(looked, masks)):
        log(doubt)
    if len(failed) == len(photos.names):
        raise DataError(f"all photos were left out: {failed[0].reason}")
    return len(photos.names) - len(failed), [*photos.skipped, *failed]


def _photos(source: data.Source, given: ExternalMaps) -> Photos:
    """Looks at the photos; a DataError where none with a label can be used."""
    photos = Photos(source, given)
    if photos.skipped and not any(facts.labels for facts in photos.facts):
        raise DataError(
            f"all {len(photos.skipped)} photos with labels were left out: "
            f"{photos.skipped[0].reason}"
        )
    return photos


def _check(given: ExternalMaps, source: data.Source) -> None:
    """Raises a DataError where folders are missing, or maps that nothing makes."""
    for folder in given:
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is no folder; correct the path.")
    if given.run is None and not ((given.cams or given.seeds) and given.boundary):
        raise DataError(
            "there are no boundary maps, or neither CAMs nor partial labels; give them, or a "
            "trained run whose networks make them."
        )
    if given.seeds is not None:
        check_classes(given.seeds, source.classes())


def _sources(
    photos: Photos,
    given: ExternalMaps,
    config: ConfigDict,
    classes: Sequence[str],
    present: np.ndarray,
) -> MapSources:
    """Chooses a source for each kind of map: the given files first, then the run's networks."""
    seeds = None
    if given.seeds is not None:
        seeds = partial(
            seeds_on_grid, read=partial(_seeds, photos, given.seeds, config.seeds.minimum_score)
        )
    if given.cams is not None:
        read = partial(_cam, photos, given.cams)
        cams: CamSource = partial(cams_on_grid, read=read, classes=present.shape[1] + 1)
    elif given.seeds is not None:
        cams = partial(_no_cams, classes=present.shape[1] + 1)
    else:
        assert given.run is not None
        cams = computed_cams(config, classes, present, given.run / "classifier")
    return MapSources(cams, _boundary_source(photos, given, config), seeds)


def _boundary_source(photos: Photos, given: ExternalMaps, config: ConfigDict) -> BoundarySource:
    """Boundary maps from files or the run's network, features of the network or without one."""
    network = None
    if given.run is not None:
        key = jax.random.key(0)  # every weight is loaded
        net = networks.load(given.run / "boundary", boundary_stage.network(key, config))
        network = network_boundary(net, config.backbone.name, features=node_features(config))
        if given.boundary is None:
            return network
    assert given.boundary is not None
    read = partial(_boundary, photos, given.boundary)

    def source(batch: Batch) -> tuple[Array, Array]:
        features = _plain_features(batch) if network is None else network(batch)[1]
        return maps_on_grid(batch, read, 0.0), features

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
    """Reads a photo's CAMs `[k, *grid]` and their class ids.

    Each is divided by its maximum, as a CAM is by definition (docs/method.md section 1): the seed
    rules take 1 for certain.
    """
    facts = photos.facts[index]
    given = read_cams(folder, photos.names[index], facts).maps
    cams = np.stack([resize_map(cam, grid) for cam in given])
    peaks = cams.max(axis=(1, 2), keepdims=True)
    return cams / np.maximum(peaks, 1e-5), np.asarray(facts.labels)


def _seeds(
    photos: Photos, folder: Path, sure: float, index: int, grid: tuple[int, int]
) -> np.ndarray:
    """Reads a photo's partial labels `[*grid] u8`."""
    seeds = read_seeds(folder, photos.names[index], photos.facts[index], sure=sure)
    return resize_labels(seeds, grid)


def _boundary(photos: Photos, folder: Path, index: int, grid: tuple[int, int]) -> np.ndarray:
    """Reads a photo's boundary map `[*grid] f32`."""
    return resize_map(read_boundary(folder, photos.names[index], photos.facts[index]), grid)
