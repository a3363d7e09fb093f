"""Stage: pseudo labels; boundary map, seeds, graph, walk, GCN (docs/method.md sections 2-5)."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.data.class_list import write_classes
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.pipeline import boundary, networks
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.doubts import doubts_of_labels
from wsgcn_jax.pipeline.found import Found, found_in, with_earlier
from wsgcn_jax.pipeline.graph_inputs import MapSources, cams_on_grid, graph_inputs, network_boundary
from wsgcn_jax.pipeline.label_batches import Labelled, label_batches
from wsgcn_jax.pipeline.node_features import node_features
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import Skipped


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Writes `NAME.png` (the pseudo label) and `NAME.npz` (what led to it) for each photo."""
    split = context.split(context.config.data.pseudo_split)

    found: dict[str, Found] = {}

    def mask(index: int) -> Path:
        return folder / f"{split.names[index]}.png"

    def write(index: int, photo: Labelled) -> None:
        arrays = {
            "class_ids": photo.class_ids,
            "boundary": photo.boundary.astype(np.float16),
            "seeds": photo.seeds,
            "walk": photo.walk[photo.class_ids[1:] - 1],
            "log_probs": photo.log_probs[photo.class_ids],
        }
        write_arrays(mask(index).with_suffix(".npz"), arrays)
        data.write_mask(mask(index), photo.label_map)
        if len(photo.class_ids) > 1:
            found[split.names[index]] = found_in(photo.label_map, photo.seeds)

    if is_primary():
        write_classes(folder, split.classes)
    skipped = label_split(context, split, write, mask)
    if is_primary():
        labelled = np.flatnonzero(split.labels.any(axis=1)).tolist()
        masks = {split.names[index]: mask(index) for index in labelled}
        for doubt in doubts_of_labels(with_earlier(found, masks)):
            log(doubt)
    return skipped


def label_split(
    context: Context,
    split: data.Split,
    write: Callable[[int, Labelled], None],
    output: Callable[[int], Path],
) -> list[Skipped]:
    """Labels the photos of a split with the run's classifier and boundary network.

    Args:
        context: the run.
        split: its photos.
        write: takes what was found in the photo of an index.
        output: see `label_batches`.

    Returns:
        The photos that had to be left out.
    """
    config = context.config
    features = node_features(config)
    network = boundary.network(context.key("boundary"), config)
    net = networks.load(context.folder("boundary"), network)
    photos = split.without_masks()
    out = context.left_out("cams")
    kept = [index for index, name in enumerate(split.names) if name not in out]
    names = [split.names[index] for index in kept]

    def cam(index: int, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        maps, class_ids = read_cams(context.folder("cams"), names[index])
        return resize_maps(maps, grid), class_ids

    sources = MapSources(
        partial(cams_on_grid, read=cam, classes=len(split.classes)),
        network_boundary(net, config.backbone.name, features=features),
    )
    inputs = partial(
        graph_inputs,
        context.key("gcn"),
        names=names,
        present=split.labels[kept],
        sources=sources,
        cam_features="cams" in features,
    )
    return label_batches(
        names,
        [split.own_sizes[index] for index in kept],
        split.labels[kept],
        lambda index: photos[kept[index]].image,
        inputs,
        lambda index, photo: write(kept[index], photo),
        lambda index: output(kept[index]),
        config,
    )
