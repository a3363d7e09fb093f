"""Folders as labels: every photo in `cat/` shows a cat."""

import os
from pathlib import Path

from wsgcn_jax.data.files import can_name
from wsgcn_jax.data.lists.dialect import is_photo
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.types import DataError

NEGATIVE = frozenset(("background", "negative", "negatives", "none"))
"""Names of folders whose photos show no class."""


def photos_below(root: Path) -> list[str]:
    """The photos below a folder, relative to it with `/`, sorted.

    Hidden ones, and names with control characters or in no encoding, are passed over.
    """
    found = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        base = Path(folder).relative_to(root)
        found += [(base / f).as_posix() for f in files if is_photo(f) and not f.startswith(".")]
    return sorted(name for name in found if can_name(name))


def read_folders(root: Path, *, leave_out: tuple[Path, ...] = ()) -> Listed:
    """Reads which sub-folder each photo lies in.

    Args:
        root: holds one folder a class; folders in those are theirs.
        leave_out: folders that hold no photos (masks).

    Returns:
        The list; a folder called background, negatives or none holds photos without any class.

    Raises:
        DataError: no sub-folder holds a photo.
    """
    shut = [folder.resolve() for folder in leave_out]
    rows: list[Row] = []
    for file in photos_below(root):
        name, _, rest = file.partition("/")
        if not rest or any((root / file).resolve().is_relative_to(folder) for folder in shut):
            continue
        labels = () if name.casefold() in NEGATIVE else (" ".join(name.split()),)
        rows.append(Row(file, labels, len(rows) + 1))
    if not rows:
        raise DataError(
            f"{root} has no labels.csv, nor photos in sub-folders that name their class; add any."
        )
    return Listed("the sub-folders' names", tuple(rows), exact=True)
