"""Building the pipeline's three networks from the configuration, and loading trained ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils.epath import Path

from wsgcn_jax.models.backbone import make_backbone
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.imagenet_weights import imagenet_head, imagenet_variables
from wsgcn_jax.models.network import Module, Network, on_backbone, variable_shapes
from wsgcn_jax.trainer.checkpoint import load_tree
from wsgcn_jax.types import DataError

_SMALLEST = 1e-6


def build(
    key: jax.Array,
    name: str,
    head: Callable[[Module], Module],
    *,
    weights: str | Mapping[str, Any] | None = None,
    output_stride: int = 16,
    frozen_stages: int = 0,
    init: str | None = None,
    use_batch_stats: bool = False,
    undilated_first: bool = False,
    ceil_pool: bool = False,
) -> Network:
    """Puts a head on a backbone, by default one with its ImageNet weights.

    Args:
        key: PRNG key of the head's weights.
        name: of the backbone.
        head: backbone -> module, which calls it "backbone".
        weights: of the backbone: a file, a converted folder, or the variables themselves; None:
            the installed package's.
        output_stride: of the backbone.
        frozen_stages: how many leading taps pass no gradient.
        init: a folder that `experiments.convert` wrote, with the whole network's weights to
            start from; None: a fresh head.
        use_batch_stats: of the backbone, see `models.backbone.make_backbone`.
        undilated_first: see there.
        ceil_pool: see there.

    Returns:
        The network.

    Raises:
        DataError: the weights cannot be had, or are another network's.
    """
    backbone = make_backbone(
        name,
        output_stride=output_stride,
        frozen_stages=frozen_stages,
        use_batch_stats=use_batch_stats,
        undilated_first=undilated_first,
        ceil_pool=ceil_pool,
    )
    module = head(backbone)
    if init:
        variables = load_variables(Path(init), module)
        return Network(module, variables.pop("params"), variables)
    if weights is None or isinstance(weights, str):
        weights = _backbone_variables(name, weights)
    return on_backbone(key, module, weights)


def _backbone_variables(name: str, weights: str | None) -> Mapping[str, Any]:
    """Reads a backbone's weights from a converted folder, a file, or the installed package."""
    if weights and Path(weights).is_dir():
        return load_variables(Path(weights), make_backbone(name))
    return imagenet_variables(name, weights)


def imagenet_classifier(
    groups: Sequence[Sequence[int]], name: str, *, weights: str | None = None
) -> Network:
    """Builds a classifier that needs no training: ImageNet's own head.

    A class's score is the largest of its ImageNet classes', each less the mean of all thousand.

    Args:
        groups: per class its ImageNet classes (`models.imagenet_classes.imagenet_groups`); a
            class without any scores 0.
        name: of the backbone.
        weights: the file of the backbone's weights; None: the installed package's.

    Returns:
        The network.

    Raises:
        DataError: the weights cannot be had, or come without ImageNet's head.
    """
    head = _imagenet_head(name, weights)
    dark = np.zeros_like(head[:, :1])
    kernel = np.concatenate([head[:, list(group)] if group else dark for group in groups], 1)
    sizes = tuple(len(group) or 1 for group in groups)
    module = Classifier(make_backbone(name), num_classes=len(groups), group_sizes=sizes)
    backbone = imagenet_variables(name, weights)
    params = {"classifier": {"kernel": kernel}, "backbone": backbone["params"]}
    statistics = {"batch_stats": {"backbone": backbone["batch_stats"]}}
    return Network(module, *jax.tree.map(jnp.asarray, (params, statistics)))


def with_columns(
    imagenet: Network, groups: Sequence[Sequence[int]], linear: Network, learnt: np.ndarray
) -> Network:
    """Lets a linear classifier speak of some classes, in one network with ImageNet's head.

    Args:
        imagenet: of `imagenet_classifier`.
        groups: that it was built of.
        linear: a classifier on the same backbone, with biases; only its head is read.
        learnt: `[classes] bool`, of which classes it speaks. Where its weights are 0 it knows
            nothing, and leaves the word to ImageNet's classes, if there are any.

    Returns:
        A network that costs no more than `imagenet`.
    """
    ends = np.cumsum([len(group) or 1 for group in groups])
    known = jnp.split(imagenet.params["classifier"]["kernel"], ends[:-1], axis=1)
    head = linear.params["classifier"]
    unknown = np.array([not group for group in groups])
    learnt = learnt & (unknown | np.asarray(head["kernel"]).any(0))
    kernels = [head["kernel"][:, [k]] if learnt[k] else known[k] for k in range(len(groups))]
    sizes = tuple(kernel.shape[1] for kernel in kernels)
    biases = np.repeat(np.where(learnt, head["bias"], 0.0), sizes)
    module = imagenet.module.clone(group_sizes=sizes, use_bias=True)
    kernel = jnp.concatenate(kernels, axis=1)
    params = {
        **imagenet.params,
        "classifier": {"kernel": kernel, "bias": jnp.asarray(biases, kernel.dtype)},
    }
    return imagenet._replace(module=module, params=params)


def start_from_imagenet(
    classifier: Network, groups: Sequence[Sequence[int]], name: str, *, weights: str | None = None
) -> Network:
    """Gives a classifier a head that knows ImageNet: per class the sum of its ImageNet rows.

    A sum is brought to the rows' mean length, so that logits are as large with one as with many.

    Args:
        classifier: the network.
        groups: as of `imagenet_classifier`; the head of a class without any starts at 0.
        name: see there.
        weights: see there.

    Returns:
        The network with its head replaced.

    Raises:
        DataError: see `imagenet_classifier`.
    """
    head = _imagenet_head(name, weights)
    length = np.linalg.norm(head, axis=0).mean()
    sums = np.stack([head[:, list(group)].sum(1) for group in groups], -1)
    kernel = length * sums / np.maximum(np.linalg.norm(sums, axis=0, keepdims=True), _SMALLEST)
    return classifier._replace(
        params={**classifier.params, "classifier": {"kernel": jnp.asarray(kernel)}}
    )


def _imagenet_head(name: str, weights: str | None) -> np.ndarray:
    """Reads ImageNet's head, which a folder of `experiments.convert` does not hold."""
    if weights and Path(weights).is_dir():
        raise DataError(
            f"backbone.weights: {weights} holds a backbone without ImageNet's head; name the file "
            "that it was converted from"
        )
    return imagenet_head(name, weights)


def load_variables(folder: Path, module: Module) -> dict[str, Any]:
    """Reads a network's variables from a folder that `experiments.convert` wrote.

    Args:
        folder: the folder.
        module: the network; takes photos.

    Returns:
        Its variables.

    Raises:
        DataError: there is no such folder, or it holds another network.
    """
    try:
        variables = load_tree(folder, variable_shapes(module))
    except DataError as error:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; run experiments.convert") from error
        reason = " ".join(str(error.__cause__).split())[:150]  # Orbax lists every leaf there is
        raise DataError(
            f"{folder}: weights of another network, or of another number of classes ({reason} ...)"
        ) from error
    return jax.tree.map(jnp.asarray, variables)


def load(folder: Path, network: Network) -> Network:
    """Returns the network with the variables that a finished stage wrote."""
    return network._replace(
        params=load_tree(folder / "weights", network.params),
        statistics=load_tree(folder / "statistics", network.statistics),
    )
