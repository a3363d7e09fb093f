"""Reader of anyone's own photos: a folder and a list of labels."""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath

from wsgcn_jax.data.files import check_folder, check_relative, read_bytes, stamp
from wsgcn_jax.data.labels import CsvLabels, read_csv_labels
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import DataError

_VAL_LIST = "val.csv"


class FolderSource:
    """A folder of photos with a list `file,label label ...`.

    The classes are the labels in order of appearance. The split "train" is the list, "val" a
    `val.csv` beside it where there is one. A photo in a sub-folder is named `sub__photo`.

    Args:
        root: the folder the files of the list are in.
        labels: the list, relative to the folder.
        masks: a folder (relative too) of `PHOTO.png` masks; None: no truth.
        classes: the class names there are, "background" first; None: those of the list.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        labels: str | os.PathLike[str] = "labels.csv",
        masks: str | os.PathLike[str] | None = None,
        classes: tuple[str, ...] | None = None,
    ):
        self._root = Path(root)
        self._list = self._root / labels
        self._masks = None if masks is None else self._root / masks
        self._tables: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {}
        self._given = classes
        self._classes: tuple[str, ...] = ()

    def classes(self) -> tuple[str, ...]:
        """ "background" and the labels in order of appearance."""
        if not self._classes:
            self.listing()
        return self._classes

    def fingerprint(self) -> str:
        """A hash of the lists, and of the photos' and masks' contents."""
        self.listing()
        content: list[object] = ["folder", 1, self._classes]
        for split, table in self._tables.items():
            for name, (file, labels) in table.items():
                stamps = [stamp(path) for path in (self._root / file, self._mask(file)) if path]
                content.append([split, name, file, labels, stamps])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos of the lists.

        Raises:
            DataError: the folder or the list is missing or malformed, or a name is unusable.
        """
        check_folder(self._root, what="the photo folder", fix="give another folder")
        if self._masks is not None:
            check_folder(self._masks, what="the mask folder", fix="give another or none")
        train = read_csv_labels(self._list, self._given)
        self._classes = train.classes
        if len(self._classes) == 1:
            raise DataError(f"{self._list} names no label; write `file,label label ...` a line.")
        self._tables = {"train": _by_name(train, self._list)}
        val_list = self._list.with_name(_VAL_LIST)
        if val_list.is_file() and val_list != self._list:
            val = read_csv_labels(val_list, self._classes)
            self._tables["val"] = _by_name(val, val_list)
        return {split: tuple(table) for split, table in self._tables.items()}

    def read(self, split: str, name: str) -> Photo:
        """Reads one photo, its mask and its labels.

        Raises:
            DataError: the photo or its mask cannot be read.
        """
        file, labels = self._tables[split][name]
        image = read_bytes(self._root / file, what="photo")
        mask_path = self._mask(file)
        mask = None
        if mask_path is not None and mask_path.exists():
            mask = read_bytes(mask_path, what="mask")
        return Photo(image, labels, mask, (f"photo {self._root / file}", f"mask {mask_path}"))

    def _mask(self, file: str) -> Path | None:
        return None if self._masks is None else (self._masks / file).with_suffix(".png")


def _by_name(table: CsvLabels, path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Files and labels by the photo's name, which is unique and safe to name results after."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for file, labels, line in zip(table.files, table.labels, table.lines, strict=True):
        where = f"{path}, line {line}"
        check_relative(file, where=where)
        name = str(PurePosixPath(file).with_suffix("")).replace("/", "__")
        if name in found:
            raise DataError(
                f"{where}: {file} and {found[name][0]} share the name {name!r}; rename one."
            )
        found[name] = (file, labels)
    return found
