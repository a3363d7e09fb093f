"""A run: trained from photos and labels, or opened where one lies."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.api.configuration import configuration
from wsgcn_jax.api.inputs import (
    Images,
    Labels,
    PathLike,
    PhotoList,
    lay_out,
    named_classes,
    read_photo,
)
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.crf import DEEPLAB
from wsgcn_jax.folders import in_bucket
from wsgcn_jax.pipeline.predict import predict
from wsgcn_jax.pipeline.saved_segmenter import Segmenter, load_segmenter
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import write_report
from wsgcn_jax.types import DataError, Skipped


def train(
    images: Images,
    labels: Labels = None,
    *,
    workdir: PathLike,
    classes: Sequence[str] | None = None,
    masks: Sequence[np.ndarray] | None = None,
    config: str | ConfigDict = "photos",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> "Run":
    """Trains everything from photos and the classes in them, as `experiments.train` does.

    A run that was stopped goes on where it was; a finished one is opened at once.

    Args:
        images: `[h, w, 3] u8` arrays, or files, one a photo; or a folder of photos.
        labels: the names of the classes in every photo, in the same order (an empty list: none
            of them); for a folder the file of its list, or None: the list that lies in it.
        workdir: where everything goes.
        classes: the names there are, in the order of their ids 1, 2, ...; None: in the order of
            their appearance.
        masks: true masks `[h, w] u8` of the photos, for scores only; None: no scores.
        config: a name of `configs/`, a file, or a configuration.
        settings: keys of the configuration with other values, {"gcn.epochs": 100}.
        overwrite: whether what other settings or photos made in the work folder may be replaced.

    Returns:
        The run.

    Raises:
        DataError: photos, labels or settings cannot be used; the message says which and why.
    """
    root = _on_disk(workdir)
    names = named_classes(classes)
    if not isinstance(images, str | os.PathLike):  # else the folder may be that of the photos
        Workspace(root)  # says what is wrong with it
    given = lay_out(images, labels, masks, root / "input")
    own = {
        "data.source": "folder",
        "data.root": str(given.root),
        "data.labels": given.labels and str(given.labels),
        "data.masks": given.masks and str(given.masks),
        "data.classes": names,
        "data.val_split": None,
    }
    resolved = configuration(config, own | dict(settings or {}))
    keep_compiled_programs()
    skipped = run_stages(resolved, str(root), overwrite=overwrite)
    write_report(resolved, epath.Path(root), skipped)
    return Run(root, skipped)


def load(workdir: PathLike) -> "Run":
    """Opens a finished run of `train` or of the command.

    Raises:
        DataError: there is none.
    """
    root = _on_disk(workdir)
    if not (root / "data").is_dir() and not (root / "network.json").exists():
        raise DataError(f"{workdir} holds no run; give a folder that `train` has written")
    return Run(root, ())


def _on_disk(workdir: PathLike) -> Path:
    """The whole path of a work folder."""
    if not os.fspath(workdir):
        raise DataError("workdir is empty; name a folder")
    if in_bucket(workdir):
        raise DataError(
            f"{workdir}: runs in buckets are trained and used by the commands; here name a folder "
            "on a disk"
        )
    return Path(workdir).absolute()


class Run:
    """A trained run.

    Attributes:
        workdir: its folder.
        skipped: photos that had to be left out when it was trained, and why. They are in neither
            `names` nor `pseudo_labels`.
    """

    def __init__(self, workdir: Path, skipped: Sequence[Skipped]) -> None:
        """Opens a work folder; `train` and `load` call this."""
        self.workdir = workdir
        self.skipped = tuple(skipped)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by id, background first."""
        if not (self.workdir / "data").is_dir():  # the folder of a segmenter alone
            return self._segmenter.description.classes
        return self._split.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labelled photos, in their list's order."""
        return self._split.names

    @property
    def pseudo_labels(self) -> "PseudoLabels":
        """The photos' complete pseudo labels, `[h, w] u8` each, read when they are asked for."""
        return PseudoLabels(self.workdir / "pseudo_labels", self.names)

    @property
    def scores(self) -> dict[str, Any]:
        """What `scores.json` holds: mIoU in percent, where there are true masks."""
        path = self.workdir / "scores.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.workdir / "report.html"

    def predict(self, images: PhotoList, *, crf: bool = False) -> list[np.ndarray]:
        """Masks of any photos, by the trained segmenter.

        Args:
            images: `[h, w, 3] u8` arrays, or files.
            crf: draw the masks to the photos' edges.

        Returns:
            `[h, w] u8` masks, in the order of the photos.

        Raises:
            DataError: a photo cannot be used, or the run has no segmenter.
        """
        if isinstance(images, str | os.PathLike):
            raise DataError(f"{images} is one path; give a list of photos, arrays or files")
        photos = [read_photo(image, index) for index, image in enumerate(images)]
        keep_compiled_programs()
        with tempfile.TemporaryDirectory() as folder:
            paths = [epath.Path(folder) / f"{index}.png" for index in range(len(photos))]
            skipped = predict(
                self._segmenter,
                [photo.shape[:2] for photo in photos],
                photos.__getitem__,
                paths.__getitem__,
                "masks",
                crf=DEEPLAB if crf else None,
            )
            if skipped:
                index, reason = skipped[0]
                raise DataError(f"photo {index}: {reason}")
            return [data.read_mask(path) for path in paths]

    @cached_property
    def _segmenter(self) -> Segmenter:
        return load_segmenter(epath.Path(self.workdir))

    @cached_property
    def _split(self) -> data.Split:
        if not (self.workdir / "data").is_dir():
            raise DataError(
                f"{self.workdir} holds a segmenter alone; its photos are in the run's own folder"
            )
        own = run_settings.load(epath.Path(self.workdir))
        name = "train" if own is None else own.config["data"]["pseudo_split"]
        return data.load(self.workdir / "data", name)

    def __repr__(self) -> str:
        """Names the folder and the classes."""
        return f"Run({str(self.workdir)!r}, classes={self.classes})"


class PseudoLabels(Sequence[np.ndarray]):
    """The masks of a run's photos, in their order: a sequence that reads a mask when asked.

    Attributes:
        names: the photos' names, which the files are named after.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Opens a folder of `NAME.png`."""
        self._folder = folder
        self.names = tuple(names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return data.read_mask(self._folder / f"{self.names[index]}.png")
