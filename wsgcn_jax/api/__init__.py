"""Arrays or files in, arrays out: what a notebook calls. The same stages as the commands run."""

from wsgcn_jax.api.evaluate import evaluate
from wsgcn_jax.api.pseudo_label import pseudo_label
from wsgcn_jax.api.run import Run, load, train

__all__ = ["Run", "evaluate", "load", "pseudo_label", "train"]
