"""The graph part as the configuration wants it: a compiled program for batches of photos."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax.crf import EXACT_CELLS, GCN_PROBABILITIES, GCN_SCORES, PARTIAL_LABELS
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.pipeline.label_photo import (
    PhotoInputs,
    PhotoOutputs,
    SeedRule,
    label_photo,
    seeds_of_cams,
    seeds_of_walk,
)
from wsgcn_jax.pipeline.node_features import node_features
from wsgcn_jax.pipeline.photo_crf import BUCKET, PhotoCRF, make_photo_crf
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import DataError

_ON_CHIP = 2  # photos of 512x512 whose fits a TPU keeps in its 128 MB on the chip
_DENSE_CELLS = 20_000  # three matrices of 1.6 GB


def label_options(config: ConfigDict) -> dict[str, Any]:
    """Returns the options of `label_photo` that a configuration stands for.

    Args:
        config: the whole configuration (`graph`, `seeds`, `crf`, `gcn` are read).

    """
    names = ("radius", "beta", "steps", "walk", "form", "basis", "symmetrise", "laplacian_radius")
    graph = {name: config.graph[name] for name in names}
    gcn = config.gcn.to_dict()
    del gcn["features"]
    walk_features = "walk" in node_features(config)
    return {**graph, **gcn, "seed_rule": _seed_rule(config), "walk_features": walk_features}


def check_memory(grids: Sequence[tuple[int, int]], config: ConfigDict) -> list[str]:
    """Looks, before anything is computed, for kernels over all pairs of cells that are too large.

    Args:
        grids: rows and columns of the padded grids.
        config: the whole configuration (`graph`, `seeds`, `crf` are read).

    Returns:
        Warnings, a line each.

    Raises:
        DataError: the dense walk would need more memory than any machine has to spare.
    """
    cells = max((rows * columns for rows, columns in grids), default=0)
    size = f"a grid of {cells:,} cells"
    if config.graph.walk == "dense" and cells > _DENSE_CELLS:
        raise DataError(
            f"graph.walk: dense needs {3 * 4 * cells**2 / 1e9:.0f} GB for {size}; use fast, or a "
            "smaller graph.longer_side"
        )
    refined = config.seeds.rule == "cam" and config.crf.partial_labels
    if refined and config.crf.kernel == "exact" and cells > EXACT_CELLS:
        return [f"warning: crf.kernel: {size} is too large for exact; its seeds use the lattice"]
    return []


def _seed_rule(config: ConfigDict) -> SeedRule:
    seeds, crf = config.seeds, config.crf
    if seeds.rule == "walk":
        return partial(seeds_of_walk, margin=seeds.margin)
    settings = PARTIAL_LABELS
    if crf.kernel == "exact":
        settings = settings._replace(bilateral=(settings.bilateral[0], crf.sigma_rgb, crf.weight))
    return partial(
        seeds_of_cams,
        low_background=seeds.low_alpha,
        high_background=seeds.high_alpha,
        confident=seeds.confident,
        minimum_score=seeds.minimum_score,
        background_minimum=seeds.background_minimum,
        floor=seeds.floor,
        crf=settings if crf.partial_labels else None,
        kernel=crf.kernel,
    )


def make_label_program(config: ConfigDict) -> Callable[[PhotoInputs], PhotoOutputs]:
    """Compiles `label_photo` for batches, each device of this host on its part.

    Args:
        config: the whole configuration.
    """
    one = partial(label_photo, **label_options(config))
    program = over_devices(lambda _, photos: each_photo(one, photos))
    return lambda photos: program(None, photos)


def each_photo(one: Callable[[PhotoInputs], PhotoOutputs], photos: PhotoInputs) -> PhotoOutputs:
    """Applies a function to every photo of a batch, in the way that is faster on this backend.

    Args:
        one: the function.
        photos: every array with the photos as its first axis.

    Returns:
        The outputs, stacked.
    """
    # A core's caches hold one photo, and XLA's CPU backend multiplies batches more slowly.
    if jax.default_backend() == "cpu":
        return jax.lax.map(one, photos)
    count = len(photos.valid)
    most = _ON_CHIP if jax.default_backend() == "tpu" else count
    together = max(k for k in range(1, min(most, count) + 1) if count % k == 0)
    if together == count:
        return jax.vmap(one)(photos)
    return jax.lax.map(one, photos, batch_size=together)


def make_full_scores(sizes: Sequence[tuple[int, int]], config: ConfigDict) -> PhotoCRF:
    """Builds what brings the GCN's scores to the photos' size, through the CRF where configured.

    Args:
        sizes: (height, width) of all photos.
        config: the whole configuration (`crf` and `graph.bucket` are read).

    Returns:
        (photos, log-probabilities `[k, H, W] f32` of each on its stride-4 grid, how many photos a
        whole batch has) -> `[k, h, w] f32` of each, probabilities; without the CRF they need not
        sum to 1.
    """
    crf: PhotoCRF | None = None
    if config.crf.post_process:
        settings = GCN_SCORES if config.crf.flat_unary else GCN_PROBABILITIES
        crf = make_photo_crf(sizes, settings, bucket=max(config.graph.bucket, BUCKET))

    def full_scores(
        photos: Sequence[np.ndarray], log_probs: Iterable[np.ndarray], count: int
    ) -> Iterator[np.ndarray]:
        scores = (
            np.exp(resize_maps(one, (photo.shape[0], photo.shape[1]), align_corners=True))
            for photo, one in zip(photos, log_probs, strict=True)
        )
        return scores if crf is None else crf(photos, scores, count)

    return full_scores
