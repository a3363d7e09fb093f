"""Orbax checkpoints of a training run: weights, optimiser and the data iterator's place."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from wsgcn_jax.types import DataError


class Checkpoints:
    """The checkpoints of one run, newest kept; every write is atomic."""

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        """Opens (and creates) the folder of a run's checkpoints.

        Args:
            folder: where they live.
            keep: how many of the newest stay on disk.
        """
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def latest(self) -> int | None:
        """Returns the step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, data: dict[str, Any]) -> None:
        """Saves asynchronously.

        Args:
            step: number of updates that `state` has seen.
            state: tree of arrays.
            data: the data iterator's state, plain JSON.
        """
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data)
            ),
        )

    def restore(self, state: Any) -> tuple[int, Any, dict[str, Any]]:
        """Restores the newest checkpoint.

        Args:
            state: a tree of the same structure, shapes and dtypes.

        Returns:
            (step, state, data iterator's state).

        Raises:
            FileNotFoundError: there is no checkpoint.
        """
        step = self.latest()
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}")
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(jax.tree.map(np.asarray, state)),
                data=ocp.args.JsonRestore(),
            ),
        )
        return step, restored["state"], restored["data"]

    def close(self) -> None:
        """Waits for pending writes."""
        self._manager.wait_until_finished()
        self._manager.close()


def save_tree(path: Path, tree: Any) -> None:
    """Writes a tree of arrays (a finished network's weights) atomically.

    Args:
        path: folder to write; what stood there is replaced.
        tree: arrays.
    """
    with ocp.StandardCheckpointer() as writer:
        writer.save(path.absolute(), tree, force=True)


def load_tree(path: Path, template: Any) -> Any:
    """Reads what `save_tree` wrote.

    Args:
        path: the folder.
        template: a tree of the same structure, of arrays or `jax.ShapeDtypeStruct`s.

    Returns:
        The arrays.

    Raises:
        DataError: there is nothing at `path`, or it has another structure.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no weights there; run the stage that trains them")
    with ocp.StandardCheckpointer() as reader:
        try:
            return reader.restore(path.absolute(), template)
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}: weights of another network ({error})") from error
