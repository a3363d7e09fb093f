"""What the commands share: options and help, one line for what cannot be used, exit statuses."""

import argparse
import errno
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.folders import check_regular
from wsgcn_jax.settings import did_you_mean
from wsgcn_jax.types import DataError, Skipped, printable

PROGRAM = "wsgcn"
"""The console script, which offers the commands as its first argument."""

_WIDTH = 100  # as wide as the docstrings


def fail(message: str) -> int:
    """Says what cannot be used; returns the exit status 2."""
    print(f"error: {message}", file=sys.stderr)
    return 2


def fail_on_disk_error(error: OSError, out: Path) -> int:
    """Says that the disk is full or may not be written, and returns the exit status 2.

    Raises:
        OSError: any other error, as it is.
    """
    if error.errno == errno.ENOSPC:
        where = printable(str(out))
        return fail(f"{where}: the disk is full; make room and start the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        where = printable(str(error.filename or out))
        return fail(f"{where}: {error.strerror}; change its rights, or name another folder")
    raise error


def check_json(file: Path | None, read: Iterable[Path] = ()) -> None:
    """Refuses, before the work, a file of `--json` that cannot be written or must not be.

    What a link leads to counts, which `write_json` writes.

    Args:
        file: of `--json`; None: there is none.
        read: files that the command reads.

    Raises:
        DataError: it is a folder, a pipe or a device, one that is read, or holds something else
            than JSON; or its own folder cannot be made or written.
    """
    if file is None:
        return
    target = Path(os.path.realpath(file))
    if target in (Path(os.path.realpath(other)) for other in read):
        raise DataError(f"--json={file} cannot be written: it is read; name another file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise PermissionError
    except OSError as error:
        raise DataError(f"--json={file} cannot be written; name another file") from error
    reason = _not_json(target)
    if reason is not None:
        raise DataError(f"--json={file} cannot be written: {reason}; name another file")


def _not_json(file: Path) -> str | None:
    """Why figures may not take the place of what is there; None: they may."""
    try:
        if check_regular(file) and not isinstance(json.loads(file.read_bytes()), dict | list):
            raise ValueError
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    except (ValueError, RecursionError):
        return None if file.suffix == ".json" else "it holds something else than JSON"
    return None


def write_json(file: Path | None, figures: object) -> None:
    """Writes the file of `--json`, if there is one.

    Raises:
        DataError: something that is no file has come there since `check_json`.
    """
    if file is not None:
        write_atomic(file, json.dumps(figures, indent=1).encode(), through_link=True)


def log_skipped(skipped: Sequence[Skipped]) -> int:
    """Says which photos were left out; returns the exit status: 3 for any, else 0."""
    for photo, reason in skipped:
        print(printable(f"left out: {photo}: {reason}"), file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} photos were left out", file=sys.stderr)
    return 3 if skipped else 0


class Parser(argparse.ArgumentParser):
    """Options of a command; one that is bad ends with one line and exit status 2.

    Args:
        doc: the docstring of the command's module. It says how the command is called, so there is
            no other usage; what begins with "Exit status" comes behind the options.
        options: argparse's own.
    """

    def __init__(self, doc: str, **options: Any) -> None:
        above, status, below = as_called(doc).partition("Exit status")
        super().__init__(
            usage=argparse.SUPPRESS,
            description=above.strip(),
            epilog=textwrap.fill(status + below, _WIDTH) or None,
            formatter_class=_Formatter,
            allow_abbrev=False,
            **options,
        )
        self.others: tuple[str, ...] = ()
        """How options begin that the caller parses from what is left."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses what it knows; an unknown option is named before a missing one."""
        args = sys.argv[1:] if args is None else args
        args = sorted(args, key=lambda argument: argument == "--helpfull")  # it reads --config
        for name, equals, value in (argument.partition("=") for argument in args):
            if not name.startswith("-") and self._subparsers is not None:
                break  # the rest are another parser's
            known = name in self._option_string_actions
            if (known and equals and not value) or not name:  # as --photos=$FORGOTTEN gives it
                self.error(f"{name or 'an argument'} has no value")
            if name.startswith("--") and not known and not name.startswith(self.others):
                near = did_you_mean(name[2:], [key[2:] for key in self._option_string_actions])
                hint = near and did_you_mean(name, self._option_string_actions)
                self.error(f"unknown option {name}{hint}")
        return super().parse_known_args(args, namespace)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parses all; exits where something is left."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unknown argument {rest[0]!r}; options begin with --")
        return options

    def error(self, message: str) -> NoReturn:
        """Ends the command with one line."""
        sys.exit(fail(f"{printable(message)} (--help lists the options)"))


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstrings, and is as wide as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_WIDTH)


def as_called(text: str) -> str:
    """Names the commands in a text as the user called this one: as modules, or after `wsgcn`."""
    if Path(sys.argv[0]).stem == PROGRAM:
        return re.sub(
            r"(python -m )?experiments\.(\w+)",
            lambda found: f"{PROGRAM} {found[2].replace('_', '-')}",
            text,
        )
    package = __package__ or "experiments"
    return re.sub(r"experiments\.(?=\w)", f"{package}.", text)
