"""From score maps to label maps, and label maps to scores."""

from pathlib import Path

import jax
import numpy as np
import pytest

from wsgcn_jax.metrics import confusion_matrix
from wsgcn_jax.pipeline.boundary_labels import confident_labels
from wsgcn_jax.pipeline.context import name_key
from wsgcn_jax.pipeline.evaluate import THRESHOLDS, confusions_by_threshold
from wsgcn_jax.pipeline.inference import make_plans, network_size
from wsgcn_jax.pipeline.scores import argmax_labels, argmax_resized, best_class
from wsgcn_jax.resize import resize_labels, resize_maps, resize_photo

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parity("upsampling")
def test_aligned_upsampling_meets_the_golden_labels():
    golden = np.load(GOLDEN / "upsample.npz")
    maps = golden["log_prob"].T.reshape(21, *golden["grid_size"])
    full = resize_maps(maps, tuple(golden["orig_size"]), align_corners=True)
    np.testing.assert_allclose(np.exp(full[golden["keys"]]), golden["scores"], atol=1e-5)
    np.testing.assert_array_equal(argmax_labels(full, np.arange(21)), golden["label"])
    rows = full[:, ::19, ::9]
    np.testing.assert_allclose(rows, golden["up_log_prob_rows"], atol=2e-5)


@pytest.mark.parity("upsampling")
def test_walked_cams_become_the_golden_label():
    """One maximum over all classes and a background of 0.25, as in IRNet (docs/quirks.md 14)."""
    golden = np.load(GOLDEN / "affinity.npz")
    grid = golden["rw"][:, 0]
    full = resize_maps(grid, (4 * grid.shape[1], 4 * grid.shape[2]))[:, :78, :110]
    full = full / full.max()
    np.testing.assert_allclose(full, golden["semseg_rw_up"], atol=1e-5)
    keys = np.array([8, 15])
    np.testing.assert_array_equal(argmax_labels(full, keys, 0.25), golden["semseg_label"])


@pytest.mark.parity("partial labels")
def test_enlarged_partial_labels_are_the_golden_ones():
    golden = np.load(GOLDEN / "partial_labels.npz")
    enlarged = resize_labels(golden["crf_vote"], (238, 318), corners=True)
    np.testing.assert_array_equal(enlarged, golden["dn_up"])


@pytest.mark.parity("DeepLab")
def test_enlarged_logits_give_the_golden_labels():
    golden = np.load(GOLDEN / "deeplab.npz")
    logits, keys = golden["msc_logits"][0], np.arange(21, dtype=np.uint8)
    np.testing.assert_array_equal(argmax_resized(logits, (65, 65), keys), golden["upsampled_label"])
    probabilities = jax.nn.softmax(resize_maps(logits, (65, 65)), axis=0)[:, ::8, ::8]
    np.testing.assert_allclose(probabilities, golden["upsampled_prob_sub"], atol=1e-6)


@pytest.mark.parity("photos")
def test_photos_shrink_as_published():
    golden = np.load(GOLDEN / "laplacian.npz")
    small = resize_photo(golden["image_fullres_bgr"], (12, 16), method="lanczos")
    np.testing.assert_array_equal(small, golden["image_lanczos_bgr"])
    golden = np.load(GOLDEN / "cam_net.npz")
    for photo in "ab":
        for scale in ("0p5", "1p5", "2"):
            size = golden[f"{photo}_image_scale_{scale}"].shape[:2]
            ours = resize_photo(golden[f"image_{photo}"], size)
            np.testing.assert_array_equal(ours, golden[f"{photo}_image_scale_{scale}"])


def test_half_pixel_resizing_equals_jax():
    maps = np.random.default_rng(0).random((2, 7, 9), np.float32)
    expected = jax.image.resize(maps, (2, 25, 31), "bilinear", antialias=False)
    np.testing.assert_allclose(resize_maps(maps, (25, 31)), expected, atol=1e-6)


def test_every_threshold_equals_scoring_its_labels():
    rng = np.random.default_rng(1)
    truth = rng.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
    best = rng.integers(1, 3, (20, 30)).astype(np.uint8)
    # Values on the thresholds themselves included: "exceeds" is strict.
    value = rng.choice(np.concatenate([THRESHOLDS, rng.random(9)]), (20, 30))
    ours = confusions_by_threshold(truth, best, value, 3)
    for threshold, confusion in zip(THRESHOLDS, ours, strict=True):
        labels = np.where(value > threshold, best, 0)
        np.testing.assert_array_equal(confusion, confusion_matrix(truth, labels, 3))


def test_confident_labels_leave_the_middle_unlabelled():
    cam = np.array([[[0.01, 0.2, 0.9]], [[0.02, 0.1, 0.95]]], np.float32)
    labels = confident_labels(cam, np.array([8, 15], np.uint8), (0.3, 0.05))
    assert labels.tolist() == [[0, 255, 15]]


def test_plans_keep_every_photo_once_and_depend_on_sizes_only():
    sizes = [network_size(s, 1.0) for s in [(100, 90), (500, 375), (96, 96), (375, 500)] * 3]
    plans = make_plans(sizes, batch_size=4, bucket=128)
    real = sorted(i for p in plans for i in p.indices[: p.real])
    assert real == list(range(12))
    assert all(len(p.indices) == 4 for p in plans)
    for plan in plans:
        for i in plan.indices:
            assert sizes[i][0] <= plan.shape[0] and sizes[i][1] <= plan.shape[1]


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.5, 2.0])
def test_scaled_photos_fit_their_scaled_bucket(scale):
    for side in range(16, 700):
        padded = -(-network_size((side, side), 1.0)[0] // 64) * 64
        scaled = network_size(network_size((side, side), 1.0), scale)
        assert scaled[0] <= network_size((padded, padded), scale)[0]


def test_keys_differ_by_name_and_do_not_depend_on_anything_else():
    key = jax.random.key(0)
    bits = {jax.random.bits(name_key(key, n)).item() for n in ("a", "b", "2007_000032", "2007_0")}
    assert len(bits) == 4
    assert jax.random.bits(name_key(key, "a")).item() in bits


@pytest.mark.fault("photos named in any script", "as any other photo")
def test_names_of_any_script_have_keys_of_their_own():
    key = jax.random.key(0)
    names = ("Übung", "日本", "naïve café", "\U0001f431" * 3, "kitten", "not UTF-8 \udcff")
    assert len({jax.random.bits(name_key(key, name)).item() for name in names}) == len(names)
    # Those of plain names are made of a number for every four letters.
    by_hand = jax.random.fold_in(jax.random.fold_in(key, 0x61626364), 0x65)
    assert jax.random.bits(name_key(key, "abcde")) == jax.random.bits(by_hand)


def test_scores_of_no_class_are_background():
    none, ids = np.zeros((0, 3, 4), np.float32), np.zeros(0, np.uint8)
    assert not argmax_labels(none, ids, 0.3).any()
    labels, value = best_class(none, ids)
    assert labels.shape == value.shape == (3, 4) and not labels.any() and not value.any()
