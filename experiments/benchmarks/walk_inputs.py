"""Photos for the walk benchmark: boundary maps, features and CAMs, from networks or by hand."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.data.palette_png import decode_png
from wsgcn_jax.data.photos import decode_photo
from wsgcn_jax.graph.affinity import affinity_graph
from wsgcn_jax.graph.walk import random_walk, sparse_walk
from wsgcn_jax.pipeline import boundary, networks
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context, name_key
from wsgcn_jax.pipeline.graph_inputs import BoundaryProgram, make_boundary_program
from wsgcn_jax.pipeline.inference import grid_size
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.resize import resize_labels, resize_maps, resize_photo
from wsgcn_jax.seeds import walk_seeds
from wsgcn_jax.types import DataError


class Case(NamedTuple):
    """One photo of the benchmark.

    Attributes:
        name: of the photo, and its boundary map.
        inputs: without padding, with the seeds.
        size: height and width of the photo.
        mask: `[h, w] u8`, true labels.
        seeds: `[H, W] u8`, partial labels that both fits are given.
    """

    name: str
    inputs: PhotoInputs
    size: tuple[int, int]
    mask: np.ndarray
    seeds: np.ndarray


def make_cases(
    root: Path,
    workdir: Path | None,
    config: ConfigDict,
    *,
    size: tuple[int, int],
    photos: int,
    full: int,
    longer: int,
) -> list[Case]:
    """Reads photos of the list "train" that have one size, and makes what the graph part reads.

    The first `full` stay as they are, the others are resized; the last of either kind gets a
    harsh boundary map: soft and broken.

    Args:
        root: the VOC folder.
        workdir: of a run whose classifier and boundary network are used; None: gradients.
        config: of that run.
        size: their height and width; photos of another size are passed over.
        photos: how many in all.
        full: how many keep their size.
        longer: longer side of the others.
    """
    source = data.VocSource(root, splits=("train",))
    program = None if workdir is None else _boundary_program(root, workdir, config)
    cases: list[Case] = []
    for name in source.listing()["train"]:
        if len(cases) == photos:
            break
        photo = source.read("train", name)
        image = decode_photo(photo.image, name=name)
        if image.shape[:2] != size or photo.mask is None or not photo.labels:
            continue
        mask = decode_png(photo.mask, name=name)
        if len(cases) >= full:
            small = (round(size[0] * longer / max(size)), round(size[1] * longer / max(size)))
            image, mask = resize_photo(image, small), resize_labels(mask, small)
        harsh = len(cases) + 1 in (full, photos)
        inputs = _inputs(name, image, np.asarray(photo.labels), workdir, program)
        if harsh:
            inputs = inputs._replace(boundary=_harsh(np.asarray(inputs.boundary)))
        label = f"{name} {'harsh' if harsh else 'as found'}"
        shape = (image.shape[0], image.shape[1])
        seeds = _exact_seeds(inputs, config)
        inputs = inputs._replace(seeds=jnp.asarray(seeds))
        cases.append(Case(label, inputs, shape, mask, seeds))
    if len(cases) < photos:
        raise DataError(
            f"{root}: only {len(cases)} photos of {size[0]}x{size[1]} with a mask and labels; "
            "give --photos or --size"
        )
    return cases


def resized(case: Case, area: float) -> PhotoInputs:
    """Stretches a case's maps to another number of nodes, for timing."""
    height, width = case.inputs.boundary.shape
    shape = (round(height * area**0.5), round(width * area**0.5))
    resize = partial(jax.image.resize, method="linear")
    one, seeds = case.inputs, resize_labels(case.seeds, shape)
    return one._replace(
        boundary=resize(one.boundary, shape),
        features=resize(one.features, (*shape, one.features.shape[2])),
        cams=resize(one.cams, (len(one.cams), *shape)),
        rgb=resize(one.rgb, (*shape, 3)),
        valid=jnp.ones(shape, bool),
        seeds=jnp.asarray(seeds),
    )


def _exact_seeds(photo: PhotoInputs, config: ConfigDict) -> np.ndarray:
    """`seeds.rule=walk` on the exact walk, so that they favour neither of the two fits."""
    settings = config.graph
    graph = affinity_graph(photo.boundary, radius=settings.radius, beta=settings.beta)
    present = np.flatnonzero(photo.present)
    start = ((1.0 - photo.boundary)[None] * photo.cams[present]).reshape(len(present), -1)
    walked = random_walk(sparse_walk(graph, steps=settings.steps), start)
    scores = jnp.zeros_like(photo.cams).at[present].set(walked.reshape(-1, *photo.boundary.shape))
    return np.asarray(
        walk_seeds(scores, photo.present, valid=photo.valid, margin=config.seeds.margin)
    )


