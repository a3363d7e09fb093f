"""The CRF on a photo's own size: what padding and classes that are not there do to it."""

import numpy as np
import pytest

from wsgcn_jax.crf import DEEPLAB, PARTIAL_LABELS, refine
from wsgcn_jax.crf.refine import _bearable
from wsgcn_jax.types import DataError

_ALL = np.broadcast_to(True, (6000, 8000))


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


@pytest.mark.fault(
    "a photo of {height}x{width} for `ws.crf.refine`",
    "refined at a size that fits, returned at its own",
)
@pytest.mark.parametrize(("height", "width"), [(6000, 8000), (8000, 6000), (3000, 5000)])
@pytest.mark.parametrize("settings", [DEEPLAB, PARTIAL_LABELS])
def test_photos_of_any_size_get_a_size_that_memory_and_keys_bear(height, width, settings):
    found = _bearable((height, width), settings, "lattice")
    assert 700_000 < found[0] * found[1] <= 1 << 21
    assert found[0] / found[1] == pytest.approx(height / width, rel=0.01)
    assert _bearable((375, 500), settings, "lattice") == (375, 500)


def test_a_photo_refined_at_a_smaller_size_has_its_own_size_and_probabilities(monkeypatch):
    monkeypatch.setitem(refine.__globals__, "MOST_PIXELS", 40 * 50)
    inside = np.zeros((80, 100), bool)
    inside[20:60, 20:70] = True
    photo = np.where(inside[..., None], 200, 40).astype(np.uint8).repeat(3, axis=2)
    found = np.clip(0.2 + 0.6 * inside, 0.05, 0.95).astype(np.float32)
    refined = refine(photo, np.stack([1 - found, found]), bucket=128)
    assert refined.shape == (2, 80, 100)
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-4)
    assert (refined.argmax(axis=0) == inside).mean() > 0.95


@pytest.mark.fault(
    "`ws.crf.refine` with kernels that no memory holds",
    "one line with the gigabytes",
)
@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((200, 300), {"kernel": "exact"}, "'exact' needs 29 GB for 200 x 300 cells; use 'lattice'"),
        (
            (6000, 8000),
            {"valid": np.broadcast_to(True, (6000, 8000))},
            "6000 x 8000 pixels are too many",
        ),
    ],
)
def test_what_no_memory_holds_is_refused_in_one_line(shape, options, says):
    photo = np.broadcast_to(np.uint8(0), (*shape, 3))
    scores = np.broadcast_to(np.float32(0.5), (2, *shape))
    with pytest.raises(DataError, match=says):
        refine(photo, scores, **options)


@pytest.mark.fault(
    "200 classes with equal scores, or none",
    "they stay equal; nothing is divided by zero",
)
def test_hundreds_of_classes_that_score_alike_stay_alike():
    photo = np.full((8, 8, 3), 128, np.uint8)
    for score in (1 / 200, 0.0):
        refined = refine(photo, np.full((200, 8, 8), score, np.float32), kernel="exact")
        np.testing.assert_allclose(refined, 1 / 200, rtol=1e-4)
