"""Labelling the first photos of a finished run once more, for the benchmarks that score them."""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from wsgcn_jax.metrics import confusion_matrix, mean_iou
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.label_batches import Labelled
from wsgcn_jax.pipeline.pseudo_labels import label_split
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.settings import load_config
from wsgcn_jax.types import DataError, Example

Look = Callable[[Example, Labelled], Mapping[str, np.ndarray]]
"""(photo with its true mask, what was found) -> label maps `[h, w] u8` by name."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which photos."""
    parser.add_argument("--root", type=Path, required=True, help="folder that holds JPEGImages")
    parser.add_argument(
        "--workdir", type=Path, required=True, help="of a configs/voc_animals.py run"
    )
    parser.add_argument("--photos", type=int, default=120, help="how many (default 120)")


def make_config(options: argparse.Namespace) -> ConfigDict:
    """Returns the run's configuration, unlocked; of a run without one that of voc_animals.

    Raises:
        DataError: --photos, or the run's configuration is damaged.
    """
    if options.photos < 1:
        raise DataError("--photos must be at least 1")
    config = load_config("voc_animals")
    workdir = epath.Path(options.workdir)
    own = run_settings.load(workdir)
    if own is not None:
        config = run_settings.apply(own, config, workdir)
    config.unlock()
    config.data.root = str(options.root)
    return config


def relabel(config: ConfigDict, options: argparse.Namespace, look: Look) -> dict[str, np.ndarray]:
    """Labels the first photos that have a true mask.

    Args:
        config: may differ from the run's in `graph`, `seeds`, `gcn`, `crf` and `seed`.
        options: of `add_options`.
        look: makes the label maps to be scored.

    Returns:
        Confusion matrices by name.

    Raises:
        DataError: the run has no boundary network, or no photo a mask.
    """
    if not options.workdir.is_dir():  # opening one would make it
        raise DataError(f"{options.workdir} is no folder; give the work folder of a run")
    context = Context(config, Workspace(options.workdir))
    stamp = context.workspace.stamp("boundary")
    if stamp is None or not stamp.complete:
        raise DataError(f"{options.workdir}: finish the boundary stage of this run first")
    split = context.scored()
    first = range(min(options.photos, len(split)))
    wanted = {index for index in first if split[index].mask is not None}
    if not wanted:
        raise DataError(f"{options.root}: none of the first photos has a true mask; give --photos")
    found: dict[int, dict[str, np.ndarray]] = {}

    def keep(index: int, photo: Labelled) -> None:
        if index in wanted:
            example = split[index]
            assert example.mask is not None
            found[index] = {
                name: confusion_matrix(example.mask, labels, len(split.classes))
                for name, labels in look(example, photo).items()
            }

    with tempfile.TemporaryDirectory() as folder:  # what exists counts as done
        done, todo = Path(folder), Path(folder) / "none"
        label_split(context, split, keep, lambda index: todo if index in wanted else done)
    if not found:
        raise DataError(
            f"{options.workdir}: no photo could be labelled; look at this run's networks"
        )
    names = next(iter(found.values()))
    return {name: np.sum([one[name] for one in found.values()], axis=0) for name in names}


def percent(confusion: np.ndarray, classes: Sequence[int] | None = None, **how: str) -> float:
    """Returns the mIoU in percent."""
    return round(100 * mean_iou(confusion, classes=classes, **how), 2)  # type: ignore[arg-type]
