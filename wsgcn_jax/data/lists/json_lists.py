"""JSON and JSON lines: `{"file": "a.jpg", "labels": ["cat", "dog"]}`, or `{"a.jpg": ["cat"]}`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.data.lists.dialect import FILE_WORDS, LABEL_WORDS, MASK_WORDS, plain_word
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.lists.text import read_list_text
from wsgcn_jax.types import DataError

MAX_BYTES = 2**30
"""Of a JSON file; COCO's largest has 470 million."""

_FORM = '{"file": "a.jpg", "labels": ["cat", "dog"]}'


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Raises:
        DataError: it is missing, unreadable, too large, or no JSON.
    """
    data = read_bytes(Path(path), what="labels file", most=MAX_BYTES)
    try:
        return json.loads(data, object_pairs_hook=_once)  # also UTF-16, as JSON's own rule has it
    except (ValueError, RecursionError) as error:  # also what is no such text
        raise DataError(f"labels file {path} is no JSON ({error}); replace it.") from error


def read_json_lines(path: str | os.PathLike[str]) -> Listed:
    """Reads one object a line.

    Raises:
        DataError: unreadable, or a line is no such object.
    """
    text, notes = read_list_text(path)
    rows = []
    for line, entry in enumerate(text.split("\n"), start=1):
        if not entry.strip():
            continue
        where = f"{path}, line {line}"
        try:
            rows.append(_row(json.loads(entry), line, where))
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{where}: no JSON ({error}); write {_FORM} a line.") from error
    return _listed(rows, "JSON lines", path)._replace(notes=notes)


def list_of_json(content: Any, path: str | os.PathLike[str]) -> Listed:
    """Reads a JSON array of such objects, or an object of labels by file.

    Args:
        content: of the file.
        path: the file, to say in errors.

    Raises:
        DataError: it has another form.
    """
    if isinstance(content, dict) and not _keys(content, FILE_WORDS):
        content = [{"file": file, "labels": labels} for file, labels in content.items()]
    entries = content if isinstance(content, list) else [content]
    rows = [_row(entry, i, f"{path}, entry {i}") for i, entry in enumerate(entries, start=1)]
    return _listed(rows, "JSON", path)


def _listed(rows: Iterable[Row], form: str, path: str | os.PathLike[str]) -> Listed:
    found = tuple(rows)
    if not found:
        raise DataError(f"{path} names no photo; write {_FORM} a line.")
    return Listed(form, found)


def _row(entry: Any, line: int, where: str) -> Row:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected {_FORM}, found {str(entry)[:80]!r}.")
    files, labels, masks = (_keys(entry, w) for w in (FILE_WORDS, LABEL_WORDS, MASK_WORDS))
    file = next((entry[key] for key in files if isinstance(entry[key], str)), "")
    given = entry[labels[0]] if labels else ...
    if given is None or given != given:  # null, or NaN as Python writes it
        given = "null" if given is None else "NaN"
    names = [given] if isinstance(given, str) else given
    if not file or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise DataError(f"{where}: expected {_FORM}, found {str(entry)[:80]!r}.")
    clean = (" ".join(name.split()) for name in names)
    mask = entry[masks[0]] if masks and isinstance(entry[masks[0]], str) else None
    found = tuple(dict.fromkeys(name for name in clean if name))
    return Row(file, found, line, mask, exact=names is given)


def _keys(entry: dict[str, Any], words: frozenset[str]) -> list[str]:
    return [key for key in entry if plain_word(key) in words]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that is given twice: the first one's labels would be lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found
