"""The rule by which a row's labels are told apart.

1. `,`, `;`, `|` and columns of their own always separate labels (`a.jpg,"cat,dog"`).
2. What is the name of a class stays whole (`traffic light`): of a class in `classes` where they
   are given, else of VOC's and COCO's classes; the longest name first.
3. A field all of whose words are such names, or labels of their own elsewhere in the list, is
   split at its spaces (`cat dog`).
4. Of what is left a space is part of a name if the list uses separators of 1 anywhere, or if no
   word of these fields occurs in another field (`red fox`, `blue whale`: two names); else spaces
   separate labels.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

SEPARATORS = re.compile(r"[,;|]")
"""What always separates labels."""

BLANK = frozenset(("#n/a", "<na>", "n/a", "na", "nan", "none", "null"))
"""What programs write where there is no label, without regard to case."""

_DECIMAL = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")
_AROUND = " \t[](){}'\""  # of a list as programs print it: ['cat', 'dog']


def split_labels(
    rows: Sequence[Sequence[str]],
    known: Collection[str],
    *,
    blank: Collection[str] = (),
    separated: bool = False,
) -> tuple[list[tuple[str, ...]], str | None]:
    """Splits the label fields of all rows of a list.

    Args:
        rows: the fields of each row.
        known: names that stay whole.
        blank: words in lower case that are no labels where they stand alone between separators.
        separated: whether the list has labels elsewhere that separators of 1 tell apart.

    Returns:
        The names of each row without doubles, in order; and in words what a space means where
        there are fields that have one.
    """
    fields = [[part for field in row for part in parts_of(field)] for row in rows]
    pairs = zip(fields, rows, strict=True)
    separated |= any(len(parts) > 1 or len(row) > 1 for parts, row in pairs)
    distinct = Counter(part for parts in fields for part in dict.fromkeys(parts))
    blanks = {part for part in distinct if part.casefold() in blank}
    alone = {part for part in distinct if " " not in part} - blanks
    cut = {part: () if part in blanks else _runs(part.split(), known, alone) for part in distinct}
    unsolved = [part for part, names in cut.items() if names is None]
    spaces = not separated and _share_words(unsolved, distinct)
    for part in unsolved:
        cut[part] = tuple(part.split()) if spaces else (part,)
    named = [tuple(dict.fromkeys(n for part in parts for n in cut[part] or ())) for parts in fields]
    return named, _rule(cut)


def decimal(name: str) -> str | None:
    """The first decimal number of a name that is made of numbers, or ends in several; else None.

    A single one behind a word is part of its name: `Tesla 2.0`.
    """
    words = name.split()
    found = [word for word in words if _DECIMAL.fullmatch(word)]
    numbers = len(found) > 1 or all(map(_NUMBER.fullmatch, words))
    return found[0] if found and numbers else None


def parts_of(field: str) -> list[str]:
    """Fields between separators, with single spaces between words."""
    pieces = (" ".join(p.strip(_AROUND).split()) for p in SEPARATORS.split(field))
    return [piece for piece in pieces if piece]


def _runs(
    words: list[str], known: Collection[str], alone: Collection[str]
) -> tuple[str, ...] | None:
    """Cuts words into names, the longest first; None where some word is in no name."""
    found: list[str] = []
    start = 0
    if len(words) == 1:
        return tuple(words)
    while start < len(words):
        for end in range(len(words), start, -1):
            name = " ".join(words[start:end])
            if name in known or (end == start + 1 and name in alone):
                found.append(name)
                start = end
                break
        else:
            return None
    return tuple(found)


def _share_words(unsolved: Iterable[str], distinct: Iterable[str]) -> bool:
    """Whether a word of a field that is not solved occurs in another field."""
    count = Counter(word for field in distinct for word in set(field.split()))
    return any(count[word] > 1 for field in unsolved for word in field.split())


def _rule(cut: dict[str, tuple[str, ...] | None]) -> str | None:
    split = [field for field, names in cut.items() if names and len(names) > 1]
    whole = [field for field, names in cut.items() if names == (field,) and " " in field]
    said = []
    if split:
        said.append(f"{split[0]!r} is {len(cut[split[0]] or ())} labels")
    if whole:
        said.append(f"{whole[0]!r} is one name (write ; between labels to separate them)")
    return ", ".join(said) or None
