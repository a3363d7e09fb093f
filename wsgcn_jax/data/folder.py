"""Reader of anyone's own photos: a folder and a list of labels."""

import hashlib
import json
import os
from pathlib import Path

from wsgcn_jax.data.class_list import check_classes, class_names, read_classes
from wsgcn_jax.data.files import check_folder
from wsgcn_jax.data.listed import ListedPhotos
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.data.lists.walk import walk
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import DataError

_LIST = "labels.csv"
_VAL_LIST = "val"


class FolderSource:
    """A folder of photos with a list of labels, in any form that `lists` reads.

    The classes are the labels in order of appearance. The split "train" is the list, "val" a
    `val.csv` (or with the list's own ending) beside it where there is one. A photo in a sub-folder
    is named `sub__photo`. A photo without a label shows no class.

    Args:
        root: the folder the files of the list are in.
        labels: the list, relative to the folder; the folder itself: its sub-folders' names are
            the labels; None: `labels.csv` where there is one, else the folder.
        masks: a folder (relative too) of `PHOTO.png` masks; None: those that the list names or
            draws, if it does.
        classes: the class names there are, with "background" first or without it; None: those of
            the class list beside the masks, if there is one, else those of the list.

    Raises:
        DataError: names of classes that cannot be, or are given twice.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        labels: str | os.PathLike[str] | None = None,
        masks: str | os.PathLike[str] | None = None,
        classes: tuple[str, ...] | None = None,
    ):
        self._root = Path(root)
        self._labels = labels
        self._masks = None if masks is None else self._root / masks
        self._splits: dict[str, ListedPhotos] = {}
        self._given = classes and class_names(classes, where="the names of the classes")

    def classes(self) -> tuple[str, ...]:
        """ "background" and the labels in order of appearance."""
        if not self._splits:
            self.listing()
        return self._splits["train"].classes

    def notes(self) -> tuple[str, ...]:
        """What was recognised in the lists, and what a reader should look at."""
        return tuple(note for split in self._splits.values() for note in split.notes)

    def fingerprint(self) -> str:
        """A hash of the lists, and of the photos' and masks' content."""
        self.listing()
        content: list[object] = ["folder", 2, self.classes()]
        content += [[name, split.content()] for name, split in self._splits.items()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos of the lists.

        Raises:
            DataError: the folder or the list is missing or malformed, or a name is unusable.
        """
        check_folder(self._root, what="the photo folder", fix="give another folder")
        if self._masks is not None:
            check_folder(self._masks, what="the mask folder", fix="give another or none")
        path = self._list()
        train = self._read(path, self._given or self._classes_of_masks())
        if len(train.classes) == 1:
            raise DataError(f"{path} names no label; write `file,label label ...` a line.")
        if self._masks is not None:
            check_classes(self._masks, train.classes)
        self._splits = {"train": train}
        for val in dict.fromkeys((path.with_name(f"{_VAL_LIST}.csv"), _val_of(path))):
            if path.is_file() and val.is_file() and val != path and "val" not in self._splits:
                self._splits["val"] = self._read(val, train.classes)
        return {name: split.names for name, split in self._splits.items()}

    def read(self, split: str, name: str) -> Photo:
        """Reads one photo, its mask and its labels.

        Raises:
            DataError: the photo or its mask cannot be read.
        """
        return self._splits[split].read(name, self.classes())

    def walked(self) -> tuple[Path, ...]:
        """The folders of which all that is below is read, where sub-folders' names are the labels.

        They are the photos' folder, and those that links in it lead to.
        """
        if not self._root.is_dir() or not self._list().is_dir():
            return ()
        return (self._root, *walk(self._root).places[1:])

    def _classes_of_masks(self) -> tuple[str, ...] | None:
        """The class list beside the masks: their numbers have a meaning already."""
        return None if self._masks is None else read_classes(self._masks)

    def _list(self) -> Path:
        if self._labels is not None:
            return self._root / self._labels
        path = self._root / _LIST
        holds_folders = any(p.is_dir() and p != self._masks for p in self._root.iterdir())
        return self._root if holds_folders and not path.exists() else path

    def _read(self, path: Path, classes: tuple[str, ...] | None) -> ListedPhotos:
        leave_out = () if self._masks is None else (self._masks,)
        found = read_list(path, self._root, classes=classes, leave_out=leave_out)
        return ListedPhotos(self._root, found, self._masks)


def _val_of(path: Path) -> Path:
    return path.with_name(_VAL_LIST + path.suffix)
