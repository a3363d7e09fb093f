"""The dense CRF that draws labels to the edges of the photo."""

from wsgcn_jax.crf.mean_field import Kernel, mean_field, resolve_kernel
from wsgcn_jax.crf.refine import EXACT_CELLS, counting_classes, refine, refined_whole
from wsgcn_jax.crf.settings import (
    BOUNDARY_LABELS,
    DEEPLAB,
    GCN_PROBABILITIES,
    GCN_SCORES,
    PARTIAL_LABELS,
    Settings,
    label_unary,
)

__all__ = [
    "BOUNDARY_LABELS",
    "DEEPLAB",
    "EXACT_CELLS",
    "GCN_PROBABILITIES",
    "GCN_SCORES",
    "PARTIAL_LABELS",
    "Kernel",
    "Settings",
    "counting_classes",
    "label_unary",
    "mean_field",
    "refine",
    "refined_whole",
    "resolve_kernel",
]
