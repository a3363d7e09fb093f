"""The published weight files: how they call their tensors, and where those go in our networks.

    kind = recognise(weights)
    converted = convert(weights, kind)

A file is known by the names in it. IRNet's modules register the same tensors up to four times;
the names that are read are those of the golden README, section 0.1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.models import resnet
from wsgcn_jax.models.backbone import conv_kernel
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.types import DataError

_PREFIXES = re.compile(r"^((module|base|scale|model2)\.)+")
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
        lambda _: BoundaryNet(resnet.ResNet()),
        _single(irnet_name),
        # Of displacements, which this road has no use for, the mean; and tables of indices.
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
