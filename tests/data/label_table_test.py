"""Label tables as npy: what their keys mean, and that they cannot do anything else."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from real_photos import VOC, needs_photos

from wsgcn_jax.data.label_table import read_label_table
from wsgcn_jax.types import DataError


def _save(path: Path, content: object) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def test_cls_labels_round_trip(tmp_path):
    rows = {2007000032: np.eye(20, dtype=np.float32)[3], 2011003276: np.ones(20, np.float32)}
    table = read_label_table(_save(tmp_path / "labels.npy", rows))
    assert table.columns == 20
    assert table.find("2007_000032") == (4,)
    assert table.find("2011_003276") == tuple(range(1, 21))
    assert table.find("2007_000033") is None


@pytest.mark.fault("a label table with the key {key!r}", "it is the photo {name}")
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("COCO_train2014_000000000009", "COCO_train2014_000000000009"),
        ("COCO_train2014_000000000009", "000000000009"),
        (9, "COCO_train2014_000000000009"),
        (np.int64(9), "000000000009"),
        ("000000000009.jpg", "000000000009"),
        ("images/holiday.JPG", "holiday"),
        ("2007_000032", "2007_000032"),
    ],
)
def test_keys_of_other_sets(tmp_path, key, name):
    rows = {key: np.eye(80, dtype=np.float32)[45], "other": np.zeros(80)}
    table = read_label_table(_save(tmp_path / "labels.npy", rows))
    assert table.columns == 80 and table.find(name) == (46,) and table.find("other") == ()
    # VOC's numbers are no COCO numbers: the photo 2008_000009 is another one.
    assert table.find("2008_000009") is None


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
def test_cls_labels_of_either_numpy(tmp_path, package):
    path = _save(tmp_path / "labels.npy", {})
    header = path.read_bytes()[: path.read_bytes().index(b"\x80\x04")]
    content = np.array({2007000032: np.ones(20), 2007000033: np.float32(1) * np.ones(20)}, object)
    # Protocol 3 spells names without lengths, so that they can be replaced.
    data = pickle.dumps(content, protocol=3).replace(b"numpy._core", package)
    assert package in data
    path.write_bytes(header + data)
    assert len(read_label_table(path).find("2007_000032")) == 20


class _Touch:
    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


class _System:
    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self._path}",)


class _Eval:
    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        return eval, (f"__import__('pathlib').Path({str(self._path)!r}).touch()",)


@pytest.mark.fault(
    "a label table (`.npy`) that would run code",
    "one line; nothing runs",
    section="Untrusted files",
)
@pytest.mark.parametrize("attack", [_Touch, _System, _Eval])
def test_hostile_pickle_is_not_executed(tmp_path, attack):
    proof = tmp_path / "executed"
    path = _save(tmp_path / "labels.npy", {2007000032: attack(proof)})
    with pytest.raises(DataError, match=r"labels\.npy is refused"):
        read_label_table(path)
    assert not proof.exists()
    np.load(path, allow_pickle=True)  # the same file does execute elsewhere
    assert proof.exists()


@pytest.mark.fault(
    "a pickle that calls a method of NumPy's",
    "one line; nothing runs",
    section="Untrusted files",
)
def test_methods_of_allowed_names_are_refused(tmp_path):
    path = _save(tmp_path / "labels.npy", {})
    start = path.read_bytes().index(b"\x80")  # where the pickle begins
    for name in (b"ndarray.tofile", b"load"):
        code = b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name + b"\x93."
        path.write_bytes(path.read_bytes()[:start] + code)
        with pytest.raises(DataError, match=name.decode()):
            read_label_table(path)


@pytest.mark.fault("a label table with NaN, of several lengths, or empty", "one line")
@pytest.mark.parametrize(
    "content",
    [
        {},
        {2007000032: np.ones((2, 2))},
        {1: np.ones(2), 2: np.ones(3)},
        [1, 2],
        {"a": 1},
        {1: np.array([np.nan])},
        {1: np.ones(2), "1.jpg": np.ones(2)},
        {1: np.zeros(0)},
    ],
)
def test_cls_labels_of_another_form(tmp_path, content):
    with pytest.raises(DataError, match=r"labels\.npy"):
        read_label_table(_save(tmp_path / "labels.npy", content))


@pytest.mark.fault("a label table that is cut short", "one line")
def test_cls_labels_broken_or_missing(tmp_path):
    path = _save(tmp_path / "labels.npy", {2007000032: np.ones(20)})
    whole = path.read_bytes()
    for end in (0, 5, 60, len(whole) - 20):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="is refused"):
            read_label_table(path)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match="is refused"):
        read_label_table(tmp_path / "bare.npy")
    with pytest.raises(DataError, match="is missing"):
        read_label_table(tmp_path / "none.npy")


@pytest.mark.slow
@needs_photos
def test_real_cls_labels():
    table = read_label_table(VOC / "ImageSets" / "cls_labels.npy")
    assert len(table.rows) == 1_582 and table.columns == 20
    assert table.find("2007_000063") == (9, 12)  # chair, dog
