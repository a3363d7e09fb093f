"""Buckets hold every photo once, in few shapes that fit."""

import numpy as np
import pytest

from wsgcn_jax.data.batching import (
    MOST_SHAPES,
    batch_of,
    bucket_shape,
    pad_to,
    padded_shapes,
    plan_batches,
)


def test_bucket_shape():
    assert bucket_shape(1, 32, 32) == (32, 32)
    assert bucket_shape(33, 64, 32) == (64, 64)
    assert bucket_shape(375, 500, 16) == (384, 512)


def test_pad_to():
    array = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    padded = pad_to(array, (4, 3), value=9)
    assert padded.shape == (4, 3, 2) and padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:2], array)
    assert (padded[2:] == 9).all()
    assert pad_to(array[..., 0], (2, 5)).tolist() == [[0, 2, 4, 0, 0], [6, 8, 10, 0, 0]]
    with pytest.raises(ValueError, match="negative"):
        pad_to(array, (1, 3))


def test_plan_holds_every_photo_once():
    rng = np.random.default_rng(0)
    sizes = [(int(h), int(w)) for h, w in rng.integers(96, 161, (100, 2))]
    plan = plan_batches(sizes, 8, 32)
    positions = [position for _, batch in plan for position in batch]
    assert sorted(positions) == list(range(100))
    for (height, width), batch in plan:
        assert 1 <= len(batch) <= 8 and list(batch) == sorted(batch)
        for position in batch:
            h, w = sizes[position]
            assert h <= height and w <= width
            assert height % 32 == width % 32 == 0
    shapes = [shape for shape, _ in plan]
    short = [shape for shape, batch in plan if len(batch) < 8]
    assert len(short) == len(set(short)) and shapes == sorted(shapes)
    assert plan == plan_batches(list(sizes), 8, 32)


def test_few_shapes_are_as_tight_as_before():
    sizes = [(33, 64), (64, 33), (64, 64), (40, 50)]
    assert {shape for shape, _ in plan_batches(sizes, 2, 32)} == {(64, 64)}
    assert {shape for shape, _ in plan_batches(sizes[:2], 2, 8)} == {(40, 64), (64, 40)}


def test_rare_shapes_join_larger_ones():
    """Photos like VOC's: many of two shapes, and one of each of twenty others."""
    common = [(375, 500)] * 60 + [(500, 375)] * 30
    rare = [(333 + 3 * i, 500) for i in range(10)] + [(500, 300 + 7 * i) for i in range(10)]
    plan = plan_batches(common + rare, 16, 32)
    shapes = {shape for shape, _ in plan}
    assert len(shapes) == MOST_SHAPES
    assert {(384, 512), (512, 384)} <= shapes
    padded = sum(height * width * len(batch) for (height, width), batch in plan)
    assert padded < 1.15 * sum(h * w for h, w in common + rare)
    assert padded_shapes(common + rare, 32) == [
        shape for _, shape in sorted((i, shape) for shape, batch in plan for i in batch)
    ]


def test_plan_of_nothing():
    assert plan_batches([], 8, 32) == [] and padded_shapes([], 32) == []


@pytest.mark.parametrize(
    ("shape", "batch", "expected"),
    [((512, 384), 4, 4), ((512, 512), 4, 4), ((640, 1024), 4, 1), ((1024, 1024), 64, 16)],
)
def test_batches_of_large_photos_have_fewer(shape, batch, expected):
    assert batch_of(shape, batch) == expected
    plan = plan_batches([shape] * 5, batch, 128)
    assert max(len(photos) for _, photos in plan) == min(5, expected)
    assert sorted(i for _, photos in plan for i in photos) == list(range(5))
