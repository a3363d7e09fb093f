"""ResNet against golden numbers of PyTorch's, and padded against unpadded."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import any_variables, golden, golden_variables, nhwc, weight

from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.published_kinds import irnet_name
from wsgcn_jax.models.resnet import RESNET101, Bottleneck, ResNet, torch_name

CAM = golden("cam_net")
TINY = (1, 1, 1, 1)


@pytest.fixture(scope="module")
def classifier():
    module = Classifier(ResNet(), num_classes=20)
    return module, golden_variables(module, irnet_name)


@pytest.mark.parity("ResNet")
def test_weight_rule():
    np.testing.assert_array_equal(
        weight("resnet50.conv1.weight", (64, 3, 7, 7))[:2], CAM["check_conv1"]
    )


def test_names_are_pytorchs(classifier):
    shapes = jax.eval_shape(ResNet().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    paths = jax.tree_util.tree_leaves_with_path(shapes["params"])
    names = {"resnet50." + torch_name([key.key for key in path]) for path, _ in paths}
    wanted = {n for n in CAM["param_names"] if n.startswith("resnet50.") and ".running" not in n}
    assert names == {name for name in wanted if "num_batches" not in name}


@pytest.mark.parity("ResNet")
def test_stages_match_golden(classifier):
    module, variables = classifier
    x = nhwc(CAM["pair_input"])
    backbone = {c: tree["backbone"] for c, tree in variables.items()}
    taps = jax.jit(module.backbone.apply)(backbone, x)
    assert [t.shape for t in taps] == [
        (2, 16, 24, 64), (2, 16, 24, 256), (2, 8, 12, 512), (2, 4, 6, 1024), (2, 4, 6, 2048)
    ]  # fmt: skip
    stats = [(t.mean(), t.std()) for t in map(np.float64, taps[1:])]
    np.testing.assert_allclose(stats, CAM["stage_mean_std"], rtol=1e-4)
    kernel = variables["params"]["classifier"]["kernel"]
    cam = np.maximum(np.asarray(taps.x5) @ kernel, 0)
    # The reference's own float32 differs from its float64 by 4e-6.
    np.testing.assert_allclose(
        cam[0] + cam[1][:, ::-1], np.moveaxis(CAM["cam_out"], 0, -1), atol=3e-5
    )


@pytest.mark.parity("ResNet")
def test_normalised_photos_match_golden():
    x = normalise(CAM["image_a"][None], "resnet50")
    pair = np.stack([x[0], x[0][:, ::-1]])
    np.testing.assert_allclose(pair, nhwc(CAM["pair_input"]), atol=1e-6)


@pytest.mark.parity("ResNet")
def test_logits_match_golden(classifier):
    module, variables = classifier
    logits = jax.jit(module.apply)(variables, nhwc(CAM["net_input"]))
    np.testing.assert_allclose(logits, CAM["net_logits"], atol=3e-5)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_padded_equals_unpadded(output_stride):
    module = ResNet(TINY, output_stride=output_stride)
    x = jax.random.normal(jax.random.key(1), (1, 61, 90, 3))
    variables = any_variables(module)
    valid = np.zeros((1, 80, 96), bool)
    valid[:, :61, :90] = True
    # Garbage in the padding must not matter either.
    padded = jnp.pad(x, ((0, 0), (0, 19), (0, 6), (0, 0)), constant_values=7.0)
    apply = jax.jit(module.apply)
    alone, among = apply(variables, x), apply(variables, padded, valid)
    for a, b in zip(alone, among, strict=True):
        np.testing.assert_allclose(b[:, : a.shape[1], : a.shape[2]], a, atol=1e-5)
    ratio = 80 // among.x5.shape[1]
    assert ratio == output_stride


def test_dilation_of_every_block_at_stride_8():
    """One pixel of a block's input reaches the pixels at the dilation's distance, no others."""
    x = jax.random.normal(jax.random.key(1), (1, 13, 13, 3))
    both = jnp.concatenate([x, x.at[0, 6, 6].add(1.0)])
    for dilation in (1, 2, 4):
        block = Bottleneck(4, 1, dilation, project=True)
        result = jax.jit(block.apply)(any_variables(block), both)
        change = result[1:] - result[:1]
        # Above rounding: the last rows of the two pictures may take other vector instructions.
        rows, columns = np.nonzero(np.abs(change[0]).max(-1) > 1e-5)
        reach = {6 - dilation, 6, 6 + dilation}
        assert set(rows) == reach and set(columns) == reach
    module = ResNet((1, 2, 2, 2), output_stride=8)
    seen = {}

    def note(next_call, args, kwargs, context):
        if isinstance(context.module, Bottleneck):
            seen[context.module.name] = (context.module.stride, context.module.dilation)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert [seen[f"layer{i}_{j}"] for i in (3, 4) for j in (0, 1)] == [(1, 2)] * 2 + [(1, 4)] * 2


def test_frozen_taps_let_no_gradient_through():
    module = ResNet(TINY, frozen_stages=3)
    x = jax.random.normal(jax.random.key(1), (1, 32, 32, 3))
    variables = any_variables(module)

    def loss(params):
        taps = module.apply({**variables, "params": params}, x)
        return sum(jnp.square(t).sum() for t in taps)

    grads = jax.jit(jax.grad(loss))(variables["params"])
    sizes = {name: sum(np.abs(g).sum() for g in jax.tree.leaves(t)) for name, t in grads.items()}
    frozen = {"conv1", "bn1", "layer1_0", "layer2_0"}
    assert {name for name, size in sizes.items() if size == 0} == frozen
    assert all(np.isfinite(size) for size in sizes.values())


def test_resnet101_has_its_blocks():
    shapes = jax.eval_shape(ResNet(RESNET101).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
    assert count == 44_549_160 - 2_049_000  # torchvision's, less its 1000-class head


def test_unknown_output_stride():
    with pytest.raises(ValueError, match="output_stride is 32"):
        ResNet(output_stride=32).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
