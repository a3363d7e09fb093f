"""Arrays or files in, arrays out: what a notebook calls. The same stages as the commands run."""

from wsgcn_jax.api.labelling import pseudo_label
from wsgcn_jax.api.run import Run, load, train
from wsgcn_jax.api.scoring import evaluate

__all__ = ["Run", "evaluate", "load", "pseudo_label", "train"]
