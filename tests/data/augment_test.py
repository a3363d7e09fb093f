"""The training crop against a window cut by hand out of photos that spell their coordinates."""

import numpy as np
import pytest

from wsgcn_jax.data.augment import train_crop


def _coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[:height, :width]
    image = np.stack([rows, cols, np.full_like(rows, 7)], axis=-1).astype(np.uint8)
    return image, ((rows * 3 + cols) % 250).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (64, 64), (20, 30), (100, 100)])
def test_crop_is_a_window_of_the_photo(height, width):
    image, labels = _coordinates(height, width)
    rng = np.random.default_rng(0)
    corners, mirrored = set(), 0
    for _ in range(40):
        out = train_crop(rng, image, labels, scales=(1.0, 1.0), crop=64)
        valid = out["valid"]
        rows, cols = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
        taken = (min(height, 64), min(width, 64))
        assert (len(rows), len(cols)) == taken and valid.sum() == taken[0] * taken[1]
        window = out["image"][rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        flip = window[0, 0, 1] > window[0, -1, 1]
        mirrored += flip
        top, left = window[0, 0, 0], window[0].min(0)[1]
        wanted = np.s_[top : top + taken[0], left : left + taken[1]]
        step = -1 if flip else 1
        np.testing.assert_array_equal(window, image[wanted][:, ::step])
        inner = out["label_map"][rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        np.testing.assert_array_equal(inner, labels[wanted][:, ::step])
        assert (out["image"][~valid] == 0).all() and (out["label_map"][~valid] == 255).all()
        corners.add((rows[0], cols[0], top, left))
    assert 8 < mirrored < 32
    assert len(corners) > 20 or (height, width) == (64, 64)


def test_sizes_are_uniform_with_both_ends():
    image, _ = _coordinates(30, 60)
    rng = np.random.default_rng(1)
    seen = [
        int(train_crop(rng, image, longer_side=(40, 44), crop=64)["valid"].any(0).sum())
        for _ in range(200)
    ]
    counts = np.bincount(seen, minlength=45)
    assert counts[:40].sum() == 0 and counts[40:].min() > 20 and len(counts) == 45
    seen = [
        int(train_crop(rng, image, scales=(0.5, 1.5), crop=96)["valid"].any(0).sum())
        for _ in range(200)
    ]
    assert 30 <= min(seen) < 34 and 86 < max(seen) <= 90


def test_no_labels_means_ignored():
    image, _ = _coordinates(30, 60)
    out = train_crop(np.random.default_rng(0), image, longer_side=(60, 60), crop=64)
    assert (out["label_map"] == 255).all()


def test_same_draws_give_the_same_crop():
    image, labels = _coordinates(90, 120)
    a, b = (
        train_crop(np.random.default_rng([5, 2]), image, labels, longer_side=(60, 200), crop=64)
        for _ in range(2)
    )
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


def test_one_range_of_sizes():
    image, _ = _coordinates(30, 60)
    for options in ({}, {"longer_side": (1, 2), "scales": (1.0, 2.0)}):
        with pytest.raises(ValueError, match="either"):
            train_crop(np.random.default_rng(0), image, crop=8, **options)


@pytest.mark.parametrize("seed", range(6))
def test_scores_go_with_the_labels(seed):
    image, _ = _coordinates(40, 60)
    labels = np.random.default_rng(9).integers(0, 3, (40, 60)).astype(np.uint8)
    scores = np.moveaxis(np.eye(3)[labels], -1, 0)
    rng = np.random.default_rng(seed)
    out = train_crop(rng, image, labels, scores, scales=(0.5, 1.5), crop=48)
    inside = out["label_map"] < 255
    assert out["scores"].shape == (3, 48, 48) and not out["scores"][:, ~inside].any()
    np.testing.assert_array_equal(out["scores"].argmax(0)[inside], out["label_map"][inside])
