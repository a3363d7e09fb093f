"""Lines of text into cells: which character separates columns, and whether a header is first."""

import csv
import io
import re
from collections.abc import Callable
from typing import NamedTuple

from wsgcn_jax.data.photos import SUFFIXES
from wsgcn_jax.types import DataError

Exists = Callable[[str], bool]
"""Whether a list's spelling of a photo names one that is there."""

FILE_WORDS = frozenset(
    (
        *("file", "files", "filename", "filepath", "image", "images", "imagename", "imagepath"),
        *("imageid", "img", "imgpath", "photo", "photos", "name", "path", "id"),
    )
)
LABEL_WORDS = frozenset(
    (
        *("label", "labels", "class", "classes", "classname", "category", "categories"),
        *("tag", "tags", "target"),
    )
)
MASK_WORDS = frozenset(("mask", "masks", "maskpath", "segmentation"))
"""Words of a header: of the column of photos, of labels, of masks, as `plain_word` gives them."""

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_PHOTO = re.compile(rf"(?i)^(.+?(?:{'|'.join(re.escape(s) for s in SUFFIXES)}))(?:\s+(.*))?$")
_HINT = re.compile(r"(?i)sep=(.)(?=\n)")  # Excel's first line
_QUOTED = re.compile(r'"[^"]*"')


class Cells(NamedTuple):
    """A list cut into cells.

    Attributes:
        delimiter: what separates columns, in words.
        header: the cells of the header; None: there is none.
        file: the column of the photos.
        rows: line number and cells of each row; no row is empty.
        comments: number of lines that were passed over.
    """

    delimiter: str
    header: tuple[str, ...] | None
    file: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    comments: int


def is_photo(name: str) -> bool:
    """Whether a name ends as those of photos do."""
    return name.lower().endswith(SUFFIXES)


def plain_word(cell: str) -> str:
    """A header's word without case, underscores and numbers: `Image_Path2` is `imagepath`."""
    return re.sub(r"[\W\d_]+", "", cell.casefold())


def split_cells(text: str, *, where: str, exists: Exists) -> Cells:
    """Cuts a list into cells.

    Args:
        text: of the list.
        where: the file, to say in errors.
        exists: tells a header from a row.

    Returns:
        The cells, stripped. A line that begins with # and names no photo is a comment.

    Raises:
        DataError: it cannot be cut into cells.
    """
    hint = _HINT.match(text)
    text = text[hint.end() :] if hint else text
    delimiter = hint[1] if hint and hint[1] in _DELIMITERS else _delimiter(text)
    rows, comments = [], 0
    for line, cells in _cells(text, delimiter, where):
        if not any(cells):
            continue
        if cells[0].startswith("#") and not (is_photo(cells[0]) or exists(cells[0])):
            comments += 1
            continue
        rows.append((line, cells))
    header = None
    file = _file_column([cells for _, cells in rows])
    if rows and _is_header([cells for _, cells in rows], file, exists):
        header = rows.pop(0)[1]
    return Cells(_DELIMITERS[delimiter], header, file, tuple(rows), comments)


def _file_column(rows: list[tuple[str, ...]]) -> int:
    """The column that holds most names of photos; without any such name, the first."""
    width = max((len(cells) for cells in rows), default=1)
    counts = [sum(is_photo(cells[i]) for cells in rows if i < len(cells)) for i in range(width)]
    return counts.index(max(counts))


def _delimiter(text: str) -> str:
    """The character behind the photo's name in most lines, else the one in most lines."""
    blank = str.maketrans(dict.fromkeys(_DELIMITERS, "_"))
    lines = [
        _QUOTED.sub(lambda quoted: quoted[0].strip('"').translate(blank), line).strip(" ")
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]

    def fitness(delimiter: str) -> tuple[int, int, int]:
        firsts = [line.split(delimiter, 1)[0] for line in lines if delimiter in line]
        # Of two that are in all lines, the one that comes first.
        return sum(map(is_photo, map(str.strip, firsts))), len(firsts), -sum(map(len, firsts))

    return max(_DELIMITERS, key=fitness)


def _cells(text: str, delimiter: str, where: str) -> list[tuple[int, tuple[str, ...]]]:
    if delimiter == " ":
        return [(n, _words(line)) for n, line in enumerate(text.splitlines(), start=1)]
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    found, line = [], 1
    try:
        for row in reader:
            if any("\n" in cell for cell in row):
                raise DataError(f'{where}, line {line}: a " is not closed on its line; close it.')
            line = reader.line_num + 1
            found.append((reader.line_num, tuple(cell.strip() for cell in row)))
        return found
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not a CSV file ({error}).") from error


def _words(line: str) -> tuple[str, ...]:
    """Of `my photo.jpg traffic light`: the photo, and the rest as one field."""
    photo = _PHOTO.match(line.strip())
    first, _, rest = line.strip().partition(" ")
    cells = (photo[1], photo[2] or "") if photo else (first, rest.strip())
    return cells if cells[1] else cells[:1]


def _is_header(rows: list[tuple[str, ...]], file: int, exists: Exists) -> bool:
    """Whether the first row names columns.

    Its file is not there, and either its word is that of a column of files, or it is no photo's
    name while others are, and none of its words is a label elsewhere.
    """
    first, others = rows[0], rows[1:]
    name = first[file] if file < len(first) else ""
    if not name or is_photo(name) or exists(name):
        return False
    if plain_word(name) in FILE_WORDS:
        return True
    labels = {cell for row in others for i, cell in enumerate(row) if i != file}
    files = [row[file] for row in others if file < len(row)]
    photos = any(is_photo(one) or exists(one) for one in files)
    return photos and all(first) and not labels & set(first)
