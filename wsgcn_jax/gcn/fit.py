"""Fitting a fresh GCN to one photo; the caller vmaps over photos."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.gcn.losses import GCNLosses, gcn_losses
from wsgcn_jax.gcn.model import GCNParams, apply_gcn, dropout_mask, init_gcn


class GCNFit(NamedTuple):
    """A fitted GCN.

    Attributes:
        log_probs: `[c, n] f32`, log-probabilities in evaluation mode.
        params: the final weights.
        losses: terms before each epoch, `[epochs] f32` each.
    """

    log_probs: jax.Array
    params: GCNParams
    losses: GCNLosses


@checked(ensemble=Number(low=1, high=1000, whole=True), foreground_odds=Number(low=0, above=True))
def fit_ensemble(
    key: jax.Array,
    fit: Callable[[jax.Array], jax.Array],
    *,
    ensemble: int = 1,
    foreground_odds: float = 1.0,
) -> jax.Array:
    """Averages the probabilities of several GCNs that differ in start and dropout.

    Args:
        key: PRNG key of this photo; the first member's, as if it were alone.
        fit: key -> log-probabilities `[c, n] f32`, of a GCN that is fitted with it (`fit_gcn`).
        ensemble: how many; they go through the epochs together.
        foreground_odds: factor on the odds of every object class against background, at last.
            Ours, 1 as published: seeds leave out more of the objects than of the background,
            since CAMs light up their most telling parts only, and the fit inherits that.

    Returns:
        `[c, n] f32`, log-probabilities.
    """
    if ensemble == 1:
        log_probs = fit(key)
    else:
        keys = jnp.stack([key, *(jax.random.fold_in(key, k) for k in range(1, ensemble))])
        log_probs = jax.nn.logsumexp(jax.vmap(fit)(keys), axis=0) - jnp.log(float(ensemble))
    if foreground_odds == 1:
        return log_probs
    return jax.nn.log_softmax(log_probs.at[1:].add(jnp.log(foreground_odds)), axis=0)


@checked(
    features=Shaped("f n"),
    labels=Shaped("n", "integer", low=0, high=255),
    valid=Shaped("n", "bool"),
    positions=Shaped("n", "integer"),
    classes=Number(low=1, high=255, whole=True),
    hidden=Number(low=1, whole=True),
    epochs=Number(low=0, whole=True),
    learning_rate=Number(low=0),
    weight_decay=Number(low=0),
    dropout=Number(low=0, high=0.99),
    entropy_weight=Number(),
    laplacian_weight=Number(),
)
def fit_gcn(
    key: jax.Array,
    aggregate: Callable[[jax.Array], jax.Array],
    features: jax.Array,
    labels: jax.Array,
    valid: jax.Array,
    positions: jax.Array,
    laplacian_energy: Callable[[jax.Array], jax.Array],
    *,
    classes: int,
    hidden: int = 16,
    epochs: int = 250,
    learning_rate: float = 0.01,
    weight_decay: float = 5e-4,
    dropout: float = 0.3,
    entropy_weight: float = 10.0,
    laplacian_weight: float = 0.01,
    init: GCNParams | None = None,
) -> GCNFit:
    """Fits the two-layer GCN to one photo's seeds by full-batch Adam (docs/method.md section 5).

    Padded nodes change nothing: they are isolated in the graph, left out of every term, and
    dropout is drawn by position.

    Args:
        key: PRNG key of this photo (`fold_in(key, photo)`).
        aggregate: x `[*, n]` -> A times each row; A has rows that sum to 1
            (`graph.walk.aggregate`).
        features: `[f, n] f32` node features.
        labels: `[n] i32`, seeds in 0..classes-1, 255 = unlabelled.
        valid: `[n] bool`, False for padding.
        positions: `[n] u32`, identifies a node whatever the padding (`node_positions`).
        laplacian_energy: Z `[c, n]` -> trace(Z L Z^T).
        classes: number of classes, background included.
        hidden: width of the hidden layer.
        epochs: number of Adam steps.
        learning_rate: of Adam.
        weight_decay: L2 coefficient, added to the gradient (not decoupled).
        dropout: probability of dropping a hidden unit.
        entropy_weight: weight of the entropy of unlabelled nodes.
        laplacian_weight: weight of the Laplacian term.
        init: starting weights; drawn from `key` when None.

    Returns:
        The fit.
    """
    init_key, dropout_key = jax.random.split(key)
    if init is None:
        init = init_gcn(init_key, features.shape[0], hidden, classes, dtype=features.dtype)
    optimiser = optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate, eps=1e-8)
    )
    propagated = aggregate(features)

    def objective(params: GCNParams, epoch: jax.Array) -> tuple[jax.Array, GCNLosses]:
        keep = None
        if dropout > 0:
            epoch_key = jax.random.fold_in(dropout_key, epoch)
            keep = dropout_mask(epoch_key, positions, params.b1.shape[0], dropout=dropout)
        log_probs = apply_gcn(params, aggregate, propagated, keep=keep, dropout=dropout)
        losses = gcn_losses(
            log_probs,
            labels,
            valid,
            laplacian_energy,
            entropy_weight=entropy_weight,
            laplacian_weight=laplacian_weight,
        )
        return losses.total, losses

    def step(
        carry: tuple[GCNParams, optax.OptState], epoch: jax.Array
    ) -> tuple[tuple[GCNParams, optax.OptState], GCNLosses]:
        params, state = carry
        grads, losses = jax.grad(objective, has_aux=True)(params, epoch)
        updates, state = optimiser.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), losses

    carry = (init, optimiser.init(init))
    (params, _), losses = jax.lax.scan(step, carry, jnp.arange(epochs))
    return GCNFit(apply_gcn(params, aggregate, propagated), params, losses)
