"""Published weight files: known by their names, whole or explained, and the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import golden, golden_variables, weight

from wsgcn_jax.models import published, resnet
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.published import convert, recognise
from wsgcn_jax.models.published_kinds import KINDS, irnet_name
from wsgcn_jax.types import DataError

TINY = {
    "irn": lambda w: BoundaryNet(resnet.ResNet((1, 1, 1, 1)), displacement=True),
    "irn_cam": lambda w: Classifier(resnet.ResNet((1, 1, 1, 1)), num_classes=3),
}
DOUBLES = {
    "irn": {"stage1.0.weight": "resnet50.conv1.weight", "edge_layers.5.bias": "fc_edge6.bias"},
    "irn_cam": {"newly_added.0.weight": "classifier.weight"},
}


def _file(key):
    """A state dict of golden numbers under the published names, made without our mapping."""
    names = {"irn": "irn_net", "irn_cam": "cam_net", "deeplab_coco": "deeplab"}
    names |= {"deeplab_imagenet": "deeplab_imagenet"}
    return [str(name) for name in golden(names[key])["param_names"]]


@pytest.mark.parametrize("key", ["irn", "irn_cam", "deeplab_coco", "deeplab_imagenet"])
def test_the_names_are_exactly_the_published_ones(key):
    kind = KINDS[key]
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(kind.network({}).init, jax.random.key(0), photo)
    paths = [[k.key for k in keys[1:]] for keys, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    ours = {name for path in paths for name in kind.names(path)}
    theirs = set(published.strip_prefixes(dict.fromkeys(_file(key), 0)))
    assert theirs - ours == ({"mean_shift.running_mean"} if key == "irn" else set())
    assert ours <= theirs


def _tiny(key, monkeypatch, prefix=""):
    """A whole file of a tiny network: `{name: array}` in PyTorch's shapes."""
    kind = KINDS[key]
    network = TINY.get(key) or (
        lambda w: (
            DeepLabV2(resnet.ResNet((1, 1, 1, 1)), num_classes=3)
            if "deeplab" in key
            else resnet.ResNet((1, 1, 1, 1))
        )
    )
    monkeypatch.setitem(KINDS, key, kind._replace(network=network))
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(network({}).init, jax.random.key(0), photo)
    file = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        names = kind.names([k.key for k in keys[1:]])
        shape = leaf.shape[1:] if len(names) > 1 else leaf.shape
        if len(shape) >= 2:
            shape = (*shape[::-1][:2], *(shape[:-2] or (1, 1)))
        file |= {prefix + name: weight(name, shape) for name in names}
    return file


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("irn", ""),
        ("irn_cam", "module."),
        ("deeplab_coco", "base."),
        ("deeplab_coco", "module.base."),
        ("deeplab_coco", ""),
        ("resnet101_caffe", "scale."),
        ("deeplab_imagenet", "base.model2."),
    ],
)
def test_whole_files_are_known_and_leave_nothing_over(key, prefix, monkeypatch):
    file = _tiny(key, monkeypatch, prefix)
    extra = {prefix + a: file[prefix + b] for a, b in DOUBLES.get(key, {}).items()}
    extra[f"{prefix}bn1.num_batches_tracked"] = np.array(3)
    assert recognise(file) == key
    result = convert({**file, **extra}, key)
    assert not (result.missing or result.misshapen or result.unexpected)
    stem = result.variables["params"]
    stem = stem.get("backbone", stem)["conv1"]["kernel"]
    name = next(n for n in file if n.endswith(("layer1.conv1.conv.weight", "conv1.weight")))
    expected = np.moveaxis(file[name], (0, 1), (3, 2))
    turned = expected[:, :, ::-1] if KINDS[key].bgr else expected
    np.testing.assert_array_equal(stem, turned)


def test_pyramid_is_stacked_in_the_order_of_rates(monkeypatch):
    file = _tiny("deeplab_coco", monkeypatch, "base.")
    params = convert(file, "deeplab_coco").variables["params"]
    for i in range(4):
        kernel = file[f"base.aspp.c{i}.weight"]
        assert params["aspp_kernel"][i, 0, 2, 5, 1] == kernel[1, 5, 0, 2]
        np.testing.assert_array_equal(params["aspp_bias"][i], file[f"base.aspp.c{i}.bias"])


def test_what_does_not_fit_is_named_with_its_shape(monkeypatch):
    file = _tiny("irn_cam", monkeypatch)
    del file["resnet50.layer3.0.conv2.weight"]
    file["resnet50.bn1.bias"] = np.zeros(7)
    file["head.weight"] = np.zeros((2, 5))
    result = convert(file, "irn_cam")
    assert result.missing == [("resnet50.layer3.0.conv2.weight", (256, 256, 3, 3))]
    assert result.misshapen == [("resnet50.bn1.bias", (7,))]
    assert result.unexpected == [("head.weight", (2, 5))]


def test_torchvision_is_told_by_its_depth():
    names = [f"layer3.{i}.conv1.weight" for i in range(23)]
    assert recognise(dict.fromkeys(["conv1.weight", *names], 0)) == "resnet101"
    assert recognise(dict.fromkeys(["conv1.weight", *names[:6]], 0)) == "resnet50"
    with pytest.raises(DataError, match=r"no known kind \(it holds w \.\.\.\); say which of irn"):
        recognise({"w": np.zeros(1)})
    with pytest.raises(DataError, match="differ by their prefix only"):
        recognise({"w": np.zeros(1), "module.w": np.zeros(1)})


def test_converted_numbers_are_those_of_the_golden_networks(monkeypatch):
    """The golden tests run these networks; here the same variables come out of a file."""
    for key in ("irn", "irn_cam"):
        file = _tiny(key, monkeypatch)
        network = KINDS[key].network(file)
        expected = golden_variables(network, irnet_name)
        converted = convert(file, key).variables
        jax.tree.map(np.testing.assert_array_equal, converted, expected)
