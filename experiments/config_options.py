"""Configurations by name or path, and their keys on the command line."""

import argparse
import importlib.util
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from wsgcn_jax.data.files import near_name
from wsgcn_jax.types import DataError

from .command import Parser

FOLDER = Path(__file__).parents[1] / "configs"
"""Beside this package, both in a checkout and where it is installed."""


def names() -> list[str]:
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
    if name in names():
        return FOLDER / f"{name}.py"
    if path.parent.name == FOLDER.name and path.suffix == ".py" and path.stem in names():
        return FOLDER / path.name  # as a checkout's own folder says it, from any other
    near = near_name(path.stem, names())
    hint = f"; did you mean {near}?" if near else ""
    raise DataError(
        f"--config={name}: no such file or configuration{hint} (there are {', '.join(names())})"
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
        raise DataError(f"--config={name}: {kind}{' '.join(str(error).split())}") from error
    if not isinstance(config, ConfigDict):
        raise DataError(f"--config={name}: get_config() gives no ConfigDict")
    return config.lock()


def add_config_options(parser: Parser, default: str) -> None:
    """Adds `--config`, and `--helpfull`, which lists its keys; `override` takes those given."""
    parser.others = _KEYS
    parser.add_argument(
        "--config",
        default=default,
        metavar="NAME|FILE",
        help=f"{', '.join(names())}, or a file (default: {default}); NAME:gpu and NAME:tpu fit it "
        "to a machine. --config.KEY=VALUE sets a key of it",
    )
    parser.add_argument(
        "--helpfull", action=_HelpFull, const=default, help="this, and all keys with their values"
    )


class _HelpFull(argparse.Action):
    """Prints the help and the keys of the configuration named before it, and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        name = namespace.config or self.const
        try:
            config = load_config(name)
        except DataError as error:
            parser.error(str(error))
        print(f"{parser.format_help()}\nkeys of {name}; {FOLDER / 'default.py'} explains them:")
        print("\n".join(f"  --config.{key}={value}" for key, value in _flat(config)))
        parser.exit()


def override(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """Sets keys of a configuration as a command line says.

    Args:
        config: the configuration; changed in place.
        arguments: `--config.KEY=VALUE`. `--config.KEY=None`, or nothing behind the equals sign,
            sets a key that may be None to None.

    Returns:
        The configuration, locked.

    Raises:
        DataError: a key is unknown, a value unusable, or something is no `--config.KEY`.
    """
    defaults = dict(_flat(load_config("default")))
    emptied = [key for argument in arguments if (key := _emptied_key(argument, defaults))]
    arguments = [a for a in arguments if not _emptied_key(a, defaults)]
    for argument in arguments:
        if argument.startswith(_KEYS):
            _check_key(argument.partition("=")[0].partition(".")[2], config)
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, "", values, sys_argv=["", *arguments])
        rest = values(["", *arguments])
        values.config.update_from_flattened_dict(dict.fromkeys(emptied))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise DataError(f"unknown argument {rest[1]!r}; options begin with --")
    return values.config


def _check_key(key: str, config: ConfigDict) -> None:
    """Raises a DataError for a key that the configuration lacks, with the one that was meant."""
    known = [*dict(_flat(config)), *config.keys()]
    if key in known:
        return
    renamed = _module(FOLDER / "default.py").RENAMED
    if key in renamed:
        raise DataError(f"unknown key {key}; it is called {renamed[key]}")
    near = near_name(key, known)
    hint = f"; did you mean {near}?" if near else ""
    raise DataError(f"unknown key {key}{hint} (--helpfull lists the keys)")


def _emptied_key(argument: str, defaults: Mapping[str, Any]) -> str | None:
    """Returns the key that an argument sets to None, among those that may be."""
    match = re.fullmatch(r"--config\.([\w.]+)=(None|none|)", argument)
    return match[1] if match and defaults.get(match[1], "") is None else None


def _flat(config: ConfigDict) -> Iterator[tuple[str, Any]]:
    """Keys, their section before them, and values."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from ((f"{name}.{key}", value) for key, value in _flat(value))
        else:
            yield name, value


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError("a configuration is a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_KEYS = ("--config.", "--noconfig.")
