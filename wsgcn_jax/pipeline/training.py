"""Training one of the pipeline's networks: its batches, its optimiser, its curves."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import grain
import jax
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline.curves import Curves
from wsgcn_jax.pipeline.doubts import doubts_of_training
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.trainer.loop import Loss, train
from wsgcn_jax.trainer.optim import grouped_sgd


def batches(
    source: Any,
    transform: Callable[[Any, np.random.Generator], Mapping[str, object]],
    *,
    batch_size: int,
    seed: int,
) -> Any:
    """This host's share of shuffled, augmented, endless batches; its place can be saved.

    All hosts' shares together hold the same elements, augmented alike, however many hosts there
    are: they are drawn before they are shared out.

    Args:
        source: random access, `len` and `[]`.
        transform: (element, generator of this element and epoch) -> arrays of fixed shapes.
        batch_size: elements a batch, all hosts together; the remainder of an epoch flows into
            the next.
        seed: of order and augmentation.

    Returns:
        A Grain iterator of batches of `batch_size / hosts`.
    """
    hosts = jax.process_count()
    elements = grain.MapDataset.source(source).seed(seed).shuffle().repeat().random_map(transform)
    if hosts > 1:
        elements = grain.MapDataset.source(_Share(elements, batch_size))
    stacked = elements.batch(batch_size // hosts, drop_remainder=True)
    threads = min(16, max(2, os.cpu_count() or 2))
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(stacked.to_iter_dataset(options))


class _Share:
    """What this host contributes to every batch: its run of neighbours, so that all hosts' shares
    one after the other are the batch that a single host would have drawn."""

    def __init__(self, elements: Any, batch_size: int) -> None:
        self._elements, self._batch = elements, batch_size
        self._part = batch_size // jax.process_count()
        self._first = jax.process_index() * self._part

    def __len__(self) -> int:
        return len(self._elements) // self._batch * self._part

    def __getitem__(self, position: int) -> Any:
        batch, place = divmod(position, self._part)
        return self._elements[batch * self._batch + self._first + place]


class LabelledPhotos:
    """The photos of a split that have a label map in a folder, with it."""

    def __init__(self, split: data.Split, folder: Path) -> None:
        """Takes the photos and the folder of their palette PNGs."""
        self._split, self._folder = split, folder
        self._indices = [i for i, n in enumerate(split.names) if (folder / f"{n}.png").exists()]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[np.ndarray, ...]:
        """Returns photo and label map."""
        index = self._indices[position]
        mask = data.read_mask(self._folder / f"{self._split.names[index]}.png")
        return self._split[index].image, mask


def crop_with_labels(
    scales: tuple[float, float], crop: int
) -> Callable[[tuple[np.ndarray, ...], np.random.Generator], data.Crop]:
    """Returns the augmentation of `LabelledPhotos`: random scale, mirror, crop."""

    def augment(photo: tuple[np.ndarray, ...], rng: np.random.Generator) -> data.Crop:
        return data.train_crop(rng, *photo, scales=scales, crop=crop)

    return augment


def training_steps(settings: ConfigDict, photos: int) -> int:
    """Returns the number of updates: so many epochs, within the bounds of the section.

    Args:
        settings: a network's section; `epochs`, `batch_size`, `min_steps`, `max_steps` are read.
        photos: how many there are to train on.
    """
    steps = max(settings.min_steps, settings.epochs * photos // settings.batch_size)
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def run_training(
    folder: Path,
    network: Network,
    source: Any,
    transform: Callable[[Any, np.random.Generator], Mapping[str, object]],
    loss: Loss,
    *,
    settings: ConfigDict,
    rates: dict[str, float],
    group_of: Callable[[tuple[str, ...]], str],
    seed: int,
) -> None:
    """Trains a network as its section of the configuration says and writes its weights.

    Args:
        folder: of the stage; checkpoints, curves and finally `weights` and `statistics` go there.
        network: what to train.
        source: random access to the training photos.
        transform: augmentation.
        loss: the objective.
        settings: the section; the keys of `settings.inputs.training` are read. Without
            epochs the weights are kept as they are.
        rates: learning rate of each group of parameters.
        group_of: path of a parameter -> its group.
        seed: of order and augmentation.
    """
    if settings.epochs == 0:
        save_tree(folder / "statistics", network.statistics)
        save_tree(folder / "weights", network.params)
        return
    steps = training_steps(settings, len(source))
    for doubt in doubts_of_training(folder.name, steps):
        log(doubt)
    optimiser = grouped_sgd(
        rates,
        group_of,
        steps=steps,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        every=settings.learning_rate_interval,
    )
    curves = Curves(folder, folder.name, steps) if is_primary() else None
    try:
        trained = train(
            network.params,
            network.statistics,
            batches(source, transform, batch_size=settings.batch_size, seed=seed),
            loss=loss,
            optimiser=optimiser,
            steps=steps,
            folder=folder / "checkpoints",
            save_every=max(10, steps // 20),
            accumulate=settings.accumulate,
            average=settings.ema or 0.0,
            begin=curves.begin if curves else (lambda step: None),
            report=curves or (lambda step, scalars: None),
        )
    finally:
        if curves is not None:
            curves.close()
    save_tree(folder / "statistics", trained.statistics)
    save_tree(folder / "weights", trained.params)
