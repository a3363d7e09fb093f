"""What the graph part is given of a batch: one builder, and sources of maps that plug into it.

CAMs, boundary maps with node features, and partial labels each come from a source: a function of
the batch. The run's networks, files and given arrays are all such functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax import data
from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.models.boundary import boundary_and_features, mirrored_mean
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.inference import padded_photos, photo_and_mirror, valid_mask
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.node_features import standardised, with_maps
from wsgcn_jax.precise import matmul
from wsgcn_jax.types import IGNORE

_WAVES = 48
_FREQUENCIES = (6.0, 6.0, 6.0, 3.0, 3.0)  # of red, green, blue, row, column


class Batch(NamedTuple):
    """Photos that are labelled together.

    Attributes:
        indices: of the photos.
        photos: `[h, w, 3] u8` each.
        sizes: (height, width) at which the boundary network sees each.
        shape: what those are padded to.
        grids: rows and columns of each photo's stride-4 grid.
        grid: what those are padded to.
    """

    indices: Sequence[int]
    photos: Sequence[np.ndarray]
    sizes: Sequence[tuple[int, int]]
    shape: tuple[int, int]
    grids: Sequence[tuple[int, int]]
    grid: tuple[int, int]


Array = np.ndarray | jax.Array

CamSource = Callable[[Batch], Array]
"""batch -> CAMs `[b, c - 1, H, W] f32` in [0, 1]; 0 for absent classes and in the padding."""

BoundarySource = Callable[[Batch], tuple[Array, Array]]
"""batch -> boundary maps `[b, H, W] f32` in [0, 1], node features `[b, H, W, f] f32`."""

SeedSource = Callable[[Batch], Array]
"""batch -> partial labels `[b, H, W] u8`, 255 where nothing is known and in the padding."""


class MapSources(NamedTuple):
    """Where the maps of a batch come from; `seeds` None: the seed rule makes them of the CAMs."""

    cams: CamSource
    boundary: BoundarySource
    seeds: SeedSource | None = None


def graph_inputs(
    key: jax.Array,
    batch: Batch,
    names: Sequence[str],
    present: np.ndarray,
    sources: MapSources,
    *,
    cam_features: bool = False,
) -> PhotoInputs:
    """Collects what the graph part needs of a batch.

    Args:
        key: PRNG key; each photo's is folded from its name.
        batch: the photos.
        names: of all photos, by index.
        present: `[photos, c - 1] bool`, of all photos, by index.
        sources: of the maps.
        cam_features: whether the CAMs are among the nodes' features.

    Returns:
        The inputs, every array with the photos as its first axis.
    """
    boundary, features = sources.boundary(batch)
    cams, valid = jnp.asarray(sources.cams(batch)), grid_valid(batch)
    if cam_features:
        features = jax.jit(jax.vmap(with_maps))(jnp.asarray(features), cams, valid)
    return PhotoInputs(
        jnp.stack([name_key(key, names[index]) for index in batch.indices]),
        jnp.asarray(boundary),
        jnp.asarray(features),
        cams,
        jnp.asarray(present[list(batch.indices)]),
        jnp.asarray(grid_colours(batch)),
        valid,
        None if sources.seeds is None else jnp.asarray(sources.seeds(batch)),
    )


def grid_colours(batch: Batch) -> np.ndarray:
    """Returns the photos on their padded grids, `[b, H, W, 3] f32` in [0, 1]."""
    small = padded_photos(batch.photos, batch.grids, batch.grid, method="lanczos")
    return small.astype(np.float32) / 255


def grid_valid(batch: Batch) -> jax.Array:
    """Marks the real nodes of the padded grids, `[b, H, W] bool`."""
    return valid_mask(jnp.asarray(batch.grids, jnp.int32), batch.grid)


def cams_on_grid(
    batch: Batch,
    read: Callable[[int, tuple[int, int]], tuple[np.ndarray, np.ndarray]],
    classes: int,
) -> np.ndarray:
    """Collects CAMs on the padded grids, photo by photo.

    Args:
        batch: the photos.
        read: (index, grid) -> CAMs `[k, *grid] f32` of a photo and their class ids `[k]`.
        classes: number of classes with background.

    Returns:
        `[b, classes - 1, H, W] f32`, 0 for absent classes.
    """
    cams = np.zeros((len(batch.indices), classes - 1, *batch.grid), np.float32)
    for row, (index, grid) in enumerate(zip(batch.indices, batch.grids, strict=True)):
        cam, class_ids = read(index, grid)
        cams[row, class_ids.astype(int) - 1, : grid[0], : grid[1]] = cam
    return cams


def maps_on_grid(
    batch: Batch, read: Callable[[int, tuple[int, int]], np.ndarray], fill: float
) -> np.ndarray:
    """Collects one map a photo on the padded grids.

    Args:
        batch: the photos.
        read: (index, grid) -> `[*grid]`.
        fill: value of the padding.

    Returns:
        `[b, H, W]`.
    """
    each = zip(batch.indices, batch.grids, strict=True)
    return np.stack([data.pad_to(read(i, grid), batch.grid, fill) for i, grid in each])


def seeds_on_grid(batch: Batch, read: Callable[[int, tuple[int, int]], np.ndarray]) -> np.ndarray:
    """Collects partial labels as `maps_on_grid`; the padding is unlabelled."""
    return maps_on_grid(batch, read, IGNORE)


BoundaryProgram = Callable[[np.ndarray, np.ndarray], tuple[jax.Array, jax.Array]]
"""(photos `[b, h, w, 3] u8`, real sizes `[b, 2]`) -> `[b, H, W]`, features `[b, H, W, f]`."""


def mirrored_boundary(
    net: Network, backbone: str, *, features: Sequence[str] = ("boundary",)
) -> Callable[[Any, tuple[jax.Array, jax.Array]], tuple[jax.Array, jax.Array]]:
    """Builds the function that averages over photo and mirror image; not compiled.

    Args:
        net: the boundary network.
        backbone: its name, for the normalisation.
        features: of the nodes (`node_features`): "boundary" and "taps" come from here.

    Returns:
        (variables, (photos, real sizes)) -> boundary maps and features, as `BoundaryProgram`.
    """

    def taps(variables: Any, images: jax.Array, sizes: jax.Array, valid: jax.Array) -> jax.Array:
        both = photo_and_mirror(net, variables, images, sizes, backbone, method="taps")
        mean = jax.vmap(mirrored_mean)(*both, valid)
        return jax.vmap(standardised)(mean, valid[:, ::4, ::4])

    def program(variables: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        images, sizes = batch
        photo, mirror = photo_and_mirror(net, variables, images, sizes, backbone)
        valid = valid_mask(sizes, (images.shape[1], images.shape[2]))
        boundary, activations = jax.vmap(boundary_and_features)(photo, mirror, valid)
        chosen = [activations if "boundary" in features else activations[..., :0]]
        if "taps" in features:
            chosen.append(taps(variables, images, sizes, valid))
        return boundary, jnp.concatenate(chosen, -1)

    return program


def make_boundary_program(
    net: Network, backbone: str, *, features: Sequence[str] = ("boundary",)
) -> BoundaryProgram:
    """Compiles boundary maps and node features of a trained network (`mirrored_boundary`)."""
    program = mirrored_boundary(net, backbone, features=features)
    spread = over_devices(program, convolution_options())
    return lambda images, sizes: spread(net.variables, (images, sizes))


def network_boundary(
    net: Network, backbone: str, *, features: Sequence[str] = ("boundary",)
) -> BoundarySource:
    """Returns the source of maps and features that a trained network is (`mirrored_boundary`)."""
    program = make_boundary_program(net, backbone, features=features)

    def source(batch: Batch) -> tuple[jax.Array, jax.Array]:
        photos = padded_photos(batch.photos, batch.sizes, batch.shape)
        return program(photos, np.asarray(batch.sizes, np.int32))

    return source


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
    angles = matmul(jnp.concatenate([rgb, place], -1), jnp.asarray(waves, jnp.float32))
    return jnp.sqrt(2.0) * jnp.cos(angles + jnp.asarray(phases, jnp.float32)[None, None])
