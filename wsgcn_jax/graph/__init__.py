"""The graph of one photo: its affinities, its Laplacian, the walk on it."""

from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_graph, laplacian_stencil
from wsgcn_jax.graph.walk import aggregate, dense_walk, gcn_adjacency, random_walk, sparse_walk

__all__ = [
    "affinity_graph",
    "affinity_stencil",
    "aggregate",
    "dense_walk",
    "fast_walk",
    "gcn_adjacency",
    "laplacian_energy",
    "laplacian_graph",
    "laplacian_stencil",
    "random_walk",
    "sparse_walk",
]
