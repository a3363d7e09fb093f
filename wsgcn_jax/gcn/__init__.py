"""The per-photo graph convolutional network: model, losses, fit."""

from wsgcn_jax.gcn.fit import fit_ensemble, fit_gcn
from wsgcn_jax.gcn.losses import gcn_losses
from wsgcn_jax.gcn.model import apply_gcn, init_gcn
from wsgcn_jax.positions import node_positions

__all__ = [
    "apply_gcn",
    "fit_ensemble",
    "fit_gcn",
    "gcn_losses",
    "init_gcn",
    "node_positions",
]
