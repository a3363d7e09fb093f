"""What a run was: `run.json` in its work folder, with command, versions and devices.

Its settings are in `config.json` (`pipeline/workfolder/run_settings.py`).
"""

import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, NamedTuple

from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.distributed import describe_machine
from wsgcn_jax.settings import defaults
from wsgcn_jax.types import DataError

_FILE = "run.json"
_PACKAGES = (
    "wsgcn-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "numpy",
    "pillow",
)


class Record(NamedTuple):
    """What a run was.

    Attributes:
        command: the command line.
        date: when it ended, UTC.
        devices: what it ran on, and how many cores that has.
        versions: of Python, the system and the packages, by name.
    """

    command: str
    date: str
    devices: str
    versions: dict[str, str]


def write_record(workdir: Path) -> Record:
    """Writes what this process is to the work folder, and returns it."""
    record = Record(
        command=_command(sys.orig_argv),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        devices=describe_machine(),
        versions=_versions(),
    )
    write_atomic(workdir / _FILE, json.dumps(record._asdict(), indent=1).encode())
    return record


def read_record(workdir: Path) -> Record:
    """Reads what a run was.

    Raises:
        DataError: the folder holds no such file, or it is damaged.
    """
    path = workdir / _FILE
    try:
        content = json.loads(read_text(path, what="the run's record"))
        record = Record(*(content[field] for field in Record._fields))
        texts = (record.command, record.date, record.devices, *record.versions.values())
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("not a text")
        return record
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is missing or damaged; is {workdir} the work folder of a finished run? If so, "
            "start its command again: it skips what is done and writes the report"
        ) from error


def changed_settings(config: ConfigDict) -> list[tuple[str, str, str]]:
    """Says what differs from the defaults.

    Args:
        config: the whole configuration.

    Returns:
        (key, value, default) in order of the keys.
    """
    usual = all_settings(defaults().to_dict())
    mine = all_settings(config.to_dict())
    return [(k, v, usual.get(k, "")) for k, v in mine.items() if v != usual.get(k)]


def all_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Returns every key, as `--config.KEY` names it, and its value in words."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= all_settings(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def _command(called: Sequence[str]) -> str:
    """Returns a command line as a user types it: `python ...`, or `wsgcn ...` of the script."""
    program, *arguments = called
    if arguments and Path(arguments[0]).stem == "wsgcn":
        program, *arguments = arguments
    return shlex.join([Path(program).name, *arguments])


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
