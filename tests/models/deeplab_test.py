"""DeepLab's head and loss against loops and golden numbers, and padded against unpadded."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import any_variables, golden, nhwc

from wsgcn_jax.models.deeplab import DeepLabV2, dilated_sum, segmentation_loss
from wsgcn_jax.models.efficientnet_lite import EfficientNetLite
from wsgcn_jax.models.resnet import ResNet
from wsgcn_jax.resize import resize_labels

DEEPLAB = golden("deeplab")
RATES = (6, 12, 18, 24)


def _loop(x, kernel, rates):
    """Adds tap by tap, cell by cell."""
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for index, rate in enumerate(rates):
        for i in range(3):
            for j in range(3):
                for y in range(x.shape[1]):
                    for column in range(x.shape[2]):
                        a, b = y + (i - 1) * rate, column + (j - 1) * rate
                        if 0 <= a < x.shape[1] and 0 <= b < x.shape[2]:
                            out[:, y, column] += x[:, a, b] @ kernel[index, i, j]
    return out


@pytest.mark.parametrize("shape", [(2, 9, 14, 3), (1, 26, 13, 2), (1, 5, 5, 2)])
def test_dilated_sum_matches_a_loop(shape):
    keys = jax.random.split(jax.random.key(0))
    x = np.array(jax.random.normal(keys[0], shape))
    kernel = np.array(jax.random.normal(keys[1], (4, 3, 3, shape[-1], 5)))
    result = jax.jit(lambda x, k: dilated_sum(x, k, RATES))(x, kernel)
    np.testing.assert_allclose(result, _loop(x, kernel, RATES), atol=1e-4)


def test_dilated_sum_has_a_convolutions_gradient():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 14, 9, 3))
    kernel = jax.random.normal(keys[1], (2, 3, 3, 3, 5))
    weights = jax.random.normal(keys[2], (2, 14, 9, 5))

    def reference(x, kernel):
        def one(index, rate):
            return jax.lax.conv_general_dilated(
                x, kernel[index], (1, 1), [(rate, rate)] * 2, rhs_dilation=(rate, rate),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip

        return ((one(0, 3) + one(1, 6)) * weights).sum()

    def ours(x, kernel):
        return (dilated_sum(x, kernel, (3, 6)) * weights).sum()

    grads = [jax.jit(jax.grad(f, (0, 1)))(x, kernel) for f in (ours, reference)]
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


RESNET, LITE = ResNet((1, 1, 1, 1), output_stride=8), EfficientNetLite(output_stride=16)


@pytest.mark.parametrize(
    ("backbone", "decoder"),
    [
        (RESNET, "none"),
        (LITE, "none"),
        pytest.param(RESNET, "skip", marks=pytest.mark.slow),
        pytest.param(LITE, "skip", marks=pytest.mark.slow),
    ],
)
def test_padded_equals_unpadded(backbone, decoder):
    module = DeepLabV2(backbone, num_classes=4, rates=(1, 2, 3, 4), decoder=decoder)
    x = jax.random.normal(jax.random.key(1), (1, 61, 90, 3))
    variables = any_variables(module)
    valid = np.zeros((1, 80, 112), bool)
    valid[:, :61, :90] = True
    padded = jnp.pad(x, ((0, 0), (0, 19), (0, 22), (0, 0)), constant_values=5.0)
    stride = 4 if decoder == "skip" else backbone.output_stride

    run = jax.jit(lambda x, valid: module.apply(variables, x, valid))
    alone, among = run(x, None), run(padded, valid)
    assert alone.shape == (1, -(-61 // stride), -(-90 // stride), 4)
    np.testing.assert_allclose(among[:, : alone.shape[1], : alone.shape[2]], alone, atol=1e-4)


def test_scores_are_learnt_in_place_of_labels():
    rng = np.random.default_rng(5)
    logits = jnp.asarray(rng.normal(size=(2, 3, 4, 3)), jnp.float32)
    labels = rng.integers(0, 3, (2, 3, 4)).astype(np.uint8)
    labels[0, 0, 0] = 255
    sure = np.moveaxis(np.eye(3)[np.minimum(labels, 2)], -1, 1)
    for balanced in (False, True):
        loss = partial(segmentation_loss, logits, labels, balanced=balanced)
        np.testing.assert_allclose(loss(scores=sure), loss(), rtol=1e-5)
    scores = rng.dirichlet(np.ones(3), (2, 3, 4)).astype(np.float16)
    each = -(scores * np.asarray(jax.nn.log_softmax(logits))).sum(-1)
    loss = segmentation_loss(logits, labels, scores=np.moveaxis(scores, -1, 1))
    np.testing.assert_allclose(loss, each[labels < 255].mean(), rtol=1e-3)


@pytest.mark.parametrize("scale", ["scale1", "half", "three_quarter", "max"])
@pytest.mark.parity("DeepLab")
def test_labels_and_loss_match_golden(scale):
    logits, labels = nhwc(DEEPLAB[f"train_logits_{scale}"]), DEEPLAB["train_label"][None]
    small = resize_labels(labels, logits.shape[1:3])
    np.testing.assert_array_equal(small[0], DEEPLAB[f"train_label_{scale}"])
    order = ["scale1", "half", "three_quarter", "max"]
    np.testing.assert_allclose(
        segmentation_loss(logits, labels), DEEPLAB["train_ce"][order.index(scale)], rtol=1e-5
    )


@pytest.mark.parity("DeepLab")
def test_labels_of_any_size_match_golden():
    for size in (41, 21, 31):
        np.testing.assert_array_equal(
            resize_labels(DEEPLAB["resize_321_in"][None], (size, size))[0],
            DEEPLAB[f"resize_321_to_{size}"],
        )
    # The reference swapped rows and columns here; the rule is the same.
    np.testing.assert_array_equal(
        resize_labels(DEEPLAB["resize_nonsquare_in"][None], (8, 5))[0],
        DEEPLAB["resize_nonsquare_out"],
    )


def test_nothing_labelled_costs_nothing():
    logits = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    labels = jnp.full((2, 16, 16), 255, jnp.uint8)
    value, grad = jax.value_and_grad(segmentation_loss)(logits, labels)
    assert value == 0 and (grad == 0).all()


def test_balanced_loss_weighs_objects_and_background_alike():
    rng = np.random.default_rng(3)
    logits = jnp.asarray(rng.normal(size=(1, 4, 4, 3)), jnp.float32)
    labels = np.zeros((1, 4, 4), np.uint8)
    labels[0, 0, :3], labels[0, 3] = (1, 2, 2), 255
    each = -np.take_along_axis(
        np.asarray(jax.nn.log_softmax(logits)), np.minimum(labels, 2)[..., None].astype(int), -1
    )[..., 0]
    objects, ground = each[0, 0, :3].mean(), each[labels == 0].mean()
    loss = partial(segmentation_loss, logits, balanced=True)
    np.testing.assert_allclose(loss(labels), (objects + ground) / 2, rtol=1e-5)
    np.testing.assert_allclose(loss(np.where(labels == 0, 255, labels)), objects, rtol=1e-5)
    np.testing.assert_allclose(loss(np.where(labels == 0, 0, 255)), ground, rtol=1e-5)
    assert loss(np.full_like(labels, 255)) == 0
