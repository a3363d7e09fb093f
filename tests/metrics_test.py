"""Scores against the published ones, and their edge cases."""

from pathlib import Path

import numpy as np
import pytest

from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.types import DataError

GOLDEN = np.load(Path(__file__).parent / "golden" / "metric.npz")


def total(kind: str) -> np.ndarray:
    maps = [(GOLDEN[f"gt_{i}"], GOLDEN[f"{kind}_{i}"]) for i in range(4)]
    return sum(confusion_matrix(truth, prediction, 21) for truth, prediction in maps)


@pytest.mark.parity("metric")
def test_confusion_matrix_is_the_published_one() -> None:
    np.testing.assert_array_equal(total("pred"), GOLDEN["confusion"])
    np.testing.assert_array_equal(total("pred"), GOLDEN["gcn_hist"])
    np.testing.assert_array_equal(total("partial_pred"), GOLDEN["partial_hist"])


@pytest.mark.parity("metric")
def test_class_scores_are_the_published_ones() -> None:
    np.testing.assert_allclose(iou(total("pred")), GOLDEN["deeplab_class_iou"], rtol=1e-12)
    np.testing.assert_allclose(iou(total("partial_pred")), GOLDEN["partial_iu"], rtol=1e-12)


@pytest.mark.parity("metric")
def test_both_means_are_the_published_ones() -> None:
    for maps, definition, golden in (
        ("pred", "present", "deeplab_mean_iou"),
        ("pred", "all", "gcn_mean_iu"),
        ("partial_pred", "all", "partial_mean_iu"),
    ):
        ours = mean_iou(total(maps), definition=definition)
        np.testing.assert_allclose(ours, GOLDEN[golden], rtol=1e-12)


def test_small_case_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 255, 1, 9]], np.uint8)
    prediction = np.array([[0, 1, 1, 2], [255, 0, 1, 7]], np.uint8)
    confusion = confusion_matrix(truth, prediction, 3)
    np.testing.assert_array_equal(confusion, [[1, 1, 0], [0, 2, 1], [0, 0, 0]])
    np.testing.assert_allclose(iou(confusion), [1 / 2, 2 / 4, 0])
    assert mean_iou(confusion) == pytest.approx(0.5)
    assert mean_iou(confusion, definition="all") == pytest.approx(1 / 3)
    assert mean_iou(confusion, definition="all", classes=[1, 2]) == pytest.approx(0.25)
    assert mean_iou(confusion, classes=[1, 2]) == pytest.approx(0.5)


@pytest.mark.fault("masks without a labelled pixel to score", "NaN, without a warning")
def test_nothing_to_score_is_nan_without_a_warning() -> None:
    empty = confusion_matrix(np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8), 3)
    assert np.isnan(iou(empty)).all() and np.isnan(mean_iou(empty))


@pytest.mark.fault("masks of two sizes, or with unknown classes, to `ws.metrics`", "one line")
def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="same size"):
        confusion_matrix(np.zeros((2, 2), int), np.zeros((2, 3), int), 3)
    with pytest.raises(DataError, match="class 5"):
        confusion_matrix(np.zeros(2, np.uint8), np.array([0, 5], np.uint8), 3)
    with pytest.raises(ValueError, match="present"):
        mean_iou(np.eye(2), definition="mean")  # type: ignore[arg-type]


@pytest.mark.fault("lists for arrays to `ws.metrics`", "taken; ragged ones are one line")
def test_lists_are_taken_as_arrays() -> None:
    counts = [[1, 2], [3, 4]]
    assert confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist() == [[1, 0], [1, 1]]
    np.testing.assert_array_equal(iou(counts), iou(np.array(counts)))
    for definition in ("present", "all"):
        ours = mean_iou(counts, definition=definition)
        assert ours == mean_iou(np.array(counts), definition=definition)
    for odd, why in {
        "ragged": ([[1, 2], [3]], "several lengths"),
        "text": ("abc", "give counts"),
        "words": ([["a", "b"], ["c", "d"]], "give counts"),
        "a row": ([1, 2], "should be square"),
    }.values():
        for score in (iou, mean_iou):
            with pytest.raises(DataError, match=why):
                score(odd)
    with pytest.raises(DataError, match="the truth is a list of several lengths"):
        confusion_matrix([[0, 1], [0]], [[0, 1], [0]], 2)
