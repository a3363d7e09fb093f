"""One photo's pseudo label: seeds, graph, random walk, GCN, CRF (method sections 3-5)."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax.crf import PARTIAL_LABELS
from wsgcn_jax.crf import refine as crf_refine
from wsgcn_jax.crf.settings import GCN_SCORES
from wsgcn_jax.gcn.fit import fit_ensemble
from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_stencil
from wsgcn_jax.graph.walk import Walk, aggregate, dense_walk, gcn_adjacency, random_walk
from wsgcn_jax.pipeline.devices import over_devices
from wsgcn_jax.pipeline.refinement import MASKS, refine_scores
from wsgcn_jax.pipeline.scores import resize_maps_aligned
from wsgcn_jax.positions import node_positions
from wsgcn_jax.seeds import partial_labels, walk_seeds
from wsgcn_jax.types import DataError


class PhotoInputs(NamedTuple):
    """What the graph part is given of one photo, on its padded stride-4 grid.

    Attributes:
        key: PRNG key of this photo.
        edge: `[H, W] f32` in [0, 1].
        features: `[H, W, f] f32`.
        cams: `[c - 1, H, W] f32` in [0, 1], 0 for absent classes.
        present: `[c - 1] bool`.
        rgb: `[H, W, 3] f32` in [0, 1].
        valid: `[H, W] bool`.
        seeds: `[H, W] u8`, partial labels made elsewhere, 255 = none; None: `seeds.rule` makes
            them.
    """

    key: jax.Array
    edge: jax.Array
    features: jax.Array
    cams: jax.Array
    present: jax.Array
    rgb: jax.Array
    valid: jax.Array
    seeds: jax.Array | None = None


class PhotoOutputs(NamedTuple):
    """What the graph part finds in one photo.

    Attributes:
        seeds: `[H, W] u8`, partial labels, 255 = none.
        walk: `[c - 1, H, W] f32`, CAMs after the random walk.
        log_probs: `[c, H, W] f32`, of the GCN.
    """

    seeds: jax.Array
    walk: jax.Array
    log_probs: jax.Array


def label_photo(photo: PhotoInputs, config: ConfigDict) -> PhotoOutputs:
    """Seeds, walk and GCN of one photo; the caller vmaps.

    Args:
        photo: the inputs.
        config: the whole configuration (`graph`, `seeds`, `gcn` are read).

    Returns:
        The outputs; what they hold in the padding means nothing.
    """
    height, width = photo.edge.shape
    classes = photo.cams.shape[0] + 1
    settings = config.graph
    walk = _walk(photo, settings)
    start = jnp.where(photo.valid, 1.0 - photo.edge, 0.0)[None] * photo.cams
    walked = random_walk(walk, start.reshape(classes - 1, -1))

    seeds = _seeds(photo, walked.reshape(classes - 1, height, width), config)
    weights = laplacian_stencil(photo.rgb, radius=settings.laplacian_radius, valid=photo.valid)
    log_probs = fit_ensemble(
        photo.key,
        partial(aggregate, gcn_adjacency(walk, symmetrise=settings.symmetrise)),
        photo.features.reshape(height * width, -1).T,
        seeds.reshape(-1).astype(jnp.int32),
        photo.valid.reshape(-1),
        node_positions(height, width),
        lambda z: laplacian_energy(weights, z.reshape(classes, height, width)),
        classes=classes,
        **config.gcn.to_dict(),
    )
    return PhotoOutputs(
        seeds,
        walked.reshape(classes - 1, height, width),
        log_probs.reshape(classes, height, width),
    )


def _seeds(photo: PhotoInputs, walked: jax.Array, config: ConfigDict) -> jax.Array:
    """Partial labels `[H, W] u8`: as given, of the walk, or of the CAMs as published."""
    if photo.seeds is not None:
        return photo.seeds
    settings = config.seeds
    if settings.rule == "walk":
        return walk_seeds(walked, photo.present, valid=photo.valid, margin=settings.margin)
    return partial_labels(
        photo.cams,
        photo.present,
        valid=photo.valid,
        floor=settings.floor,
        low_background=settings.low_alpha,
        high_background=settings.high_alpha,
        confident=settings.confident,
        minimum_score=settings.minimum_score,
        background_minimum=settings.background_minimum,
        refine=partial(_refine, photo, config) if config.crf.seeds else None,
    ).labels


def _walk(photo: PhotoInputs, settings: ConfigDict) -> Walk:
    options = {"radius": settings.radius, "beta": settings.beta, "valid": photo.valid}
    if settings.walk == "dense":
        return dense_walk(affinity_graph(photo.edge, **options), steps=settings.steps)
    stencil = affinity_stencil(photo.edge, **options)
    return fast_walk(stencil, radius=settings.radius, steps=settings.steps, basis=settings.basis)


def _refine(photo: PhotoInputs, config: ConfigDict, scores: jax.Array) -> jax.Array:
    """Draws scores `[c, H, W]` to the photo's edges; absent classes stay out of it."""
    settings, crf = PARTIAL_LABELS, config.crf
    if crf.longer_side:
        sigma_xy = settings.bilateral[0]
        settings = settings._replace(bilateral=(sigma_xy, crf.sigma_rgb, crf.weight))
    return crf_refine(
        photo.rgb * 255,
        scores,
        settings,
        valid=photo.valid,
        present=jnp.append(True, photo.present),
        kernel="exact" if crf.longer_side else "lattice",
    )


def make_label_program(config: ConfigDict) -> Callable[[PhotoInputs], PhotoOutputs]:
    """Compiles `label_photo` for batches, each device of this host on its part.

    Args:
        config: the whole configuration.

    Raises:
        DataError: `graph.walk` or `seeds.rule` names nothing, or `gcn.object_odds` is not positive.
    """
    if config.graph.walk not in ("dense", "fast"):
        raise DataError(f"graph.walk: {config.graph.walk!r} is neither dense nor fast")
    if config.seeds.rule not in ("cam", "walk"):
        raise DataError(f"seeds.rule: {config.seeds.rule!r} is neither cam nor walk")
    if not config.gcn.object_odds > 0:
        raise DataError(f"gcn.object_odds: {config.gcn.object_odds} must be above 0 (published: 1)")
    one = partial(label_photo, config=config)

    def several(_: None, photos: PhotoInputs) -> PhotoOutputs:
        # A core's caches hold one photo, and XLA's CPU backend multiplies batches more slowly.
        on_cpu = jax.default_backend() == "cpu"
        return jax.lax.map(one, photos) if on_cpu else jax.vmap(one)(photos)

    program = over_devices(several)
    return lambda photos: program(None, photos)


def full_scores(photo: np.ndarray, log_probs: np.ndarray, config: ConfigDict) -> np.ndarray:
    """The GCN's scores at the photo's size, through the CRF where configured.

    Args:
        photo: `[h, w, 3] u8`.
        log_probs: `[k, H, W] f32`, on the stride-4 grid.
        config: the whole configuration (`crf` and `graph.bucket` are read).

    Returns:
        `[k, h, w] f32`, probabilities; without the CRF they need not sum to 1.
    """
    scores = np.exp(resize_maps_aligned(log_probs, (photo.shape[0], photo.shape[1])))
    if not config.crf.masks:
        return scores
    settings = GCN_SCORES if config.crf.flat_unary else MASKS
    return refine_scores(photo, scores, settings, bucket=config.graph.bucket)
