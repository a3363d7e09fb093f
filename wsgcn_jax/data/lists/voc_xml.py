"""VOC's annotations, one XML file a photo; what has a DTD is refused, so that nothing unfolds."""

import os
from pathlib import Path
from typing import Any
from xml.parsers import expat

from wsgcn_jax.data.files import read_bytes, unknown_name
from wsgcn_jax.data.labels import BACKGROUND, VOC_CLASSES
from wsgcn_jax.data.lists.text import decode_xml
from wsgcn_jax.types import DataError

_MAX_BYTES = 2**24


def read_voc_xml(
    path: str | os.PathLike[str], classes: tuple[str, ...] = VOC_CLASSES
) -> tuple[int, ...]:
    """Reads which classes a VOC annotation names, difficult and truncated objects included.

    Args:
        path: `Annotations/NAME.xml`.
        classes: the class names there are, "background" first.

    Returns:
        The class ids, ascending; none where the annotation names no object.

    Raises:
        DataError: missing, no XML, or a DTD in it.
        UnknownNameError: a name that is no class.
    """
    ids = set()
    for name, line in _object_names(Path(path)):
        if name not in classes or name == BACKGROUND:
            where = f"{path}, line {line}"
            raise unknown_name(name, classes[1:], what="label", where=where)
        ids.add(classes.index(name))
    return tuple(sorted(ids))


def _object_names(path: Path) -> list[tuple[str, int]]:
    """The names of an annotation's objects, and the lines they are on."""
    data = read_bytes(path, what="annotation", most=_MAX_BYTES)
    opened: list[str] = []
    found: list[tuple[str, int]] = []
    nameless: list[int] = []
    parser = expat.ParserCreate()

    def start(tag: str, _: dict[str, str]) -> None:
        opened.append(tag)
        if opened[0] != "annotation":
            raise DataError(f"{path} is no annotation of VOC's (<{opened[0][:40]}>); replace it.")
        if opened[-1] == "object":
            nameless.append(parser.CurrentLineNumber)
        if opened[-2:] == ["object", "name"] and nameless:
            nameless.pop()
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
        parser.Parse(decode_xml(data), True)
    except DataError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise DataError(f"annotation {path} is broken XML ({error}); replace it.") from error
    if nameless:
        raise DataError(f"{path}, line {nameless[0]}: an object has no name; correct it.")
    return [(" ".join(word.split()), line) for word, line in found]
