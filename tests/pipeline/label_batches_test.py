"""Labelling in batches: what is handed on, what is left out, and that a photo is read once."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import test as tiny
from wsgcn_jax.pipeline import label_batches
from wsgcn_jax.pipeline.graph_inputs import cams_on_grid, grid_colours
from wsgcn_jax.pipeline.label_photo import PhotoInputs, PhotoOutputs
from wsgcn_jax.pipeline.label_program import check_memory
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.types import DataError, Skipped

NAMES = ("a", "broken", "none", "large", "c")
SIZES = ((48, 64), (64, 64), (20, 30), (128, 96), (33, 47))
SEEN = (*SIZES[:3], (64, 48), SIZES[4])  # at 64 pixels at the most
PRESENT = np.array([[False, True]] * 2 + [[False, False]] + [[False, True]] * 2)


def _scores(photos):
    """The photo's first colour as the score of its second class; none for a black photo."""
    red = photos.rgb[..., 0]
    scores = jnp.log(jnp.stack([1 - red, jnp.full_like(red, 0.9), red], axis=1))
    scores = jnp.where(red.any(axis=(1, 2), keepdims=True)[:, None], scores, jnp.nan)
    return PhotoOutputs(jnp.zeros(red.shape, jnp.uint8), scores[:, 1:], scores)


@pytest.fixture
def found(tmp_path, monkeypatch):
    """What `label_batches` reads, hands on and leaves out."""
    config = tiny.get_config().unlock()
    config.crf.post_process = False
    config.data.longer_side = 64
    config.graph.update(batch_size=2, longer_side=64)
    read, written = [], {}

    def image(index):
        read.append(index)
        return np.full((*SIZES[index], 3), 40 * (index != 1) * (index + 1), np.uint8)

    def inputs(batch):
        cams = cams_on_grid(batch, lambda i, grid: (np.ones((1, *grid)), np.array([2])), 3)
        rgb = jnp.asarray(grid_colours(batch))
        present = cams.any(axis=(2, 3))
        return PhotoInputs(None, rgb[..., 0], None, cams, present, rgb, None)

    monkeypatch.setattr(label_batches, "make_label_program", lambda config: _scores)
    skipped = label_batches.label_batches(
        NAMES,
        SIZES,
        PRESENT,
        image,
        inputs,
        written.__setitem__,
        lambda i: tmp_path / NAMES[i],
        config,
    )
    return read, written, skipped


def test_every_photo_is_read_once_and_labelled_at_its_size(found):
    read, written, _ = found
    assert sorted(read) == [0, 1, 3, 4]
    for index in (0, 3, 4):
        photo = written[index]
        assert photo.class_ids.tolist() == [0, 2]
        assert photo.scores.shape == (2, *SEEN[index])
        assert photo.label_map.shape == SIZES[index]
        assert (photo.label_map == (2 if index else 0)).all()
        red = np.float32(40 * (index + 1) / 255)
        np.testing.assert_allclose(photo.scores[0], 1 - red, rtol=1e-5)
        np.testing.assert_allclose(photo.scores[1], red, rtol=1e-5)
        assert photo.boundary.shape == photo.seeds.shape == photo.log_probs.shape[1:]


@pytest.mark.fault(
    "a photo whose scores are not finite",
    "it is left out by name",
    section="Hosts, devices and memory",
)
def test_scores_that_are_not_finite_are_left_out(found):
    _, written, skipped = found
    assert sorted(written) == [0, 2, 3, 4]
    assert skipped == [Skipped("broken", "broken: the GCN's scores are not finite")]


@pytest.mark.fault(
    "kernels over all pairs of cells on a large grid",
    "one line, or a warning, with the memory they need",
    section="Hosts, devices and memory",
)
@pytest.mark.parametrize(
    ("graph", "crf", "rule", "grid", "says"),
    [
        ({"walk": "dense"}, {}, "walk", (256, 256), "graph.walk: dense needs 52 GB"),
        ({"walk": "dense"}, {}, "walk", (96, 128), None),
        ({}, {"kernel": "exact", "partial_labels": True}, "cam", (120, 160), "warning: crf.kernel"),
        ({}, {"kernel": "exact", "partial_labels": True}, "cam", (64, 64), None),
        ({}, {"kernel": "exact", "partial_labels": True}, "walk", (256, 256), None),
    ],
)
def test_kernels_over_all_pairs_of_cells_are_bounded_before_the_work(graph, crf, rule, grid, says):
    config = tiny.get_config().unlock()
    config.graph.update(**{"walk": "fast", **graph})
    config.crf.update(**crf)
    config.seeds.rule = rule
    if says and not says.startswith("warning"):
        with pytest.raises(DataError, match=says):
            check_memory([(8, 8), grid], config)
    else:
        found = check_memory([(8, 8), grid], config)
        assert len(found) == bool(says) and all(line.startswith(says) for line in found)


def test_a_photo_without_any_class_is_background_and_not_fitted(found):
    read, written, _ = found
    photo = written[2]
    assert 2 not in read and photo.class_ids.tolist() == [0]
    assert photo.scores.shape == (1, 20, 30) and (photo.scores == 1).all()
    assert not argmax_labels(photo.scores, photo.class_ids).any()
    assert photo.walk.shape == (2, *photo.boundary.shape) and not photo.seeds.any()


@pytest.mark.fault(
    "photos without any class to label",
    "all background, which is said",
    section="Maps from elsewhere",
)
def test_photos_without_any_class_alone(tmp_path, capsys):
    config, written = tiny.get_config(), {}
    present = np.zeros((2, 1), bool)
    # No photo is decoded and no program built: both may be anything.
    label_batches.label_batches(
        ("a", "b"),
        SIZES[:2],
        present,
        None,
        None,
        written.__setitem__,
        lambda i: tmp_path / "x",
        config,
    )
    assert sorted(written) == [0, 1]
    assert "2 photos without any class are all background" in capsys.readouterr().err
