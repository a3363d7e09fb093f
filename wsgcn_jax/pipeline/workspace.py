"""The work folder: which stages are current, atomic artefacts, progress and scalars.

Every stage owns one folder with a `stage.json` that says what made it (a fingerprint of the
configuration it reads and of the stages it builds on). A folder with another fingerprint is made
anew; an unfinished one is gone on with; a finished one is skipped.
"""

import hashlib
import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from etils.epath import Path
from tensorboardX import SummaryWriter

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.folders import absolute, disk_for, in_bucket
from wsgcn_jax.train.hosts import is_primary, wait_for_all
from wsgcn_jax.types import DataError, Skipped

T = TypeVar("T")

_CURVES = "curves.jsonl"


class Stamp(NamedTuple):
    """What a stage's folder says of itself."""

    fingerprint: str
    complete: bool
    seconds: float
    skipped: tuple[Skipped, ...] = ()


def fingerprint(*parts: Any) -> str:
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
                f"{self.root}: the bucket cannot be written ({reason}); is `pip install "
                "wsgcn-jax[gcs]` done, and are you logged in?"
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

    def is_current(self, stage: str, print_: str) -> bool:
        """Tells whether a stage is finished and was made by this fingerprint."""
        stamp = self.stamp(stage)
        return stamp is not None and stamp.complete and stamp.fingerprint == print_

    def run(self, stage: str, print_: str, work: Callable[[Path], Sequence[Skipped]]) -> None:
        """Runs a stage's work in its folder, fresh or where it was left.

        Several hosts share the folder: the first one keeps it, all of them work.

        Args:
            stage: name of the stage.
            print_: its fingerprint.
            work: does it, given the folder; returns the photos it had to leave out.

        Raises:
            DataError: the folder holds something that no stage wrote.
        """
        folder, old = self.folder(stage), self.stamp(stage)
        if old is None and folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder}: not a stage's folder; move it or name another --workdir")
        wait_for_all(f"{stage}: looked")
        spent = 0.0
        if old is not None and old.fingerprint == print_:
            spent = old.seconds
        elif old is not None and is_primary():
            folder.rmtree()
        started = time.monotonic()
        if is_primary():
            folder.mkdir(exist_ok=True)
            self._write(stage, Stamp(print_, False, spent))
        wait_for_all(f"{stage}: begun")
        skipped = tuple(work(folder))
        wait_for_all(f"{stage}: done")
        if is_primary():
            seconds = spent + time.monotonic() - started
            self._write(stage, Stamp(print_, True, seconds, skipped))
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


def progress(items: Sequence[T], what: str, *, every: float = 10.0) -> Iterator[T]:
    """Yields the items, telling on stderr now and then how far it is and how long it takes.

    Args:
        items: what is worked on.
        what: a word for the line.
        every: seconds between lines.
    """
    start = last = time.monotonic()
    for done, item in enumerate(items):
        yield item
        now = time.monotonic()
        if now - last >= every or done + 1 == len(items):
            left = (now - start) / (done + 1) * (len(items) - done - 1)
            tell(f"{what}: {done + 1}/{len(items)}, {now - start:.0f} s, {left:.0f} s to go")
            last = now


def tell(line: str) -> None:
    """Prints a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


class Curves:
    """Scalars of a training run: to TensorBoard, to the screen, to a file for the report."""

    def __init__(self, folder: Path, what: str, steps: int, *, every: float = 10.0) -> None:
        """Opens the writers.

        Args:
            folder: of the stage; one in a bucket gets copies of what grows on a disk.
            what: name of the run, for the screen.
            steps: how many updates it will have.
            every: seconds between lines on the screen, and between copies.
        """
        self._folder, self._disk = folder, disk_for(folder)
        self._file = self._disk / _CURVES
        if self._disk != folder:
            self._disk.rmtree(missing_ok=True)
            before = folder / _CURVES
            write_atomic(self._file, before.read_bytes() if before.exists() else b"")
        self._writer = SummaryWriter(str(self._disk / "tensorboard"))
        self._what, self._steps, self._every = what, steps, every
        self._start = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes the scalars of one update."""
        self._first = step - 1 if self._first is None else self._first
        with self._file.open("a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        now = time.monotonic()
        if now - self._last >= self._every or step == self._steps:
            pace = (now - self._start) / (step - self._first)
            tell(
                f"{self._what}: step {step}/{self._steps}, loss {scalars['loss']:.4f}, "
                f"{pace:.2f} s a step, {pace * (self._steps - step):.0f} s to go"
            )
            self._last = now
            self._publish()

    def close(self) -> None:
        """Flushes the writers."""
        self._writer.close()
        self._publish()

    def _publish(self) -> None:
        if self._disk == self._folder:
            return
        self._writer.flush()
        for path in (self._file, *(self._disk / "tensorboard").iterdir()):
            write_atomic(self._folder / path.relative_to(self._disk), path.read_bytes())


def read_curve(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    """Reads one scalar's curve; steps that a resumed run repeated count once.

    Args:
        folder: of the stage.
        name: of the scalar.

    Returns:
        (step, value) pairs in order.
    """
    curve: dict[int, float] = {}
    try:
        for line in (folder / _CURVES).read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # the line a killed run was writing
                continue
            curve[record["step"]] = record[name]
    except OSError:
        return []
    return sorted(curve.items())
