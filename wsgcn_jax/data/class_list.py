"""The class list beside masks: `classes.json`, so that a number in a mask keeps its name."""

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence

from etils.epath import Path, PathLike

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.data.labels import BACKGROUND, PALETTE, VOC_CLASSES
from wsgcn_jax.types import IGNORE, DataError, hidden_character

CLASS_LIST = "classes.json"

_MOST_CHARACTERS = 100  # of a class's name
_EMPTY = "\u115f\u1160\u3164\uffa0\u2800"  # letters and a picture of which nothing is seen


def write_classes(folder: PathLike, classes: Sequence[str]) -> None:
    """Writes the list of a folder of masks.

    Args:
        folder: of the masks.
        classes: names in the order of their ids, background first.
    """
    content = {"classes": list(classes), "palette": PALETTE[: len(classes)].tolist()}
    write_atomic(Path(folder) / CLASS_LIST, json.dumps(content).encode())


def read_classes(folder: PathLike) -> tuple[str, ...] | None:
    """Reads the list of a folder of masks; None where there is none.

    Raises:
        DataError: it is damaged.
    """
    path = Path(folder) / CLASS_LIST
    if not path.exists():
        return None
    return _read_list(path)


def _read_list(path: Path) -> tuple[str, ...]:
    """Reads a `classes.json`."""
    try:
        names = json.loads(read_text(path, what="class list"))["classes"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("classes is no list of names")
        if not names or not is_background(names[0]):
            raise ValueError("its first class is not background")
        return class_names(names, where="classes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it or write it again.") from error


def plain_name(name: str) -> str:
    """A class's name with single spaces, and each accented letter as one character (NFC)."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def class_names(given: Iterable[object], *, where: str) -> tuple[str, ...]:
    """Checks the names of all classes, in the order of their ids.

    Args:
        given: names of objects; background, which comes first of itself, may be the first.
        where: they come from, to say in the error.

    Returns:
        `plain_name` of each, background first.

    Raises:
        DataError: one is no name, or background or another one is given twice; too many or none.
    """
    names = []
    for name in given:
        shown = f"{where}: {name!r:.{_MOST_CHARACTERS}} is no name of a class"
        if not isinstance(name, str):
            raise DataError(f"{shown}: it is no text; write it in quotes.")
        if fault := name_fault(plain_name(name)):
            raise DataError(f"{shown}: {fault}.")
        names.append(plain_name(name))
    if not names or not is_background(names[0]):
        names = [BACKGROUND, *names]
    names[0] = BACKGROUND
    known = [BACKGROUND if is_background(name) else name for name in names]
    if len(set(known)) != len(names) or not 2 <= len(names) <= IGNORE:
        raise DataError(
            f"{where}: give 1 to {IGNORE - 1} different names of objects; background "
            "comes first of itself, and nowhere else."
        )
    return tuple(names)


def is_background(name: str) -> bool:
    """Whether a name is one of background: in any case, `_background_` too."""
    return name.strip("_").lower() == BACKGROUND


def name_fault(name: str) -> str | None:
    """Says why a text can be no name of a class, and what to do; None where it can be one.

    It is at most 100 characters that can be printed (`hidden_character`), a letter, a digit or a
    picture among them.
    """
    hidden = hidden_character(name)
    if hidden is not None:
        return f"it holds the invisible character U+{ord(hidden):04X}; remove it"
    signs = {unicodedata.category(character) for character in name if character not in _EMPTY}
    if not any(sign[0] in "LN" or sign == "So" for sign in signs):
        return "it has no letter, digit or picture; write a word"
    if len(name) > _MOST_CHARACTERS:
        return f"it has {len(name)} characters, more than {_MOST_CHARACTERS}; shorten it"
    return None


def parse_classes(given: str) -> tuple[str, ...]:
    """Reads the class names of a command line; background comes first, named or not.

    Args:
        given: a file with one name a line, a `classes.json`, names with commas between, or `voc`.

    Returns:
        Names in the order of their ids, background first.

    Raises:
        DataError: a name is given twice, there are too few or too many, or a file is missing.
    """
    if given.strip() == "voc":
        return VOC_CLASSES
    is_file = os.path.isfile(given)  # never an error, however long the names
    if is_file and given.endswith(".json"):
        return _read_list(Path(given))
    if not is_file and "," not in given and given.endswith((".txt", ".json", ".csv")):
        raise DataError(f"classes {given}: there is no such file; correct the path.")
    lines = read_text(given, what="class list").splitlines() if is_file else None
    found = given.split(",") if lines is None else lines
    named = [name for name in found if name.strip()]
    return class_names(named, where=f"classes {given:.{_MOST_CHARACTERS}}")


def check_classes(folder: PathLike, classes: Sequence[str]) -> None:
    """Refuses a folder of masks whose list names other classes; without a list it is taken.

    Args:
        folder: of the masks.
        classes: the names that its numbers are going to have, background first.

    Raises:
        DataError: the list is damaged or another one.
    """
    found = read_classes(folder)
    if found is None or found == tuple(classes):
        return
    pairs = enumerate(zip((*found, "nothing"), (*classes, "nothing"), strict=False))
    at, (there, here) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    raise DataError(
        f"{Path(folder) / CLASS_LIST} names {len(found)} classes, but here are {len(classes)} "
        f"(class {at} is {there!r} there and {here!r} here); give the same list."
    )
