"""DeepLab v2 on ResNet-101, both published recipes: logits, losses, gradients, statistics.

Tolerances: the reference's own float32 noise is 2e-6 on logits of size 1
(tests/golden/README.md section 10); a hundred layers summed in another order differ by a few times
that. The golden gradients of kernels carry more noise, up to 1.1e-4: ours in float32 and in float64
agree to 2e-6 there, and those of biases and norms agree with the golden ones to 1e-7.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from golden_weights import flax_weight, golden, nhwc, weight

from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.models.resnet import RESNET101, ResNet, torch_name
from wsgcn_jax.resize import scale_photos

CAFFE = {"conv1": "reduce", "conv2": "conv3x3", "conv3": "increase", "downsample": "shortcut"}
RATES = (6, 12, 18, 24)
SCALES = (0.5, 0.75)


def caffe_name(path):
    """`("layer1_0", "bn1", "scale")` -> `layer2.block1.reduce.bn.weight`."""
    *modules, leaf = torch_name(path).split(".")
    if len(modules) == 1:
        kind = "conv" if modules[0] == "conv1" else "bn"
        return f"layer1.conv1.{kind}.{leaf}"
    stage, block, layer = modules[0], modules[1], ".".join(modules[2:])
    kind = "conv" if layer.startswith("conv") or layer == "downsample.0" else "bn"
    layer = layer.replace("bn", "conv") if "downsample" not in layer else "downsample"
    return f"layer{int(stage[5:]) + 1}.block{int(block) + 1}.{CAFFE[layer]}.{kind}.{leaf}"


def variables_of(module, prefix, name_of):
    """The golden weights; `aspp.cI` of all rates stacked."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 65, 65, 3)))
    filled = {}
    for path, leaf in traverse_util.flatten_dict(shapes).items():
        if path[1] == "backbone":
            filled[path] = flax_weight(prefix + name_of(path[2:]), leaf.shape)
        elif path[1] == "aspp_kernel":
            names = [f"{prefix}aspp.c{i}.weight" for i in range(4)]
            filled[path] = np.stack([flax_weight(name, leaf.shape[1:]) for name in names])
        else:
            names = [f"{prefix}aspp.c{i}.bias" for i in range(4)]
            filled[path] = np.stack([weight(name, leaf.shape[1:]) for name in names])
    return traverse_util.unflatten_dict(filled)


def run(module, variables, x, labels, mutable):
    """Loss, logits of every scale, gradients and the moved statistics."""

    def loss(params):
        logits, moved = module.apply(
            {**variables, "params": params}, x, scales=SCALES, method="multi_scale",
            mutable=["batch_stats"] if mutable else [],
        )  # fmt: skip
        each = [segmentation_loss(y, labels) for y in logits]
        return sum(each), (logits, each, moved)

    (value, aux), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    return value, *aux, grads


@pytest.fixture(scope="module")
def coco():
    file = golden("deeplab")
    backbone = ResNet(RESNET101, output_stride=8, caffe=True, ceil_pool=True)
    module = DeepLabV2(backbone, num_classes=21, rates=RATES)
    variables = variables_of(module, "base.", caffe_name)
    x = jnp.asarray(nhwc(file["input"]))
    test = jax.jit(
        lambda v, x: module.apply(v, x, scales=SCALES, by_size=True, method="multi_scale")
    )
    trained = run(module, variables, x, file["train_label"][None], mutable=False)
    return file, trained, test(variables, x)


@pytest.fixture(scope="module")
def imagenet():
    file = golden("deeplab_imagenet")
    backbone = ResNet(RESNET101, output_stride=8, undilated_first=True, use_batch_stats=True)
    module = DeepLabV2(backbone, num_classes=21, rates=RATES)
    variables = variables_of(module, "base.model2.", torch_name)
    x = jnp.asarray(nhwc(file["input"]))
    frozen = module.clone(backbone=backbone.clone(use_batch_stats=False))
    test = jax.jit(lambda v, x: frozen.apply(v, x, scales=SCALES, method="multi_scale"))
    trained = run(module, variables, x, file["train_label"], mutable=True)
    return file, trained, test(variables, x[:1])


@pytest.mark.parity("DeepLab")
def test_scaled_photos_match_golden():
    file = golden("deeplab")
    resize = jax.jit(scale_photos, static_argnums=2, static_argnames="by_size")
    for scale, name in ((0.5, "input_half"), (0.75, "input_three_quarter")):
        for by_size, suffix in ((False, ""), (True, "_oldtorch")):
            small, _ = resize(nhwc(file["input"]), None, scale, by_size=by_size)
            expected = nhwc(file[name + suffix])
            np.testing.assert_allclose(small, expected, atol=2e-4)  # values reach 150


