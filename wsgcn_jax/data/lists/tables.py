"""Tables of text: a photo and its labels a row, one column a class, per-class lists, pairs."""

import os
import re
from pathlib import Path

from wsgcn_jax.data.lists.dialect import (
    FILE_WORDS,
    LABEL_WORDS,
    MASK_WORDS,
    Cells,
    Exists,
    plain_word,
    split_cells,
)
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.lists.text import read_list_text
from wsgcn_jax.types import DataError

_PRESENT = {"1": True, "1.0": True, "true": True, "yes": True, "x": True}
_ABSENT = {"0": False, "0.0": False, "-1": False, "false": False, "no": False, "": False}
_ONE_HOT = _PRESENT | _ABSENT
_WHOLE = re.compile(r"[-+]?\d+")
_NUMBERS = re.compile(r"[-+]?\d*\.?\d+(\s+[-+]?\d*\.?\d+)*")


def read_table(path: str | os.PathLike[str], exists: Exists) -> Listed:
    """Reads a list of text in whichever form it is.

    Args:
        path: the file.
        exists: whether a spelling names a photo that is there.

    Returns:
        The list.

    Raises:
        DataError: unreadable, malformed, or without photos.
    """
    text, notes = read_list_text(path)
    cells = split_cells(text, where=str(path), exists=exists)
    if not cells.rows:
        raise DataError(f"{path} names no photo; write one `file,label label ...` a line.")
    if cells.comments:
        notes = (*notes, f"{Path(path).name}: {cells.comments} lines of comment are passed over")
    listed = _recognised(cells, str(path))
    return listed._replace(notes=(*notes, *listed.notes))


def _recognised(cells: Cells, path: str) -> Listed:
    for line, row in cells.rows:
        if cells.file >= len(row) or not row[cells.file]:
            raise DataError(f"{path}, line {line}: expected `file,label label ...`, found {row}.")
    cells = _with_columns_of_numbers(cells)
    said = f"columns separated by {cells.delimiter}"
    if cells.header is not None:
        said += f", with the header {','.join(cells.header)}"
    if cells.header is not None and _is_one_hot(cells):
        return _one_hot(cells, said, path)
    if cells.header is None and _is_voc_list(cells):
        return voc_list(cells, Path(path))
    mask = _mask_column(cells)
    if mask is not None and all(len(row) <= 2 for _, row in cells.rows):
        rows = [
            Row(row[0], None if len(row) > 1 else (), line, row[1] if len(row) > 1 else None)
            for line, row in cells.rows
        ]
        return Listed(f"pairs of photo and mask, {said}", tuple(rows), exact=True)
    return _label_list(cells, mask, said, path)


def _with_columns_of_numbers(cells: Cells) -> Cells:
    """Of lines such as `a.jpg 1 0`, the numbers in columns of their own, as with commas."""
    rest = [row[1] for _, row in cells.rows if len(row) > 1]
    if cells.delimiter != "space" or not rest or not all(map(_NUMBERS.fullmatch, rest)):
        return cells
    rows = tuple((line, (row[0], *" ".join(row[1:]).split())) for line, row in cells.rows)
    header = cells.header and (cells.header[0], *" ".join(cells.header[1:]).split())
    return cells._replace(header=header, rows=rows)


def _label_list(cells: Cells, mask: int | None, said: str, path: str) -> Listed:
    """A photo a row; its labels in the columns that the header calls so, else in all others."""
    header = cells.header or ()
    wanted = [i for i, cell in enumerate(header) if plain_word(cell) in LABEL_WORDS]
    if header and not wanted:
        wanted = [i for i in _class_columns(cells) if i != mask]
        _refuse_numbers(cells, wanted, path)
        said += f", labels in {', '.join(header[i] for i in wanted)}"
    rows = []
    for line, row in cells.rows:
        beyond = range(len(header), len(row)) if header else ()
        columns = [*wanted, *beyond] or [i for i in range(len(row)) if i not in (cells.file, mask)]
        fields = tuple(row[i] for i in columns if i < len(row) and row[i])
        given = row[mask] if mask is not None and mask < len(row) else None
        rows.append(Row(row[cells.file], fields, line, given or None))
    if not cells.header and _is_nameless(cells):
        raise DataError(
            f"{path} is a table of 0 and 1 without class names; begin it with a header "
            "`file,cat,dog`."
        )
    return Listed(f"a photo and its labels a line, {said}", tuple(rows))


def _class_columns(cells: Cells) -> list[int]:
    """The columns of a header that may name classes: not the photos', nor a number of the row.

    Where only columns that files are called after are left, it is these.
    """
    header = cells.header or ()
    others = [i for i in range(len(header)) if i != cells.file and header[i]]
    return [i for i in others if plain_word(header[i]) not in FILE_WORDS] or others


