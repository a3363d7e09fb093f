"""The settings of a run: every key once, with its default, its range and its meaning.

A key is one entry of `inputs.py`, `labels.py` or `outputs.py`; the default configuration, the check
before a run and the documentation's table are made of them. What several keys must be together
stands in `rules.py`.
"""

from ml_collections import ConfigDict

from wsgcn_jax.settings.checks import check
from wsgcn_jax.settings.files import config_names, load_config
from wsgcn_jax.settings.keys import KEYS, OPTIONAL, must_be
from wsgcn_jax.settings.kinds import did_you_mean
from wsgcn_jax.settings.markdown import table
from wsgcn_jax.settings.presets import (
    MACHINES,
    RENAMED,
    defaults,
    drawn_shapes,
    fit_to,
    real_photos,
)

__all__ = [
    "KEYS",
    "MACHINES",
    "OPTIONAL",
    "RENAMED",
    "ConfigDict",
    "check",
    "config_names",
    "defaults",
    "did_you_mean",
    "drawn_shapes",
    "fit_to",
    "load_config",
    "must_be",
    "real_photos",
    "table",
]
