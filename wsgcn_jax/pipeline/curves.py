"""The scalars of a training run: to TensorBoard, to the screen, to a file for the report."""

import json
import time
from collections.abc import Mapping

from etils.epath import Path
from tensorboardX import SummaryWriter

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.folders import disk_for
from wsgcn_jax.pipeline.progress import Progress

_CURVES = "curves.jsonl"


class Curves:
    """Writes the scalars of one run as they come."""

    def __init__(self, folder: Path, what: str, steps: int, *, every: float = 10.0) -> None:
        """Opens the writers.

        Args:
            folder: of the stage; one in a bucket gets copies of what grows on a disk.
            what: name of the run, for the screen.
            steps: how many updates it will have.
            every: seconds between copies.
        """
        self._folder, self._disk = folder, disk_for(folder)
        self._file = self._disk / _CURVES
        if self._disk != folder:
            self._disk.rmtree(missing_ok=True)
            before = folder / _CURVES
            write_atomic(self._file, before.read_bytes() if before.exists() else b"")
        self._writer = SummaryWriter(str(self._disk / "tensorboard"))
        self._what, self._steps, self._every = what, steps, every
        self._last = time.monotonic()
        self._meter: Progress | None = None

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes the scalars of one update."""
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
