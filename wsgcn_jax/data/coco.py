"""Reader of COCO: a file of instances a split, and the folders of its photos."""

import hashlib
import json
import os
from pathlib import Path

from wsgcn_jax.data.files import unknown_name
from wsgcn_jax.data.listed import ListedPhotos
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import DataError

_PREFIX = "instances_"


class CocoSource:
    """Photos of COCO 2014 or 2017, or of a set in its form.

    A photo without objects shows no class. Masks are drawn from the outlines; crowds are 255 in
    them and no labels.

    Args:
        root: COCO's folder (`annotations`, `train2017`, `val2017` ...), or that of the photos.
        splits: a split "train" is the file `annotations/instances_train*.json`.
        labels: the file of instances of the split "train"; that of "val" is the one called so
            beside it. None: those in `annotations`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        splits: tuple[str, ...] = ("train", "val"),
        labels: str | os.PathLike[str] | None = None,
    ):
        self._root = Path(root)
        self._names = tuple(splits)
        self._labels = None if labels is None else self._root / labels
        self._splits: dict[str, ListedPhotos] = {}

    def classes(self) -> tuple[str, ...]:
        """ "background" and COCO's 80 classes, or those of the file by their id."""
        if not self._splits:
            self.listing()
        return next(iter(self._splits.values())).classes

    def notes(self) -> tuple[str, ...]:
        """What was recognised in the files of instances."""
        return tuple(note for split in self._splits.values() for note in split.notes)

    def fingerprint(self) -> str:
        """A hash of the files of instances and of the photos."""
        self.listing()
        content: list[object] = ["coco", 1, self.classes()]
        for name, split in self._splits.items():
            instances = self._instances(name).read_bytes()
            content.append([name, hashlib.sha256(instances).hexdigest(), split.content()])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos of each split.

        Raises:
            DataError: a folder or a file of instances is missing or malformed.
        """
        if not self._root.is_dir():
            raise DataError(f"the folder {self._root} is missing; give another folder.")
        classes = None
        for name in () if self._splits else self._names:  # a file may have 500 MB: read once
            path = self._instances(name)
            photos = self._photos(path)
            found = read_list(path, photos, classes=classes)
            if found.coco is None:
                raise DataError(f"{path} has no COCO instances (images, categories, annotations).")
            self._splits[name] = ListedPhotos(photos, found, None)
            classes = self._splits[name].classes
        return {name: split.names for name, split in self._splits.items()}

    def read(self, split: str, name: str) -> Photo:
        """Reads one photo, its labels, and draws its mask.

        Raises:
            DataError: the photo cannot be read, or an outline is damaged.
        """
        return self._splits[split].read(name, self.classes())

    def _instances(self, split: str) -> Path:
        """The file of a split's instances."""
        if self._labels is not None:
            path = self._labels
            if split != self._names[0]:
                path = path.with_name(path.name.replace(self._names[0], split, 1))
            if path == self._labels and split != self._names[0]:
                raise DataError(f"{path} has no counterpart for the split {split!r}.")
            return path
        folder = self._root / "annotations"
        found = sorted(folder.glob(f"{_PREFIX}{split}[0-9]*.json"))
        found = found or sorted(folder.glob(f"{_PREFIX}{split}.json"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise DataError(f"{folder} has {names}; say which by data.labels.")
        there = sorted(p.stem.removeprefix(_PREFIX) for p in folder.glob(f"{_PREFIX}*.json"))
        raise unknown_name(split, there, what="split", where=f"{folder}/{_PREFIX}{split}*.json")

    def _photos(self, path: Path) -> Path:
        """`train2017` for `instances_train2017.json`, else the folder itself."""
        name = path.stem.removeprefix(_PREFIX)
        folders = (self._root / name, self._root / "images" / name, self._root / "images")
        return next((folder for folder in folders if folder.is_dir()), self._root)
