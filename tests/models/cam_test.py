"""Classifier and CAMs against golden numbers of PyTorch's, and padded against unpadded."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import any_variables, golden, golden_variables, nhwc

from wsgcn_jax.models import cam
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.models.efficientnet_lite import EfficientNetLite
from wsgcn_jax.models.published_kinds import irnet_name
from wsgcn_jax.models.resnet import ResNet, torch_name
from wsgcn_jax.resize import resize_valid
from wsgcn_jax.types import Features

GOLDEN = golden("cam_net")
SCALES = ("1", "0p5", "1p5", "2")

Flipped = Callable[[jax.Array, jax.Array, tuple[int, int]], jax.Array]


@pytest.fixture(scope="module")
def variables() -> Any:
    """The golden weights."""
    return golden_variables(cam.Classifier(ResNet(), num_classes=20), irnet_name)


@pytest.fixture(scope="module")
def flipped_cam(variables: Any) -> Flipped:
    """Adds the CAM of a photo, padded to a shape, and of its mirror image."""

    @jax.jit
    def run(padded: jax.Array, size: jax.Array) -> jax.Array:
        valid = cam.real_region(size, padded.shape[:2])
        x = normalise(padded[None], "resnet50", valid[None])[0]
        both = jnp.stack([x, cam.flip_valid(x, size[1])])
        net = cam.Classifier(ResNet(), num_classes=20)
        maps = net.apply(variables, both, jnp.stack([valid, valid]), method="cam")
        return maps[0] + cam.flip_valid(maps[1], _cells(size)[1])

    return lambda image, size, shape: run(_pad(image, shape), size)


def _cells(size: Any) -> Any:
    """Counts the stride-16 cells of a size."""
    return (size - 1) // 16 + 1


def _pad(x: Any, shape: tuple[int, int], value: int = 9) -> np.ndarray:
    """Puts a photo top left into rubbish."""
    margins = [(0, side - have) for side, have in zip(shape, x.shape[:2], strict=True)]
    return np.pad(x, [*margins, (0, 0)], constant_values=value)


def _scaled(photo: str, scale: str) -> np.ndarray:
    """Gives a golden photo at a scale."""
    return GOLDEN[f"image_{photo}" if scale == "1" else f"{photo}_image_scale_{scale}"]


@pytest.mark.parametrize("photo", ["a", "b"])
@pytest.mark.parity("CAM")
def test_cams_of_every_scale_match_golden_in_one_bucket(photo: str, flipped_cam: Flipped) -> None:
    for scale in SCALES:
        image = _scaled(photo, scale)
        size = np.array(image.shape[:2])
        rows, columns = _cells(size)
        maps = flipped_cam(image, size, (128, 192))
        expected = GOLDEN[f"{photo}_cam_scale_{scale}"]
        got = maps[:rows, :columns, GOLDEN[f"{photo}_keys"]]
        # The reference's own float32 differs from its float64 by 4e-6, on values up to 10.
        np.testing.assert_allclose(np.moveaxis(got, -1, 0), expected, atol=5e-5)
        assert not np.any(maps[rows:]) and not np.any(maps[:, columns:])


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("photo", ["a", "b"])
@pytest.mark.parity("CAM")
def test_merged_cams_match_golden(photo: str, pad: int) -> None:
    size = np.array(GOLDEN[f"image_{photo}"].shape[:2])
    raw = [np.moveaxis(GOLDEN[f"{photo}_cam_scale_{scale}"], 0, -1) for scale in SCALES]
    sizes = [np.array(one.shape[:2]) for one in raw]
    cams = [_pad(one, (one.shape[0] + pad, one.shape[1] + pad)) for one in raw]
    grid = (size - 1) // 4 + 1
    rows, columns = grid
    merge = jax.jit(cam.merge_cams, static_argnames="shape")
    merged = merge(cams, sizes, grid, shape=(int(rows + pad), int(columns + pad)))
    expected = GOLDEN[f"{photo}_strided_cam"]
    np.testing.assert_allclose(merged[:, :rows, :columns], expected, atol=1e-5)
    assert not np.any(merged[:, rows:]) and not np.any(merged[:, :, columns:])


@pytest.mark.parametrize("photo", ["a", "b"])
@pytest.mark.parity("CAM")
def test_cams_of_the_photos_size_match_golden(photo: str) -> None:
    """Published ones are resized to whole cells of 16 pixels, cropped, then normalised."""
    size = np.array(GOLDEN[f"image_{photo}"].shape[:2])
    raw = [np.moveaxis(GOLDEN[f"{photo}_cam_scale_{scale}"], 0, -1) for scale in SCALES]
    expected = GOLDEN[f"{photo}_highres_cam"]
    resized = [
        resize_valid(one, np.array(one.shape[:2]), 16 * _cells(size), expected.shape[1:])
        for one in raw
    ]
    total = jnp.moveaxis(sum(resized), -1, 0)
    everywhere = jnp.ones(expected.shape[1:], bool)
    np.testing.assert_allclose(cam.normalise_cam(total, everywhere), expected, atol=1e-5)


@pytest.mark.parity("CAM")
def test_training_loss_and_gradients_match_golden(variables: Any) -> None:
    net = cam.Classifier(ResNet(frozen_stages=3), num_classes=20)

    @jax.jit
    @jax.value_and_grad
    def loss(params: Any) -> jax.Array:
        logits = net.apply({**variables, "params": params}, nhwc(GOLDEN["net_input"]))
        return cam.multilabel_soft_margin(logits, GOLDEN["train_label"])

    value, gradient = loss(variables["params"])
    np.testing.assert_allclose(value, GOLDEN["train_loss"], rtol=1e-5)
    head = gradient["classifier"]["kernel"].T
    np.testing.assert_allclose(head, GOLDEN["train_grad_classifier"], atol=1e-5)
    norms = {
        "resnet50." + torch_name([key.key for key in path]): float(jnp.linalg.norm(leaf.ravel()))
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient["backbone"])
    }
    expected = dict(zip(GOLDEN["train_grad_names"], GOLDEN["train_grad_l2"], strict=True))
    del expected["classifier.weight"]
    assert {name for name, norm in norms.items() if norm > 0} == set(expected)
    got = [norms[name] for name in expected]
    np.testing.assert_allclose(got, list(expected.values()), rtol=1e-3)


def test_soft_margin_is_a_mean_of_cross_entropies() -> None:
    logits = np.array([[0.3, -2.0, 90.0], [-90.0, 1.0, 0.0]], np.float32)
    labels = np.array([[True, False, False], [True, False, True]])
    p = 1 / (1 + np.exp(-logits[:, :2].astype(np.float64)))
    terms = np.array([-np.log(p[0, 0]), -np.log(1 - p[0, 1]), 90, 90, -np.log(1 - p[1, 1])])
    expected = (terms.sum() + np.log(2)) / 6
    np.testing.assert_allclose(cam.multilabel_soft_margin(logits, labels), expected, rtol=1e-6)


def test_padded_classifier_equals_unpadded() -> None:
    size = (61, 50)
    net = cam.Classifier(EfficientNetLite(), num_classes=3)
    drawn = any_variables(net)
    photo = np.random.default_rng(0).normal(size=(*size, 3)).astype(np.float32)
    other = np.ones((80, 80, 3), np.float32)
    batch = np.stack([other, _pad(photo, (80, 80))])
    valid = np.stack([np.ones((80, 80), bool), cam.real_region(jnp.array(size), (80, 80))])
    logits = jax.jit(net.apply)(drawn, batch, valid)[1]
    alone = jax.jit(net.apply)(drawn, photo[None])[0]
    np.testing.assert_allclose(logits, alone, atol=1e-4 * float(jnp.abs(alone).max()))


@pytest.mark.parametrize("size_out", [(14, 9), (3, 4), (1, 1), (6, 7)])
def test_resize_valid_is_the_resize_of_the_cut_map(size_out: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(9, 8, 2)).astype(np.float32)
    size_in = (6, 7)
    expected = jax.image.resize(x[:6, :7], (*size_out, 2), "bilinear", antialias=False)
    resize = jax.jit(resize_valid, static_argnums=3)
    got = resize(x, jnp.array(size_in), jnp.array(size_out), (16, 12))
    np.testing.assert_allclose(got[: size_out[0], : size_out[1]], expected, atol=1e-5)
    assert not np.any(got[size_out[0] :]) and not np.any(got[:, size_out[1] :])
    cropped = resize(x, jnp.array(size_in), jnp.array(size_out), (2, 2))
    np.testing.assert_allclose(cropped, got[:2, :2], atol=1e-6)


def test_sizes_may_differ_within_a_batch() -> None:
    x = np.random.default_rng(1).normal(size=(3, 5, 6, 2)).astype(np.float32)
    sizes_in = np.array([[5, 6], [2, 3], [4, 1]])
    sizes_out = np.array([[3, 3], [8, 8], [7, 2]])
    batch = jax.vmap(lambda *one: resize_valid(*one, (8, 8)))(x, sizes_in, sizes_out)
    for row, got in enumerate(batch):
        alone = resize_valid(x[row], sizes_in[row], sizes_out[row], (8, 8))
        np.testing.assert_allclose(got, alone, atol=1e-6)
    widths = sizes_in[:, 1]
    for row, got in enumerate(jax.vmap(cam.flip_valid)(x, widths)):
        width = widths[row]
        np.testing.assert_array_equal(got[:, :width], x[row][:, :width][:, ::-1])
        np.testing.assert_array_equal(got[:, width:], x[row][:, width:])


def test_normalised_cams_ignore_the_padding() -> None:
    maps = np.array([[[1.0, 2.0, 50.0], [4.0, 0.0, 50.0]], [[0.0, 0.0, 7.0], [0.0, 0.0, 7.0]]])
    valid = np.array([[True, True, False]] * 2)
    got = cam.normalise_cam(jnp.asarray(maps, jnp.float32), valid)
    np.testing.assert_allclose(got[0], [[0.25, 0.5, 0], [1, 0, 0]], atol=1e-5)
    # A class that nothing speaks for is zero, not nan.
    np.testing.assert_array_equal(got[1], np.zeros((2, 3)))


class _Colours(nn.Module):
    """A backbone whose last tap is the photo's own colours."""

    output_stride: int = 1

    def __call__(self, x: jax.Array, valid: jax.Array | None = None) -> Features:
        return Features(x, x, x, x, x)


def test_a_classs_score_is_the_largest_of_its_group() -> None:
    net = cam.Classifier(_Colours(), num_classes=2, group_sizes=(2, 1))
    kernel = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]], np.float32)
    variables = {"params": {"classifier": {"kernel": kernel}}}
    photo = np.array([[[[3, 1, 0], [1, 2, 0], [0, -5, -4]]]], np.float32)
    maps = net.apply(variables, photo, method="cam")
    np.testing.assert_array_equal(maps[0, 0], [[3, 0], [2, 0], [0, 4]])
    logits = net.apply(variables, photo)[0]
    np.testing.assert_allclose(logits, [max(4 / 3, -2 / 3), 0], atol=1e-6)