def _boundary_program(root: Path, workdir: Path, config: ConfigDict) -> BoundaryProgram:
    config.data.root = str(root)
    context = Context(config, Workspace(workdir))
    folder = context.folder("boundary")
    if not (folder / "weights").exists():
        raise DataError(f"{folder}: no weights; finish the run's boundary stage, or no --workdir")
    network = boundary.network(context.key("boundary"), config)
    return make_boundary_program(networks.load(folder, network), config.backbone.name)


def _inputs(
    name: str,
    image: np.ndarray,
    ids: np.ndarray,
    workdir: Path | None,
    program: BoundaryProgram | None,
) -> PhotoInputs:
    grid = grid_size((image.shape[0], image.shape[1]))
    small = resize_photo(image, grid, method="lanczos").astype(np.float32) / 255
    cams = np.zeros((len(data.VOC_CLASSES) - 1, *grid), np.float32)
    if program is None or workdir is None:
        boundary_map, features = _gradient_boundary(small), _colour_features(small)
        cams[ids - 1] = _centre_cams(grid, len(ids))
    else:
        # The network wants sides that are multiples of 16; its grid is fitted to the photo's.
        sides = (round(image.shape[0] / 16) * 16, round(image.shape[1] / 16) * 16)
        found = program(resize_photo(image, sides)[None], np.asarray([sides], np.int32))
        boundary_map = np.asarray(jax.image.resize(found[0][0], grid, "linear"))
        features = jax.image.resize(found[1][0], (*grid, found[1].shape[-1]), "linear")
        cam, class_ids = read_cams(workdir / "cams", name)
        cams[class_ids - 1] = resize_maps(cam, grid)
    return PhotoInputs(
        name_key(jax.random.key(0), name),
        jnp.asarray(np.clip(boundary_map, 0, 1), jnp.float32),
        jnp.asarray(features, jnp.float32),
        jnp.asarray(cams),
        jnp.asarray(np.isin(np.arange(1, len(cams) + 1), ids)),
        jnp.asarray(small),
        jnp.ones(grid, bool),
    )


def _gradient_boundary(rgb: np.ndarray) -> np.ndarray:
    """Edges where the colour changes most: a share of 1 like that of a trained network's maps."""
    smooth = _blurred(rgb, 1.0)
    steps = np.stack(np.gradient(smooth, axis=(0, 1)))
    strength = np.sqrt((steps**2).sum(axis=(0, 3)))
    boundary_map: np.ndarray = np.clip(strength / np.quantile(strength, 0.93), 0, 1) ** 2
    return boundary_map


def _harsh(boundary_map: np.ndarray) -> jax.Array:
    """Soft boundaries that never reach 1, with holes."""
    soft = _blurred(boundary_map[..., None], 1.5)[..., 0]
    soft = 0.8 * np.clip(soft / np.quantile(soft, 0.98), 0, 1)
    holes = np.random.default_rng(0).random(boundary_map.shape) < 0.2
    return jnp.asarray(np.where(holes, 0.3 * soft, soft), jnp.float32)


def _colour_features(rgb: np.ndarray) -> np.ndarray:
    """160 random waves of colour at three scales, rectified as the network's features are."""
    rng = np.random.default_rng(1)
    colours = np.concatenate([_blurred(rgb, sigma) for sigma in (1.0, 3.0, 8.0)], axis=-1)
    phase = colours @ rng.normal(scale=4.0, size=(9, 160)) + rng.uniform(0, 2 * np.pi, 160)
    features: np.ndarray = np.maximum(np.cos(phase), 0) / 2
    return features


def _centre_cams(grid: tuple[int, int], classes: int) -> np.ndarray:
    """Objects are in the centre, each class in its own part of it; the rest is background."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in grid), indexing="ij")
    centres = (np.arange(classes) - (classes - 1) / 2) * 0.6
    return np.stack([np.clip(1.05 - np.hypot(y, x - at), 0, 1) for at in centres])


def _blurred(maps: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(3 * sigma + 1)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(maps, pad, mode="edge")
        maps = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    return maps.astype(np.float32)
