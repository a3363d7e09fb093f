"""One run at a time in a folder, by a lock of the operating system: it dies with its process."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator

import filelock
from etils.epath import Path

from wsgcn_jax.folders import in_bucket
from wsgcn_jax.types import DataError

_LOCK, _HOLDER = ".lock", ".lock.json"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder.

    A bucket knows no locks: there nobody is kept out. Nor is anyone on a disk without them.

    Args:
        folder: made where it is missing.

    Raises:
        DataError: another process works there, and the message says which; or it cannot be
            written.
    """
    lock = filelock.FileLock(os.fspath(folder / _LOCK))
    try:
        if not in_bucket(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            (folder / _HOLDER).write_text(json.dumps(_me()))
    except filelock.Timeout as error:
        raise DataError(
            f"{folder}: another run works there ({_holder(folder)}); wait for it, or name another "
            "folder"
        ) from error
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror}); name another folder"
        ) from error
    except NotImplementedError:  # a disk without locks
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            (folder / _HOLDER).unlink(missing_ok=True)
            lock.release()


def _me() -> dict[str, str | int]:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _holder(folder: Path) -> str:
    """Says who holds the lock, as far as they wrote it down."""
    try:
        note = json.loads((folder / _HOLDER).read_text())
        return f"process {int(note['pid'])} on {note['host']!s:.60}, since {note['since']!s:.30}"
    except (OSError, ValueError, TypeError, KeyError):
        return "which one is not known"
