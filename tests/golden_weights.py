"""The golden files' weights: every array follows from its PyTorch name and shape."""

import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """Reads one golden file whole."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def weight(name: str, shape: Sequence[int]) -> np.ndarray:
    """Gives the array of a PyTorch name, in its shape (tests/golden/README.md section 0.1)."""
    z = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf in ("bias", "running_mean"):
        value = 0.1 * z
    elif leaf == "running_var":
        value = 1 + 0.1 * np.abs(z)
    elif len(shape) >= 2:
        value = z * math.sqrt(2 / math.prod(shape[1:]))
        if name.startswith("base.aspp."):
            value *= 0.01
    elif name.endswith((".bn3.weight", ".increase.bn.weight")):
        value = 0.2 * (1 + 0.1 * z)
    else:
        value = 1 + 0.1 * z
    return value.astype(np.float32)


def flax_weight(name: str, shape: Sequence[int]) -> np.ndarray:
    """Gives the same array in Flax's shape: `[k, k, in, out]`, `[in, out]` or `[c]`."""
    if len(shape) == 4:
        return weight(name, [shape[3], shape[2], *shape[:2]]).transpose(2, 3, 1, 0)
    if len(shape) == 2:
        return weight(name, [shape[1], shape[0], 1, 1])[:, :, 0, 0].T
    return weight(name, shape)


def golden_variables(
    module: nn.Module, name_of: Callable[[tuple[str, ...]], str]
) -> dict[str, Any]:
    """Fills a network with golden weights.

    Args:
        module: takes one normalised photo.
        name_of: gives the PyTorch name of a leaf from its keys below the collection.

    Returns:
        Its variables.
    """
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    flat = traverse_util.flatten_dict(shapes)
    return traverse_util.unflatten_dict(
        {path: flax_weight(name_of(path[1:]), leaf.shape) for path, leaf in flat.items()}
    )


def any_variables(module: nn.Module) -> dict[str, Any]:
    """Fills any network with numbers of sensible size, faster than its `init`."""
    leaves = {"mean": "running_mean", "var": "running_var"}
    return golden_variables(
        module, lambda path: ".".join((*path[:-1], leaves.get(path[-1], path[-1])))
    )


def nhwc(x: np.ndarray) -> np.ndarray:
    """Moves the channels of `[b, c, h, w]` last."""
    return np.moveaxis(x, 1, -1)
