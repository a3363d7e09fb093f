"""Building the pipeline's three networks from the configuration, and loading trained ones."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from etils.epath import Path

from wsgcn_jax.models.backbone import imagenet_variables, make_backbone
from wsgcn_jax.models.network import Module, Network, on_backbone, variable_shapes
from wsgcn_jax.trainer.checkpoint import load_tree
from wsgcn_jax.types import DataError


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
