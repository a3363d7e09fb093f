"""Orbax checkpoints of a training run: weights, optimiser and the data iterator's place.

Orbax keeps no checksums, so ours lie beside its arrays: what was flipped on the disk is found.
"""

import hashlib
import json
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils.epath import Path, PathLike

from wsgcn_jax.checksums import Sum, damage, files_below, sums
from wsgcn_jax.distributed import is_primary, wait_for_all
from wsgcn_jax.folders import absolute, disk_errors, full_disk, in_bucket
from wsgcn_jax.types import DataError

_SUMS = "checksums.json"
_SPARE = 2**24  # bytes of free room beside a checkpoint's own


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
        with disk_errors(self._folder):
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
        _check_room(self._folder, state)
        note = {"place": data, "digest": _digest(state, data)}
        with disk_errors(self._folder):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(note)
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
                restored_state, note = restored["state"], restored["data"]
                if note["digest"] != _digest(restored_state, note["place"]):
                    raise ValueError("its checksum differs")
            except Exception as error:  # whatever a damaged file makes Orbax and TensorStore raise
                self._set_aside(step, error)
                continue
            return step, restored_state, note["place"]
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
        with disk_errors(self._folder):
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()


def _digest(state: Any, data: dict[str, Any]) -> str:
    """The SHA-256 of a state and the data iterator's place."""
    total = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        array = np.ascontiguousarray(leaf)
        total.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _check_room(folder: Path, tree: Any) -> None:
    """Looks for room before a tree is written: Orbax answers a full disk with hundreds of lines.

    Raises:
        DataError: the disk is full.
    """
    if in_bucket(folder):
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + _SPARE
    if shutil.disk_usage(there).free < needed:
        raise DataError(full_disk(folder))


def save_tree(path: Path, tree: Any) -> None:
    """Writes a tree of arrays (a finished network's weights) and the checksums of its files.

    Args:
        path: folder to write; what stood there is replaced.
        tree: arrays, the same on every host.

    Raises:
        DataError: the disk is full.
    """
    path = absolute(path)
    _check_room(path, tree)
    # Of several hosts one writes; Orbax takes what lies on its own devices as NumPy arrays only.
    tree = jax.tree.map(lambda x: np.asarray(x) if _is_local(x) else x, tree)
    with disk_errors(path), ocp.StandardCheckpointer() as writer:
        writer.save(path, tree, force=True)
    if is_primary() and not in_bucket(path):
        (path / _SUMS).write_text(json.dumps(sums(path, files_below(path))))


def _is_local(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.is_fully_addressable


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
    path = absolute(path)
    _check_sums(path)
    with ocp.StandardCheckpointer() as reader:
        try:
            tree = reader.restore(path, template)
        except Exception as error:  # whatever a damaged file makes Orbax and TensorStore raise
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"{path}: damaged, or weights of another network ({reason})") from error
    # Orbax may give what is stored, whatever shape was asked for.
    wanted, found = (jax.tree.map(lambda x: x.shape, t) for t in (template, tree))
    if wanted != found:
        raise DataError(f"{path}: weights of another network; its description does not fit them")
    return tree


def _check_sums(path: Path) -> None:
    """Compares a folder of weights with its checksums, where it has some.

    Raises:
        DataError: a file is not what was written.
    """
    try:
        known = {
            name: Sum(*entry) for name, entry in json.loads((path / _SUMS).read_text()).items()
        }
        if any(name.startswith("/") or ".." in name.split("/") for name in known):
            raise ValueError("a name leaves the folder")
    except FileNotFoundError:
        return  # written by an older version
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path / _SUMS}: damaged; make the weights again") from error
    for name, wrong in damage(path, known, thorough=True).items():
        raise DataError(f"{path / name} {wrong}: the weights are damaged; make them again")
