"""IRNet's label files as lists: names of photos and classes."""

from pathlib import Path

import numpy as np
import pytest

from wsgcn_jax.data.labels import COCO_CLASSES
from wsgcn_jax.data.lists.irnet import list_of_cls_labels
from wsgcn_jax.types import DataError


def _save(path: Path, content: object) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


@pytest.mark.fault("IRNet's `cls_labels_coco.npy`", "text keys and 80 columns: COCO's classes")
def test_classes_follow_the_number_of_columns(tmp_path):
    rows = {"COCO_train2014_000000000009": np.eye(80, dtype=np.float32)[45], "b.jpg": np.zeros(80)}
    listed = list_of_cls_labels(_save(tmp_path / "labels.npy", rows), None)
    assert [row.file for row in listed.rows] == ["COCO_train2014_000000000009", "b"]
    assert listed.rows[0].labels == (COCO_CLASSES[46],) and listed.rows[1].labels == ()


@pytest.mark.fault(
    "a label table with a number of columns that no set has",
    "one line: give `--classes`",
)
def test_columns_need_names(tmp_path):
    path = _save(tmp_path / "labels.npy", {"a": np.ones(3)})
    assert list_of_cls_labels(path, ("x", "y", "z")).rows[0].labels == ("x", "y", "z")
    for names in (None, ("x", "y")):
        with pytest.raises(DataError, match="has 3 classes, but"):
            list_of_cls_labels(path, names)
