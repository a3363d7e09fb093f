"""IRNet's `cls_labels.npy` and its relatives (`label_table`) as a list."""

import os

import numpy as np

from wsgcn_jax.data.label_table import read_label_table
from wsgcn_jax.data.labels import COCO_CLASSES, VOC_CLASSES
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.types import DataError

_CLASSES = {len(names) - 1: names[1:] for names in (VOC_CLASSES, COCO_CLASSES)}


def list_of_cls_labels(path: str | os.PathLike[str], classes: tuple[str, ...] | None) -> Listed:
    """Reads the file as a list.

    Args:
        path: the file.
        classes: names without background; None: VOC's for 20 columns, COCO's for 80.

    Returns:
        Its photos, named without an ending.

    Raises:
        DataError: see `read_label_table`; or the classes have no names.
    """
    table = read_label_table(path)
    names = _CLASSES.get(table.columns) if classes is None else classes
    if names is None or len(names) != table.columns:
        given = "no names are" if names is None else f"{len(names)} names are"
        raise DataError(f"labels file {path} has {table.columns} classes, but {given} given.")
    rows = (
        Row(name, tuple(names[i] for i in np.flatnonzero(row)), line)
        for line, (name, row) in enumerate(table.rows.items(), start=1)
    )
    form = f"IRNet's labels of {table.columns} classes"
    return Listed(form, tuple(rows), exact=True, classes=tuple(names))
