"""The work folder: which stages are current, whole or damaged, and atomic artefacts.

Every stage owns one folder with a `stage.json` that says what made it (the settings it reads, and a
fingerprint of them and of the stages it builds on) and, once it is finished, size and checksum of
each file. A finished stage is skipped, an unfinished one resumed, what is damaged is made again.
What other settings made is only replaced where the caller says so; what no stage wrote, never.
"""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from etils.epath import Path

from wsgcn_jax.checksums import damage, files_below, sums
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.distributed import any_across_hosts, is_primary, wait_for_all
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.folders import absolute, in_bucket
from wsgcn_jax.locks import locked
from wsgcn_jax.pipeline.workfolder.stage_files import STAMP, broken, clear, drop, matches, outputs
from wsgcn_jax.pipeline.workfolder.stamps import (
    Recipe,
    Stamp,
    State,
    is_of_older_version,
    read_stamp,
    write_stamp,
)
from wsgcn_jax.types import DataError, Skipped


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
                f"{self.root}: cannot be written ({error.strerror or error}); name another workdir"
            ) from error
        except Exception as error:  # a bucket's library raises types of its own
            if not in_bucket(self.root):
                raise
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{self.root}: the bucket cannot be written ({reason}); log in, or, if gcsfs is "
                f"missing: {how_to_install('gcs')}"
            ) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out; of the hosts of a job the first one holds the lock for all.

        Raises:
            DataError: another run works there.
        """
        with contextlib.ExitStack() as stack:
            refused: DataError | None = None
            if is_primary():
                try:
                    stack.enter_context(locked(self.root))
                except DataError as error:
                    refused = error
            if any_across_hosts(np.asarray([refused is not None]))[0]:
                raise refused or DataError(f"{self.root}: another run works there")
            yield

    def folder(self, stage: str) -> Path:
        """Returns the folder of a stage."""
        return self.root / stage

    def stamp(self, stage: str) -> Stamp | None:
        """Reads a stage's stamp; None where there is none or it is damaged."""
        return read_stamp(self.folder(stage))

    def state(self, stage: str, fingerprint: str, *, thorough: bool = False) -> State:
        """Compares what there is of a stage with what it should be made of.

        Args:
            stage: its name.
            fingerprint: of its recipe.
            thorough: see `checksums.damage`.

        Raises:
            DataError: what lies there is no stage's folder, or its stamp is damaged.
        """
        folder = self.folder(stage)
        if not in_bucket(folder) and (
            os.path.islink(folder) or (folder.exists() and not folder.is_dir())
        ):
            raise DataError(f"{folder}: a file or a link, not a stage's folder; move it away")
        stamp = self.stamp(stage)
        if stamp is None:
            if not folder.exists() or not any(folder.iterdir()):
                return State("absent")
            if not (folder / STAMP).exists():
                raise DataError(f"{folder}: not a stage's folder; move it or name another workdir")
            if is_of_older_version(folder):
                return State("other")
            raise DataError(f"{folder / STAMP}: damaged; delete {folder}, it will be made again")
        if stamp.fingerprint != fingerprint:
            made = stamp.complete or any(name != STAMP for name in files_below(folder))
            return State("other" if made else "absent")
        if not stamp.complete:
            return State("unfinished")
        damaged = damage(folder, stamp.files, thorough=thorough)
        return State("damaged" if damaged else "current", damaged)

    def is_current(self, stage: str, fingerprint: str) -> bool:
        """Tells whether a stage is finished, whole, and was made by this fingerprint."""
        return self.state(stage, fingerprint).kind == "current"

    def run(
        self,
        stage: str,
        recipe: Recipe,
        work: Callable[[Path], Sequence[Skipped]],
        *,
        writes: Sequence[str] = ("*",),
        one_by_one: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Runs a stage's work in its folder: fresh, where it was left, or for what is damaged.

        Several hosts share the folder: the first one keeps it, all of them work.

        Args:
            stage: name of the stage.
            recipe: what decides its result.
            work: does it, given the folder, as far as files are missing; returns the photos it had
                to leave out.
            writes: patterns of the files it writes, as of `fnmatch`; no others are ever deleted.
            one_by_one: whether `work` makes single missing files; if not, damage is made good by
                making them all.
            overwrite: whether artefacts of another recipe may be replaced.

        Raises:
            DataError: the folder holds what another recipe made, or what no stage wrote.
        """
        folder, old = self.folder(stage), self.stamp(stage)
        state = self.state(stage, recipe.fingerprint, thorough=True)
        written = partial(matches, patterns=writes)
        damaged = state.damaged
        if state.kind == "unfinished":
            damaged = broken(folder, outputs(folder, writes))
        if state.kind == "other" and not overwrite:
            raise DataError(
                f"{folder}: of other settings; name another workdir, or let overwrite replace it"
            )
        wait_for_all(f"{stage}: looked")
        spent = old.seconds if old and old.fingerprint == recipe.fingerprint else 0.0
        started = time.monotonic()
        if is_primary():
            if state.kind == "other" or (damaged and not one_by_one):
                clear(folder, old.files.__contains__ if old and old.complete else written)
            else:
                drop(folder, damaged)
            folder.mkdir(exist_ok=True)
            write_stamp(folder, Stamp(*recipe, complete=False, seconds=spent))
        wait_for_all(f"{stage}: begun")
        skipped = tuple(work(folder))
        wait_for_all(f"{stage}: done")
        if is_primary():
            seconds = spent + time.monotonic() - started
            files = sums(folder, outputs(folder, writes))
            write_stamp(folder, Stamp(*recipe, True, seconds, skipped, files))
        wait_for_all(f"{stage}: stamped")


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
    except Exception as error:  # zip, zlib and NumPy raise half a dozen unrelated types
        raise DataError(f"{path}: missing or damaged; delete its folder and run again") from error
