"""Configurations by name or path."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from wsgcn_jax.settings.kinds import did_you_mean
from wsgcn_jax.types import DataError

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
FOLDER = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
"""Of the configurations: in the package where it is installed, beside it in a checkout."""


def config_names() -> list[str]:
    """Returns the names of the configurations that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def find_config(name: str) -> Path:
    """Finds a configuration.

    Args:
        name: of a file in configs/, without its ending, or the path of any file.

    Returns:
        The file.

    Raises:
        DataError: there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in config_names():
        return FOLDER / f"{name}.py"
    if path.parent.name == FOLDER.name and path.suffix == ".py" and path.stem in config_names():
        return FOLDER / path.name  # as a checkout's own folder says it, from any other
    raise DataError(
        f"no configuration {name!r}{did_you_mean(path.stem, config_names())} (there are "
        f"{', '.join(config_names())}; or give a file)"
    )


def load_config(name: str) -> ConfigDict:
    """Loads a configuration.

    Args:
        name: as `find_config` takes it, and perhaps behind a colon what its `get_config` takes, a
            machine: `voc12:gpu`.

    Returns:
        The configuration, locked.

    Raises:
        DataError: there is none, or its file cannot be loaded.
    """
    name, _, preset = name.partition(":")
    path = find_config(name)
    try:
        get_config = _module(path).get_config
        if preset and not inspect.signature(get_config).parameters:
            raise ValueError(f"takes no preset, such as {preset!r}")
        config = get_config(preset) if preset else get_config()
    except Exception as error:  # the file is the user's: anything may happen in it
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise DataError(f"configuration {name}: {kind}{' '.join(str(error).split())}") from error
    if not isinstance(config, ConfigDict):
        raise DataError(f"configuration {name}: get_config() gives no ConfigDict")
    return config.lock()


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError("a configuration is a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
