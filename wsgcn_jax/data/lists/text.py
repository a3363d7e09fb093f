"""The text of a file whose encoding nobody wrote down."""

import codecs
import os
import re
from pathlib import Path

from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.types import DataError

MAX_BYTES = 2**26
"""Of a list of text: a million rows and more."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python's codecs that stand for a character set; others ("unicode_escape") compute.
_CHARACTER_SETS = re.compile(
    r"(utf|gb|hz|big5|euc|shift|sjis|iso|latin|windows|cp|koi8|mac|us|ascii|tis)[\w.-]*", re.I
)
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})["']""")


def read_list_text(path: str | os.PathLike[str]) -> tuple[str, tuple[str, ...]]:
    """Reads a list: UTF-8, UTF-16 with or without its mark, else Windows-1252.

    Args:
        path: the file.

    Returns:
        Its text, with "\\n" at the ends of lines, and a note where the encoding is not UTF-8.

    Raises:
        DataError: the file is missing, unreadable, too large, or no text.
    """
    data = read_bytes(Path(path), what="labels file", most=MAX_BYTES)
    encoding = _encoding(data)
    fault = f"labels file {path} is no text, not UTF-8 nor UTF-16; save it as UTF-8."
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(fault) from error
        encoding = "cp1252"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as other:
            raise DataError(fault) from other
    if "\x00" in text:
        raise DataError(fault)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = encoding.startswith("utf-8")
    return text, () if plain else (f"{Path(path).name} is read as {encoding}, not as UTF-8",)


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    # Of text in UTF-16, every other byte of most lines is 0.
    start = data[:400]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(start) >= 4 and start[first::2].count(0) > len(start) // 4:
            return encoding
    return "utf-8"


def decode_xml(data: bytes) -> str | bytes:
    """Decodes XML in a character set that the parser does not know (GB2312, Windows-1252 ...).

    Args:
        data: the file.

    Returns:
        Its text; the bytes as they are where the parser knows best, and XML that declares no
        encoding and is not UTF-8 as Latin-1.

    Raises:
        LookupError: the declared encoding is none.
        UnicodeError: the file is not in the encoding that it declares.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data
    declared = _DECLARED.match(data.removeprefix(codecs.BOM_UTF8)[:400])
    if declared is None:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")
        return data
    name = declared[1].decode("ascii")
    if not _CHARACTER_SETS.fullmatch(name):
        raise LookupError(f"unknown encoding {name}")
    if name.lower() in ("gb2312", "gbk"):
        name = "gb18030"  # what both grew into
    return data if name.lower().startswith("utf-16") else data.decode(name)
