"""Reader of a VOC devkit folder."""

import hashlib
import json
import os
from pathlib import Path

from wsgcn_jax.data.files import (
    UnknownNameError,
    check_relative,
    read_bytes,
    read_text,
    stamp,
    unknown_name,
)
from wsgcn_jax.data.label_table import read_label_table
from wsgcn_jax.data.labels import VOC_CLASSES, read_csv_labels, read_voc_xml
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import DataError

_LISTS = Path("ImageSets", "Segmentation")
_CLS_LABELS = Path("ImageSets", "cls_labels.npy")
_MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")


class VocSource:
    """Photos of a VOC devkit: `JPEGImages`, optional masks, `ImageSets/Segmentation/*.txt`.

    Masks come from `SegmentationClassAug` where it exists, else from `SegmentationClass`.

    Args:
        root: the folder that holds `JPEGImages`, e.g. `VOCdevkit/VOC2012`.
        splits: the lists to read.
        labels: "xml" (`Annotations`), a path to `cls_labels.npy` or to a CSV, or None: xml
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
        self._table: dict[str, tuple[int, ...]] | None = None

    def classes(self) -> tuple[str, ...]:
        """The 21 classes of VOC."""
        return VOC_CLASSES

    def fingerprint(self) -> str:
        """A hash of lists, label file, photos and masks."""
        listing = self.listing()
        content: list[object] = ["voc", 1, self._splits]
        label_file = self._label_file()
        if label_file is not None:
            content.append(hashlib.sha256(read_bytes(label_file, what="labels file")).hexdigest())
        for split, names in listing.items():
            for name in names:
                paths = [self._photo(name), self._mask(name)]
                if label_file is None:
                    paths.append(self._annotation(name))
                content.append([split, name, [stamp(path) for path in paths]])
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
        image = read_bytes(self._photo(name), what="photo")
        mask_path = self._mask(name)
        mask = read_bytes(mask_path, what="mask") if mask_path.exists() else None
        if self._label_file() is None:
            labels = read_voc_xml(self._annotation(name))
        else:
            found = (self._table or {}).get(name)
            if found is None:
                raise DataError(f"labels file {self._label_file()} lacks {name}; add it there.")
            labels = found
        return Photo(image, labels, mask, (f"photo {self._photo(name)}", f"mask {mask_path}"))

    def _photo(self, name: str) -> Path:
        return self._root / "JPEGImages" / f"{name}.jpg"

    def _annotation(self, name: str) -> Path:
        return self._root / "Annotations" / f"{name}.xml"

    def _mask(self, name: str) -> Path:
        folders = [folder for folder in _MASK_FOLDERS if (self._root / folder).is_dir()]
        return self._root / (folders or _MASK_FOLDERS)[0] / f"{name}.png"

    def _read_list(self, split: str) -> tuple[str, ...]:
        path = self._root / _LISTS / f"{split}.txt"
        if not path.is_file():
            there = sorted(found.stem for found in path.parent.glob("*.txt"))
            raise unknown_name(split, there, what="split", where=f"{path} is missing")
        names: dict[str, int] = {}
        for number, line in enumerate(read_text(path, what="list").splitlines(), start=1):
            name = line.strip()
            if not name:
                continue
            where = f"{path}, line {number}"
            check_relative(name, where=where)
            if "/" in name or " " in name:
                raise DataError(f"{where}: expected one name without folder, found {name!r}.")
            if name in names:
                raise DataError(
                    f"{where}: {name} is named twice (first on line {names[name]}); remove one."
                )
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
        table = read_csv_labels(path, VOC_CLASSES)
        found = {Path(file).stem: ids for file, ids in zip(table.files, table.labels, strict=True)}
        if len(found) != len(table.files):
            raise DataError(f"{path} names a photo twice; put all its labels on one line.")
        return found

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
