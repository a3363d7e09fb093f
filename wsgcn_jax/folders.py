"""Folders on a disk or in a bucket (`gs://`, by etils): which is which, and what needs a disk."""

import contextlib
import errno
import hashlib
import importlib.util
import os
import stat
from collections.abc import Iterator
from pathlib import Path as DiskPath

import fsspec
import jax
from etils.epath import Path, PathLike

from wsgcn_jax.extras import how_to_install
from wsgcn_jax.types import DataError

CACHE = "WSGCN_JAX_CACHE"
"""Environment variable: the user's own folder for what can be made anew, see `cache_folder`."""


def cache_folder() -> DiskPath:
    """Returns the user's folder for what can be made anew, on a disk of this machine.

    It is `$WSGCN_JAX_CACHE`, else `~/.cache/wsgcn_jax`.
    """
    return DiskPath(os.environ.get(CACHE) or DiskPath.home() / ".cache" / "wsgcn_jax")


def in_bucket(path: PathLike) -> bool:
    """Tells whether a path names an object store: its files appear whole, and none can grow."""
    return "://" in os.fspath(path)


def check_regular(path: PathLike) -> int | None:
    """Refuses what is no file: a folder, or what would never end when it is read.

    Args:
        path: on a disk, or in a bucket, where there is no pipe and no device.

    Returns:
        Its size in bytes; None in a bucket, which is not asked.

    Raises:
        OSError: it is a folder, a pipe or a device, or is not there.
        ValueError: the path holds a null character.
    """
    if in_bucket(path):
        return None
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device", os.fspath(path))
    return status.st_size


def check_bucket(path: PathLike) -> None:
    """Refuses a path in a bucket for which there is no library; does nothing on a disk.

    Raises:
        DataError: as said; it tells what to install.
    """
    if not in_bucket(path) or importlib.util.find_spec("tensorflow"):  # which has its own
        return
    protocol = os.fspath(path).partition("://")[0]
    try:
        fsspec.get_filesystem_class("gcs" if protocol == "gs" else protocol)
    except (ImportError, ValueError) as error:
        raise DataError(
            f"{os.fspath(path)}: the library for {protocol}:// is missing; for gs:// install it: "
            f"{how_to_install('gcs')}"
        ) from error


def absolute(path: PathLike) -> Path:
    """Returns the path from the root of its disk, or of its bucket.

    Raises:
        DataError: it is in a bucket for which there is no library.
    """
    check_bucket(path)
    return Path(path) if in_bucket(path) else Path(os.path.abspath(path))


def disk_for(folder: Path) -> Path:
    """Returns where this process keeps what a folder shall hold but a bucket cannot.

    That is what grows, and what is read in pieces. It is made anew on another machine.

    Args:
        folder: of a work folder.

    Returns:
        The folder itself, or for one in a bucket a folder of this process on its disk.
    """
    if not in_bucket(folder):
        return folder
    name = hashlib.sha256(os.fspath(folder).encode()).hexdigest()[:16]
    return Path(cache_folder()) / f"{name}.{jax.process_index()}"


def full_disk(folder: PathLike) -> str:
    """Says that there is no room for what shall be written into a folder."""
    return (
        f"{os.fspath(folder)}: the disk is full; make room and start the same command again: it "
        "goes on where it was"
    )


@contextlib.contextmanager
def disk_errors(folder: PathLike) -> Iterator[None]:
    """Turns a full disk, which every library reports in a way of its own, into one sentence.

    Raises:
        DataError: the disk is full.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "quota exceeded" in str(error):
            raise DataError(full_disk(folder)) from error
        raise
