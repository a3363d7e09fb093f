"""What a run keeps of itself: `config.json`, its configuration and its classes.

Commands that are given a run read it, so that photos are labelled as the run labels its own.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.data.class_list import class_names
from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.types import DataError

_FILE = "config.json"


class RunSettings(NamedTuple):
    """What `config.json` says.

    Attributes:
        config: the configuration as nested dictionaries; lists are tuples.
        classes: names in the order of their ids, background first.
    """

    config: dict[str, Any]
    classes: tuple[str, ...]


def save(config: ConfigDict, classes: Sequence[str], root: Path) -> None:
    """Writes `config.json`.

    Args:
        config: the whole configuration.
        classes: names in the order of their ids, background first.
        root: the work folder.
    """
    content = {"config": config.to_dict(), "classes": list(classes)}
    write_atomic(root / _FILE, json.dumps(content, indent=1).encode())


def load(root: Path) -> RunSettings | None:
    """Reads `config.json` of a run; None where the run is of a version that wrote none.

    Args:
        root: the work folder.

    Raises:
        DataError: it is damaged.
    """
    path = root / _FILE
    if not path.exists():
        return None
    try:
        content = json.loads(read_text(path, what="the run's configuration"))
        config, classes = _tuples(content["config"]), content["classes"]
        if not isinstance(config, dict) or not isinstance(classes, list):
            raise ValueError("it holds something else")
        return RunSettings(config, class_names(classes, where="classes"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged ({error}); start the run's command again, which writes it."
        ) from error


def needed(root: Path, command: str) -> RunSettings:
    """Reads `config.json` of a run that must have one.

    Args:
        root: the work folder.
        command: the run's, for the error.

    Raises:
        DataError: it is missing or damaged.
    """
    own = load(root)
    if own is None:
        raise DataError(
            f"{root}: config.json, the run's settings, is missing; start the run's command again, "
            f"which writes it: {command}"
        )
    return own


def apply(settings: RunSettings, config: ConfigDict, root: Path) -> ConfigDict:
    """Sets every key of a configuration as the run had it.

    Args:
        settings: of the run.
        config: the configuration to change.
        root: the work folder, for the error.

    Returns:
        The configuration, locked.

    Raises:
        DataError: the run has a key that is unknown, or a value of another type.
    """
    try:
        config.lock().update(settings.config)
        return config
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(
            f"{root / _FILE} is of another version or damaged ({text}); train the run again."
        ) from error


def _tuples(value: Any) -> Any:
    """JSON has lists only, a configuration tuples only."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
