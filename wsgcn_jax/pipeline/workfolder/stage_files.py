"""The files of a stage's folder: which are the stage's own, and clearing away only those."""

import contextlib
import os
import zipfile
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from etils.epath import Path
from PIL import Image

from wsgcn_jax.checksums import files_below
from wsgcn_jax.folders import in_bucket
from wsgcn_jax.pipeline.progress import log

STAMP = "stage.json"
TRAINING = ("checkpoints/*", "tensorboard/*", "curves.jsonl", "damaged_*", "bad_batch_*")
"""What only helps a training stage on. No other stage reads it, and nobody checks it."""

_KEPT = "kept"
_UNFINISHED = ("*.tmp", "*tmp-*")  # of files, and of Orbax's folders, that were being written


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Tells whether a relative path matches one of some patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def outputs(folder: Path, writes: Sequence[str]) -> list[str]:
    """Returns what a finished stage has written for the next ones.

    Args:
        folder: of the stage.
        writes: patterns of the files it writes.
    """
    passing = (STAMP, *TRAINING, *_UNFINISHED)
    return [n for n in files_below(folder) if matches(n, writes) and not matches(n, passing)]


def broken(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Finds files of an unfinished stage, which has no checksums of them, that cannot be read.

    Args:
        folder: of the stage.
        names: relative paths; those of formats with checksums of their own are looked at.

    Returns:
        What is wrong with each.
    """
    if in_bucket(folder):
        return {}
    found = {}
    for name in names:
        try:
            if name.endswith(".npz"):
                with zipfile.ZipFile(folder / name) as archive:
                    if archive.testzip() is not None:
                        raise ValueError
            elif name.endswith(".png"):
                with Image.open(folder / name, formats=["PNG"]) as image:
                    image.verify()
        except Exception:  # zip, zlib and Pillow raise half a dozen unrelated types
            found[name] = "cannot be read"
    return found


def clear(folder: Path, own: Callable[[str], bool]) -> None:
    """Empties a stage's folder; what no stage wrote is moved aside, into `kept` of the work folder.

    Args:
        folder: of the stage.
        own: tells of a relative path whether the stage wrote that file.
    """
    if in_bucket(folder):
        folder.rmtree()
        return
    foreign = []
    for name in files_below(folder):
        if name == STAMP or own(name) or matches(name, (*TRAINING, *_UNFINISHED)):
            os.unlink(folder / name)
        else:
            foreign.append(name)
    _move_aside(folder, foreign)
    for parent, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # not empty: a link that is no file
            os.rmdir(parent)


def drop(folder: Path, names: Collection[str]) -> None:
    """Deletes damaged files; a folder that stands in place of one is moved aside.

    A photo's mask goes with its arrays: it was written last and says that they are there.
    """
    foreign = []
    masks = [f"{name.removesuffix('.npz')}.png" for name in names if name.endswith(".npz")]
    for name in (*names, *masks):
        if os.path.isdir(folder / name) and not os.path.islink(folder / name):
            foreign.append(name)
        else:
            (folder / name).unlink(missing_ok=True)
    _move_aside(folder, foreign)


def _move_aside(folder: Path, names: Sequence[str]) -> None:
    aside = _free(folder.parent / _KEPT / folder.name)
    for name in names:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder / name, aside / name)
    if names:
        log(f"[{folder.name}] what no stage wrote there was moved to {aside}")


def _free(path: Path) -> Path:
    """The path, or with the first number behind it that nothing has."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}_{number}")
    return free
