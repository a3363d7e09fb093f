"""The published weight files by kind: how they call their tensors, and what else they hold.

A file is known by the names in it. IRNet's modules register the same tensors up to four times;
the names that are read are those of tests/golden/README.md, section 0.1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import numpy as np

from wsgcn_jax.models import resnet
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2

_RATES = 4
_CAFFE = {"conv1": "reduce", "conv2": "conv3x3", "conv3": "increase"}

Path = Sequence[str]
"""The keys from a network's tree down to a leaf, without the collection."""


class Kind(NamedTuple):
    """One kind of published file.

    Attributes:
        what: in words.
        marks: names that tell it from the others; of several kinds that fit, the first counts.
        network: (its tensors) -> the network they belong to.
        names: path of a leaf -> the tensors that are stacked to make it, without prefixes.
        left_out: further names that such files hold and the network has no use for.
        bgr: whether its first convolution expects BGR.
    """

    what: str
    marks: tuple[str, ...]
    network: Callable[[Mapping[str, np.ndarray]], nn.Module]
    names: Callable[[Path], tuple[str, ...]]
    left_out: str
    bgr: bool = False


def irnet_name(path: Path) -> str:
    """Names the variables of IRNet's classifier and boundary network on a ResNet-50."""
    if path[0] == "backbone":
        return "resnet50." + resnet.torch_name(path[1:])
    if path[0] == "classifier":
        return "classifier.weight"
    if path[0] in ("edge_kernel", "edge_bias"):
        return {"edge_kernel": "fc_edge6.weight", "edge_bias": "fc_edge6.bias"}[path[0]]
    if path[0] == "displacement8":
        return "fc_dp7.3.weight"
    branch = (
        path[0].removesuffix("_norm").replace("edge", "fc_edge").replace("displacement", "fc_dp")
    )
    layer = 1 if path[0].endswith("_norm") else 0
    return f"{branch}.{layer}." + ("bias" if path[1] == "bias" else "weight")


def caffe_name(path: Path) -> str:
    """Names a ResNet's variables as DeepLab's Caffe port does: `layer2.block1.reduce.bn.weight`."""
    *modules, leaf = resnet.torch_name(path).split(".")
    if len(modules) == 1:
        return f"layer1.conv1.{modules[0].removesuffix('1')}.{leaf}"
    stage, block, layer = modules[0], modules[1], modules[2]
    if layer == "downsample":
        part, kind = "shortcut", "conv" if modules[3] == "0" else "bn"
    else:
        part, kind = _CAFFE["conv" + layer[-1]], layer[:-1]
    return f"layer{int(stage[5:]) + 1}.block{int(block) + 1}.{part}.{kind}.{leaf}"


def _single(name: Callable[[Path], str]) -> Callable[[Path], tuple[str, ...]]:
    return lambda path: (name(path),)


def _deeplab(backbone_name: Callable[[Path], str]) -> Callable[[Path], tuple[str, ...]]:
    """Names DeepLab's variables; those of the pyramid's rates are stacked here."""

    def names(path: Path) -> tuple[str, ...]:
        if path[0] == "backbone":
            return (backbone_name(path[1:]),)
        leaf = {"aspp_kernel": "weight", "aspp_bias": "bias"}[path[0]]
        return tuple(f"aspp.c{i}.{leaf}" for i in range(_RATES))

    return names


def _deeplab_network(weights: Mapping[str, np.ndarray]) -> nn.Module:
    classes = _classes(weights, "aspp.c0.weight", 21)
    return DeepLabV2(resnet.ResNet(resnet.RESNET101), num_classes=classes)


def _classifier_network(weights: Mapping[str, np.ndarray]) -> nn.Module:
    return Classifier(resnet.ResNet(), num_classes=_classes(weights, "classifier.weight", 20))


def _classes(weights: Mapping[str, np.ndarray], name: str, usual: int) -> int:
    """Counts the classes of a head; VOC's where it is missing."""
    return len(weights[name]) if name in weights and weights[name].ndim else usual


_COUNTERS = r"num_batches_tracked$"
_DOUBLES = r"^(stage\d|backbone|newly_added|edge_layers|dp_layers)\.|^resnet50\.fc\."
_HEAD = r"^fc\."

KINDS = {
    "irn": Kind(
        "IRNet's boundary network (res50_irn.pth)",
        ("fc_edge1.0.weight", "resnet50.conv1.weight"),
        lambda _: BoundaryNet(resnet.ResNet(), displacement=True),
        _single(irnet_name),
        # Of displacements, which nothing here has a use for, the mean; and tables of indices.
        rf"{_COUNTERS}|{_DOUBLES}|^(mean_shift|fc_dp7\.4)\.|^(path_indices\d+|disp_target|ind_\w+)$",
    ),
    "irn_cam": Kind(
        "IRNet's classifier (res50_cam.pth)",
        ("classifier.weight", "resnet50.conv1.weight"),
        _classifier_network,
        _single(irnet_name),
        rf"{_COUNTERS}|{_DOUBLES}",
    ),
    "deeplab_coco": Kind(
        "DeepLab v2 on Caffe's ResNet-101 (started from COCO)",
        ("layer1.conv1.conv.weight", "aspp.c0.weight"),
        _deeplab_network,
        _deeplab(caffe_name),
        _COUNTERS,
        bgr=True,
    ),
    "resnet101_caffe": Kind(
        "Caffe's ResNet-101 alone (DeepLab's COCO start)",
        ("layer1.conv1.conv.weight",),
        lambda _: resnet.ResNet(resnet.RESNET101),
        _single(caffe_name),
        rf"{_COUNTERS}|{_HEAD}|^aspp\.",
        bgr=True,
    ),
    "deeplab_imagenet": Kind(
        "DeepLab v2 on torchvision's ResNet-101 (started from ImageNet)",
        ("conv1.weight", "aspp.c0.weight"),
        _deeplab_network,
        _deeplab(resnet.torch_name),
        rf"{_COUNTERS}|{_HEAD}",
    ),
    "resnet101": Kind(
        "torchvision's ResNet-101",
        ("conv1.weight", "layer3.22.conv1.weight"),
        lambda _: resnet.ResNet(resnet.RESNET101),
        _single(resnet.torch_name),
        rf"{_COUNTERS}|{_HEAD}",
    ),
    "resnet50": Kind(
        "torchvision's ResNet-50",
        ("conv1.weight", "layer3.5.conv1.weight"),
        lambda _: resnet.ResNet(),
        _single(resnet.torch_name),
        rf"{_COUNTERS}|{_HEAD}",
    ),
}
"""The kinds by name, more particular ones first."""
