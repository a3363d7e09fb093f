"""Orbax checkpoints of a training run: weights, optimiser and the data iterator's place."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from etils.epath import Path, PathLike

from wsgcn_jax.distributed import is_primary, wait_for_all
from wsgcn_jax.folders import absolute
from wsgcn_jax.types import DataError


class Checkpoints:
    """The checkpoints of one run, newest kept; every write is asynchronous and atomic."""

    def __init__(self, folder: PathLike, *, keep: int = 2) -> None:
        """Opens (and creates) the folder of a run's checkpoints.

        Args:
            folder: where they live; `gs://` too.
            keep: how many of the newest stay.
        """
        self._folder = absolute(folder)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        with _disk_errors(self._folder):
            self._manager = ocp.CheckpointManager(self._folder, options=options)

    def save(self, step: int, state: Any, data: dict[str, Any]) -> None:
        """Saves asynchronously.

        Args:
            step: number of updates that `state` has seen.
            state: tree of arrays.
            data: the data iterator's state, plain JSON; the same on every host.

        Raises:
            DataError: the disk is full.
        """
        with _disk_errors(self._folder):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data)
                ),
            )

    def restore(self, state: Any) -> tuple[int, Any, dict[str, Any]] | None:
        """Restores the newest checkpoint that can be read; damaged ones are set aside, not lost.

        Args:
            state: a tree of the same structure, shapes, dtypes and shardings.

        Returns:
            (step, state, data iterator's state); None where there is none.
        """
        like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(like), data=ocp.args.JsonRestore()
                    ),
                )
            except Exception as error:  # whatever a damaged file makes Orbax and TensorStore raise
                self._set_aside(step, error)
                continue
            return step, restored["state"], restored["data"]
        return None

    def _set_aside(self, step: int, error: Exception) -> None:
        """Renames a damaged checkpoint; the step will be written again."""
        damaged = self._folder / str(step)
        aside = self._folder.parent / f"damaged_checkpoint_{step}"
        reason = " ".join(str(error).split())[:200]
        logging.warning(
            "checkpoint %s is damaged (%s): moved to %s; going on from the one before it",
            *(damaged, reason, aside.name),
        )
        if is_primary():
            if aside.exists():
                aside.rmtree()
            damaged.rename(aside)
        wait_for_all(f"damaged checkpoint {step}")
        self._manager.reload()

    def must_save(self, step: int) -> bool:
        """Tells whether the job is about to be taken off its machines (on TPU pods)."""
        return self._manager.reached_preemption(step)

    def close(self) -> None:
        """Waits for pending writes.

        Raises:
            DataError: the disk is full.
        """
        with _disk_errors(self._folder):
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full disk, which every layer reports in a way of its own, into one sentence."""
    try:
        yield
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "quota exceeded" in str(error):
            raise DataError(
                f"{folder}: the disk is full; make room and start the same command again: it goes "
                "on from the newest checkpoint"
            ) from error
        raise


def save_tree(path: Path, tree: Any) -> None:
    """Writes a tree of arrays (a finished network's weights) atomically.

    Args:
        path: folder to write; what stood there is replaced.
        tree: arrays.

    Raises:
        DataError: the disk is full.
    """
    with _disk_errors(path), ocp.StandardCheckpointer() as writer:
        writer.save(absolute(path), tree, force=True)


def load_tree(path: Path, template: Any) -> Any:
    """Reads what `save_tree` wrote.

    Args:
        path: the folder.
        template: a tree of the same structure, of arrays or `jax.ShapeDtypeStruct`s.

    Returns:
        The arrays.

    Raises:
        DataError: there is nothing at `path`, it is damaged, or has another structure.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no weights there; run the stage that trains them")
    with ocp.StandardCheckpointer() as reader:
        try:
            tree = reader.restore(absolute(path), template)
        except (ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"{path}: damaged, or weights of another network ({reason})") from error
    # Orbax may give what is stored, whatever shape was asked for.
    wanted, found = (jax.tree.map(lambda x: x.shape, t) for t in (template, tree))
    if wanted != found:
        raise DataError(f"{path}: weights of another network; its description does not fit them")
    return tree
