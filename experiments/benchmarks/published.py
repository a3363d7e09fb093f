"""The published algorithm as it is, dense everywhere: the yardstick of the walk benchmark.

Per photo: T^256 by eight squarings of an N x N matrix, A = max(T^256, its transpose) + I with
rows normalised, a dense Laplacian, and in each epoch A (X W1), A (H W2) and the two products with
the transposed matrix, Z^T L Z besides (method sections 3 and 5).
"""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from wsgcn_jax.gcn.losses import gcn_losses
from wsgcn_jax.gcn.model import GCNParams, dropout_mask, init_gcn
from wsgcn_jax.graph.affinity import affinity_graph
from wsgcn_jax.graph.laplacian import laplacian_graph, laplacian_stencil
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.positions import node_positions
from wsgcn_jax.settings import load_config
from wsgcn_jax.types import DataError

FIXED: Mapping[str, Any] = MappingProxyType(
    {
        "graph.symmetrise": "max",
        "gcn.features": "boundary",
        "gcn.ensemble": 1,
        "gcn.foreground_odds": 1.0,
    }
)
"""Keys of a configuration that the published algorithm has one value of."""

_FOLLOWED = frozenset(
    [f"graph.{key}" for key in ("radius", "beta", "steps", "laplacian_radius")]
    + [f"gcn.{key}" for key in ("hidden", "epochs", "learning_rate", "weight_decay", "dropout")]
    + ["gcn.entropy_weight", "gcn.laplacian_weight"]
)
# How ours multiplies by the walk, and how photos become batches: no part of the algorithm.
_FREE = frozenset(
    f"graph.{key}" for key in ("walk", "form", "basis", "longer_side", "bucket", "batch_size")
)


def comparable_config() -> ConfigDict:
    """Returns configs/voc_animals.py with nothing in it that the published algorithm lacks."""
    config = load_config("voc_animals").unlock()
    config.update_from_flattened_dict(dict(FIXED))
    return config


def check_comparable(config: ConfigDict) -> None:
    """Refuses a configuration of which ours would follow more than the published algorithm does.

    Raises:
        DataError: a key of `graph` or `gcn` has another value than the published one, or this
            module does not know it.
    """
    for section in ("graph", "gcn"):
        for key, value in config[section].items():
            name = f"{section}.{key}"
            if name in FIXED and value != FIXED[name]:
                raise DataError(f"{name}={value}: the published algorithm has {FIXED[name]} only")
            if name not in FIXED and name not in _FOLLOWED | _FREE:
                raise DataError(f"{name}: {__name__} must say what the published algorithm does")
    steps = config.graph.steps
    if steps < 1 or steps & (steps - 1):
        raise DataError(f"graph.steps={steps}: the published algorithm squares, 2, 4, 8 ... steps")


class Published(NamedTuple):
    """What the dense algorithm finds, and how long its parts took.

    Attributes:
        log_probs: `[c, H, W] f32`.
        squaring: seconds of a squaring.
        rest: seconds of everything else before the first epoch.
        epoch: seconds of an epoch.
        squarings: how many were done.
        epochs: how many were done.
    """

    log_probs: np.ndarray
    squaring: float
    rest: float
    epoch: float
    squarings: int
    epochs: int

    def seconds(self, squarings: int, epochs: int) -> float:
        """Time of a whole run; measured where both counts are those done, else extrapolated."""
        return self.squaring * squarings + self.rest + self.epoch * epochs


def run_published(
    photo: PhotoInputs,
    seeds: np.ndarray,
    config: ConfigDict,
    *,
    squarings: int | None = None,
    epochs: int | None = None,
    noise: float = 0.0,
) -> Published:
    """Runs the published algorithm on one photo (`check_comparable`); compilation is not timed.

    Args:
        photo: the inputs, without padding.
        seeds: `[H, W] u8`, partial labels.
        config: the whole configuration (`graph` and `gcn` are read).
        squarings: None for those of the walk's length; fewer are for timing only.
        epochs: None for the configured number; fewer are for timing only.
        noise: relative standard deviation of a change of what every node collects from the
            others, the same in all epochs: how sensitive the algorithm itself is.
    """
    check_comparable(config)
    height, width = photo.boundary.shape
    squarings = config.graph.steps.bit_length() - 1 if squarings is None else squarings
    epochs = config.gcn.epochs if epochs is None else epochs
    features = jnp.asarray(photo.features).reshape(height * width, -1)
    matrix = jax.ShapeDtypeStruct((height * width,) * 2, features.dtype)
    square = jax.jit(lambda p: p @ p).lower(matrix).compile()
    adjacency_of = jax.jit(_adjacency).lower(matrix).compile()
    change = jax.random.normal(jax.random.key(0), (height * width, config.gcn.hidden))
    collected = 1.0 + noise * change
    step, (params, state) = _make_step(photo, seeds, config, collected)
    step = step.lower(params, state, jnp.asarray(0), matrix, matrix, features).compile()
    _transition(photo, config), _laplacian(photo, config)  # compiled here, timed below

    clock = time.perf_counter()
    transition = jax.block_until_ready(_transition(photo, config))
    rest = time.perf_counter() - clock
    clock = time.perf_counter()
    for _ in range(squarings):
        transition = jax.block_until_ready(square(transition))
    squared = time.perf_counter() - clock
    clock = time.perf_counter()
    adjacency = jax.block_until_ready(adjacency_of(transition))
    del transition
    laplacian = jax.block_until_ready(_laplacian(photo, config))
    rest += time.perf_counter() - clock
    clock = time.perf_counter()
    for epoch in range(epochs):
        params, state = step(params, state, jnp.asarray(epoch), adjacency, laplacian, features)
    jax.block_until_ready(params)
    spent = time.perf_counter() - clock
    log_probs = _apply(params, adjacency, features, collected)
    return Published(
        np.asarray(log_probs.T).reshape(-1, height, width),
        squared / max(squarings, 1),
        rest,
        spent / max(epochs, 1),
        squarings,
        epochs,
    )


