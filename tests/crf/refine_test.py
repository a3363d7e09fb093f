"""The CRF on a photo's own size: what padding and classes that are not there do to it."""

import numpy as np

from wsgcn_jax.crf import DEEPLAB, refine


def test_classes_that_score_nothing_and_a_larger_bucket_change_nothing():
    rng = np.random.default_rng(0)
    inside = np.zeros((40, 50), bool)
    inside[10:30, 10:35] = True
    photo = (40 + 160 * inside[..., None] + rng.integers(0, 9, (40, 50, 3))).astype(np.uint8)
    found = np.clip(0.2 + 0.6 * inside + rng.normal(0, 0.1, inside.shape), 0.05, 0.95)
    two = np.stack([1 - found, found]).astype(np.float32)
    alone = refine(photo, two, DEEPLAB, bucket=128)
    assert (alone.argmax(0) == inside).mean() > 0.97
    six = np.zeros((6, 40, 50), np.float32)
    six[[0, 4]] = two - 1e-4
    six[[1, 2, 3, 5]] = 5e-5
    among = refine(photo, six, DEEPLAB, bucket=160)
    np.testing.assert_allclose(among[[0, 4]], alone, atol=1e-3)
    assert not among[[1, 2, 3, 5]].any()
