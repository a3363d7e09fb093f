"""When a run says that its results look like noise, and when it does not."""

import numpy as np
import pytest

from wsgcn_jax.pipeline import doubts

LABELS = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]]


@pytest.mark.fault(
    "too few steps, a classifier that guesses, few seeds, few objects, a GCN worse than its CAMs",
    "a warning each, with what helps",
)
@pytest.mark.parametrize(
    ("found", "says"),
    [
        (doubts.doubts_of_training("boundary", 6), "boundary: 6 steps are few"),
        (doubts.doubts_of_training("boundary", 80), None),
        (doubts.doubts_of_classifier([0.67] * 9, LABELS), "67% of the labels are right, 67%"),
        (doubts.doubts_of_classifier([0.9] * 9, LABELS), None),
        (doubts.doubts_of_classifier([1.0], np.ones((5, 1), bool)), None),  # nothing to tell apart
        (doubts.doubts_of_classifier([], LABELS), None),
        (doubts.doubts_of_boundary_labels(3, 24), "only 3 of 24 photos"),
        (doubts.doubts_of_boundary_labels(20, 24), None),
        (doubts.doubts_of_labels([False] * 23 + [True], [True] * 24), "23 of 24 photos ended"),
        (doubts.doubts_of_labels([True] * 24, [False] * 24), "24 of 24 photos have no seeds"),
        (doubts.doubts_of_labels([True] * 24, [True] * 24), None),
        (doubts.doubts_of_labels([], []), None),
        (doubts.doubts_of_scores({"cam": {"miou": 60.0}, "gcn": {"miou": 42.0}}), "score 42.0"),
        (doubts.doubts_of_scores({"cam": {"miou": 56.0}, "gcn": {"miou": 75.0}}), None),
        (doubts.doubts_of_scores({}), None),
    ],
)
def test_noise_is_said_in_one_line(found, says):
    if says is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith("warning: ") and says in line and "\n" not in line
