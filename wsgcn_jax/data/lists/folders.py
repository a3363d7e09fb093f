"""Folders as labels: every photo in `cat/` shows a cat."""

from collections.abc import Collection, Sequence
from pathlib import Path

from wsgcn_jax.data.files import can_name
from wsgcn_jax.data.lists.dialect import is_photo
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.lists.walk import walk
from wsgcn_jax.types import DataError, printable

NEGATIVE = frozenset(("background", "negative", "negatives", "none"))
"""Names of folders whose photos show no class."""

_SHOWN = 5  # names in a note
_MOST_CHARACTERS = 120  # of a name in a note


def read_folders(root: Path, *, leave_out: tuple[Path, ...] = ()) -> Listed:
    """Reads which sub-folder each photo lies in.

    Args:
        root: holds one folder a class, or links to such; folders in those are theirs.
        leave_out: folders that hold no photos (masks).

    Returns:
        The list; a folder called background, negatives or none holds photos without any class.
        Its notes name what is left out; hidden files and folders are passed over.

    Raises:
        DataError: no sub-folder holds a photo.
    """
    found = walk(root)
    shut = [folder.resolve() for folder in leave_out]
    names = [name for name in found.names() if not _lies_in(root / name, shut)]
    photos = [name for name in names if is_photo(name)]
    rows: list[Row] = []
    for file in photos:
        name, _, rest = file.partition("/")
        if rest and can_name(file):
            labels = () if name.casefold() in NEGATIVE else (" ".join(name.split()),)
            rows.append(Row(file, labels, len(rows) + 1))
    lost = {name: why for name, why in found.lost.items() if not _lies_in(root / name, shut)}
    shown = {name.partition("/")[0] for name in (*photos, *lost)}
    tops = [name for name in found.files if name and "/" not in name]
    notes = [
        _note("photos beside the sub-folders", [p for p in photos if "/" not in p]),
        _note(
            "photos whose names are not UTF-8 or hold control characters",
            [p for p in photos if "/" in p and not can_name(p)],
        ),
        _note("folders and links", [f"{name or '.'} {why}" for name, why in lost.items()]),
        _note(
            "files in sub-folders that have no photo's ending",
            [n for n in names if "/" in n and not is_photo(n) and n not in lost],
        ),
        _note(
            "sub-folders without a photo",
            [n for n in tops if n not in shown and not _lies_in(root / n, shut)],
        ),
    ]
    said = tuple(f"{root.resolve().name}: {note}" for note in notes if note)
    if not rows:
        raise DataError(
            f"{root} has no labels.csv, nor photos in sub-folders that name their class; add any"
            f"{''.join(f' ({note})' for note in notes if note)}."
        )
    return Listed("the sub-folders' names", tuple(rows), exact=True, notes=said)


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    return bool(folders) and any(path.resolve().is_relative_to(folder) for folder in folders)


def _note(what: str, names: Collection[str]) -> str | None:
    """Says what is left out, with its number and the first names; None where nothing is."""
    if not names:
        return None
    some = sorted(names)[:_SHOWN]
    more = len(names) - len(some)
    shown = ", ".join(printable(f"{name:.{_MOST_CHARACTERS}}") for name in some)
    return f"left out are {what}: {len(names)} ({shown}{f' and {more} more' if more else ''})"