def _refuse_numbers(cells: Cells, columns: list[int], path: str) -> None:
    """Refuses whole numbers among several columns that no word of the header calls labels."""
    header = cells.header or ()
    for i in columns if len(columns) > 1 else ():
        found = [row[i] for _, row in cells.rows if i < len(row) and row[i]]
        if found and all(map(_WHOLE.fullmatch, found)):
            raise DataError(
                f"{path}: the column {header[i]!r} holds the number {found[0]}; of a table with "
                "one column a class write 0 and 1 only, else call the column of labels `label`."
            )


def _is_one_hot(cells: Cells) -> bool:
    header = cells.header or ()
    columns = _class_columns(cells)
    if not columns or any(len(row) != len(header) for _, row in cells.rows):
        return False
    numbers = {row[i].lower() for _, row in cells.rows for i in columns}
    return (
        numbers <= set(_ONE_HOT)
        and any(number in _PRESENT for number in numbers)
        and not any(plain_word(header[i]) in LABEL_WORDS for i in columns)
    )


def _one_hot(cells: Cells, said: str, path: str) -> Listed:
    header = cells.header or ()
    columns = _class_columns(cells)
    names = [header[i] for i in columns if header[i].lower() != "background"]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: the header names a column twice.")
    rows = []
    for line, row in cells.rows:
        shown = [header[i] for i in columns if _ONE_HOT[row[i].lower()]]
        labels = tuple(name for name in shown if name in names)
        rows.append(Row(row[cells.file], labels, line))
    return Listed(f"one column a class, {said}", tuple(rows), exact=True, classes=tuple(names))


def _is_nameless(cells: Cells) -> bool:
    """Whether there are only zeros and ones where labels should be, in several columns."""
    found = {cell for _, row in cells.rows for cell in row[1:]}
    return found <= {"0", "1", "-1"} and {len(row) for _, row in cells.rows} - {1, 2} != set()


def _is_voc_list(cells: Cells, *, absent: bool = True) -> bool:
    """Whether all rows are `NAME -1`, 0 or 1; as `absent` asks, with a -1 among them."""
    if not all(len(row) == 2 for _, row in cells.rows):
        return False
    second = {row[1] for _, row in cells.rows}
    return second <= {"-1", "0", "1", "+1"} and ("-1" in second or not absent)


def voc_list(cells: Cells, path: Path) -> Listed:
    """Reads rows `NAME -1` of one class, whose name is that of the file: `cat_train.txt`.

    Args:
        cells: of the file.
        path: the file.

    Returns:
        The list; 0, an object that is hard to see, counts as present.
    """
    name = path.stem.rpartition("_")[0] or path.stem
    rows = tuple(Row(row[0], () if row[1] == "-1" else (name,), line) for line, row in cells.rows)
    return Listed(f"VOC's list of one class ({name})", rows, exact=True, classes=(name,))


def _mask_column(cells: Cells) -> int | None:
    """The column of masks: the header calls it so, or it is the second and holds PNG files."""
    for i, cell in enumerate(cells.header or ()):
        if i and plain_word(cell) in MASK_WORDS:
            return i
    seconds = [row[1] for _, row in cells.rows if len(row) > 1]
    if seconds and all(second.lower().endswith(".png") for second in seconds):
        return 1
    return None


def read_voc_lists(folder: Path, exists: Exists) -> Listed:
    """Reads a folder of VOC's per-class lists, `cat_train.txt` beside `dog_train.txt`.

    Args:
        folder: `ImageSets/Main`, for example.
        exists: whether a spelling names a photo that is there.

    Returns:
        The photos of all lists; the classes are sorted by name.

    Raises:
        DataError: there is no such list.
    """
    rows: dict[str, set[str]] = {}
    classes = set()
    for path in sorted(folder.glob("*_*.txt")):
        cells = split_cells(read_list_text(path)[0], where=str(path), exists=exists)
        if cells.rows and _is_voc_list(cells, absent=False):
            listed = voc_list(cells, path)
            classes |= set(listed.classes or ())
            for row in listed.rows:
                rows.setdefault(row.file, set()).update(row.labels or ())
    if not rows:
        raise DataError(
            f"{folder} is neither the photo folder nor one of VOC's lists (CLASS_SPLIT.txt of "
            "`NAME -1`); give a list of labels."
        )
    found = (Row(f, tuple(sorted(names)), i) for i, (f, names) in enumerate(rows.items(), start=1))
    form = f"VOC's lists of {len(classes)} classes"
    return Listed(form, tuple(found), exact=True, classes=tuple(sorted(classes)))
