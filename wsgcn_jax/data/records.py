"""How photos are stored: one TFDS builder that writes ArrayRecord, without TensorFlow.

Photos and masks are stored as the encoded bytes they came in, so that both are byte-exact and
a set takes the room of its files.
"""

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from wsgcn_jax import interrupt
from wsgcn_jax.data.masks import check_mask
from wsgcn_jax.data.photos import check_photo
from wsgcn_jax.types import DataError, Skipped

_DATASET = "photos"
_VERSION = "1.0.0"


class Photo(NamedTuple):
    """One photo as a source gives it.

    Attributes:
        image: the encoded photo.
        labels: the ids of the classes present, ascending; none: the photo shows no class.
        mask: the encoded mask, None where there is none.
        files: what to call image and mask in errors.
    """

    image: bytes
    labels: tuple[int, ...]
    mask: bytes | None
    files: tuple[str, str]


class Source(Protocol):
    """Where photos come from. Faults of the set are raised before any photo is read."""

    def fingerprint(self) -> str:
        """A hash of all that determines the content."""

    def classes(self) -> tuple[str, ...]:
        """Class names, "background" first."""

    def notes(self) -> tuple[str, ...]:
        """What was recognised and what looks odd, a line each; known once it is listed."""

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos' names by split; raises DataError for a fault of the set."""

    def read(self, split: str, name: str) -> Photo:
        """Reads one listed photo; raises DataError for a fault of this photo only."""


class Stored(NamedTuple):
    """What the index says about a stored photo: its name, size and class ids."""

    name: str
    height: int
    width: int
    labels: tuple[int, ...]


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes whatever a source lists; collects what was stored and what was skipped."""

    name = _DATASET
    VERSION = tfds.core.Version(_VERSION)
    # TFDS looks for checksums of downloads beside the code, with a package it does not require.
    code_path = None

    def __init__(self, source: Source, listing: dict[str, tuple[str, ...]], folder: Path):
        self._source, self._listing = source, listing
        self.stored: dict[str, list[Stored]] = {}
        self.skipped: dict[str, list[Skipped]] = {}
        super().__init__(data_dir=str(folder), file_format="array_record")

    def _info(self) -> Any:
        features = tfds.features.FeaturesDict(
            {
                "name": tfds.features.Text(),
                "image": tfds.features.Tensor(shape=(), dtype=np.object_),
                # Empty where there is no truth.
                "mask": tfds.features.Tensor(shape=(), dtype=np.object_),
                "labels": tfds.features.Tensor(
                    shape=(len(self._source.classes()) - 1,), dtype=np.bool_
                ),
            }
        )
        # Photos stay in the order of the list: index i of the records is entry i of the index.
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict]]]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in self._listing}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        stored = self.stored[split] = []
        skipped = self.skipped[split] = []
        num_classes = len(self._source.classes())
        for position, name in enumerate(self._listing[split]):
            interrupt.check()
            if position % 500 == 0:
                logging.info("storing %s: %d of %d", split, position, len(self._listing[split]))
            try:
                photo = self._source.read(split, name)
                (height, width), mask = _check(photo, num_classes)
            except DataError as error:
                skipped.append(Skipped(name, str(error)))
                continue
            stored.append(Stored(name, height, width, photo.labels))
            yield (
                len(stored) - 1,
                {
                    "name": name,
                    "image": photo.image,
                    "mask": mask or b"",
                    "labels": np.isin(np.arange(1, num_classes), photo.labels),
                },
            )
        if not stored:
            raise DataError(
                f"no photo of the split {split!r} can be used; the first of {len(skipped)}: "
                f"{skipped[0].reason}"
            )


def _check(photo: Photo, num_classes: int) -> tuple[tuple[int, int], bytes | None]:
    """Size of a photo and its mask as it is stored; DataError for a photo that cannot be used."""
    size = check_photo(photo.image, name=photo.files[0])
    if photo.mask is None:
        return size, None
    return size, check_mask(
        photo.mask, photo.image, size, photo.labels, num_classes=num_classes, files=photo.files
    )


def write_records(
    source: Source, folder: Path
) -> tuple[dict[str, list[Stored]], dict[str, list[Skipped]]]:
    """Writes every photo of a source that can be used.

    Args:
        source: where the photos come from.
        folder: an empty folder for the records.

    Returns:
        By split, what was stored, in order, and what was skipped.

    Raises:
        DataError: the set cannot be used, or no photo of a split can.
    """
    builder = _Builder(source, source.listing(), folder)
    tfds.disable_progress_bar()  # nested bars; the log says where we are
    with contextlib.redirect_stdout(io.StringIO()):  # it speaks of a download; there is none
        builder.download_and_prepare()
    shutil.rmtree(folder / "downloads", ignore_errors=True)
    return builder.stored, builder.skipped


def open_records(folder: Path, split: str) -> Any:
    """Opens a split for random access: a sequence of dicts of bytes and arrays."""
    builder = tfds.builder_from_directory(str(folder / _DATASET / _VERSION))
    return builder.as_data_source(split)
