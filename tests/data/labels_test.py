"""Label files: what they say, and that they cannot do anything else."""

from pathlib import Path

import pytest

from wsgcn_jax.data.labels import (
    PALETTE,
    VOC_CLASSES,
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
