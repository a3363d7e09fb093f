"""WSGCN-JAX: semantic segmentation from image-level labels.

The stages of the pipeline as plain, pure functions. Nothing is computed on import.
"""

from wsgcn_jax import crf
from wsgcn_jax.crf.mean_field import mean_field
from wsgcn_jax.crf.settings import label_unary
from wsgcn_jax.gcn.fit import fit_ensemble, fit_gcn
from wsgcn_jax.gcn.losses import gcn_losses
from wsgcn_jax.gcn.model import apply_gcn, init_gcn
from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_graph, laplacian_stencil
from wsgcn_jax.graph.walk import aggregate, dense_walk, gcn_adjacency, random_walk, sparse_walk
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.positions import node_positions
from wsgcn_jax.seeds import partial_labels, seed_quality, walk_seeds
from wsgcn_jax.types import DataError

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "affinity_graph",
    "affinity_stencil",
    "aggregate",
    "apply_gcn",
    "confusion_matrix",
    "crf",
    "dense_walk",
    "fast_walk",
    "fit_ensemble",
    "fit_gcn",
    "gcn_adjacency",
    "gcn_losses",
    "init_gcn",
    "iou",
    "label_unary",
    "laplacian_energy",
    "laplacian_graph",
    "laplacian_stencil",
    "mean_field",
    "mean_iou",
    "node_positions",
    "partial_labels",
    "random_walk",
    "seed_quality",
    "sparse_walk",
    "walk_seeds",
]
