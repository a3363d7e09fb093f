"""One photo's pseudo label: seeds, graph, random walk, GCN (docs/method.md sections 3-5)."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from wsgcn_jax.crf import EXACT_CELLS, PARTIAL_LABELS, Kernel, Settings, refine, resolve_kernel
from wsgcn_jax.gcn.fit import fit_ensemble, fit_gcn
from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import Form, fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_stencil
from wsgcn_jax.graph.walk import aggregate, dense_walk, gcn_adjacency, random_walk
from wsgcn_jax.pipeline.node_features import with_maps
from wsgcn_jax.positions import node_positions
from wsgcn_jax.seeds import partial_labels, walk_seeds


class PhotoInputs(NamedTuple):
    """What the graph part is given of one photo, on its padded stride-4 grid.

    Attributes:
        key: PRNG key of this photo.
        boundary: `[H, W] f32` in [0, 1].
        features: `[H, W, f] f32`.
        cams: `[c - 1, H, W] f32` in [0, 1], 0 for absent classes.
        present: `[c - 1] bool`.
        rgb: `[H, W, 3] f32` in [0, 1].
        valid: `[H, W] bool`.
        seeds: `[H, W] u8`, partial labels made elsewhere, 255 = none; None: a seed rule makes
            them.
    """

    key: jax.Array
    boundary: jax.Array
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


SeedRule = Callable[[PhotoInputs, jax.Array], jax.Array]
"""(photo, CAMs after the walk `[c - 1, H, W]`) -> partial labels `[H, W] u8`, 255 = none."""


def seeds_of_cams(
    photo: PhotoInputs,
    walked: jax.Array,
    *,
    low_background: float = 4.0,
    high_background: float = 32.0,
    confident: float = 0.3,
    minimum_score: float = 0.8,
    background_minimum: float = 0.8,
    floor: float = 0.0,
    crf: Settings | None = None,
    kernel: Kernel | None = None,
) -> jax.Array:
    """The published seed rule, on the CAMs before the walk.

    Args:
        photo: the inputs.
        walked: not read.
        low_background: of `partial_labels`, like the five that follow.
        high_background: see there.
        confident: see there.
        minimum_score: see there.
        background_minimum: see there.
        floor: see there.
        crf: draws the scores to the photo's edges first; None: nothing does.
        kernel: its form (`crf.refine`); None: the backend's, as on grids too large for "exact".

    Returns:
        `[H, W] u8`, 255 = none.
    """

    def drawn(scores: jax.Array) -> jax.Array:
        present = jnp.append(True, photo.present)  # absent classes stay out of it
        settings = crf or PARTIAL_LABELS
        named = None if kernel == "exact" and photo.valid.size > EXACT_CELLS else kernel
        form = resolve_kernel(named, coarse=True)
        refined = refine(
            photo.rgb * 255, scores, settings, kernel=form, valid=photo.valid, present=present
        )
        return jnp.asarray(refined)

    return partial_labels(
        photo.cams,
        photo.present,
        valid=photo.valid,
        low_background=low_background,
        high_background=high_background,
        confident=confident,
        minimum_score=minimum_score,
        background_minimum=background_minimum,
        floor=floor,
        refine=None if crf is None else drawn,
    ).labels


def seeds_of_walk(photo: PhotoInputs, walked: jax.Array, *, margin: float = 0.3) -> jax.Array:
    """The seed rule that calibrates itself on the walk's scores (`seeds.walk_seeds`).

    Args:
        photo: the inputs.
        walked: `[c - 1, H, W] f32`, its CAMs after the walk.
        margin: of `walk_seeds`.

    Returns:
        `[H, W] u8`, 255 = none.
    """
    return walk_seeds(walked, photo.present, cams=photo.cams, valid=photo.valid, margin=margin)


def label_photo(
    photo: PhotoInputs,
    *,
    radius: int = 5,
    beta: float = 10.0,
    steps: int = 256,
    walk: Literal["fast", "dense"] = "fast",
    form: Form | None = None,
    basis: int = 64,
    symmetrise: Literal["max", "mean"] = "max",
    laplacian_radius: int = 2,
    seed_rule: SeedRule = seeds_of_cams,
    walk_features: bool = False,
    hidden: int = 16,
    epochs: int = 250,
    learning_rate: float = 0.01,
    weight_decay: float = 5e-4,
    dropout: float = 0.3,
    entropy_weight: float = 10.0,
    laplacian_weight: float = 0.01,
    ensemble: int = 1,
    foreground_odds: float = 1.0,
) -> PhotoOutputs:
    """Seeds, walk and GCN of one photo; the caller vmaps.

    Args:
        photo: the inputs.
        radius: of the affinities, in nodes (`affinity_stencil`).
        beta: exponent of the affinities.
        steps: length of the walk.
        walk: "fast", or "dense": exact, with memory and time that grow with cells squared, cubed.
        form: of the fast walk; None: by backend (`fast_walk`).
        basis: columns of the fast walk.
        symmetrise: of the adjacency (`gcn_adjacency`).
        laplacian_radius: of the colour Laplacian's window, in nodes.
        seed_rule: makes the seeds of a photo without any: `partial(seeds_of_walk, margin=0.2)`.
        walk_features: whether the walk's scores are among the nodes' features.
        hidden: of `fit_gcn`, like the six that follow.
        epochs: see there.
        learning_rate: see there.
        weight_decay: see there.
        dropout: see there.
        entropy_weight: see there.
        laplacian_weight: see there.
        ensemble: of `fit_ensemble`.
        foreground_odds: of `fit_ensemble`.

    Returns:
        The outputs; what they hold in the padding means nothing.
    """
    height, width = photo.boundary.shape
    classes = photo.cams.shape[0] + 1
    affinity = {"radius": radius, "beta": beta, "valid": photo.valid}
    if walk == "dense":
        power = dense_walk(affinity_graph(photo.boundary, **affinity), steps=steps)
    else:
        stencil = affinity_stencil(photo.boundary, **affinity)
        power = fast_walk(stencil, radius=radius, steps=steps, basis=basis, form=form)
    start = jnp.where(photo.valid, 1.0 - photo.boundary, 0.0)[None] * photo.cams
    walked = random_walk(power, start.reshape(classes - 1, -1)).reshape(start.shape)
    seeds = seed_rule(photo, walked) if photo.seeds is None else photo.seeds
    weights = laplacian_stencil(photo.rgb, radius=laplacian_radius, valid=photo.valid)
    adjacency = gcn_adjacency(power, symmetrise=symmetrise)
    features = with_maps(photo.features, walked if walk_features else walked[:0], photo.valid)

    def fit(key: jax.Array) -> jax.Array:
        fitted = fit_gcn(
            key,
            partial(aggregate, adjacency),
            features.reshape(height * width, -1).T,
            seeds.reshape(-1).astype(jnp.int32),
            photo.valid.reshape(-1),
            node_positions(height, width),
            lambda z: laplacian_energy(weights, z.reshape(classes, height, width)),
            classes=classes,
            hidden=hidden,
            epochs=epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            dropout=dropout,
            entropy_weight=entropy_weight,
            laplacian_weight=laplacian_weight,
        )
        return fitted.log_probs

    log_probs = fit_ensemble(photo.key, fit, ensemble=ensemble, foreground_odds=foreground_odds)
    return PhotoOutputs(seeds, walked, log_probs.reshape(classes, height, width))
