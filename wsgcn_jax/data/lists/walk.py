"""The files below a folder that a user keeps: links to folders are followed, each folder once."""

import os
from pathlib import Path
from typing import NamedTuple

from wsgcn_jax.data.lists.dialect import is_photo


class Walk(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: by folder, relative to the first with `/` ("" is the first itself).
        places: the real folders that the walk began in: the first, and those that links lead to.
        lost: folders and links that are not read, and why.
    """

    files: dict[str, list[str]]
    places: tuple[Path, ...]
    lost: dict[str, str]

    def names(self) -> list[str]:
        """All files, relative to the first folder with `/`, sorted."""
        return sorted(_joined(folder, f) for folder, files in self.files.items() for f in files)


def walk(root: Path, *, hidden: bool = False) -> Walk:
    """Walks a folder; what links lead to has the link's name.

    A folder that is read already, or holds one that is, is not read once more: links that go round
    in a circle end there.

    Args:
        root: the folder.
        hidden: whether names that begin with a dot count.

    Returns:
        What was found.
    """
    files: dict[str, list[str]] = {}
    lost: dict[str, str] = {}
    places: list[Path] = []
    seen: dict[str, str] = {}  # names by the real path
    todo = [""]
    for start in todo:  # it grows by the links
        top = os.path.join(root, start)
        real = os.path.realpath(top)
        inside = os.path.join(real, "")
        if start and (real in seen or any(place.startswith(inside) for place in seen)):
            lost[start] = "leads to a folder around one that is read"
            if real in seen:
                lost[start] = f"leads to {seen[real] or root.name}, which is read already"
            continue
        places.append(Path(real))
        for folder, inner, found in os.walk(top, onerror=lambda e: _unread(e, root, lost)):
            base = _relative(folder, root)
            if not hidden:
                inner[:] = [name for name in inner if not name.startswith(".")]
                found = [name for name in found if not name.startswith(".")]
            links = {name for name in inner if os.path.islink(os.path.join(folder, name))}
            todo += [_joined(base, name) for name in sorted(links)]
            inner[:] = [name for name in inner if name not in links]
            seen[os.path.realpath(folder)] = base
            files[base] = found
            for name in found:
                path = os.path.join(folder, name)
                if not is_photo(name) and os.path.islink(path) and not os.path.exists(path):
                    lost[_joined(base, name)] = "leads nowhere"
    return Walk(files, tuple(places), lost)


def _unread(error: OSError, root: Path, lost: dict[str, str]) -> None:
    lost[_relative(str(error.filename), root)] = f"cannot be read: {error.strerror}"


def _relative(folder: str, root: Path) -> str:
    name = os.path.relpath(folder, root).replace(os.sep, "/")
    return "" if name == "." else name


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
