"""The CRF of many photos: a batch at once is what photo after photo gives, in few shapes."""

import jax
import numpy as np

from wsgcn_jax.crf import GCN_PROBABILITIES, GCN_SCORES
from wsgcn_jax.data.batching import MOST_SHAPES
from wsgcn_jax.pipeline import photo_crf
from wsgcn_jax.pipeline.photo_crf import make_photo_crf

SIZES = [(16, 24), (13, 20)]


def _photos(classes=(2, 3)):
    """Bright squares on the dark, and noisy scores of as many classes as are given."""
    rng = np.random.default_rng(0)
    photos, maps = [], []
    for (height, width), count in zip(SIZES, classes, strict=True):
        inside = np.zeros((height, width), bool)
        inside[4:-4, 4:-4] = True
        colours = 40 + 160 * inside[..., None] + rng.integers(0, 9, (height, width, 3))
        scores = np.full((count, height, width), 0.004)
        scores[1] = np.clip(0.2 + 0.6 * inside + rng.normal(0, 0.1, inside.shape), 0.05, 0.95)
        scores[0] = 1 - scores[1]
        photos.append(colours.astype(np.uint8))
        maps.append(scores.astype(np.float32))
    return photos, maps


def test_a_batch_at_once_gives_what_photo_after_photo_gives(monkeypatch):
    photos, maps = _photos()
    options = {"kernel": "attention", "bucket": 8}
    each = list(make_photo_crf(SIZES, GCN_PROBABILITIES, **options)(photos, maps, 3))
    calls = []
    monkeypatch.setattr(
        photo_crf, "over_devices", lambda program: lambda *a: (calls.append(a), program(*a))[1]
    )
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        crf = make_photo_crf(SIZES, GCN_PROBABILITIES, **options)
    at_once = list(crf(photos, maps, 3))
    assert len(calls) == 1 and calls[0][1].photos.shape == (3, 16, 24, 3)
    for one, other, scores in zip(at_once, each, maps, strict=True):
        assert one.shape == other.shape == scores.shape
        np.testing.assert_array_equal(one.argmax(axis=0), other.argmax(axis=0))
        np.testing.assert_allclose(one, other, atol=1e-4)
        assert {0, 1} == set(np.unique(one.argmax(axis=0)).tolist())
    assert not at_once[1][2].any()  # scores below 0.01 take no part
    assert not list(crf([], [], 4))


def test_photos_of_many_sizes_share_few_programs(monkeypatch):
    seen = []
    monkeypatch.setattr(
        photo_crf,
        "refine",
        lambda photos, scores, *a, valid, present, **k: (seen.append(photos.shape), scores)[1],
    )
    sizes = [(20 + 3 * i, 30 + 5 * (i % 4)) for i in range(12)]
    crf = make_photo_crf(sizes, GCN_SCORES, bucket=8)
    photos = [np.zeros((*size, 3), np.uint8) for size in sizes]
    maps = [np.full((2, *size), index / 12, np.float32) for index, size in enumerate(sizes)]
    for one, other in zip(crf(photos, maps, 1), maps, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(seen) == 12 and len(set(seen)) <= MOST_SHAPES


def test_photos_too_large_for_a_batch_are_refined_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(photo_crf, "refined_whole", lambda *a, **k: False)
    monkeypatch.setattr(
        photo_crf,
        "refine",
        lambda photo, scores, *a, bucket, **k: (seen.append(photo.shape), scores)[1],
    )
    photos, maps = _photos()
    assert len(list(make_photo_crf(SIZES, GCN_SCORES)(photos, maps, 3))) == 2
    assert [shape[:2] for shape in seen] == SIZES
