"""Backbones by name, normalisation, and filling trees with weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.models import backbone, efficientnet_lite, resnet
from wsgcn_jax.types import DataError


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


def test_names_of_pytorch() -> None:
    lite = efficientnet_lite.torch_name
    assert lite(("conv_stem", "kernel")) == "_conv_stem.weight"
    assert lite(("blocks_11", "bn1", "var")) == "_blocks.11._bn1.running_var"
    shortcut = resnet.torch_name(("layer1_0", "downsample_0", "kernel"))
    assert shortcut == "layer1.0.downsample.0.weight"


def test_unknown_backbones_are_said() -> None:
    with pytest.raises(DataError, match="no backbone 'vgg'; use one of resnet50"):
        backbone.make_backbone("vgg")
