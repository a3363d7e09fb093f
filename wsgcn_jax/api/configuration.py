"""Configurations by name, by file, and with single keys changed."""

import os
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from wsgcn_jax.settings import load_config, must_be
from wsgcn_jax.types import DataError


def configuration(config: str | ConfigDict, settings: Mapping[str, Any]) -> ConfigDict:
    """Returns an own copy of a configuration.

    Args:
        config: a name of `configs/`, a Python file with `get_config`, or a configuration.
        settings: keys with other values, {"gcn.epochs": 100}.

    Raises:
        DataError: there is no such configuration or key, or a value is of another type.
    """
    if not isinstance(config, str | os.PathLike | ConfigDict):
        raise DataError(f"config is {config!r}; give a name, a file or a configuration")
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise DataError(
            f'settings are {settings!r:.100}; give keys and values, {{"gcn.epochs": 100}}'
        )
    copy = ConfigDict(config if isinstance(config, ConfigDict) else load_config(os.fspath(config)))
    with copy.unlocked():
        for key, value in settings.items():
            try:
                copy.update_from_flattened_dict({key: value})
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise DataError(f"settings[{key!r}]: {reason}{must_be(key)}") from error
    return copy.lock()
