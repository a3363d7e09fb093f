"""Names, colours and image-level label files: CSV, VOC's XML (tables as npy: `label_table`).

Nothing in a label file is executed: XML with a DTD is refused.
"""

import csv
import io
import os
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

import numpy as np

from wsgcn_jax.data.files import read_bytes, read_text, unknown_name
from wsgcn_jax.types import DataError

BACKGROUND = "background"

VOC_CLASSES = (
    BACKGROUND,
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

_CSV_HEADERS = ("file", "files", "filename", "image", "images", "photo", "name")


class CsvLabels(NamedTuple):
    """What a `file,label label ...` list says.

    Attributes:
        classes: class names, "background" first.
        files: the files in order.
        labels: per file the class ids, ascending; empty where the row names none.
        lines: per file its line number.
    """

    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    lines: tuple[int, ...]


def _voc_palette() -> np.ndarray:
    """The colours of VOC's masks, by its bit rule.

    The three lowest bits of an index are the highest bits of red, green and blue, the next
    three the next highest, and so on.

    Returns:
        `[256, 3] u8`.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        for bit in range(3):
            value = (index >> (3 * bit + channel)) & 1
            palette[:, channel] |= (value << (7 - bit)).astype(np.uint8)
    return palette


PALETTE = _voc_palette()
"""The colours of masks, `[256, 3] u8`."""
PALETTE.flags.writeable = False


def read_csv_labels(
    path: str | os.PathLike[str], classes: tuple[str, ...] | None = None
) -> CsvLabels:
    """Reads a list `file,label label ...`, one photo a line, with or without a header.

    Args:
        path: the file.
        classes: the class names there are, "background" first; None: those of the list, in
            order of appearance.

    Returns:
        Files, labels and class names.

    Raises:
        DataError: unreadable, malformed, empty, or a file named twice.
        UnknownNameError: a label that is no class.
    """
    path = Path(path)
    rows = csv.reader(io.StringIO(read_text(path, what="labels file")))
    names = list(classes) if classes is not None else [BACKGROUND]
    files: dict[str, tuple[int, tuple[int, ...]]] = {}
    first = True
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            is_header, first = first and cells[:1] != [] and cells[0].lower() in _CSV_HEADERS, False
            if is_header or not any(cells):
                continue
            where = f"{path}, line {rows.line_num}"
            if len(cells) > 2 or not cells[0]:
                raise DataError(f"{where}: expected `file,label label ...`, found {row}.")
            if cells[0] in files:
                raise DataError(
                    f"{where}: {cells[0]} is named twice (first on line {files[cells[0]][0]}); "
                    "put all its labels on one line."
                )
            words = cells[1].split() if len(cells) == 2 else []
            ids = {_class_id(word, names, classes is None, where) for word in words}
            files[cells[0]] = (rows.line_num, tuple(sorted(ids)))
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: not a CSV file ({error}).") from error
    if not files:
        raise DataError(f"{path} names no photo; write one `file,label label ...` a line.")
    lines, labels = zip(*files.values(), strict=True)
    return CsvLabels(tuple(names), tuple(files), labels, lines)


def _class_id(word: str, names: list[str], may_grow: bool, where: str) -> int:
    """The id of a label; a new one is added to `names` when it may grow."""
    if word == BACKGROUND:
        raise DataError(f"{where}: the label 'background' is implied; remove it.")
    if word not in names:
        if not may_grow:
            raise unknown_name(word, names[1:], what="label", where=where)
        if len(names) == 255:
            raise DataError(f"{where}: more than 254 labels; a mask has no room for {word!r}.")
        names.append(word)
    return names.index(word)


def read_voc_xml(
    path: str | os.PathLike[str], classes: tuple[str, ...] = VOC_CLASSES
) -> tuple[int, ...]:
    """Reads which classes a VOC annotation names, difficult and truncated objects included.

    Args:
        path: `Annotations/NAME.xml`.
        classes: the class names there are, "background" first.

    Returns:
        The class ids, ascending.

    Raises:
        DataError: missing, no XML, or a DTD in it.
        UnknownNameError: a name that is no class.
    """
    path = Path(path)
    data = read_bytes(path, what="annotation")
    opened: list[str] = []
    found: list[tuple[str, int]] = []
    parser = expat.ParserCreate()

    def start(tag: str, _: dict[str, str]) -> None:
        opened.append(tag)
        if opened[-2:] == ["object", "name"]:
            found.append(("", parser.CurrentLineNumber))

    def end(_: str) -> None:
        opened.pop()

    def characters(data: str) -> None:
        # Parts of an object have names of their own (annotation/object/part/name): not classes.
        if opened[-2:] == ["object", "name"]:
            found[-1] = (found[-1][0] + data, found[-1][1])

    def refuse(*_: Any) -> None:
        raise DataError(f"annotation {path} has a DTD, which is refused; remove it.")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, UnicodeError) as error:
        raise DataError(f"annotation {path} is broken XML ({error}); replace it.") from error
    ids = set()
    for word, line in found:
        ids.add(_class_id(word.strip(), list(classes), False, f"{path}, line {line}"))
    return tuple(sorted(ids))
