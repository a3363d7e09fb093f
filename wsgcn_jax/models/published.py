"""Published weight files: where their tensors go in our networks.

kind = recognise(weights)
converted = convert(weights, kind)
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.models.imagenet_weights import conv_kernel
from wsgcn_jax.models.published_kinds import KINDS
from wsgcn_jax.types import DataError

_PREFIXES = re.compile(r"^((module|base|scale|model2)\.)+")


class Tensor(NamedTuple):
    """A tensor of a file, in words: its name and its shape in PyTorch's order of axes."""

    name: str
    shape: tuple[int, ...]


class Converted(NamedTuple):
    """What became of a file.

    Attributes:
        variables: `{"params": tree, "batch_stats": tree}`, f32; whole only if nothing is missing.
        missing: tensors that the network needs and the file has not.
        misshapen: tensors (as in the file) that the network has in another shape.
        unexpected: tensors of the file that such files do not have.
    """

    variables: dict[str, Any]
    missing: list[Tensor]
    misshapen: list[Tensor]
    unexpected: list[Tensor]


def strip_prefixes(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes off what wrappers put before the names (`module.`, `base.`, `scale.`, `model2.`).

    Raises:
        DataError: two tensors get the same name by it.
    """
    plain = {_PREFIXES.sub("", name): value for name, value in weights.items()}
    if len(plain) != len(weights):
        raise DataError("names differ by their prefix only; take one of the networks out")
    return plain


def recognise(weights: Mapping[str, np.ndarray]) -> str:
    """Tells the kind of a file by its names.

    Args:
        weights: arrays by name, with or without prefixes.

    Returns:
        A key of KINDS.

    Raises:
        DataError: they are of no known kind.
    """
    names = set(strip_prefixes(weights))
    for key, kind in KINDS.items():
        if names.issuperset(kind.marks):
            return key
    first = ", ".join(list(weights)[:3]) or "nothing"
    raise DataError(f"of no known kind (it holds {first} ...); say which of {', '.join(KINDS)}")


def convert(weights: Mapping[str, np.ndarray], key: str) -> Converted:
    """Brings a file's tensors into the tree of the network they belong to.

    The batch norm statistics are part of it; first convolutions become RGB.

    Args:
        weights: arrays by name, with or without prefixes.
        key: of KINDS.

    Returns:
        The tree, and what did not fit.
    """
    kind, left = KINDS[key], strip_prefixes(weights)
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(kind.network(left).init, jax.random.key(0), photo)
    result = Converted({}, [], [], [])
    for keys, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        path = [entry.key for entry in keys]
        names = kind.names(path[1:])
        found = {name: left.pop(name) for name in names if name in left}
        wanted = _torch_shape(leaf.shape[1:] if len(names) > 1 else leaf.shape)
        result.missing.extend(Tensor(name, wanted) for name in names if name not in found)
        wrong = [n for n, x in found.items() if _squeezed(x.shape) != _squeezed(wanted)]
        result.misshapen.extend(Tensor(name, found[name].shape) for name in wrong)
        if wrong or len(found) < len(names):
            continue
        node = result.variables
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = _leaf([x.reshape(wanted) for x in found.values()], leaf.shape, kind.bgr)
    extra = [name for name in left if not re.search(kind.left_out, name)]
    result.unexpected.extend(Tensor(name, left[name].shape) for name in extra)
    return result


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Gives PyTorch's shape of a kernel; matrices are 1x1 convolutions there."""
    if len(shape) == 4:
        return (shape[3], shape[2], *shape[:2])
    return (shape[1], shape[0], 1, 1) if len(shape) == 2 else shape


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leaves out that a matrix may be a 1x1 convolution."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def _leaf(arrays: list[np.ndarray], shape: tuple[int, ...], bgr: bool) -> np.ndarray:
    """Moves the axes of a leaf's tensors and stacks them."""
    moved = [conv_kernel(x) if x.ndim == 4 else x for x in arrays]
    value = np.stack(moved).reshape(shape)
    if bgr and value.ndim == 4 and value.shape[2] == 3:
        value = value[:, :, ::-1]  # only the first convolution sees colours
    return np.ascontiguousarray(value, np.float32)