def test_scaled_photos_know_their_real_pixels():
    x = np.random.default_rng(0).normal(size=(1, 64, 80, 3)).astype(np.float32)
    valid = np.zeros((1, 64, 80), bool)
    valid[:, :41, :50] = True
    alone, _ = scale_photos(x[:, :41, :50], None, 0.75)
    among, real = scale_photos(x * valid[..., None], valid, 0.75)
    height, width = alone.shape[1:3]
    assert real.sum() == height * width and real[0, :height, :width].all()
    np.testing.assert_allclose(among[:, :height, :width], alone, atol=1e-6)


def grad_norm(grads, prefix, name, name_of):
    """L2 norm of the gradient of one of PyTorch's tensors."""
    for path, leaf in traverse_util.flatten_dict(grads).items():
        if path[0] == "backbone" and prefix + name_of(path[1:]) == name:
            return np.linalg.norm(np.asarray(leaf, np.float64))
    kind, index = name.rsplit(".", 1)[-1], int(name.split("aspp.c")[1][0])
    leaf = grads["aspp_kernel" if kind == "weight" else "aspp_bias"][index]
    return np.linalg.norm(np.asarray(leaf, np.float64))


@pytest.mark.slow
@pytest.mark.parity("DeepLab")
def test_coco_recipe_logits(coco):
    file, (_, logits, *_), old = coco
    names = ("base_logits", "half_logits", "three_quarter_logits", "msc_logits")
    for ours, name in zip(logits, names, strict=True):
        np.testing.assert_allclose(ours, nhwc(file[name]), atol=2e-5, err_msg=name)
    np.testing.assert_allclose(old[-1], nhwc(file["msc_logits_oldtorch"]), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parity("DeepLab")
def test_coco_recipe_losses_and_gradients(coco):
    file, (value, _, each, _, grads), _ = coco
    np.testing.assert_allclose(each, file["train_ce"], rtol=1e-5)
    np.testing.assert_allclose(value, file["train_loss_sum"], rtol=1e-5)
    for name, expected in zip(file["train_grad_names"], file["train_grad_l2"], strict=True):
        ours = grad_norm(grads, "base.", name, caffe_name) / 2  # golden: of half the sum
        np.testing.assert_allclose(ours, expected, rtol=2e-4, err_msg=name)
    bias, tap = grads["aspp_bias"][2] / 2, grads["aspp_kernel"][0, 1, 1, :64].T / 2
    np.testing.assert_allclose(bias, file["train_grad_aspp_c2_bias"], rtol=1e-4, atol=1e-6)
    largest = np.abs(file["train_grad_aspp_c0_tap"]).max()
    np.testing.assert_allclose(tap, file["train_grad_aspp_c0_tap"], atol=2e-4 * largest)


@pytest.mark.slow
@pytest.mark.parity("DeepLab")
def test_imagenet_recipe_logits(imagenet):
    file, (_, train, *_), test = imagenet
    names = ("base_logits", "half_logits", "three_quarter_logits", "msc_logits")
    for ours, name in zip(test, names, strict=True):
        scale = np.abs(file[name]).max()
        np.testing.assert_allclose(ours, nhwc(file[name]), atol=2e-5 * scale, err_msg=name)
    names = ("scale1", "half", "three_quarter", "max")
    for ours, name in zip(train, names, strict=True):
        expected = nhwc(file[f"train_logits_{name}"])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, atol=1e-4 * scale, err_msg=name)


@pytest.mark.slow
@pytest.mark.parity("DeepLab")
def test_imagenet_recipe_losses_gradients_and_statistics(imagenet):
    file, (value, _, each, moved, grads), _ = imagenet
    np.testing.assert_allclose(each, file["train_ce"], rtol=1e-4)
    np.testing.assert_allclose(value, file["train_loss"], rtol=1e-4)
    for name, expected in zip(file["train_grad_names"], file["train_grad_l2"], strict=True):
        ours = grad_norm(grads, "base.model2.", name, torch_name)
        np.testing.assert_allclose(ours, expected, rtol=1e-3, err_msg=name)
    stats = moved["batch_stats"]["backbone"]
    for ours, name in (
        (stats["bn1"], "bn1_running"),
        (stats["layer4_2"]["bn2"], "layer4_2_bn2_running"),
    ):
        for kind in ("mean", "var"):
            expected = file[f"{name}_{kind}_after"]
            np.testing.assert_allclose(ours[kind], expected, rtol=1e-4, atol=1e-5)
