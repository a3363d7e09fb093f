"""Configurations by name, by file, and with single keys changed."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from wsgcn_jax.types import DataError

_PACKAGE = Path(__file__).parents[1]


def named_configurations() -> dict[str, Path]:
    """The files of `configs/` by name, of a checkout or of the installed package."""
    folders = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
    found = next((folder for folder in folders if folder.is_dir()), None)
    files = sorted(found.glob("[!_]*.py")) if found is not None else ()
    return {file.stem: file for file in files}


def configuration(config: str | ConfigDict, settings: Mapping[str, Any]) -> ConfigDict:
    """Returns an own copy of a configuration.

    Args:
        config: a name of `configs/`, a Python file with `get_config`, or a configuration.
        settings: keys with other values, {"gcn.epochs": 100}.

    Raises:
        DataError: there is no such configuration or key, or a value is of another type.
    """
    copy = ConfigDict(_load(config) if isinstance(config, str) else config)
    with copy.unlocked():
        for key, value in settings.items():
            try:
                copy.update_from_flattened_dict({key: value})
            except (KeyError, TypeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise DataError(f"settings[{key!r}]: {reason}") from error
    return copy.lock()


def _load(name: str) -> ConfigDict:
    path = named_configurations().get(name, Path(name))
    if not path.is_file():
        known = ", ".join(named_configurations())
        raise DataError(f"no configuration {name!r}; give a file, or one of {known}")
    spec = importlib.util.spec_from_file_location(f"wsgcn_jax_config_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()
