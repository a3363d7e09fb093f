"""VOC's annotations: objects, encodings, and each way they can be wrong."""

from pathlib import Path

import pytest

from wsgcn_jax.data.lists.voc_xml import read_voc_xml
from wsgcn_jax.types import DataError


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


@pytest.mark.fault(
    "an annotation with an unknown class",
    "one line; a broken one leaves out its photo",
)
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


@pytest.mark.fault(
    "XML that is no annotation, or an object without a name", "the photo is left out"
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html><body/></html>", r"a\.xml is no annotation of VOC's \(<html>\)"),
        ("<annotation><object>\n<box/></object></annotation>", "line 1: an object has no name"),
        ('<annotation><object name="cat"/></annotation>', "an object has no name"),
    ],
)
def test_xml_of_another_kind(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_voc_xml(tmp_path / "a.xml")


def test_no_object_is_no_class(tmp_path):
    assert read_voc_xml(_xml(tmp_path, "<size><width>3</width></size>")) == ()


@pytest.mark.fault("an annotation in {encoding}", "it is read")
@pytest.mark.parametrize("encoding", ["gb2312", "gbk", "windows-1252", "ISO-8859-1", "utf-16"])
def test_encodings(tmp_path, encoding):
    other = "\u732b" if encoding.startswith("gb") else "caf\u00e9"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<annotation><folder>{other}</folder>'
        "<object><name>cat</name></object></annotation>"
    )
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    assert read_voc_xml(path) == (8,)


def test_encoding_that_nobody_declared(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"<annotation><f>caf\xe9</f><object><name>cat</name></object></annotation>")
    assert read_voc_xml(path) == (8,)


@pytest.mark.fault(
    "an annotation with the encoding {encoding} and other bytes",
    "the photo is left out",
)
@pytest.mark.parametrize("encoding", ["nonsense", "unicode_escape", "rot13", "base64", "gb2312"])
def test_encodings_that_are_none(tmp_path, encoding):
    path = tmp_path / "a.xml"
    path.write_bytes(b'<?xml version="1.0" encoding="%s"?><a>\xff\xff</a>' % encoding.encode())
    with pytest.raises(DataError, match=r"annotation .*a\.xml is broken XML"):
        read_voc_xml(path)
