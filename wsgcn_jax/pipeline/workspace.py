"""The work folder: which stages are current, and atomic artefacts.

Every stage owns one folder with a `stage.json` that says what made it (a fingerprint of the
configuration it reads and of the stages it builds on). A folder with another fingerprint is made
anew; an unfinished one is resumed; a finished one is skipped.
"""

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils.epath import Path

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.distributed import is_primary, wait_for_all
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.folders import absolute, in_bucket
from wsgcn_jax.types import DataError, Skipped


class Stamp(NamedTuple):
    """What a stage's folder says of itself."""

    fingerprint: str
    complete: bool
    seconds: float
    skipped: tuple[Skipped, ...] = ()


def fingerprint_of(*parts: Any) -> str:
    """Hashes JSON-able parts; equal parts give equal hashes on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Workspace:
    """A work folder; opening it checks that it can be written.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Creates the folder.

        Args:
            root: the folder.

        Raises:
            DataError: it cannot be written.
        """
        self.root = absolute(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable.{os.getpid()}"
            probe.write_text("")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"{self.root}: cannot be written ({error.strerror or error}); name another "
                "--workdir"
            ) from error
        except Exception as error:  # a bucket's library raises types of its own
            if not in_bucket(self.root):
                raise
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{self.root}: the bucket cannot be written ({reason}); log in, or, if gcsfs is "
                f"missing: {how_to_install('gcs')}"
            ) from error

    def folder(self, stage: str) -> Path:
        """Returns the folder of a stage."""
        return self.root / stage

    def stamp(self, stage: str) -> Stamp | None:
        """Reads a stage's stamp; None where there is none or it cannot be read."""
        try:
            raw = json.loads((self.folder(stage) / "stage.json").read_text())
            skipped = tuple(Skipped(*entry) for entry in raw.pop("skipped"))
            return Stamp(**raw, skipped=skipped)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def is_current(self, stage: str, fingerprint: str) -> bool:
        """Tells whether a stage is finished and was made by this fingerprint."""
        stamp = self.stamp(stage)
        return stamp is not None and stamp.complete and stamp.fingerprint == fingerprint

    def run(self, stage: str, fingerprint: str, work: Callable[[Path], Sequence[Skipped]]) -> None:
        """Runs a stage's work in its folder, fresh or where it was left.

        Several hosts share the folder: the first one keeps it, all of them work.

        Args:
            stage: name of the stage.
            fingerprint: of what decides its result.
            work: does it, given the folder; returns the photos it had to leave out.

        Raises:
            DataError: the folder holds something that no stage wrote.
        """
        folder, old = self.folder(stage), self.stamp(stage)
        if old is None and folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder}: not a stage's folder; move it or name another --workdir")
        wait_for_all(f"{stage}: looked")
        spent = 0.0
        if old is not None and old.fingerprint == fingerprint:
            spent = old.seconds
        elif old is not None and is_primary():
            folder.rmtree()
        started = time.monotonic()
        if is_primary():
            folder.mkdir(exist_ok=True)
            self._write(stage, Stamp(fingerprint, False, spent))
        wait_for_all(f"{stage}: begun")
        skipped = tuple(work(folder))
        wait_for_all(f"{stage}: done")
        if is_primary():
            seconds = spent + time.monotonic() - started
            self._write(stage, Stamp(fingerprint, True, seconds, skipped))
        wait_for_all(f"{stage}: stamped")

    def _write(self, stage: str, stamp: Stamp) -> None:
        text = json.dumps(stamp._asdict(), indent=1)
        write_atomic(self.folder(stage) / "stage.json", text.encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as an `.npz`, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads an `.npz` of plain arrays.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        # From memory: numpy leaves the file open when it turns out to be damaged.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: missing or damaged; delete its folder and run again") from error
