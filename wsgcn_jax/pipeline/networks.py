"""Builds the road's three networks from the configuration and feeds their trainers."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import grain
import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.models.backbone import imagenet_variables, make_backbone
from wsgcn_jax.pipeline.workspace import Curves
from wsgcn_jax.train.checkpoint import load_tree, save_tree
from wsgcn_jax.train.hosts import is_primary
from wsgcn_jax.train.loop import Loss, train
from wsgcn_jax.train.optim import grouped_sgd
from wsgcn_jax.types import DataError


class Network(NamedTuple):
    """A Flax module with its variables: gradients move `params`, and not `frozen` (statistics)."""

    module: nn.Module
    params: Any
    frozen: Any

    def apply(self, variables: Any, *args: Any, method: str | None = None) -> Any:
        """Calls the module (or a method of it) with the given variables.

        They are arguments of the caller's program: taken from here, they would be baked in.
        """
        return self.module.apply(variables, *args, method=method)

    @property
    def variables(self) -> dict[str, Any]:
        """All variables in one tree, as Flax takes them."""
        return {"params": self.params, **self.frozen}


def build(
    key: jax.Array,
    name: str,
    head: Callable[[nn.Module], nn.Module],
    *,
    weights: str | Mapping[str, Any] = "",
    output_stride: int = 16,
    frozen_taps: int = 0,
    init: str = "",
    **options: bool,
) -> Network:
    """Puts a head on a backbone, by default one with its ImageNet weights.

    Args:
        key: PRNG key of the head's weights.
        name: of the backbone.
        head: backbone -> module, which calls it "backbone".
        weights: of the backbone: a file, a converted folder, or the variables themselves; "" =
            the installed package's.
        output_stride: of the backbone.
        frozen_taps: how many leading taps pass no gradient.
        init: a folder that `experiments.convert` wrote, with the whole network's weights to
            start from; "" = a fresh head.
        **options: of the backbone, see `models.backbone.make_backbone`.

    Returns:
        The network.

    Raises:
        DataError: the weights cannot be had, or are another network's.
    """
    backbone = make_backbone(name, output_stride=output_stride, frozen_taps=frozen_taps, **options)
    module = head(backbone)
    if init:
        variables = load_variables(Path(init), module)
        return Network(module, variables.pop("params"), variables)
    if not isinstance(weights, str):
        start = weights
    elif weights and Path(weights).is_dir():
        start = load_variables(Path(weights), make_backbone(name))
    else:
        start = imagenet_variables(name, weights or None)

    @jax.jit
    def init_head(key: jax.Array) -> dict[str, Any]:
        # Without the backbone among the results the compiler drops its whole forward pass.
        variables = module.init(key, jnp.zeros((1, 64, 64, 3)))
        return {
            collection: {part: tree for part, tree in parts.items() if part != "backbone"}
            for collection, parts in variables.items()
        }

    variables = init_head(key)
    params = {**variables.pop("params"), "backbone": start["params"]}
    frozen = dict(variables)
    frozen["batch_stats"] = {**frozen.get("batch_stats", {}), "backbone": start["batch_stats"]}
    return Network(module, jax.tree.map(jnp.asarray, params), jax.tree.map(jnp.asarray, frozen))


def load_variables(folder: Path, module: nn.Module) -> dict[str, Any]:
    """Reads a network's variables from a folder that `experiments.convert` wrote.

    Args:
        folder: the folder.
        module: the network; takes photos.

    Returns:
        Its variables.

    Raises:
        DataError: there is no such folder, or it holds another network.
    """
    photo = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    try:
        variables = load_tree(folder, jax.eval_shape(module.init, jax.random.key(0), photo))
    except DataError as error:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; run experiments.convert") from error
        reason = " ".join(str(error.__cause__).split())[:150]  # Orbax lists every leaf there is
        raise DataError(
            f"{folder}: weights of another network, or of another number of classes ({reason} ...)"
        ) from error
    return jax.tree.map(jnp.asarray, variables)


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

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and label map."""
        index = self._indices[position]
        mask = data.read_mask(self._folder / f"{self._split.names[index]}.png")
        return self._split[index].image, mask


def crop_with_labels(
    scales: tuple[float, float], crop: int
) -> Callable[[tuple[np.ndarray, np.ndarray], np.random.Generator], data.Crop]:
    """Returns the augmentation of `LabelledPhotos`: random scale, mirror, crop."""

    def augment(photo: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> data.Crop:
        return data.train_crop(rng, *photo, scales=scales, crop=crop)

    return augment


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
        settings: the section (`batch_size`, `epochs`, `momentum`, `weight_decay`, and, where
            it has them, `rate_every`, `accumulate` and `ema`). Without epochs the weights are
            kept as they are.
        rates: learning rate of each group of parameters.
        group_of: path of a parameter -> its group.
        seed: of order and augmentation.

    Raises:
        DataError: the batches cannot be split over the devices.
    """
    if settings.epochs == 0:
        save_tree(folder / "statistics", network.frozen)
        save_tree(folder / "weights", network.params)
        return
    accumulate = settings.get("accumulate", 1)
    parts = jax.device_count() * accumulate
    if settings.batch_size % parts:
        raise DataError(
            f"{folder.name}.batch_size: {settings.batch_size} cannot be split over "
            f"{jax.device_count()} devices and {accumulate} accumulated parts; use a multiple of "
            f"{parts}"
        )
    steps = max(1, settings.epochs * len(source) // settings.batch_size)
    optimiser = grouped_sgd(
        rates,
        group_of,
        steps=steps,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        every=settings.get("rate_every", 1),
    )
    curves = Curves(folder, folder.name, steps) if is_primary() else None
    try:
        trained = train(
            network.params,
            network.frozen,
            batches(source, transform, batch_size=settings.batch_size, seed=seed),
            loss=loss,
            optimiser=optimiser,
            steps=steps,
            folder=folder / "checkpoints",
            save_every=max(10, steps // 20),
            accumulate=accumulate,
            average=settings.get("ema", 0.0),
            report=curves or (lambda step, scalars: None),
        )
    finally:
        if curves is not None:
            curves.close()
    save_tree(folder / "statistics", trained.statistics)
    save_tree(folder / "weights", trained.params)


def load(folder: Path, network: Network) -> Network:
    """Returns the network with the variables that a finished stage wrote."""
    frozen = network.frozen
    if (folder / "statistics").is_dir():  # older work folders have none: they are ImageNet's
        frozen = load_tree(folder / "statistics", frozen)
    return network._replace(params=load_tree(folder / "weights", network.params), frozen=frozen)
