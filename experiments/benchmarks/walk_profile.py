"""Where the time of the fast walk and the fit goes, and how much of the machine they use."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from wsgcn_jax.gcn.fit import fit_gcn
from wsgcn_jax.graph.affinity import affinity_stencil
from wsgcn_jax.graph.fast_walk import fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_stencil
from wsgcn_jax.graph.walk import Adjacency, Walk, aggregate, gcn_adjacency, multiply
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.positions import node_positions


def seconds(work: Callable[..., Any], *args: Any, repeats: int = 3) -> float:
    """The best of several runs, compilation left out."""
    jax.block_until_ready(work(*args))
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(work(*args))
        spent.append(time.perf_counter() - start)
    return min(spent)


def machine() -> dict[str, float]:
    """The machine's GEMM speed in GFLOP/s and its copy bandwidth in GB/s (read and write)."""
    square = jnp.ones((2048, 2048), jnp.float32)
    gemm = seconds(jax.jit(lambda x: x @ x), square)
    large = jnp.ones(1 << 26, jnp.float32)
    copy = seconds(jax.jit(lambda x: x + 1), large)
    return {"gemm_gflops": 2 * 2048**3 / gemm / 1e9, "copy_gbytes": 2 * large.nbytes / copy / 1e9}


def profile(photo: PhotoInputs, config: ConfigDict) -> dict[str, float]:
    """Times the parts of one photo, one by one.

    Args:
        photo: without padding, with seeds.
        config: the whole configuration.

    Returns:
        Seconds of each part before the epochs and of an epoch; milliseconds of an epoch's parts;
        an epoch's GFLOP/s and GB/s as shares of the machine's.
    """
    height, width = photo.boundary.shape
    settings, n = config.graph, height * width
    classes, hidden = len(photo.cams) + 1, config.gcn.hidden
    stencil_of = jax.jit(partial(affinity_stencil, radius=settings.radius, beta=settings.beta))
    stencil = stencil_of(photo.boundary)
    walking = {key: settings[key] for key in ("radius", "steps", "basis")}
    walk_of = jax.jit(partial(fast_walk, **walking))
    walk: Walk = walk_of(stencil)
    adjacency_of = jax.jit(gcn_adjacency)
    adjacency: Adjacency = adjacency_of(walk)
    features = photo.features.reshape(n, -1).T
    weights = laplacian_stencil(photo.rgb, radius=settings.laplacian_radius)
    names = ("hidden", "learning_rate", "weight_decay", "dropout")
    fitting = {name: config.gcn[name] for name in (*names, "entropy_weight", "laplacian_weight")}

    def fit(epochs: int, adjacency: Adjacency, features: jax.Array) -> jax.Array:
        return fit_gcn(
            photo.key,
            partial(aggregate, adjacency),
            features,
            jnp.asarray(photo.seeds).reshape(-1).astype(jnp.int32),
            jnp.ones(n, bool),
            node_positions(height, width),
            lambda z: laplacian_energy(weights, z.reshape(classes, height, width)),
            **fitting,
            classes=classes,
            epochs=epochs,
        ).log_probs

    few, many = (seconds(jax.jit(partial(fit, epochs)), adjacency, features) for epochs in (5, 55))
    epoch = (many - few) / 50
    scores = jnp.ones((classes, height, width))
    inner = {
        "K h and its gradient": 2
        * _looped(partial(multiply, adjacency.kernel), jnp.ones((hidden, n)) / n),
        "W1^T X and its gradient": _features(features, hidden),
        "Laplacian": _looped(jax.grad(partial(laplacian_energy, weights)), scores),
        "softmax": _looped(partial(jax.nn.log_softmax, axis=0), scores.reshape(classes, -1)),
    }
    speed = machine()
    return {
        **speed,
        "affinity_seconds": seconds(stencil_of, photo.boundary),
        "walk_seconds": seconds(walk_of, stencil),
        "adjacency_seconds": seconds(adjacency_of, walk),
        "features_seconds": seconds(jax.jit(aggregate), adjacency, features),
        "epoch_seconds": epoch,
        **{f"epoch: {name} (ms)": 1e3 * spent for name, spent in inner.items()},
        "epoch: the rest (ms)": 1e3 * (epoch - sum(inner.values())),
        **_shares(adjacency, features, hidden, classes, epoch, speed),
    }


def _shares(
    adjacency: Adjacency,
    features: jax.Array,
    hidden: int,
    classes: int,
    epoch: float,
    speed: dict[str, float],
) -> dict[str, float]:
    """What an epoch's products use of the machine."""
    basis = len(adjacency.kernel.basis)  # type: ignore[attr-defined]
    width, nodes = features.shape
    # W1 and K forward and back, W2 three times.
    gflop = 2e-9 * nodes * hidden * (2 * width + 4 * basis + 3 * classes)
    # Read at least once a product: the features twice, the basis four times.
    gbyte = 4e-9 * nodes * (2 * width + 4 * basis)
    return {
        "epoch_share_of_gemm": gflop / epoch / speed["gemm_gflops"],
        "epoch_share_of_copy_bandwidth": gbyte / epoch / speed["copy_gbytes"],
    }


def _looped(work: Callable[[jax.Array], jax.Array], x: jax.Array, times: int = 50) -> float:
    """Seconds of one call among many in a compiled loop, as in a fit."""
    body = jax.jit(lambda x: jax.lax.fori_loop(0, times, lambda _, x: 0.99 * work(x), x))
    return seconds(body, x) / times


def _features(features: jax.Array, hidden: int) -> float:
    """Seconds of the first layer's product and of its gradient."""

    def step(w: jax.Array) -> jax.Array:
        return w - 1e-9 * jax.grad(lambda w: jnp.sum(jax.nn.relu(w.T @ features) ** 2))(w)

    return _looped(step, jnp.full((len(features), hidden), 1e-3))
