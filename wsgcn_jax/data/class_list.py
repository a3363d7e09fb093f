"""The class list beside masks: `classes.json`, so that a number in a mask keeps its name."""

import json
import os
from collections.abc import Sequence

from etils.epath import Path, PathLike

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.data.labels import BACKGROUND, PALETTE, VOC_CLASSES
from wsgcn_jax.types import IGNORE, DataError

CLASS_LIST = "classes.json"


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
        if len(set(names)) != len(names) or not 2 <= len(names) <= IGNORE:
            raise ValueError(f"it must hold 2 to {IGNORE} different names")
        return tuple(names)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it or write it again.") from error


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
    names = [name.strip() for name in (given.split(",") if lines is None else lines)]
    names = [name for name in names if name]
    if not names or names[0].strip("_").lower() != BACKGROUND:
        names = [BACKGROUND, *names]
    names[0] = BACKGROUND
    if len(set(names)) != len(names) or not 2 <= len(names) <= IGNORE:
        raise DataError(
            f"classes {given}: give 1 to {IGNORE - 1} different names of objects; background "
            "comes first of itself, and nowhere else."
        )
    return tuple(names)


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