@jax.jit
def _matrix(
    values: jax.Array, senders: jax.Array, receivers: jax.Array, nodes: jax.Array
) -> jax.Array:
    matrix = jnp.zeros((len(nodes), len(nodes)), values.dtype)
    return matrix.at[senders, receivers].set(values)


def _transition(photo: PhotoInputs, config: ConfigDict) -> jax.Array:
    """T, columns summing to 1."""
    graph = affinity_graph(
        jnp.asarray(photo.boundary), radius=config.graph.radius, beta=config.graph.beta
    )
    values = graph.edges / graph.nodes[graph.receivers]
    return _matrix(values, graph.senders, graph.receivers, graph.nodes)


def _laplacian(photo: PhotoInputs, config: ConfigDict) -> jax.Array:
    weights = laplacian_stencil(jnp.asarray(photo.rgb), radius=config.graph.laplacian_radius)
    graph = laplacian_graph(weights)
    return _matrix(graph.edges, graph.senders, graph.receivers, graph.nodes)


def _adjacency(transition: jax.Array) -> jax.Array:
    n = len(transition)
    adjacency = jnp.maximum(transition, transition.T) + jnp.eye(n, dtype=transition.dtype)
    return adjacency / adjacency.sum(axis=1, keepdims=True)


def _apply(
    params: GCNParams,
    adjacency: jax.Array,
    features: jax.Array,
    collected: jax.Array,
    keep: jax.Array | None = None,
    dropout: float = 0.0,
) -> jax.Array:
    hidden = jax.nn.relu(collected * (adjacency @ (features @ params.w1)) + params.b1[None, :])
    if keep is not None:
        hidden = jnp.where(keep, hidden / (1.0 - dropout), 0)
    return jax.nn.log_softmax(adjacency @ (hidden @ params.w2) + params.b2[None, :])


def _make_step(
    photo: PhotoInputs, seeds: np.ndarray, config: ConfigDict, collected: jax.Array
) -> tuple[Any, Any]:
    """Returns one epoch, compiled, and (weights, optimiser's state) before the first.

    Start and dropout are those of `gcn.fit.fit_gcn` for the same key.
    """
    settings = config.gcn
    height, width = photo.boundary.shape
    labels = jnp.asarray(seeds.reshape(-1), jnp.int32)
    valid = jnp.ones(labels.shape, bool)
    positions = node_positions(height, width)
    optimiser = optax.chain(
        optax.add_decayed_weights(settings.weight_decay),
        optax.adam(settings.learning_rate, eps=1e-8),
    )
    init_key, dropout_key = jax.random.split(photo.key)
    params = init_gcn(init_key, photo.features.shape[-1], settings.hidden, len(photo.cams) + 1)

    @jax.jit
    def step(
        params: GCNParams,
        state: optax.OptState,
        epoch: jax.Array,
        adjacency: jax.Array,
        laplacian: jax.Array,
        features: jax.Array,
    ) -> tuple[GCNParams, optax.OptState]:
        def loss(params: GCNParams) -> jax.Array:
            keep = dropout_mask(
                jax.random.fold_in(dropout_key, epoch),
                positions,
                settings.hidden,
                dropout=settings.dropout,
            ).T
            return gcn_losses(
                _apply(params, adjacency, features, collected, keep, settings.dropout).T,
                labels,
                valid,
                lambda z: jnp.sum(z.T * (laplacian @ z.T)),
                entropy_weight=settings.entropy_weight,
                laplacian_weight=settings.laplacian_weight,
            ).total

        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    return step, (params, optimiser.init(params))
