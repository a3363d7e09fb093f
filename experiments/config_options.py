"""`--config` and its keys on the command line."""

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from wsgcn_jax.settings import (
    KEYS,
    OPTIONAL,
    RENAMED,
    config_names,
    did_you_mean,
    load_config,
    must_be,
)
from wsgcn_jax.types import DataError

from .command import Parser


def add_config_options(parser: Parser, default: str) -> None:
    """Adds `--config`, and `--helpfull`, which lists its keys; `override` takes those given."""
    parser.others = _KEYS
    parser.add_argument(
        "--config",
        default=default,
        metavar="NAME|FILE",
        help=f"{', '.join(config_names())}, or a file (default: {default}); NAME:gpu and NAME:tpu "
        "fit it to a machine. --config.KEY=VALUE sets a key of it",
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
        print(f"{parser.format_help()}\nkeys, with their values in {name}:")
        values = dict(_flat(config))
        for key in KEYS:
            print(f"  --config.{key.name}={values[key.name]}")
            print(f"        {key.meaning} Allowed: {key.allowed()}")
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
    emptied = [key for argument in arguments if (key := _emptied_key(argument))]
    arguments = [argument for argument in arguments if not _emptied_key(argument)]
    for argument in arguments:
        if argument.startswith(_KEYS):
            _check_key(argument.partition("=")[0].partition(".")[2], config)
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, "", values, sys_argv=["", *arguments])
        rest = values(["", *arguments])
        values.config.update_from_flattened_dict(dict.fromkeys(emptied))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        named = re.search(r"--config\.([\w.]+)", reason)
        raise DataError(reason + (must_be(named[1]) if named else "")) from error
    if len(rest) > 1:
        raise DataError(f"unknown argument {rest[1]!r}; options begin with --")
    return values.config


def _check_key(key: str, config: ConfigDict) -> None:
    """Raises a DataError for a key that the configuration lacks, with the one that was meant."""
    known = [*dict(_flat(config)), *config.keys()]
    if key in known:
        return
    if key in RENAMED:
        raise DataError(f"unknown key {key}; it is called {RENAMED[key]}")
    raise DataError(f"unknown key {key}{did_you_mean(key, known)} (--helpfull lists the keys)")


def _emptied_key(argument: str) -> str | None:
    """Returns the key that an argument sets to None, among those that may be."""
    match = re.fullmatch(r"--config\.([\w.]+)=(None|none|)", argument)
    return match[1] if match and match[1] in OPTIONAL else None


def _flat(config: ConfigDict) -> Iterator[tuple[str, Any]]:
    """Keys, their section before them, and values."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from ((f"{name}.{key}", value) for key, value in _flat(value))
        else:
            yield name, value


_KEYS = ("--config.", "--noconfig.")
