"""What the segmenter learns from: pseudo labels, the GCN's probabilities, or true masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.training import LabelledPhotos
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays
from wsgcn_jax.resize import resize_labels
from wsgcn_jax.seeds import walk_seeds
from wsgcn_jax.types import IGNORE, DataError

_BUCKET = 32  # cells to whose multiples grids are padded, so that few programs are compiled


def training_photos(context: Context, split: data.Split) -> Any:
    """Opens the photos of a split with what `segmenter.supervision` and `targets` say.

    Args:
        context: the run.
        split: its photos.

    Returns:
        Random access to the arguments of `data.train_crop`.
    """
    settings = context.config.segmenter
    if settings.supervision == "truth":
        return TruePhotos(split)
    photos, folder = split.without_masks(), context.folder("pseudo_labels")
    if settings.targets == "labels" and not settings.ignore_disputed:
        return LabelledPhotos(photos, folder)
    return PseudoTargets(
        photos,
        folder,
        with_scores=settings.targets == "scores",
        ignore_disputed=settings.ignore_disputed,
    )


class PseudoTargets(LabelledPhotos):
    """Photos with their pseudo labels and with what the GCN and the walk said of them."""

    def __init__(
        self, split: data.Split, folder: Path, *, with_scores: bool, ignore_disputed: bool
    ) -> None:
        """Takes the photos.

        Args:
            split: the photos.
            folder: of the pseudo labels.
            with_scores: whether the GCN's probabilities come along.
            ignore_disputed: whether labels are 255 where GCN and walk differ.
        """
        super().__init__(split, folder)
        self._with_scores, self._ignore = with_scores, ignore_disputed

    def __getitem__(self, position: int) -> tuple[np.ndarray, ...]:
        """Returns photo, label map and, where wanted, probabilities `[c, H, W] f32`.

        Raises:
            DataError: what the pseudo labels were made of is missing or damaged.
        """
        image, labels = super().__getitem__(position)
        name = self._split.names[self._indices[position]]
        arrays = read_arrays(self._folder / f"{name}.npz")
        class_ids, log_probs = arrays["class_ids"], arrays["log_probs"].astype(np.float32)
        if self._ignore:
            differ = disputed(arrays["walk"], log_probs)
            size = (labels.shape[0], labels.shape[1])
            labels = np.where(resize_labels(differ, size), IGNORE, labels).astype(np.uint8)
        if not self._with_scores:
            return image, labels
        scores = np.zeros((len(self._split.classes), *log_probs.shape[1:]), np.float32)
        scores[class_ids] = np.exp(log_probs)
        return image, labels, scores


def disputed(walk: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Finds the nodes that the random walk and the GCN label differently.

    The walk's labels are its seeds without a margin: its best class where that exceeds the
    photo's own threshold (`seeds.walk_seeds`), else background.

    Args:
        walk: `[k - 1, H, W] f32`, the present classes' scores after the walk; k = 1 for a photo
            without classes.
        log_probs: `[k, H, W] f32`, of the GCN; background first.

    Returns:
        `[H, W] bool`.
    """
    height, width = log_probs.shape[1:]
    if not len(walk):
        return np.zeros((height, width), bool)
    shape = data.bucket_shape(height, width, _BUCKET)
    padded = data.pad_to(np.moveaxis(walk, 0, -1).astype(np.float32), shape)
    valid = data.pad_to(np.ones((height, width), bool), shape)
    cut = np.asarray(_cut_walk(np.moveaxis(padded, -1, 0), valid))
    return cut[:height, :width] != log_probs.argmax(axis=0)


@jax.jit
def _cut_walk(walk: jax.Array, valid: jax.Array) -> jax.Array:
    """Places `[H, W] u8` of the walk's labels among the present classes, 0 background."""
    return walk_seeds(walk, jnp.ones(len(walk), bool), valid=valid, margin=0.0)


class TruePhotos:
    """The photos of a split with their true masks: the fully supervised reference.

    Besides the scores this is the only reader of true masks, and only by
    `segmenter.supervision=truth`.
    """

    def __init__(self, split: data.Split) -> None:
        """Takes the photos.

        Raises:
            DataError: one has no mask.
        """
        self._split = split
        self._indices = [i for i in range(len(split)) if split[i].mask is not None]
        if not self._indices:
            raise DataError(
                f"{split}: no photo has a true mask; give masks, or train with "
                "segmenter.supervision=pseudo"
            )

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and true mask."""
        example = self._split[self._indices[position]]
        assert example.mask is not None
        return example.image, example.mask
