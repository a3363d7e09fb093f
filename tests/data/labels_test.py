"""Label files: what they say, and that they cannot do anything else."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from real_photos import VOC, needs_photos

from wsgcn_jax.data.labels import (
    PALETTE,
    VOC_CLASSES,
    read_cls_labels,
    read_csv_labels,
    read_voc_xml,
)
from wsgcn_jax.types import DataError


def test_voc_names_and_palette():
    assert len(VOC_CLASSES) == 21 and VOC_CLASSES[0] == "background"
    palette = PALETTE
    # Colours of the devkit's own documentation.
    assert palette[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette[8].tolist() == [64, 0, 0] and palette[15].tolist() == [192, 128, 128]
    assert palette[20].tolist() == [0, 64, 128] and palette[255].tolist() == [224, 224, 192]


def _save(path: Path, content: object) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def test_cls_labels_round_trip(tmp_path):
    rows = {2007000032: np.eye(20, dtype=np.float32)[3], 2011003276: np.ones(20, np.float32)}
    labels = read_cls_labels(_save(tmp_path / "labels.npy", rows))
    assert list(labels) == ["2007_000032", "2011_003276"]
    np.testing.assert_array_equal(labels["2007_000032"], rows[2007000032])


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
def test_cls_labels_of_either_numpy(tmp_path, package):
    path = _save(tmp_path / "labels.npy", {})
    header = path.read_bytes()[: path.read_bytes().index(b"\x80\x04")]
    content = np.array({2007000032: np.ones(20), 2007000033: np.float32(1) * np.ones(20)}, object)
    # Protocol 3 spells names without lengths, so that they can be replaced.
    data = pickle.dumps(content, protocol=3).replace(b"numpy._core", package)
    assert package in data
    path.write_bytes(header + data)
    assert read_cls_labels(path)["2007_000032"].sum() == 20


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


@pytest.mark.parametrize("attack", [_Touch, _System, _Eval])
def test_hostile_pickle_is_not_executed(tmp_path, attack):
    proof = tmp_path / "executed"
    path = _save(tmp_path / "labels.npy", {2007000032: attack(proof)})
    with pytest.raises(DataError, match=r"labels\.npy is refused"):
        read_cls_labels(path)
    assert not proof.exists()
    np.load(path, allow_pickle=True)  # the same file does execute elsewhere
    assert proof.exists()


def test_methods_of_allowed_names_are_refused(tmp_path):
    path = _save(tmp_path / "labels.npy", {})
    start = path.read_bytes().index(b"\x80")  # where the pickle begins
    for name in (b"ndarray.tofile", b"load"):
        code = b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name + b"\x93."
        path.write_bytes(path.read_bytes()[:start] + code)
        with pytest.raises(DataError, match=name.decode()):
            read_cls_labels(path)


@pytest.mark.parametrize(
    "content", [{}, {2007000032: np.ones((2, 2))}, {1: np.ones(2), 2: np.ones(3)}, [1, 2], {"a": 1}]
)
def test_cls_labels_of_another_form(tmp_path, content):
    with pytest.raises(DataError, match=r"labels\.npy"):
        read_cls_labels(_save(tmp_path / "labels.npy", content))


def test_cls_labels_broken_or_missing(tmp_path):
    path = _save(tmp_path / "labels.npy", {2007000032: np.ones(20)})
    whole = path.read_bytes()
    for end in (0, 5, 60, len(whole) - 20):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="is refused"):
            read_cls_labels(path)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match="is refused"):
        read_cls_labels(tmp_path / "bare.npy")
    with pytest.raises(DataError, match="is missing"):
        read_cls_labels(tmp_path / "none.npy")


@pytest.mark.slow
@needs_photos
def test_real_cls_labels():
    labels = read_cls_labels(VOC / "ImageSets" / "cls_labels.npy")
    assert len(labels) == 1_582
    assert {row.shape for row in labels.values()} == {(20,)}
    assert labels["2007_000063"].nonzero()[0].tolist() == [8, 11]  # chair, dog


def _csv(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("header", ["", "file,labels\n", "\ufeff", "\n\n"])
def test_csv(tmp_path, header):
    table = read_csv_labels(_csv(tmp_path, header + 'b.jpg,dog cat\n"a, b.jpg",cat\n\nc.jpg,\nd\n'))
    assert table.classes == ("background", "dog", "cat")
    assert table.files == ("b.jpg", "a, b.jpg", "c.jpg", "d")
    assert table.labels == ((1, 2), (2,), (), ())


def test_csv_of_known_classes(tmp_path):
    path = _csv(tmp_path, "a.jpg,cat dog dog\n")
    assert read_csv_labels(path, VOC_CLASSES).labels == ((8, 12),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no photo"),
        ("file,labels\n", "names no photo"),
        ("a.jpg,cat\nb.jpg,hrose\n", "labels.csv, line 2: unknown label 'hrose', .*'horse'"),
        ("a.jpg,cat\nb.jpg,cat\na.jpg,dog\n", "line 3: a.jpg is named twice .*line 1"),
        ("a.jpg,cat,dog\n", "line 1: expected"),
        (",cat\n", "line 1: expected"),
        ("a.jpg,background\n", "line 1: the label 'background'"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_csv_faults(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_csv_labels(_csv(tmp_path, text), VOC_CLASSES)


def _xml(tmp_path: Path, body: str, head: str = "") -> Path:
    path = tmp_path / "a.xml"
    path.write_text(f"{head}<annotation>\n{body}\n</annotation>")
    return path


def test_xml_names_all_objects_once(tmp_path):
    body = (
        "<name>x</name><object><name>dog</name><difficult>1</difficult></object>\n"
        "<object><name>person</name><part><name>head</name></part></object>"
        "<object><name>dog</name></object>"
    )
    assert read_voc_xml(_xml(tmp_path, body)) == (12, 15)


def test_xml_faults(tmp_path):
    with pytest.raises(DataError, match=r"a\.xml, line 2: unknown label 'dgo', .*'dog'"):
        read_voc_xml(_xml(tmp_path, "<object><name>dgo</name></object>"))
    with pytest.raises(DataError, match="broken XML"):
        read_voc_xml(_xml(tmp_path, "<object>"))
    bomb = '<!DOCTYPE a [<!ENTITY x "dog">]>'
    with pytest.raises(DataError, match="DTD"):
        read_voc_xml(_xml(tmp_path, "<object><name>&x;</name></object>", bomb))
    with pytest.raises(DataError, match="is missing"):
        read_voc_xml(tmp_path / "none.xml")
