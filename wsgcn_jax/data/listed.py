"""The photos of one list as a source gives them: names for results, files, masks."""

import hashlib
import os
from pathlib import Path, PurePosixPath

import numpy as np

from wsgcn_jax.data.class_list import read_classes
from wsgcn_jax.data.files import digest, read_bytes
from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.data.lists import PhotoList, Row
from wsgcn_jax.data.palette_png import decode_png, encode_png, mask_file
from wsgcn_jax.data.photos import MAX_BYTES
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import IGNORE, DataError

_LONGEST = 250  # bytes of a name: with `.png` it is one that every disk takes
_HASH = 12


class ListedPhotos:
    """The photos of one list.

    Attributes:
        names: what results of the photos are called, in order.
        classes: class names, "background" first.
        notes: of the list.
    """

    def __init__(self, root: Path, found: PhotoList, masks: Path | None):
        """Names the photos.

        Args:
            root: the folder of the photos.
            found: the list.
            masks: a folder of `PHOTO.png` masks, in sub-folders as the photos'; None: those that
                the list names, or draws, if it does.

        Raises:
            DataError: two photos would share a name; or classes are those of masks that are
                damaged.
        """
        self._root, self._found, self._masks = root, found, masks
        self._rows = _by_name(found)
        self.names = tuple(self._rows)
        self.notes = found.labelled.notes
        self.classes = found.labelled.classes
        if any(row.labels is None for row in self._rows.values()) and len(self.classes) == 1:
            self.classes = self._classes_of_masks()

    def content(self) -> list[object]:
        """What a fingerprint is made of: names, labels, and the files' content."""
        return [
            [name, row.file, row.labels, digest(self._root / row.file), self._mask_digest(row)]
            for name, row in self._rows.items()
        ]

    def read(self, name: str, classes: tuple[str, ...]) -> Photo:
        """Reads one photo, its mask and its labels.

        Args:
            name: of the photo.
            classes: names by id, "background" first.

        Raises:
            DataError: the photo or its mask cannot be read.
        """
        row = self._rows[name]
        image = read_bytes(self._root / row.file, what="photo", most=MAX_BYTES)
        path = self._mask_file(row)
        files = (f"photo {self._root / row.file}", f"mask {path or self._found.path}")
        mask = None
        if path is not None and (row.mask or path.exists()):
            mask = read_bytes(path, what="mask", most=MAX_BYTES)
        elif path is None and self._found.coco is not None:
            drawn = self._found.coco.mask(self._found.spelt[row.file], classes)
            mask = encode_png(drawn)
        if row.labels is None:
            assert mask is not None
            ids = _shown(decode_png(mask, name=files[1]))
        else:
            ids = sorted(classes.index(label) for label in row.labels)
        return Photo(image, tuple(ids), mask, files)

    def _mask_file(self, row: Row) -> Path | None:
        """Where the mask of a photo should be; None where none is to be looked for."""
        if row.mask is not None:
            return self._root / row.mask
        if self._masks is None:
            return None
        return mask_file(self._masks, str(PurePosixPath(row.file).with_suffix("")))

    def _mask_digest(self, row: Row) -> str | None:
        path = self._mask_file(row)
        return None if path is None else digest(path)

    def _classes_of_masks(self) -> tuple[str, ...]:
        """Names for the ids in the masks: of the class list beside them, or VOC's by the folder."""
        largest = 0
        voc = False
        for row in self._rows.values():
            if row.mask is not None:
                path = self._root / row.mask
                named = read_classes(path.parent)
                if named is not None:
                    return named
                data = read_bytes(path, what="mask", most=MAX_BYTES)
                largest = max([largest, *_shown(decode_png(data, name=f"mask {path}"))])
                voc = voc or "SegmentationClass" in row.mask
        if voc and largest < len(VOC_CLASSES):
            return VOC_CLASSES
        return ("background", *(f"class {i}" for i in range(1, largest + 1)))


def _shown(mask: np.ndarray) -> list[int]:
    """The classes in a mask, ascending."""
    return [int(i) for i in np.unique(mask) if i not in (0, IGNORE)]


def _by_name(found: PhotoList) -> dict[str, Row]:
    """Rows by the photo's name, which is unique and safe to name results after."""
    rows: dict[str, Row] = {}
    for row in found.labelled.rows:
        name = result_name(row.file)
        if name in rows:
            raise DataError(
                f"{found.path}, line {row.line}: {row.file} and {rows[name].file} share the name "
                f"{name!r}; rename one."
            )
        rows[name] = row
    return rows


def result_name(file: str) -> str:
    """What results of a photo are called.

    Args:
        file: the photo relative to its folder, with `/`.

    Returns:
        `sub__photo` of `sub/photo.jpg`; of one that is too long for a file's name the beginning,
        and a hash in place of the rest.
    """
    name = str(PurePosixPath(file).with_suffix("")).replace("/", "__")
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_HASH]
    return f"{encoded[: _LONGEST - _HASH - 1].decode(errors='ignore')}-{digest}"
