"""WSGCN-JAX: semantic segmentation from image-level labels.

    import wsgcn_jax as ws

    run = ws.train(photos, labels, classes=("cat", "dog"), workdir="runs/pets")
    masks = ws.load("runs/pets").predict(more_photos)

`train`, `pseudo_label`, `load` and `evaluate` take arrays or files and give arrays. The parts they
are made of are pure functions, grouped by what they are about: `ws.graph`, `ws.seeds`, `ws.gcn`,
`ws.crf`, `ws.metrics`; `ws.plot` shows what comes out. Names are imported when they are first used,
and nothing is computed on import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgcn_jax import crf, gcn, graph, metrics, plot, seeds
    from wsgcn_jax.api import Run, evaluate, load, pseudo_label, train
    from wsgcn_jax.types import DataError

__version__ = "0.1.0"

_GROUPS = ("crf", "gcn", "graph", "metrics", "plot", "seeds")
_NAMES = {
    "DataError": "types",
    "Run": "api",
    "evaluate": "api",
    "load": "api",
    "pseudo_label": "api",
    "train": "api",
}

__all__ = [
    "DataError",
    "Run",
    "crf",
    "evaluate",
    "gcn",
    "graph",
    "load",
    "metrics",
    "plot",
    "pseudo_label",
    "seeds",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _GROUPS:
        return import_module(f"wsgcn_jax.{name}")
    if name in _NAMES:
        return getattr(import_module(f"wsgcn_jax.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'wsgcn_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
