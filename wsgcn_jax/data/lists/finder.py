"""Finding the file that a list means, however it spells the name."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

from wsgcn_jax.data.files import check_relative
from wsgcn_jax.data.lists.dialect import is_photo
from wsgcn_jax.data.lists.walk import walk


class Finder:
    """The files below a folder, by the names that lists give them.

    A name is looked for as it stands, then without regard to case and to how accents are written
    (NFC, NFD), then as a photo's name without its ending; where two files fit, neither is meant.

    Attributes:
        renamed: names that were found in another spelling, not only without their ending, and what
            the file is called.
    """

    def __init__(self, root: Path):
        self._root = root
        self._others: dict[str, str | None] | None = None
        self.renamed: dict[str, str] = {}

    def __call__(self, name: str, *, where: str) -> str:
        """The path of a file relative to the folder, with `/`; of none, the name as given.

        Args:
            name: as a list spells it.
            where: file and line of the list, to say in the error.

        Raises:
            DataError: the name leaves the folder, or cannot name a file.
        """
        plain = self._relative(name)
        check_relative(plain, where=where)
        found = self._find(plain) or plain
        if found != plain and os.path.splitext(found)[0] != plain:
            self.renamed[name] = found
        return found

    def exists(self, name: str) -> bool:
        """Whether a name means a file that is there."""
        try:
            return self._find(self._relative(name)) is not None
        except (ValueError, OSError):
            return False

    def _relative(self, name: str) -> str:
        path = PurePath(name)
        root = Path(os.path.abspath(self._root))
        if path.is_absolute() and path.is_relative_to(root) and ".." not in path.parts:
            return path.relative_to(root).as_posix()
        if name.startswith("/") and self._is_file(name.lstrip("/")):
            return name.lstrip("/")  # from the set's root, as in DeepLab's lists
        if "\\" in name and not self._is_file(name):
            name = name.replace("\\", "/")
        name = name.removeprefix("./")
        inner = name.removeprefix(f"{root.name}/")  # of a list that is kept beside the folder
        return inner if not self._is_file(name) and self._is_file(inner) else name

    def _is_file(self, name: str) -> bool:
        try:
            return os.path.lexists(self._root / name) and bool(name)
        except ValueError:
            return False

    def _find(self, name: str) -> str | None:
        if self._is_file(name):
            return name
        if self._others is None:
            self._others = _index(self._root)
        return self._others.get(_key(name))


def _index(root: Path) -> dict[str, str | None]:
    """Files by their key, and photos by their key without ending; None where two share one."""
    found: dict[str, str | None] = {}
    stems: dict[str, str | None] = {}
    for folder, files in walk(root, hidden=True).files.items():
        names = [(PurePath(folder) / file).as_posix() for file in sorted(files)]
        _enter(found, names, _key)
        _enter(stems, filter(is_photo, names), lambda name: _key(os.path.splitext(name)[0]))
    return stems | found


def _enter(
    table: dict[str, str | None], names: Iterable[str], key_of: Callable[[str], str]
) -> None:
    for name in names:
        key = key_of(name)
        table[key] = None if key in table else name


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
