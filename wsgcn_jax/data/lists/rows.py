"""What every form of a list is read into: rows of a photo and what it is labelled with."""

from typing import NamedTuple


class Row(NamedTuple):
    """A photo as a list names it.

    Attributes:
        file: the photo, as the list spells it.
        labels: names of classes, or, of a list that is not `exact`, fields that may hold several;
            None: the mask says which.
        line: where the list names it, from 1.
        mask: the file of its mask as the list spells it; None: the list names none.
        exact: whether its labels are names as they stand, though the list is not `exact`.
    """

    file: str
    labels: tuple[str, ...] | None
    line: int
    mask: str | None = None
    exact: bool = False


class Listed(NamedTuple):
    """A list as it is written, before files are looked for and names become ids.

    Attributes:
        form: what was recognised, in words.
        rows: the photos in order; the same one may come twice.
        exact: whether each label is one name as it stands; else `words` splits the fields.
        classes: the names that the form itself declares, without background; None: those that
            the rows name, in order of appearance.
        notes: what the reader of the log should know besides.
        blanks: whether `NaN`, `none` and their like stand for no label (`words.BLANK`).
    """

    form: str
    rows: tuple[Row, ...]
    exact: bool = False
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    blanks: bool = True
