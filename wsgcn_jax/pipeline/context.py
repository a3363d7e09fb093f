"""What every stage is given: the configuration, the work folder, the data."""

import os
from functools import cached_property

import jax
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.folders import disk_for
from wsgcn_jax.pipeline.workfolder.workspace import Workspace


class Context:
    """The run that a stage is part of.

    Attributes:
        config: the whole configuration.
        workspace: the work folder.
        source: where photos and labels come from.
        splits: names of the splits (classifier, pseudo labels, validation, and where some of the
            pseudo labels are scored, those).
    """

    def __init__(self, config: ConfigDict, workspace: Workspace) -> None:
        """Opens the data source.

        Args:
            config: the whole configuration.
            workspace: the work folder.

        Raises:
            DataError: the source's folder is missing.
        """
        self.config = config
        self.workspace = workspace
        section = config.data
        # Without a split to score as before there was one: older work folders stay current.
        scored = (section.score_split,) if section.score_split else ()
        self.splits = (section.train_split, section.pseudo_split, section.val_split, *scored)
        self.source = _source(section, tuple(dict.fromkeys(s for s in self.splits if s)))

    def split(self, name: str) -> data.Split:
        """Opens a split of the prepared data."""
        return data.load(self.records, name, self.config.data.longer_side)

    @cached_property
    def records(self) -> Path:
        """The folder of the prepared data.

        Of a run in a bucket every process has its own, on its disk, made where it is missing:
        on another machine the run may be past that stage.
        """
        folder = disk_for(self.folder("data"))
        if folder != self.folder("data"):
            data.prepare(self.source, folder)
        return folder

    def scored(self) -> data.Split:
        """Opens the photos whose pseudo labels are scored and shown."""
        section = self.config.data
        return self.split(section.score_split or section.pseudo_split)

    def left_out(self, stage: str) -> set[str]:
        """Returns the names of the photos that a finished stage had to leave out."""
        stamp = self.workspace.stamp(stage)
        return {photo.name for photo in stamp.skipped} if stamp else set()

    def folder(self, stage: str) -> Path:
        """Returns the folder of a stage."""
        return self.workspace.folder(stage)

    def key(self, purpose: str) -> jax.Array:
        """Returns the PRNG key of one purpose, independent of every other's."""
        return name_key(jax.random.key(self.config.seed), purpose)


def name_key(key: jax.Array, name: str) -> jax.Array:
    """Folds a name into a key, so that order and batching never decide a photo's numbers."""
    text = name.encode(errors="surrogateescape")
    for start in range(0, len(text), 4):  # a letter may be four bytes, which is what a key takes
        key = jax.random.fold_in(key, int.from_bytes(text[start : start + 4], "big"))
    return key


def _source(section: ConfigDict, splits: tuple[str, ...]) -> data.Source:
    root = os.path.expanduser(section.root or "")
    if section.source == "shapes":
        return data.ShapesSource(num_train=section.num_train, num_val=section.num_val)
    if section.source == "voc":
        return data.VocSource(root, splits=splits, labels=section.labels)
    if section.source == "coco":
        return data.CocoSource(root, splits=splits, labels=section.labels)
    return data.FolderSource(
        root, labels=section.labels, masks=section.masks, classes=section.classes or None
    )
