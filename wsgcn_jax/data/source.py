"""The one reader of photos: `prepare` stores a source's photos, `load` gives them back.

    prepare(ShapesSource(), "data")
    train = load("data", "train")
    train[0].image, train.labels, train.skipped

`index.json` is written last: it is there only if the records beside it are whole.
"""

import copy
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from wsgcn_jax.data.files import unknown_name, write_atomic
from wsgcn_jax.data.palette_png import decode_png
from wsgcn_jax.data.photos import decode_photo
from wsgcn_jax.data.records import Source, Stored, open_records, write_records
from wsgcn_jax.folders import full_disk
from wsgcn_jax.resize import resize_photo, within
from wsgcn_jax.types import DataError, Example, Skipped

_INDEX = "index.json"
_RECORDS = "records"


def prepare(source: Source, data_dir: str | os.PathLike[str]) -> None:
    """Stores all splits of a source, unless the same content is stored there already.

    Args:
        source: where the photos come from.
        data_dir: a folder of its own; `index.json` and `records/` are written into it.

    Raises:
        DataError: the set cannot be used, or `data_dir` cannot be written.
    """
    folder = Path(data_dir)
    fingerprint = source.fingerprint()
    if _is_current(folder, fingerprint):
        return
    try:
        # First the index goes: a build killed half-way leaves a folder without one.
        (folder / _INDEX).unlink(missing_ok=True)
        shutil.rmtree(folder / _RECORDS, ignore_errors=True)
        (folder / _RECORDS).mkdir(parents=True)
        stored, skipped = write_records(source, folder / _RECORDS)
        index = {
            "fingerprint": fingerprint,
            "classes": source.classes(),
            "splits": {
                split: {
                    "photos": [photo._asdict() for photo in stored[split]],
                    "skipped": [photo._asdict() for photo in skipped[split]],
                }
                for split in stored
            },
        }
        write_atomic(folder / _INDEX, json.dumps(index, indent=1).encode())
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(full_disk(folder)) from error
        raise DataError(
            f"data folder {folder} cannot be written: {error.strerror or error}; choose another."
        ) from error


def load(data_dir: str | os.PathLike[str], split: str, longer_side: int | None = None) -> "Split":
    """Opens a stored split.

    Args:
        data_dir: the folder given to `prepare`.
        split: "train", "val" ...
        longer_side: photos whose longer side is longer are given at this size; None: at their own.

    Returns:
        The split, for random access.

    Raises:
        DataError: nothing whole is stored there, or no such split.
    """
    return Split(Path(data_dir), split, longer_side)


class Split:
    """A stored split: a random-access sequence of photos, and what is known without reading.

    It pickles as its folder and name, so that workers can open it themselves; grain reads it
    as `grain.MapDataset.source(split)`.

    Attributes:
        names: the photos' names, in order.
        sizes: heights and widths at which they are given.
        own_sizes: those of their files, and of their masks.
        labels: `[len, c - 1] bool`, which foreground classes are present.
        classes: class names, "background" first.
        skipped: the photos that were left out, and why.
    """

    def __init__(self, folder: Path, split: str, longer_side: int | None = None):
        index = _read_index(folder)
        if split not in index["splits"]:
            raise unknown_name(split, index["splits"], what="split", where=str(folder))
        self._folder, self._split, self._longer_side = folder, split, longer_side
        self._with_masks = True
        try:
            stored = index["splits"][split]
            photos = [Stored(**photo) for photo in stored["photos"]]
            self.skipped = tuple(Skipped(**photo) for photo in stored["skipped"])
            self.classes: tuple[str, ...] = tuple(index["classes"])
            self._records = open_records(folder / _RECORDS, split)
            if len(self._records) != len(photos):
                raise ValueError("records and index differ")
        except Exception as error:  # TFDS and ArrayRecord raise many unrelated types
            raise _damaged(folder) from error
        self.names = tuple(photo.name for photo in photos)
        self.own_sizes = tuple((photo.height, photo.width) for photo in photos)
        self.sizes = tuple(within(size, longer_side) for size in self.own_sizes)
        ids = np.arange(1, len(self.classes))
        self.labels = np.stack([np.isin(ids, photo.labels) for photo in photos])

    def without_masks(self) -> "Split":
        """The same photos without their true masks, which then need not be decoded."""
        other = copy.copy(self)
        other._with_masks = False
        return other

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position: int) -> Example:
        if not -len(self) <= position < len(self):
            raise IndexError(f"photo {position} of {len(self)}")
        position = int(position) % len(self)
        try:
            record = self._records[position]
        except Exception as error:
            raise _damaged(self._folder) from error
        name = record["name"].decode()
        known = self._with_masks and record["mask"]
        mask = decode_png(record["mask"], name=name) if known else None
        image = decode_photo(record["image"], name=name, longer_side=self._longer_side)
        image = resize_photo(image, self.sizes[position])
        return Example(name, image, self.labels[position], mask)

    def __repr__(self) -> str:
        return f"Split({str(self._folder)!r}, {self._split!r}, {len(self)} photos)"

    def __reduce__(self) -> tuple[Any, ...]:
        whole = (load, (self._folder, self._split, self._longer_side))
        return whole if self._with_masks else (_load_without_masks, whole[1])


def _load_without_masks(folder: Path, split: str, longer_side: int | None) -> Split:
    return load(folder, split, longer_side).without_masks()


def _damaged(folder: Path) -> DataError:
    return DataError(f"{folder}: the data set is damaged; delete it and start the run once more.")


def _is_current(folder: Path, fingerprint: str) -> bool:
    """Whether the folder holds a whole build of this content."""
    try:
        return _read_index(folder)["fingerprint"] == fingerprint
    except DataError:
        return False


def _read_index(folder: Path) -> dict[str, Any]:
    """The index of a whole build; DataError where there is none."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        if not (folder / _RECORDS).is_dir() or not index["splits"]:
            raise KeyError("records")
        return index
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no whole data set; delete it and start the run once more."
        ) from error
