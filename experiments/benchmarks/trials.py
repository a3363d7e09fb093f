"""The record of trials: a file with a line of JSON for each, so that they can be counted."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.types import DataError


def read_trials(path: Path) -> list[dict[str, Any]]:
    """Reads what was recorded; nothing where there is no file yet.

    Raises:
        DataError: it is a file of something else, or its folder is missing.
    """
    if not path.parent.is_dir():
        raise DataError(f"--record: the folder {path.parent} is missing; make it")
    text = read_text(path, what="record") if path.exists() else ""
    try:
        entries = [json.loads(line) for line in text.splitlines()]
        if not all({"trial", "scores"} <= set(entry) for entry in entries):
            raise ValueError
        return entries
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: no record of trials; name another --record") from error


def add_trial(path: Path, entry: Mapping[str, Any]) -> None:
    """Appends a trial with today's date, unless the same scores of it stand there already.

    Args:
        path: the record.
        entry: `trial`, which names it, `scores`, and whatever else is to be kept.
    """
    before = read_trials(path)
    if any((one["trial"], one["scores"]) == (entry["trial"], entry["scores"]) for one in before):
        return
    dated = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
    lines = [json.dumps(one) + "\n" for one in (*before, dated)]
    write_atomic(path, "".join(lines).encode(), through_link=True)
