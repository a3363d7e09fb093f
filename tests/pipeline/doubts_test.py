"""When a run says that its results look like noise, and when it does not."""

import numpy as np
import pytest
from etils.epath import Path

from wsgcn_jax.data import write_mask
from wsgcn_jax.pipeline import doubts
from wsgcn_jax.pipeline.found import Found, found_in, with_earlier
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays

WHOLE = Found(object=True, background=True, seeds=True)
EMPTY = WHOLE._replace(object=False)
LABELS = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]]


def _photos(number, found):
    return {f"{found}{i}": found for i in range(number)}


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
        (
            doubts.doubts_of_labels(_photos(23, EMPTY) | _photos(1, WHOLE)),
            "or use the configuration photos",
        ),
        (doubts.doubts_of_labels(_photos(24, WHOLE._replace(seeds=False))), "24 of 24 photos have"),
        (doubts.doubts_of_labels(_photos(24, WHOLE._replace(seeds=None))), None),
        (doubts.doubts_of_labels(_photos(24, WHOLE)), None),
        (doubts.doubts_of_labels({}), None),
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


@pytest.mark.fault("masks that end all background or all object", "a warning that names the photos")
@pytest.mark.fault(
    "a run that goes on: masks of its earlier start", "they count in the warnings, with their seeds"
)
def test_masks_are_counted_and_named_whenever_they_were_made(tmp_path):
    both = np.zeros((4, 5), np.uint8)
    both[1:, 2:] = 3
    masks = {name: Path(tmp_path) / f"{name}.png" for name in "edcba"}
    for name, mask in (("a", both), ("b", 0 * both), ("d", 0 * both + 3)):
        write_mask(masks[name], mask)
    write_mask(masks["c"], both)  # labelled here: it is not read
    write_arrays(Path(tmp_path) / "b.npz", {"seeds": np.full((2, 2), 255, np.uint8)})
    found = with_earlier({"c": found_in(0 * both, 0 * both)}, masks)
    assert found == {  # e was left out
        "d": Found(object=True, background=False, seeds=None),
        "c": Found(object=False, background=True, seeds=False),
        "b": Found(object=False, background=True, seeds=False),
        "a": Found(object=True, background=True, seeds=None),
    }
    seeds, empty, full = doubts.doubts_of_labels(found)
    assert seeds.startswith("warning: 2 of 2 photos have no seeds")
    assert empty.startswith("warning: 2 of 4 masks of labelled photos hold no object: c, b; ")
    assert full.startswith("warning: 1 of 4 masks of labelled photos hold no background: d; ")
    many = doubts.doubts_of_labels(dict.fromkeys("abcdefg", EMPTY))
    assert "no object: a, b, c, d, e and 2 more; look" in many[0]
