"""Small habits of every reader and writer here: atomic writes, clear errors, safe names."""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable

from etils.epath import Path, PathLike

from wsgcn_jax.checksums import content_hash
from wsgcn_jax.folders import check_regular, in_bucket
from wsgcn_jax.types import DataError, near_name

_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line ends
_SHOWN = 20  # names that an error lists


def write_atomic(path: PathLike, data: bytes, *, through_link: bool = False) -> None:
    """Writes a file so that a reader finds the old content or the new, never half of it.

    Args:
        path: on a disk or in a bucket.
        data: the content.
        through_link: where the path is a link, writes the file that it leads to, as for a file
            that the user named. Else the link is replaced, and what it leads to stays.

    Raises:
        DataError: there is a folder, a pipe or a device, or a link to one.
    """
    follows = through_link and not in_bucket(path)
    target = Path(os.path.realpath(path)) if follows else Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_replaceable(target)
    if in_bucket(target):
        target.write_bytes(data)
        return
    # A name of its own length: the target's may be the longest a folder takes.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    temporary = target.with_name(f".{digest}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(path: PathLike) -> None:
    """Refuses what no file may take the place of.

    Raises:
        DataError: there is a folder, a pipe or a device, or a link to one.
    """
    try:
        check_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}; move it away, or name another file"
        ) from error


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


MAX_BYTES = 2**30
"""Of any file that is read whole."""


def check_file(path: PathLike, *, what: str, most: int = MAX_BYTES) -> None:
    """Refuses what would never end when it is read, or would fill the memory.

    Args:
        path: a file on a disk, or in a bucket, where only its size is looked at.
        what: what the file is for, to say in the error.
        most: its largest size in bytes.

    Raises:
        DataError: it is missing, a folder, a pipe, a device, or larger.
    """
    try:
        size = check_regular(path)
        if size is None:
            size = Path(path).stat().length
    except FileNotFoundError as error:
        raise DataError(f"{what} {path} is missing; add it or correct the list.") from error
    except OSError as error:
        raise DataError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a null character
        raise DataError(f"{what} {path!r} is not a file name.") from error
    if size > most:
        raise DataError(f"{what} {path} has {size:,} bytes, more than {most:,}; make it smaller.")


def read_bytes(path: PathLike, *, what: str, most: int = MAX_BYTES) -> bytes:
    """Reads a file, or says in one sentence why it cannot be read.

    Args:
        path: the file.
        what: what the file is for, to say in the error.
        most: its largest size in bytes.

    Raises:
        DataError: the file is missing, a folder, a pipe, larger, or unreadable.
    """
    check_file(path, what=what, most=most)
    try:
        return Path(path).read_bytes()
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


def can_name(name: str) -> bool:
    """Whether a text has no characters that a file's name should not have."""
    return not any(unicodedata.category(c) in _NOT_IN_NAMES for c in name)


def check_relative(name: str, *, where: str) -> None:
    """Refuses a file name that would leave the folder it belongs to.

    Args:
        name: the name as the list gives it, with `/` between folders.
        where: file and line that hold it, to say in the error.

    Raises:
        DataError: the name is empty, absolute, climbs out with `..`, or cannot name a file.
    """
    parts = name.replace("\\", "/").split("/")
    drive = parts[0].endswith(":") or parts[0][1:2] == ":"
    escapes = parts[0] == "" or drive or ".." in parts
    if escapes or not can_name(name):
        raise DataError(
            f"{where}: the name {name!r} leaves the photo folder or is not a file name; "
            "give a path inside the folder."
        )


class UnknownNameError(DataError):
    """A label or split that the set does not have: wrong for the set, not for one photo."""


def unknown_name(name: str, known: Iterable[str], *, what: str, where: str) -> UnknownNameError:
    """The error for a name that is not in a list, with the one that is near, if any."""
    names = list(known)
    near = near_name(name, names)
    hint = f", did you mean {near!r}?" if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = f"there are {', '.join(names[:_SHOWN])}{more}" if names else "there are none"
    return UnknownNameError(f"{where}: unknown {what} {name!r}{hint} ({there}).")


def digest(path: PathLike) -> str | None:
    """A hash of a file's content, so that a copy or a touched file counts as the same.

    Args:
        path: on a disk.

    Returns:
        The hash; of what is larger than `MAX_BYTES` or no file only its size, of nothing None.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return f"{status.st_size} bytes"
        return content_hash(path)
    except (OSError, ValueError):
        return None
