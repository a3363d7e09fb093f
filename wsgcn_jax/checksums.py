"""Checksums: whether files are still what was written, and whether photos are those seen before."""

import contextlib
import functools
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as DiskPath
from typing import NamedTuple

from etils.epath import Path, PathLike

from wsgcn_jax.folders import cache_folder, in_bucket

CHECKED_BY_FORMAT = (".npz", ".png")
"""Formats that hold checksums of their own, which their readers compare."""

_LARGEST_CACHE = 2**26  # bytes; then it is begun afresh
_SETTLED = 2.0  # seconds after which a change of a file shows in its time


class Sum(NamedTuple):
    """What a file was when it was written.

    Attributes:
        size: in bytes.
        time: of its last change, in nanoseconds.
        sha256: of its content, in hexadecimal.
    """

    size: int
    time: int
    sha256: str


def file_hash(path: PathLike) -> str:
    """Returns the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[str]:
    """Returns the relative paths of all files below a folder; a link counts as a file."""
    if in_bucket(folder):
        below = [
            f"{path.name}/{name}" if path.is_dir() else path.name
            for path in folder.iterdir()
            for name in (files_below(path) if path.is_dir() else [""])
        ]
        return sorted(below)
    names = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        names += [os.path.relpath(os.path.join(parent, n), folder) for n in (*files, *links)]
    return sorted(names)


def sums(folder: Path, names: Iterable[str]) -> dict[str, Sum]:
    """Sums the files of a folder up.

    A bucket keeps checksums itself, so of its files only the names are kept.

    Args:
        folder: the folder.
        names: relative paths.

    Returns:
        What is known of each.
    """
    if in_bucket(folder):
        return dict.fromkeys(names, Sum(0, 0, ""))

    def one(name: str) -> tuple[str, Sum]:
        status = os.stat(folder / name)
        return name, Sum(status.st_size, status.st_mtime_ns, file_hash(folder / name))

    with ThreadPoolExecutor() as pool:  # hashing leaves Python's lock to others
        return dict(pool.map(one, names))


def damage(folder: Path, known: Mapping[str, Sum], *, thorough: bool) -> dict[str, str]:
    """Compares the files of a folder with what was written.

    Args:
        folder: the folder.
        known: of `sums`.
        thorough: whether to read every file. If not, those whose format holds checksums are only
            read where size or time differ.

    Returns:
        What is wrong with each damaged file, by name.
    """

    def one(name: str) -> str | None:
        path, written = folder / name, known[name]
        if in_bucket(folder):
            return None if path.exists() else "is gone"
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                return "is no file"
            if status.st_size != written.size:
                return f"has {status.st_size} bytes instead of {written.size}"
            unread = not thorough and name.endswith(CHECKED_BY_FORMAT)
            if unread and status.st_mtime_ns == written.time:
                return None
            return None if file_hash(path) == written.sha256 else "has another content"
        except FileNotFoundError:
            return "is gone"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    with ThreadPoolExecutor() as pool:
        found = dict(zip(known, pool.map(one, known), strict=True))
    return {name: wrong for name, wrong in found.items() if wrong}


def content_hash(path: PathLike) -> str | None:
    """Returns the SHA-256 of a file that somebody else owns, None where there is none.

    It is kept in `cache_folder()`, and only computed anew where size or time have changed.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a pipe would be read for ever
            return None
        known = _hashes(cache_folder() / "hashes.jsonl")
        return known(os.path.abspath(path), status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@functools.cache
def _hashes(path: DiskPath) -> "_Hashes":
    return _Hashes(path)


class _Hashes:
    """Hashes by path, size and time, in a file to which every process adds lines."""

    def __init__(self, path: DiskPath) -> None:
        self._path = path
        self._known: dict[tuple[str, int, int], str] = {}
        with contextlib.suppress(OSError):
            if path.stat().st_size > _LARGEST_CACHE:
                path.unlink()
            for line in path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # half a line of a killed process
                    name, size, changed, digest = json.loads(line)
                    self._known[name, size, changed] = digest

    def __call__(self, path: str, size: int, changed: int) -> str:
        key = (path, size, changed)
        if key not in self._known:
            digest = file_hash(path)
            if time.time() - changed / 1e9 < _SETTLED:
                return digest
            self._known[key] = digest
            with contextlib.suppress(OSError):  # without a cache it only takes longer
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a") as file:
                    file.write(json.dumps([*key, digest]) + "\n")
        return self._known[key]
