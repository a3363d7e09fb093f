"""What a stage's folder says of itself: the stamp, with a checksum of its own."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from etils.epath import Path

from wsgcn_jax.checksums import Sum
from wsgcn_jax.data.files import check_relative, write_atomic
from wsgcn_jax.pipeline.workfolder.stage_files import STAMP
from wsgcn_jax.types import Skipped


class Recipe(NamedTuple):
    """What decides a stage's result.

    Attributes:
        fingerprint: of everything.
        settings: by name, to say what differs.
    """

    fingerprint: str
    settings: Mapping[str, Any]


class Stamp(NamedTuple):
    """What a stage's folder says of itself.

    Attributes:
        fingerprint, settings: of its recipe.
        complete: whether the stage was finished.
        seconds: that it took.
        skipped: the photos it left out.
        files: once it is finished, what the next stages read, by relative path.
    """

    fingerprint: str
    settings: Mapping[str, Any]
    complete: bool
    seconds: float
    skipped: tuple[Skipped, ...] = ()
    files: Mapping[str, Sum] = {}


class State(NamedTuple):
    """What a stage's folder holds.

    Attributes:
        kind: "absent", "unfinished" (by the same recipe), "current", "damaged" (finished, but files
            are not what was written), or "other" (made by another recipe).
        damaged: what is wrong with each damaged file.
    """

    kind: str
    damaged: Mapping[str, str] = {}

    def __str__(self) -> str:
        if not self.damaged:
            return self.kind
        name, wrong = next(iter(self.damaged.items()))
        more = f" and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
        return f"damaged: {name} {wrong}{more}"


def fingerprint_of(*parts: Any) -> str:
    """Hashes JSON-able parts; equal parts give equal hashes on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_stamp(folder: Path, stamp: Stamp) -> None:
    """Writes the stamp of a stage's folder."""
    raw = json.loads(json.dumps(stamp._asdict(), default=str))
    write_atomic(folder / STAMP, json.dumps({**raw, "check": fingerprint_of(raw)}).encode())


def read_stamp(folder: Path) -> Stamp | None:
    """Reads the stamp of a stage's folder; None where there is none or it is damaged."""
    try:
        raw = json.loads((folder / STAMP).read_text())
        if raw.pop("check") != fingerprint_of(raw):
            return None
        raw["skipped"] = tuple(Skipped(*entry) for entry in raw["skipped"])
        raw["files"] = {name: Sum(*entry) for name, entry in raw["files"].items()}
        for name in raw["files"]:
            check_relative(name, where=STAMP)
        return Stamp(**raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_of_older_version(folder: Path) -> bool:
    """Tells whether a stamp was written before stamps had checksums."""
    try:
        raw = json.loads((folder / STAMP).read_text())
        return "fingerprint" in raw and "check" not in raw
    except (OSError, ValueError, TypeError):
        return False
