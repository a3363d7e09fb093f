"""Small habits of every reader and writer here: atomic writes, clear errors, safe names."""

import difflib
import os
from collections.abc import Iterable

from etils.epath import Path, PathLike

from wsgcn_jax.checksums import content_hash
from wsgcn_jax.folders import check_regular, in_bucket
from wsgcn_jax.types import DataError


def write_atomic(path: PathLike, data: bytes) -> None:
    """Writes a file so that a reader finds the old content or the new, never half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if in_bucket(target):
        target.write_bytes(data)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: PathLike, *, what: str, fix: str) -> None:
    """Refuses what is no folder.

    Args:
        path: the folder.
        what: what it is for, to say in the error.
        fix: what the user can do.

    Raises:
        DataError: it is missing, or a file.
    """
    if not Path(path).is_dir():
        wrong = "a file, no folder" if Path(path).exists() else "missing"
        raise DataError(f"{what} {path} is {wrong}; {fix}.")


def read_bytes(path: PathLike, *, what: str, most: int | None = None) -> bytes:
    """Reads a file, or says in one sentence why it cannot be read.

    Args:
        path: the file.
        what: what the file is for, to say in the error.
        most: bytes that it may have; None: any number.

    Raises:
        DataError: the file is missing, a folder, a pipe or device, too large, or unreadable.
    """
    try:
        check_regular(path)
        if most is not None and (length := Path(path).stat().length) > most:
            raise DataError(f"{what} {path} has {length:,} bytes, more than {most:,}; replace it.")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{what} {path} is missing; add it or correct the list.") from error
    except OSError as error:
        raise DataError(f"{what} {path} cannot be read: {error.strerror}.") from error


def read_text(path: PathLike, *, what: str) -> str:
    """Reads a UTF-8 text file.

    Args:
        path: the file.
        what: what the file is for, to say in the error.

    Returns:
        Its text, a leading byte order mark removed.

    Raises:
        DataError: the file is missing, a folder, unreadable, or not UTF-8.
    """
    try:
        return read_bytes(path, what=what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {path} is not UTF-8 text; save it as UTF-8.") from error


def check_relative(name: str, *, where: str) -> None:
    """Refuses a file name that would leave the folder it belongs to.

    Args:
        name: the name as the list gives it, with `/` between folders.
        where: file and line that hold it, to say in the error.

    Raises:
        DataError: the name is empty, absolute, climbs out with `..`, or cannot name a file.
    """
    parts = name.replace("\\", "/").split("/")
    escapes = parts[0] == "" or ":" in parts[0] or ".." in parts
    if escapes or not name.isprintable():
        raise DataError(
            f"{where}: the name {name!r} leaves the photo folder or is not a file name; "
            "give a path inside the folder."
        )


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that was probably meant; None where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


class UnknownNameError(DataError):
    """A label or split that the set does not have: wrong for the set, not for one photo."""


def unknown_name(name: str, known: Iterable[str], *, what: str, where: str) -> UnknownNameError:
    """The error for a name that is not in a list, with the one that is near, if any."""
    names = list(known)
    near = near_name(name, names)
    hint = f", did you mean {near!r}?" if near else ""
    there = f"there are {', '.join(names)}" if names else "there are none"
    return UnknownNameError(f"{where}: unknown {what} {name!r}{hint} ({there}).")


def stamp(path: PathLike) -> str | None:
    """What a file's content is known by, None where there is none: copies are the same photo."""
    return content_hash(path)
