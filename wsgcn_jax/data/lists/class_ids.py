"""Rows of names into class ids: what is joined, what is refused, which names are alike."""

import difflib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import NamedTuple

from wsgcn_jax.data.class_list import name_fault, plain_name
from wsgcn_jax.data.files import unknown_name
from wsgcn_jax.data.labels import BACKGROUND, COCO_CLASSES, VOC_CLASSES
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.lists.words import BLANK, decimal, parts_of, split_labels
from wsgcn_jax.types import DataError

KNOWN = frozenset((*VOC_CLASSES, *COCO_CLASSES))
"""Names that stay whole where none are given, and that are no misspellings of each other."""

_MOST_CLASSES = 254
_MOST_CHARACTERS = 100  # of a class's name
_ALIKE = 0.8  # of difflib's ratio
_SHOWN = 5  # names in a note


class Labelled(NamedTuple):
    """A list whose labels are names of classes.

    Attributes:
        classes: class names, "background" first.
        rows: the photos in order, each once; labels are names.
        notes: what was recognised, and what a reader should look at.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def name_classes(listed: Listed, given: tuple[str, ...] | None, *, where: str) -> Labelled:
    """Tells the names of a list apart and says which classes there are.

    Args:
        listed: the list.
        given: the class names there are, "background" first; None: those of the list.
        where: the file, to say in errors.

    Returns:
        The list; of a photo that it names several times the labels are joined.

    Raises:
        DataError: a name that cannot be one, too many, or a photo both with and without labels.
        UnknownNameError: a label that is not in `given`.
    """
    name = PurePath(where).name
    notes = [f"{name}: {listed.form}", *listed.notes]
    rows = list(listed.rows)
    known = KNOWN if given is None else frozenset(given)
    blank = BLANK - {one.casefold() for one in given or ()} if listed.blanks else frozenset()
    if not listed.exact:
        rows, rule = _split(rows, known, blank, where)
        notes += [f"{name}: {rule}"] if rule else []
    rows = [_with_plain_names(row) for row in rows]
    rows = [row._replace(labels=()) if _is_blank(row.labels, blank) else row for row in rows]
    if said := _blanks(listed, rows, blank):
        notes.append(f"{name}: {said}")
    if listed.classes is not None:
        used = {label for row in rows for label in row.labels or ()}
        declared = dict.fromkeys(map(plain_name, listed.classes))
        kept = tuple(one for one in declared if one in used or one.casefold() not in blank)
        listed = listed._replace(classes=kept)
    rows, joined = _joined(rows, where)
    notes += joined
    classes = given if given is not None else (BACKGROUND, *(listed.classes or _in_order(rows)))
    _check(rows, classes, where)
    if given is None and listed.classes is None and (alike := alike_names(classes[1:])):
        notes.append(f"{name}: warning: {alike}")
    return Labelled(classes, tuple(rows), tuple(notes))


def _split(
    rows: Sequence[Row], known: frozenset[str], blank: frozenset[str], where: str
) -> tuple[list[Row], str | None]:
    """Rows whose texts are names, those that are exact as they are; and what a space means.

    Raises:
        DataError: a text is a number.
    """
    exact = [row.labels or () for row in rows if row.exact]
    texts = [row for row in rows if not row.exact]
    names, rule = split_labels(
        [row.labels or () for row in texts],
        known.union(*exact),
        blank=blank,
        separated=any(len(labels) > 1 for labels in exact),
    )
    for row, found in zip(texts, names, strict=True):
        for one in found:
            if one not in known and (number := decimal(one)):
                raise DataError(
                    f"{where}, line {row.line}: {number} is a number, not a label; write the "
                    "names of classes only."
                )
    each = iter(names)
    return [row if row.exact else row._replace(labels=next(each)) for row in rows], rule


def _is_blank(labels: Sequence[str] | None, blank: frozenset[str]) -> bool:
    return labels is not None and len(labels) == 1 and labels[0].casefold() in blank


def _blanks(listed: Listed, rows: Sequence[Row], blank: frozenset[str]) -> str | None:
    """Says which words of a list stand for no label; None where none does."""
    found: Counter[str] = Counter()
    for before, after in zip(listed.rows, rows, strict=True):
        words = list(before.labels or ())
        if not (listed.exact or before.exact):
            words = [part for field in words for part in parts_of(field)]
        kept = after.labels or ()
        found.update({word for word in words if word.casefold() in blank and word not in kept})
    if not found:
        return None
    counts = ", ".join(f"{word} ({count})" for word, count in found.items())
    return f"no label is meant by {counts}; where it is one, name all classes (data.classes)"


def _with_plain_names(row: Row) -> Row:
    if row.labels is None:
        return row
    return row._replace(labels=tuple(dict.fromkeys(map(plain_name, row.labels))))


def _in_order(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.labels or ()))


def _joined(rows: Sequence[Row], where: str) -> tuple[list[Row], list[str]]:
    """Each photo once, with the labels of all its rows."""
    found: dict[str, Row] = {}
    twice: dict[str, None] = {}
    for row in rows:
        before = found.setdefault(row.file, row)
        if before is row:
            continue
        if bool(before.labels) != bool(row.labels):
            raise DataError(
                f"{where}, line {row.line}: {row.file} has labels on one line and none on the "
                f"other (first on line {before.line}); correct one."
            )
        twice[row.file] = None
        labels = tuple(dict.fromkeys((*(before.labels or ()), *(row.labels or ()))))
        joined = None if before.labels is None else labels
        found[row.file] = before._replace(labels=joined, mask=before.mask or row.mask)
    note = f"{PurePath(where).name}: {_some(twice)} on several lines, whose labels are joined"
    return list(found.values()), [note] if twice else []


def _some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _check(rows: Sequence[Row], classes: tuple[str, ...], where: str) -> None:
    names = classes[1:]
    if len(names) > _MOST_CLASSES:
        raise DataError(
            f"{where}: more than {_MOST_CLASSES} labels ({len(names)}); a mask has no room for "
            f"{names[_MOST_CLASSES]!r}."
        )
    lines = {name: row.line for row in reversed(rows) for name in row.labels or ()}
    for name in names:
        if fault := name_fault(name):
            at = f"{where}, line {lines[name]}" if name in lines else where
            shown = repr(name[:_MOST_CHARACTERS])
            raise DataError(f"{at}: the label {shown} is no name of a class: {fault}.")
    for row in rows:
        for name in row.labels or ():
            at = f"{where}, line {row.line}"
            if name == BACKGROUND:
                raise DataError(f"{at}: the label 'background' is implied; remove it.")
            if name not in names:
                raise unknown_name(name, names, what="label", where=at)


def alike_names(names: Sequence[str]) -> str | None:
    """Says which names may be one class, spelt in several ways.

    Args:
        names: of the classes.

    Returns:
        A line, or None where all differ. Names of VOC and COCO are not alike, nor are names that
        differ only in their numbers.
    """
    groups: list[list[str]] = []
    for name in names:
        near = [group for group in groups if any(_alike(name, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(one for group in near for one in group), name])
    said = [", ".join(map(repr, group)) for group in groups if len(group) > 1]
    if not said:
        return None
    return f"the labels {'; '.join(said)} are alike; correct the list if they are one class"


def _alike(one: str, other: str) -> bool:
    plain, others = _letters(one), _letters(other)
    if not plain or not others:
        return False
    if plain == others:
        return _digits(one) == _digits(other)
    if {one, other} <= KNOWN or _digits(one) != _digits(other):
        return False
    match = difflib.SequenceMatcher(None, plain, others, autojunk=False)
    return match.quick_ratio() >= _ALIKE and match.ratio() >= _ALIKE


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalpha())


def _digits(name: str) -> str:
    return "".join(c for c in name if c.isdigit())
