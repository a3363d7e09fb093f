"""What the segmenter learns from: labels, scores, what is left out, true masks."""

import numpy as np
import pytest
from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.pipeline.targets import PseudoTargets, TruePhotos, disputed
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays
from wsgcn_jax.types import DataError, Example


class Photos(list):
    """As much of a split as the readers use."""

    classes = ("background", "cat", "cow", "dog")
    names = ("a", "b")


def test_true_photos_are_those_with_a_mask():
    image = np.zeros((4, 4, 3), np.uint8)
    photos = Photos(
        Example(str(i), image, np.ones(1, bool), mask)
        for i, mask in enumerate([None, np.full((4, 4), 1, np.uint8), None])
    )
    source = TruePhotos(photos)
    assert len(source) == 1 and (source[0][1] == 1).all()
    with pytest.raises(DataError, match="no photo has a true mask"):
        TruePhotos(photos[:1])


def _walk_and_gcn():
    """Cells of scores 1, 0.1 and 0.9: the walk's threshold lies between the last two."""
    walk = np.full((2, 5, 6), 0.1, np.float32)
    walk[0, :2], walk[1, 3:, 4:] = 1.0, 0.9
    walked = np.zeros((5, 6), int)  # places among background and the present classes
    walked[:2], walked[3:, 4:] = 1, 2
    gcn = walked.copy()
    gcn[0, 0], gcn[2, 1], gcn[4, 5] = 0, 1, 1
    probabilities = np.moveaxis(0.1 + 0.7 * np.eye(3)[gcn], -1, 0).astype(np.float32)
    return walk, np.log(probabilities), walked != gcn


def test_walk_and_gcn_differ_where_their_labels_do():
    walk, log_probs, expected = _walk_and_gcn()
    np.testing.assert_array_equal(disputed(walk, log_probs), expected)
    assert expected.sum() == 3
    assert not disputed(walk[:0], log_probs[:1]).any()  # a photo without classes


def test_targets_are_the_gcns_scores_and_leave_disputed_pixels_out(tmp_path):
    folder = Path(tmp_path)
    walk, log_probs, differ = _walk_and_gcn()
    labels = np.full((20, 24), 3, np.uint8)
    data.write_mask(folder / "b.png", labels)  # the other photo was left out
    arrays = {"class_ids": np.array([0, 1, 3], np.uint8), "walk": walk, "log_probs": log_probs}
    write_arrays(folder / "b.npz", arrays)
    photos = Photos(
        Example(n, np.zeros((20, 24, 3), np.uint8), np.ones(3, bool), None) for n in "ab"
    )

    def first(**options):
        (target,) = PseudoTargets(photos, folder, **options)
        return target

    image, kept, scores = first(with_scores=True, ignore_disputed=False)
    assert image.shape == (20, 24, 3) and (kept == labels).all()
    assert scores.shape == (4, 5, 6) and not scores[2].any()
    np.testing.assert_allclose(scores[[0, 1, 3]], np.exp(log_probs), rtol=1e-6)
    _, kept = first(with_scores=False, ignore_disputed=True)
    np.testing.assert_array_equal(kept == 255, np.kron(differ, np.ones((4, 4), bool)))
    (folder / "b.npz").unlink()
    with pytest.raises(DataError, match="missing or damaged"):
        first(with_scores=True, ignore_disputed=False)
