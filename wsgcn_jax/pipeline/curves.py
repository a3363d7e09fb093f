"""The scalars of a training run: to TensorBoard, to the screen, to a file for the report."""

import json
import time
from collections.abc import Mapping

from etils.epath import Path
from tensorboardX import SummaryWriter

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.folders import disk_for
from wsgcn_jax.pipeline.progress import log

_CURVES = "curves.jsonl"


class Curves:
    """Writes the scalars of one run as they come."""

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
            log(
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
