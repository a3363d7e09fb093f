"""Label tables as `.npy`: IRNet's `cls_labels.npy` and its relatives, a row of 0 and 1 a photo.

The file is a pickled dictionary, read as data (`pickles`). Keys are VOC's numbers (2007000032 for
the photo "2007_000032"), COCO's (9 for "000000000009" and "COCO_train2014_000000000009"), or text:
the photo's name, with or without a suffix.
"""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.numpy_pickles import read_npy_object
from wsgcn_jax.types import IGNORE, DataError

_FIX = "use IRNet's cls_labels.npy, a CSV or Annotations/*.xml"
_VOC_NUMBER = re.compile(r"(19|20)\d{8}")
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+\d{4}_)?(\d{1,12})")
_SUFFIX = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)


class LabelTable(NamedTuple):
    """What a table says.

    Attributes:
        rows: by photo name `[c - 1] bool`, which classes are present.
        numbers: the names by COCO's number, of those that have one.
        columns: number of classes, background left out.
    """

    rows: dict[str, np.ndarray]
    numbers: dict[int, str]
    columns: int

    def find(self, name: str) -> tuple[int, ...] | None:
        """Returns the class ids of a photo, ascending; None where the table lacks it."""
        key = name if name in self.rows else self.numbers.get(_number(name) or -1)
        if key is None:
            return None
        return tuple((np.flatnonzero(self.rows[key]) + 1).tolist())


def read_label_table(path: str | os.PathLike[str]) -> LabelTable:
    """Reads a label table.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing, not such a file, asks for anything but arrays, or its rows
            have different lengths.
    """
    data = read_bytes(Path(path), what="labels file")
    try:
        table = read_npy_object(data)
        if not isinstance(table, dict) or not table:
            raise ValueError("it holds no dictionary of photos")
        rows: dict[str, np.ndarray] = {}
        for key, value in table.items():
            name = _name(key)
            if name in rows:
                raise ValueError(f"it names {name} twice")
            rows[name] = _row(value)
    except Exception as error:  # a hostile or broken pickle may raise anything
        raise DataError(f"labels file {path} is refused: {error}; {_FIX}.") from error
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1:
        raise DataError(f"labels file {path} has rows of unequal length; {_FIX}.")
    numbers = {number: name for name in rows if (number := _number(name)) is not None}
    return LabelTable(rows, numbers, lengths.pop())


def _row(value: Any) -> np.ndarray:
    scores = value.get() if hasattr(value, "get") else value
    if not isinstance(scores, np.ndarray) or scores.ndim != 1 or not 0 < scores.size < IGNORE:
        raise ValueError("it does not hold one row of scores a photo")
    if scores.dtype.kind not in "biuf" or not np.isfinite(scores).all():
        raise ValueError("a row does not hold numbers")
    return scores > 0


def _name(key: Any) -> str:
    if isinstance(key, str):
        return _SUFFIX.sub("", key.replace("\\", "/").rsplit("/", 1)[-1])
    digits = str(int(key))
    return f"{digits[:4]}_{digits[4:]}" if _VOC_NUMBER.fullmatch(digits) else digits


def _number(name: str) -> int | None:
    match = _COCO_NAME.fullmatch(name)
    return int(match[1]) if match else None
