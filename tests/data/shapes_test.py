"""The embedded photos keep the promises that make them a test of the method."""

import numpy as np
import pytest

from wsgcn_jax.data.marks import MARKS
from wsgcn_jax.data.shapes import SHAPES_CLASSES, ShapesSource, render
from wsgcn_jax.types import IGNORE


@pytest.fixture(scope="module")
def photos():
    return [render(0, index) for index in range(60)]


def test_deterministic_in_seed_and_index():
    for a, b in zip(render(3, 5), render(3, 5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert render(3, 5)[0].tobytes() != render(4, 5)[0].tobytes()
    assert render(3, 5)[0].tobytes() != render(3, 6)[0].tobytes()


def test_shapes_and_labels(photos):
    sizes = set()
    for image, mask, labels in photos:
        assert image.dtype == mask.dtype == np.uint8 and labels.dtype == bool
        assert image.shape[:2] == mask.shape and image.shape[2] == 3
        assert all(96 <= side <= 160 for side in mask.shape)
        present = set(np.unique(mask)) - {0, IGNORE}
        assert present == set(np.flatnonzero(labels) + 1)
        assert 1 <= len(present) <= 3
        sizes.add(mask.shape)
    assert len(sizes) > 50


def test_every_class_is_common(photos):
    counts = np.sum([labels for *_, labels in photos], axis=0)
    assert len(counts) == len(SHAPES_CLASSES) - 1 == 6
    assert counts.min() >= 8


def test_objects_have_a_ring_of_ignored_pixels(photos):
    for _, mask, _ in photos:
        for a, b in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
            touching = (a != b) & (a != IGNORE) & (b != IGNORE)
            assert not touching.any()
        assert 0.01 < (mask == IGNORE).mean() < 0.12


def test_badge_is_a_small_part_and_body_stands_out(photos):
    for image, mask, labels in photos:
        if labels.sum() > 1:
            continue
        body = (mask != 0) & (mask != IGNORE)
        assert 400 < body.sum() < 3000  # the badge covers about 180 pixels
        inside = np.median(image[body], axis=0)
        outside = np.median(image[mask == 0], axis=0)
        assert np.linalg.norm(inside - outside) > 35


def test_badges_differ():
    u, v = np.meshgrid(np.linspace(-0.7, 0.7, 15), np.linspace(-0.7, 0.7, 15))
    drawn = [mark(u, v) for mark in MARKS.values()]
    for i, a in enumerate(drawn):
        for b in drawn[:i]:
            assert np.linalg.norm(a - b, axis=-1).mean() > 80


def test_source():
    source = ShapesSource(seed=1, num_train=3, num_val=2)
    listing = source.listing()
    assert listing == {
        "train": ("train_0000", "train_0001", "train_0002"),
        "val": ("val_0000", "val_0001"),
    }
    assert source.read("train", "train_0001").image != source.read("val", "val_0001").image
    same = ShapesSource(seed=1, num_train=3, num_val=2)
    assert source.fingerprint() == same.fingerprint()
    others = [ShapesSource(2, 3, 2), ShapesSource(1, 4, 2), ShapesSource(1, 3, 3)]
    assert len({source.fingerprint(), *(other.fingerprint() for other in others)}) == 4
    # More training photos leave the validation photos as they are.
    assert source.read("val", "val_0001") == others[1].read("val", "val_0001")
