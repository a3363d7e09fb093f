"""Reader of a VOC devkit folder."""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath

from wsgcn_jax.data.files import (
    UnknownNameError,
    check_relative,
    digest,
    read_bytes,
    unknown_name,
)
from wsgcn_jax.data.label_table import read_label_table
from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.data.lists.text import read_list_text
from wsgcn_jax.data.lists.voc_xml import read_voc_xml
from wsgcn_jax.data.photos import MAX_BYTES
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import DataError

_LISTS = Path("ImageSets", "Segmentation")
_CLS_LABELS = Path("ImageSets", "cls_labels.npy")
_MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
_FLAGS = ("-1", "0", "1", "+1")  # second column of a per-class list: whether the photo shows it


class VocSource:
    """Photos of a VOC devkit: `JPEGImages`, optional masks, `ImageSets/Segmentation/*.txt`.

    A photo's mask is that of `SegmentationClassAug` if it is there, else that of
    `SegmentationClass`. A photo whose annotation names no object shows no class.

    Args:
        root: the folder that holds `JPEGImages`, e.g. `VOCdevkit/VOC2012`.
        splits: the lists to read.
        labels: "xml" (`Annotations`), a path to `cls_labels.npy`, to a list in another form
            (`lists`) or to the folder of the per-class lists (`ImageSets/Main`), or None: xml
            where `Annotations` exists, else `ImageSets/cls_labels.npy`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        splits: tuple[str, ...] = ("train", "val", "train_aug"),
        labels: str | os.PathLike[str] | None = None,
    ):
        self._root = Path(root)
        self._splits = tuple(splits)
        self._labels_option = labels
        self._table: dict[str, tuple[int, ...]] = {}
        self._notes: tuple[str, ...] = ()

    def classes(self) -> tuple[str, ...]:
        """The 21 classes of VOC."""
        return VOC_CLASSES

    def notes(self) -> tuple[str, ...]:
        """What was recognised in the list of labels."""
        return self._notes

    def fingerprint(self) -> str:
        """A hash of lists and labels, and of the photos' and masks' content."""
        listing = self.listing()
        content: list[object] = ["voc", 2, self._splits, sorted(self._table.items())]
        label_file = self._label_file()
        for split, names in listing.items():
            for name in names:
                paths = [self._photo(name), self._mask(name)]
                if label_file is None:
                    paths.append(self._annotation(name))
                content.append([split, name, [digest(path) for path in paths]])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos of each list.

        Raises:
            DataError: the folder, a list or the labels are missing or malformed.
        """
        if not (self._root / "JPEGImages").is_dir():
            raise DataError(
                f"{self._root} is no VOC folder (it has no JPEGImages); "
                "give the folder that holds JPEGImages."
            )
        listing = {split: self._read_list(split) for split in self._splits}
        self._table = self._read_labels({name for names in listing.values() for name in names})
        return listing

    def read(self, split: str, name: str) -> Photo:
        """Reads one photo, its mask and its labels.

        Raises:
            DataError: the photo or its labels cannot be read.
        """
        del split
        image = read_bytes(self._photo(name), what="photo", most=MAX_BYTES)
        mask_path = self._mask(name)
        mask = None
        if mask_path.exists():
            mask = read_bytes(mask_path, what="mask", most=MAX_BYTES)
        label_file = self._label_file()
        if label_file is None:
            labels = read_voc_xml(self._annotation(name))
        elif name not in self._table:
            raise DataError(f"labels file {label_file} lacks {name}; add it there.")
        else:
            labels = self._table[name]
        return Photo(image, labels, mask, (f"photo {self._photo(name)}", f"mask {mask_path}"))

    def _photo(self, name: str) -> Path:
        return self._root / "JPEGImages" / f"{name}.jpg"

    def _annotation(self, name: str) -> Path:
        return self._root / "Annotations" / f"{name}.xml"

    def _mask(self, name: str) -> Path:
        paths = [self._root / folder / f"{name}.png" for folder in _MASK_FOLDERS]
        return next((path for path in paths if path.exists()), paths[-1])

    def _read_list(self, split: str) -> tuple[str, ...]:
        path = self._root / _LISTS / f"{split}.txt"
        if not path.is_file():
            there = sorted(found.stem for found in path.parent.glob("*.txt"))
            raise unknown_name(split, there, what="split", where=f"{path} is missing")
        names: dict[str, int] = {}
        for number, line in enumerate(read_list_text(path)[0].splitlines(), start=1):
            where = f"{path}, line {number}"
            name = _listed_name(line, where)
            if name in names:
                raise DataError(
                    f"{where}: {name} is named twice (first on line {names[name]}); remove one."
                )
            if name:
                names[name] = number
        if not names:
            raise DataError(f"{path} is empty; write one photo name a line.")
        return tuple(names)

    def _label_file(self) -> Path | None:
        """The file that holds all labels; None where each photo has its own annotation."""
        annotations = (self._root / "Annotations").is_dir()
        if self._labels_option == "xml" or (self._labels_option is None and annotations):
            if not annotations:
                raise DataError(f"{self._root} has no Annotations; give labels another way.")
            return None
        if self._labels_option is not None:
            return Path(self._labels_option)
        if not (self._root / _CLS_LABELS).is_file():
            raise DataError(
                f"{self._root} has no labels, neither Annotations nor {_CLS_LABELS}; "
                "add one of them or give a CSV (file,label label ...)."
            )
        return self._root / _CLS_LABELS

    def _read_labels(self, names: set[str]) -> dict[str, tuple[int, ...]]:
        """The class ids by name; with annotations only a check that all names are known."""
        path = self._label_file()
        if path is None:
            for name in sorted(names):
                self._check_annotation(name)
            return {}
        if path.suffix == ".npy":
            return self._read_table(path, names)
        found = read_list(path, self._root / "JPEGImages", classes=VOC_CLASSES)
        self._notes = found.labelled.notes
        table: dict[str, tuple[int, ...]] = {}
        for row in found.labelled.rows:
            name = PurePosixPath(row.file).stem
            if name in table:
                raise DataError(f"{path} names {name} twice; put all its labels on one line.")
            table[name] = tuple(sorted(VOC_CLASSES.index(label) for label in row.labels or ()))
        return table

    def _read_table(self, path: Path, names: set[str]) -> dict[str, tuple[int, ...]]:
        table = read_label_table(path)
        if table.columns != len(VOC_CLASSES) - 1:
            raise DataError(
                f"labels file {path} has not {len(VOC_CLASSES) - 1} classes, but {table.columns}."
            )
        found = {name: ids for name in names if (ids := table.find(name)) is not None}
        if not found:
            raise DataError(
                f"labels file {path} names none of the listed photos: it has "
                f"{next(iter(table.rows))}, the list {min(names)}; give the file of this set."
            )
        return found

    def _check_annotation(self, name: str) -> None:
        try:
            read_voc_xml(self._annotation(name))
        except UnknownNameError:
            raise
        except DataError:
            pass  # a fault of one photo: `read` meets it again and the photo is skipped


def _listed_name(line: str, where: str) -> str:
    """The photo that a line of a split's list names; "" for an empty line.

    It is `NAME`, a row `NAME -1` of a per-class list, or a pair of paths as DeepLab's lists have
    them (`/JPEGImages/NAME.jpg /SegmentationClassAug/NAME.png`), of which the first counts.
    """
    words = line.split()
    if not words:
        return ""
    pair = len(words) == 2 and words[0].startswith(("/JPEGImages/", "JPEGImages/"))
    name = PurePosixPath(words[0]).stem if pair else line.strip()
    if len(words) == 2 and words[1] in _FLAGS:
        name = words[0]
    check_relative(name, where=where)
    if "/" in name or " " in name:
        raise DataError(f"{where}: expected one name without folder, found {name!r}.")
    return name
