"""The scalars of a training run: to TensorBoard, to the screen, to a file for the report."""

import json
import time
from collections.abc import Mapping
from typing import Any

from etils.epath import Path
from tensorboardX import SummaryWriter

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.folders import disk_for
from wsgcn_jax.pipeline.progress import Progress, log

_CURVES = "curves.jsonl"


class Curves:
    """Writes the scalars of one run as they come."""

    def __init__(self, folder: Path, what: str, steps: int, *, every: float = 10.0) -> None:
        """Takes the place of the files.

        Args:
            folder: of the stage; one in a bucket gets copies of what grows on a disk.
            what: name of the run, for the screen.
            steps: how many updates it will have.
            every: seconds between copies.
        """
        self._folder, self._disk = folder, disk_for(folder)
        self._file = self._disk / _CURVES
        self._what, self._steps, self._every = what, steps, every
        self._writer: SummaryWriter | None = None
        self._last = time.monotonic()
        self._meter: Progress | None = None

    def begin(self, step: int) -> None:
        """Opens the writers for a run that goes on behind a step; forgets what came after it.

        Args:
            step: number of updates that are done.
        """
        if step:
            log(f"{self._what}: resuming at step {step} of {self._steps}")
        kept = [record for record in _records(self._folder) if record["step"] <= step]
        if self._disk != self._folder:
            self._disk.rmtree(missing_ok=True)
        write_atomic(self._file, "".join(json.dumps(r) + "\n" for r in kept).encode())
        # TensorBoard drops what an older file has from the first step on.
        board = str(self._disk / "tensorboard")
        self._writer = SummaryWriter(board, purge_step=step + 1 if step else None)

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes the scalars of one update."""
        assert self._writer is not None, "begin comes first"
        compiled = self._meter is None
        if self._meter is None:
            self._meter = Progress(self._what, self._steps, unit="step", done=step - 1)
        with self._file.open("a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._meter.advance(compiled=compiled, note=f"loss {scalars['loss']:.4f}")
        now = time.monotonic()
        if now - self._last >= self._every or step == self._steps:
            self._last = now
            self._publish()

    def close(self) -> None:
        """Flushes the writers."""
        if self._meter is not None:
            self._meter.close()
        if self._writer is not None:
            self._writer.close()
            self._publish()

    def _publish(self) -> None:
        if self._disk == self._folder:
            return
        assert self._writer is not None
        self._writer.flush()
        for path in (self._file, *(self._disk / "tensorboard").iterdir()):
            write_atomic(self._folder / path.relative_to(self._disk), path.read_bytes())


def read_curve(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    """Reads one scalar's curve, as far as its file is whole; a repeated step counts once.

    Args:
        folder: of the stage.
        name: of the scalar.

    Returns:
        (step, value) pairs in order.
    """
    values = {record["step"]: record.get(name) for record in _records(folder)}
    return [(step, v) for step, v in sorted(values.items()) if isinstance(v, int | float)]


def _records(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of curves: a killed run leaves half a line, a bad disk others."""
    try:
        text = (folder / _CURVES).read_bytes().decode(errors="replace")
    except OSError:
        return []
    records = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records
